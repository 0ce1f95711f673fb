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
            // What a purge reads is the same.
            let head = record::head(bytes).unwrap();
            assert_eq!(head.workspace, record.key.workspace);
            assert_eq!(head.environment, record.key.environment);
            assert_eq!(head.revoked_at, record.key.revoked_at);
            assert_eq!(head.parent, record.key.parent);
            assert_eq!(head.successor, record.key.successor);
            let successor = record::successor(head.successor);
            assert!(bytes.windows(successor.len()).any(|part| part == successor));
        }
        Ok(Stored::Gone) => assert_eq!(bytes, [0]),
        Err(unreadable) => assert!(!unreadable.to_string().is_empty()),
    }
});
