//! Fuzzes the records in Redis. Each record that can be read has a single encoding, and no input
//! makes the reader panic.

#![no_main]

// The store's own source file, because the reader is not public.
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
            // A purge reads the same values.
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
