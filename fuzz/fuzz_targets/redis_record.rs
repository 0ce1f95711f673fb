//! A record as Redis keeps it: whatever is read has one spelling, and nothing makes the reader panic.

#![no_main]

// The store's own source: what it reads is no part of its interface.
#[path = "../../crates/store-redis/src/record.rs"]
mod record;

use keywright_core::KeyId;
use libfuzzer_sys::fuzz_target;
use record::Stored;

fuzz_target!(|bytes: &[u8]| {
    let Ok(id) = KeyId::from_bytes(b"0U5lKtf600000000") else {
        return;
    };
    match record::read(id, bytes) {
        Ok(Stored::Record(record)) => {
            assert_eq!(record.key.id, id);
            assert_eq!(record::write(&record).as_deref(), Some(bytes));
        }
        Ok(Stored::Gone) => assert_eq!(bytes, [0]),
        Err(unreadable) => assert!(!unreadable.to_string().is_empty()),
    }
});
