//! Tests which secrets the memory of a running server contains.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    ops::Range,
};

use keywright_assurance::canary::{Canaries, hex};

use crate::{
    fixture::PEPPER,
    lifecycle::{run_lifecycle, start},
    server::Server,
};

/// The maximum length of the guard region before the stack of a thread, in bytes. A heap arena has
/// no guard, or a longer guard.
const GUARD: u64 = 64 * 1024;
/// The maximum length of a thread's stack, in bytes.
const STACK: u64 = 8 * 1024 * 1024;

/// A writable region of memory.
struct Region {
    kind: &'static str,
    bytes: Vec<u8>,
}

/// Reads the writable memory of the process: the heap, the stacks, and the data of mapped files.
fn regions(server: &Server) -> Vec<Region> {
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
            // Reading fails if the process has unmapped the region in the meantime.
            if memory.read_exact(&mut bytes).is_ok() {
                regions.push(Region { kind, bytes });
            }
        }
        let guard = rights.starts_with("---") && end - start <= GUARD;
        guard_ends = guard.then_some(end);
    }
    regions
}

/// Describes the text around a secret in memory, if it is part of an HTTP message.
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
        "in a response"
    } else if holds(before, &[b"{\"key\":\""]) {
        "in a request's body"
    } else if holds(
        at.saturating_sub(256)..at + 256,
        &[b"HTTP/1.1", b"application/json"],
    ) {
        "in the remains of a request"
    } else {
        "alone"
    }
}

/// Counts the occurrences of each secret, by kind of memory and by context.
fn count(
    server: &Server,
    canaries: &Canaries,
) -> BTreeMap<(String, &'static str, &'static str), usize> {
    let mut counts = BTreeMap::new();
    for Region { kind, bytes } in regions(server) {
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

/// The server reads the pepper as text from a file, and needs its bytes for every hash.
#[test]
fn the_bytes_of_a_pepper_stay_in_memory_and_its_text_does_not() {
    let (server, _, _) = start(&["--hash", "hmac-sha256"], &[]);
    let mut canaries = Canaries::new();
    canaries.add("the bytes of the pepper", PEPPER);
    canaries.add("the text of the pepper", hex(PEPPER).as_bytes());
    let counts = count(&server, &canaries);
    print("a server that has started", &counts);
    let heap = |name: &str| -> usize {
        let found = counts
            .iter()
            .filter(|((secret, kind, _), _)| secret == name && *kind == "heap");
        found.map(|(_, count)| count).sum()
    };
    assert_eq!(heap("the bytes of the pepper"), 1);
    assert_eq!(heap("the text of the pepper"), 0);
}

/// The checksum can spill up to 20 characters of a token to the stack, and a future can carry them
/// to the heap, as the next test describes.
#[test]
fn the_first_key_is_not_on_the_heap_after_it_was_printed() {
    let (server, first, _) = start(&["--hash", "argon2id"], &[]);
    let mut canaries = Canaries::new();
    canaries.add_token("the first key", &first);
    print(
        "a server that has printed the first key",
        &count(&server, &canaries),
    );
    let heap = regions(&server)
        .into_iter()
        .filter(|region| region.kind == "heap");
    let hits: Vec<_> = heap
        .flat_map(|region| canaries.find(&region.bytes))
        .collect();
    assert!(hits.iter().all(|hit| hit.at.len() <= 20), "{hits:?}");
}

/// Secrets of requests stay in the buffers of the HTTP stack until these are overwritten. Secrets
/// on the stack of a thread stay there or, if a future is moved to the heap with the padding
/// between its fields, on the heap. SECURITY.md states this, and this test counts them.
#[test]
fn the_secrets_that_the_lifecycle_of_keys_leaves_are_counted() {
    let (server, first, mut canaries) = start(&["--hash", "hmac-sha256"], &[]);
    run_lifecycle(&server, &first, &mut canaries);
    let counts = count(&server, &canaries);
    print("a server after the lifecycle of six keys", &counts);
    assert_eq!(
        counts.get(&("the pepper".to_owned(), "heap", "alone")),
        Some(&1),
        "the memory was not read"
    );
}
