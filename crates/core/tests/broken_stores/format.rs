//! Clause 15 broken.

use async_trait::async_trait;
use keywright_core::{KeyStore, MemoryStore, Name, Prefix, Record, StoreError, Timestamp};

use crate::{caught::assert_caught, fault::Fault};

/// Takes any prefix for its own.
#[derive(Clone, Debug, Default)]
struct AnyPrefix;

#[async_trait]
impl Fault for AnyPrefix {
    async fn claim_prefix(&self, _: &MemoryStore, prefix: &Prefix) -> Result<Prefix, StoreError> {
        Ok(prefix.clone())
    }
}

#[test]
fn a_second_prefix_is_caught() {
    assert_caught::<AnyPrefix>(&["format"]);
}

/// Has room for 255 bytes of a name, where 255 characters were promised.
#[derive(Clone, Debug, Default)]
struct ShortNames;

#[async_trait]
impl Fault for ShortNames {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut record = record.clone();
        let name = record.key.name.as_str();
        record.key.name = Name::parse(&name[..name.floor_char_boundary(255)]).unwrap();
        inner.insert(&record, now).await
    }
}

#[test]
fn a_name_that_was_cut_is_caught() {
    assert_caught::<ShortNames>(&["format"]);
}
