//! Row 14: the memory of a cached key, without and with the optional fields. This measures bytes
//! and not time, so it does not use criterion, but it stores its results in criterion's folder.
//!
//! The allocations of a key without the optional fields add up to 340 bytes: 240 for the key and
//! its reference counts, 64 for its entry in the map, 19 for the map's table, and 17 for its id in
//! the eviction order. This includes the rounding and the headers of glibc. A name of more than 23
//! bytes has another allocation. Keys share their permissions and their workspace.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

mod issued;

use std::{env, fs, net::IpAddr, process::Command, sync::Arc};

use futures_executor::block_on;
use keywright_benches::{
    BYTES_PER_KEY, BYTES_PER_KEY_WITH_OPTIONAL_FIELDS, runs_once, store_number,
    tasks::{self, Indices},
};
use keywright_core::{
    Attributes, Caller, Config, Keywright, NewKey, Owner, Scheme, TokenRef, store::KeyStore as _,
};
use keywright_store_sqlite::SqliteStore;
use tempfile::TempDir;

use self::issued::TokenBytes;

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
    let bytes = f64::from(memory_of_cached_keys(caller, new, count)) / f64::from(count);
    println!("{bytes:.0} bytes per key with {fields} in a cache of {count} keys");
    store_number(file, bytes);
}

/// Measures by how much the memory of the process grows when it verifies this many keys. The keys
/// are in a file, so that the memory of a store is not counted.
fn memory_of_cached_keys(caller: &Caller, new: &NewKey, count: u32) -> u32 {
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
    let before = anonymous_bytes();
    runtime.block_on(async {
        if new.allowed_ips.is_none() {
            tasks::share(64, count, |indices| issued::verify(&keys, &tokens, indices)).await;
        } else {
            tasks::share(64, count, |indices| verify_from(&keys, &tokens, indices)).await;
        }
        // On a slow machine, one call does not write a million last uses in time.
        while keys.flush().await.is_err() {}
    });
    anonymous_bytes().saturating_sub(before)
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
