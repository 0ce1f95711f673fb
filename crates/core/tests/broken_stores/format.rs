//! Stores that break clause 15.

use async_trait::async_trait;
use keywright_core::{
    MemoryStore, Name, Prefix, Timestamp,
    store::{KeyStore, Record, StoreError},
};

use crate::{failed_clauses::assert_fails_only, fault::Fault};

/// A claim that accepts any prefix.
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
    assert_fails_only::<AnyPrefix>(&["format"]);
}

/// A column for names of 255 bytes, instead of 255 characters.
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
fn a_truncated_name_is_caught() {
    assert_fails_only::<ShortNames>(&["format"]);
}
