//! Row 14: the memory of a cached key, without and with the optional fields. This measures bytes
//! and not time, so it does not use criterion, but it stores its results in criterion's folder.
//!
//! The row shows by how much the resident memory grows, which includes memory that the allocator
//! has free at the end: the tables of the map before it grew, and the lists and tables of a million
//! last uses that were waiting to be written. If glibc returns its free memory (`malloc_trim`), the
//! resident memory is about what is allocated. The next row shows this, without headers and
//! rounding.
//!
//! The allocations of a key without the optional fields add up to 340 bytes: 240 for the key and
//! its reference counts, 64 for its entry in the map, 19 for the map's table, and 17 for its id in
//! the eviction order. This includes the rounding and the headers of glibc. A name of more than 23
//! bytes has another allocation. Keys share their permissions and their workspace.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

mod issued;

use std::{alloc::System, env, fs, net::IpAddr, process::Command, sync::Arc};

use futures_executor::block_on;
use keywright_benches::{
    ALLOCATED_PER_KEY, BYTES_PER_KEY, BYTES_PER_KEY_WITH_OPTIONAL_FIELDS, runs_once, store_number,
    tasks::{self, Indices},
};
use keywright_core::{
    Attributes, Caller, Config, Keywright, NewKey, Owner, Scheme, TokenRef, store::KeyStore as _,
};
use keywright_store_sqlite::SqliteStore;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tempfile::TempDir;

use self::issued::TokenBytes;

/// Counts the bytes that are allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The argument of a process that measures keys with the optional fields.
const OPTIONAL_FIELDS: &str = "--optional-fields";

/// The address of the client, which is in one of the allowed networks.
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn main() {
    if env::args().any(|argument| argument == OPTIONAL_FIELDS) {
        // Keys inherit the owner and the attributes from their caller.
        let attributes = r#"{"plan":"pro","customer":"cus_01234567"}"#;
        assert_eq!(attributes.len(), 40);
        let caller = issued::operator()
            .with_owner(Owner::parse("user:42").unwrap())
            .with_attributes(Attributes::parse(attributes).unwrap());
        let allowed_ips = "192.0.2.0/24,2001:db8::/32".parse().unwrap();
        let new = issued::new_key().with_allowed_ips(allowed_ips);
        let fields = "an owner, attributes and two allowed prefixes";
        measure(&caller, &new, fields, BYTES_PER_KEY_WITH_OPTIONAL_FIELDS);
        return;
    }
    let fields = "none of the optional fields";
    measure(
        &issued::operator(),
        &issued::new_key(),
        fields,
        BYTES_PER_KEY,
    );
    // In another process, because this one would reuse the memory that it has freed.
    let own = env::current_exe().unwrap();
    let status = Command::new(own)
        .args(env::args().skip(1))
        .arg(OPTIONAL_FIELDS)
        .status();
    assert!(status.unwrap().success());
}

/// Measures the memory of cached keys, prints it, and stores it in a file.
fn measure(caller: &Caller, new: &NewKey, fields: &str, file: &str) {
    let count: u32 = if runs_once() { 10_000 } else { 1_000_000 };
    let [resident, allocated] =
        memory_of_cached_keys(caller, new, count).map(|bytes| f64::from(bytes) / f64::from(count));
    println!(
        "{resident:.0} bytes per key with {fields} in a cache of {count} keys, of which \
         {allocated:.0} are allocated"
    );
    store_number(file, resident);
    if new.allowed_ips.is_none() {
        store_number(ALLOCATED_PER_KEY, allocated);
    }
}

/// Measures by how much the resident memory of the process grows when it verifies this many keys,
/// and its allocated memory, without what the allocator adds. The keys are in a file, so that the
/// memory of a store is not counted.
fn memory_of_cached_keys(caller: &Caller, new: &NewKey, count: u32) -> [u32; 2] {
    let count = usize::try_from(count).unwrap();
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("keys.db")).unwrap());
    let config = Config::new(issued::prefix())
        .with_scheme(Scheme::HmacSha256)
        .with_cache(count)
        .with_cache_bytes(usize::MAX);
    let keys = block_on(Keywright::open(config, Arc::clone(&store) as _)).unwrap();
    let runtime = issued::runtime();
    let tokens = issued::issue(&keys, caller, new, count, &runtime);
    // Fill the cache of pages, which does not grow with the keys.
    let prefix = issued::prefix();
    for token in tokens.iter().take(50_000) {
        let token = TokenRef::parse(token, &prefix).unwrap();
        block_on(store.find(token.id())).unwrap();
    }
    let (before, allocated) = (anonymous_bytes(), Region::new(ALLOCATOR));
    runtime.block_on(async {
        if new.allowed_ips.is_none() {
            tasks::share(64, count, |indices| issued::verify(&keys, &tokens, indices)).await;
        } else {
            tasks::share(64, count, |indices| verify_from(&keys, &tokens, indices)).await;
        }
        // On a slow machine, one call does not write a million last uses in time.
        while keys.flush().await.is_err() {}
    });
    let change = allocated.change();
    let allocated = change.bytes_allocated - change.bytes_deallocated;
    [
        anonymous_bytes().saturating_sub(before),
        allocated.try_into().unwrap(),
    ]
}

/// Verifies the tokens at these indices, which are presented from an allowed address.
fn verify_from(
    keys: &Keywright,
    tokens: &Arc<[TokenBytes]>,
    indices: Indices,
) -> impl Future<Output = ()> + Send + 'static {
    let (keys, tokens) = (keys.clone(), Arc::clone(tokens));
    async move {
        for index in indices {
            let token = tokens.get(index).unwrap();
            keys.verifier().verify_from(token, ADDRESS).await.unwrap();
        }
    }
}

/// Returns the resident anonymous memory of this process, in bytes.
fn anonymous_bytes() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u32>().unwrap() * 1024
}
