//! Fuzzes the stored hash. Each accepted hash has a single spelling, and its cost is within the
//! limits. So has each hash of another system.

#![no_main]

use keywright_core::{Argon2Params, Scheme, store::StoredHash};
use libfuzzer_sys::fuzz_target;

/// The mark of a hash of another system.
const FOREIGN: &str = "foreign:";

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    // The input as a hash of another system, so that few inputs begin with the mark.
    for text in [text, &format!("{FOREIGN}{text}")] {
        let Ok(stored) = StoredHash::parse(text) else {
            continue;
        };
        assert_eq!(stored.to_string(), text);
        match stored.scheme() {
            Some(Scheme::Argon2id(cost)) => {
                check_cost([cost.memory_kib(), cost.passes(), cost.lanes()])
            }
            Some(_) => {}
            None => check_foreign(text.strip_prefix(FOREIGN).expect("only foreign hashes")),
        }
        let is_foreign = matches!(stored, StoredHash::Foreign(_));
        assert_eq!(is_foreign, stored.scheme().is_none());
    }
});

fn check_cost([memory_kib, passes, lanes]: [u32; 3]) {
    assert!(memory_kib <= Argon2Params::MAX_MEMORY_KIB);
    assert!((1..=Argon2Params::MAX_PASSES).contains(&passes));
    assert!((1..=Argon2Params::MAX_LANES).contains(&lanes));
}

/// Checks the cost in the text of a hash, with no parser of the library.
fn check_foreign(text: &str) {
    let parts: Vec<&str> = text.split('$').collect();
    match parts[..] {
        ["sha256" | "sha512", digest] => assert!(digest.len() == 44 || digest.len() == 88),
        ["pbkdf2_sha256", iterations, ..] => {
            let iterations: u32 = iterations.parse().expect("a number");
            assert!((1..=2_000_000).contains(&iterations));
        }
        ["", "2a" | "2b" | "2y", cost, _] => {
            assert!(cost.len() == 2 && (4..=14).contains(&cost.parse().expect("a number")));
        }
        ["", "argon2i" | "argon2d" | "argon2id", .., costs, _, _] => {
            let cost = |name: &str| {
                let pair = costs.split(',').find_map(|pair| pair.strip_prefix(name));
                pair.and_then(|number| number.parse().ok())
                    .expect("a number")
            };
            check_cost(["m=", "t=", "p="].map(cost));
        }
        _ => panic!("the hash has an unknown form"),
    }
}
