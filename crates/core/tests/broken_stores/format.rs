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

/// A read of the prefix that claims the store for a default prefix.
#[derive(Clone, Debug, Default)]
struct ReadThatClaims;

#[async_trait]
impl Fault for ReadThatClaims {
    async fn prefix(&self, inner: &MemoryStore) -> Result<Option<Prefix>, StoreError> {
        let default = Prefix::parse("sk").unwrap();
        inner.claim_prefix(&default).await?;
        inner.prefix().await
    }
}

#[test]
fn a_read_of_the_prefix_that_claims_the_store_is_caught() {
    assert_fails_only::<ReadThatClaims>(&["format"]);
}

/// A handle that never finds the prefix, for example because it reads another name than it writes.
#[derive(Clone, Debug, Default)]
struct NoPrefix;

#[async_trait]
impl Fault for NoPrefix {
    async fn prefix(&self, _: &MemoryStore) -> Result<Option<Prefix>, StoreError> {
        Ok(None)
    }
}

#[test]
fn a_prefix_that_is_not_found_is_caught() {
    assert_fails_only::<NoPrefix>(&["format"]);
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
        let mut end = name.len().min(255);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        record.key.name = Name::parse(&name[..end]).unwrap();
        inner.insert(&record, now).await
    }
}

#[test]
fn a_truncated_name_is_caught() {
    assert_fails_only::<ShortNames>(&["format"]);
}
