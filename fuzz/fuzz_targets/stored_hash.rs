//! Fuzzes the stored hash. Each accepted hash has a single spelling, and its cost is within the
//! limits.

#![no_main]

use keywright_core::{Argon2Params, Scheme, store::StoredHash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(stored) = StoredHash::parse(text) {
        assert_eq!(stored.to_string(), text);
        if let Scheme::Argon2id(cost) = stored.scheme() {
            assert!(cost.memory_kib() <= Argon2Params::MAX_MEMORY_KIB);
            assert!((1..=Argon2Params::MAX_PASSES).contains(&cost.passes()));
            assert!((1..=Argon2Params::MAX_LANES).contains(&cost.lanes()));
        }
    }
});
