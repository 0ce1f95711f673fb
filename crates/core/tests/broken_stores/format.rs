//! Stores that break clause 15.

use std::fmt::Debug;

use async_trait::async_trait;
use keywright_core::{
    AllowedIps, Attributes, Event, Key, MemoryStore, Name, Owner, Prefix, Timestamp,
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
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let mut record = record.clone();
        let name = record.key.name.as_str();
        let mut end = name.len().min(255);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        record.key.name = Name::parse(&name[..end]).unwrap();
        inner.insert(&record, now, event).await
    }
}

#[test]
fn a_truncated_name_is_caught() {
    assert_fails_only::<ShortNames>(&["format"]);
}

/// Changes a record that is inserted.
trait Damage: Clone + Debug + Default + Send + Sync + 'static {
    fn damage(key: &mut Key);
}

/// An insert that changes a value.
#[derive(Clone, Debug, Default)]
struct Inserts<D>(D);

#[async_trait]
impl<D: Damage> Fault for Inserts<D> {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let mut record = record.clone();
        D::damage(&mut record.key);
        inner.insert(&record, now, event).await
    }
}

/// A column for owners of 64 bytes.
#[derive(Clone, Debug, Default)]
struct ShortOwners;

impl Damage for ShortOwners {
    fn damage(key: &mut Key) {
        if let Some(owner) = &mut key.owner {
            let text = owner.as_str();
            *owner = Owner::parse(&text[..text.len().min(64)]).unwrap();
        }
    }
}

#[test]
fn a_truncated_owner_is_caught() {
    // Owners whose names begin with the same 64 bytes are also confused.
    assert_fails_only::<Inserts<ShortOwners>>(&["listing", "format"]);
}

/// Attributes that are parsed, and printed again.
#[derive(Clone, Debug, Default)]
struct ReprintedAttributes;

impl Damage for ReprintedAttributes {
    fn damage(key: &mut Key) {
        if let Some(attributes) = &mut key.attributes {
            let object: serde_json::Value = attributes.get().unwrap();
            *attributes = Attributes::new(&object).unwrap();
        }
    }
}

#[test]
fn attributes_that_are_printed_again_are_caught() {
    assert_fails_only::<Inserts<ReprintedAttributes>>(&["format"]);
}

/// Addresses without the prefixes of IPv6.
#[derive(Clone, Debug, Default)]
struct OnlyIpv4;

impl Damage for OnlyIpv4 {
    fn damage(key: &mut Key) {
        let Some(addresses) = &mut key.allowed_ips else {
            return;
        };
        let networks: Vec<String> = addresses.iter().map(|text| text.to_string()).collect();
        let ipv4 = networks
            .iter()
            .map(String::as_str)
            .filter(|text| !text.contains(':'));
        if let Ok(remaining) = AllowedIps::parse(ipv4) {
            *addresses = remaining;
        }
    }
}

#[test]
fn a_lost_prefix_is_caught() {
    assert_fails_only::<Inserts<OnlyIpv4>>(&["format"]);
}

/// An insert that enables the key.
#[derive(Clone, Debug, Default)]
struct InsertsEnabled;

impl Damage for InsertsEnabled {
    fn damage(key: &mut Key) {
        key.enabled = true;
    }
}

#[test]
fn a_disabled_key_that_is_inserted_as_enabled_is_caught() {
    // The key also creates keys and rotates others, is listed as active, and is kept as enabled.
    assert_fails_only::<Inserts<InsertsEnabled>>(&[
        "atomic_insert",
        "atomic_rotate",
        "listing",
        "format",
        "purge",
    ]);
}

/// An insert that loses the predecessor.
#[derive(Clone, Debug, Default)]
struct LosesPredecessor;

impl Damage for LosesPredecessor {
    fn damage(key: &mut Key) {
        key.predecessor = None;
    }
}

#[test]
fn a_lost_predecessor_is_caught() {
    // Some keys of clauses 2 and 7 are inserted with a predecessor.
    assert_fails_only::<Inserts<LosesPredecessor>>(&[
        "atomic_rotate",
        "conditional_update",
        "format",
    ]);
}
