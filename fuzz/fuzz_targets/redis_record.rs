//! Fuzzes the records in Redis. Each record that can be read has a single encoding, and no input
//! makes the reader panic.

#![no_main]

// The store's own source file, because the reader is not public.
#[path = "../../crates/store-redis/src/record/mod.rs"]
#[expect(
    dead_code,
    reason = "the store also generates the constants of its scripts from it"
)]
mod record;

use keywright_core::KeyId;
use libfuzzer_sys::fuzz_target;
use record::Stored;

fuzz_target!(|bytes: &[u8]| {
    let Ok(id) = KeyId::from_bytes(b"0U5lKtf600000000") else {
        return;
    };
    match record::decode(id, bytes) {
        Ok(Stored::Record(record)) => {
            assert_eq!(record.key.id, id);
            assert_eq!(record::encode(&record).as_deref(), Some(bytes));
            assert_eq!(record.key.imported, record.alias.is_some());
            // A purge reads the same values.
            let header = record::decode_header(bytes).unwrap();
            assert_eq!(header.workspace, record.key.workspace);
            assert_eq!(header.environment, record.key.environment);
            assert_eq!(header.owner, record.key.owner);
            assert_eq!(header.expires_at, record.key.expires_at);
            assert_eq!(header.revoked_at, record.key.revoked_at);
            assert_eq!(header.parent, record.key.parent);
            assert_eq!(header.successor, record.key.successor);
            assert_eq!(header.rotated_by, record.key.rotated_by);
            let successor = record::encode_id(header.successor);
            assert!(bytes.windows(successor.len()).any(|part| part == successor));
        }
        Ok(Stored::Tombstone) => assert_eq!(bytes, [0]),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
