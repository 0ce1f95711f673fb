//! What the memory of a running server holds.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    ops::Range,
};

use keywright_assurance::canary::{Canaries, hex};

use crate::{
    life::{live, start},
    server::Server,
    world::PEPPER,
};

/// Longest guard before the stack of a thread; before an arena of the heap there is none, or a longer one.
const GUARD: u64 = 64 * 1024;
/// Longest stack of a thread.
const STACK: u64 = 8 * 1024 * 1024;

/// A part of the memory that can be written.
struct Region {
    kind: &'static str,
    bytes: Vec<u8>,
}

/// Reads what the process can write: its heap, its stacks, and what else it has.
fn memory(server: &Server) -> Vec<Region> {
    let maps = fs::read_to_string(server.proc("maps")).unwrap();
    let mut memory = File::open(server.proc("mem")).unwrap();
    let mut regions = Vec::new();
    let mut guard_ends = None;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        let name = fields.nth(3).unwrap_or("");
        let (start, end) = range.split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let (start, end) = (address(start), address(end));
        if rights.starts_with("rw") && !name.starts_with("[v") {
            let kind = match name {
                "[stack]" => "stacks",
                "[heap]" => "heap",
                "" if guard_ends == Some(start) && end - start <= STACK => "stacks",
                "" => "heap",
                _ => "files",
            };
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            memory.seek(SeekFrom::Start(start)).unwrap();
            // What is gone meanwhile cannot be read.
            if memory.read_exact(&mut bytes).is_ok() {
                regions.push(Region { kind, bytes });
            }
        }
        let guard = rights.starts_with("---") && end - start <= GUARD;
        guard_ends = guard.then_some(end);
    }
    regions
}

/// What stands around a secret in memory, if it is of a text of HTTP.
fn context(bytes: &[u8], at: usize) -> &'static str {
    let holds = |around: Range<usize>, texts: &[&[u8]]| {
        let around = &bytes[around.start..around.end.min(bytes.len())];
        let holds = |text: &&[u8]| around.windows(text.len()).any(|window| window == *text);
        texts.iter().any(holds)
    };
    let before = at.saturating_sub(64)..at;
    if holds(before.clone(), &[b"earer "]) {
        "in a request's header"
    } else if holds(before.clone(), &[b"\"secret\":\""]) {
        "in an answer"
    } else if holds(before, &[b"{\"key\":\""]) {
        "in a request's body"
    } else if holds(
        at.saturating_sub(256)..at + 256,
        &[b"HTTP/1.1", b"application/json"],
    ) {
        "in what is left of a request"
    } else {
        "by itself"
    }
}

/// How often each secret is in each kind of memory.
fn count(
    server: &Server,
    canaries: &Canaries,
) -> BTreeMap<(String, &'static str, &'static str), usize> {
    let mut counts = BTreeMap::new();
    for Region { kind, bytes } in memory(server) {
        for hit in canaries.find(&bytes) {
            let key = (hit.secret, kind, context(&bytes, hit.at.start));
            *counts.entry(key).or_default() += 1;
        }
    }
    counts
}

fn print(what: &str, counts: &BTreeMap<(String, &'static str, &'static str), usize>) {
    println!("{what}:");
    for ((secret, kind, context), count) in counts {
        println!("{count:>5}  {secret}, {kind}, {context}");
    }
}

/// Its text came from a file, and the bytes are needed for each hash.
#[test]
fn of_a_pepper_the_bytes_remain_and_not_the_text() {
    let (server, _, _) = start(&["--hash", "hmac-sha256"], &[]);
    let mut canaries = Canaries::new();
    canaries.add("the bytes of the pepper", PEPPER);
    canaries.add("the text of the pepper", hex(PEPPER).as_bytes());
    let counts = count(&server, &canaries);
    print("a server that has started", &counts);
    let heap = |name: &str| -> usize {
        let of = counts
            .iter()
            .filter(|((secret, kind, _), _)| secret == name && *kind == "heap");
        of.map(|(_, count)| count).sum()
    };
    assert_eq!(heap("the bytes of the pepper"), 1);
    assert_eq!(heap("the text of the pepper"), 0);
}

/// But for what the checksum has spilled on the stack, 20 characters at most, which may be carried to the heap
/// as below.
#[test]
fn of_the_first_key_nothing_remains_on_the_heap_once_it_was_printed() {
    let (server, first, _) = start(&["--hash", "argon2id"], &[]);
    let mut canaries = Canaries::new();
    canaries.add_token("the first key", &first);
    print(
        "a server that has printed the first key",
        &count(&server, &canaries),
    );
    let heap = memory(&server)
        .into_iter()
        .filter(|region| region.kind == "heap");
    let hits: Vec<_> = heap
        .flat_map(|region| canaries.find(&region.bytes))
        .collect();
    assert!(hits.iter().all(|hit| hit.at.len() <= 20), "{hits:?}");
}

/// What a request brings lies in the buffers of the HTTP stack, and what passed over the stack of a thread lies
/// there or, where a future was moved to the heap with all that was between its fields, by itself, until it is
/// written over: SECURITY.md says so. How much that is, is counted here.
#[test]
fn what_the_life_of_keys_leaves_is_counted() {
    let (server, first, mut canaries) = start(&["--hash", "hmac-sha256"], &[]);
    live(&server, &first, &mut canaries);
    let counts = count(&server, &canaries);
    print("a server after the life of six keys", &counts);
    let (held, pepper) = ("the pepper".to_owned(), "by itself");
    assert_eq!(
        counts.get(&(held, "heap", pepper)),
        Some(&1),
        "the memory is read"
    );
}
