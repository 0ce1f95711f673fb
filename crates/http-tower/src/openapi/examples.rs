//! Examples of answers, made as the answers are made.

use keywright_core::{
    Environment, Introspection, Key, KeyId, Metadata, Name, Timestamp, Workspace,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    api::{Created, Revoked},
    item::Item,
    page::{Meta, PageOfItems},
    worth::Worth,
};

/// A key that a member of the workspace created for a server.
fn key() -> Option<Key> {
    let mut key = Key::new(
        KeyId::parse("key_0U5lKtf600000000").ok()?,
        Workspace::parse("default").ok()?,
        Environment::Live,
        Name::parse("Production Server").ok()?,
        "calls:read".parse().ok()?,
    );
    key.metadata = Some(Metadata::parse(r#"{"team":"billing"}"#).ok()?);
    key.parent = Some(KeyId::parse("key_0U5lKtT000000000").ok()?);
    key.last_used_at = Some(now()?);
    Some(key)
}

fn now() -> Option<Timestamp> {
    Timestamp::parse("2024-03-02T08:15:00Z").ok()
}

fn value(answer: impl Serialize) -> Option<Value> {
    serde_json::to_value(answer).ok()
}

/// What is asked for.
pub(super) fn to_create() -> Option<Value> {
    Some(json!({
        "name": "Production Server",
        "permissions": ["calls:read"],
        "metadata": {"team": "billing"},
    }))
}

/// The key and its token, of which an example shows as little as it can.
pub(super) fn created() -> Option<Value> {
    let mut created = replayed()?;
    if let Value::Object(members) = &mut created {
        members.insert("secret".into(), "sk_live_0U5lKtf600000000_…032Ts3u".into());
    }
    Some(created)
}

/// The key without its token.
pub(super) fn replayed() -> Option<Value> {
    value(Created::new(&key()?, None))
}

pub(super) fn item() -> Option<Value> {
    value(Item::new(&key()?, now()?))
}

pub(super) fn page() -> Option<Value> {
    let key = key()?;
    value(PageOfItems {
        data: vec![Item::new(&key, now()?)],
        meta: Meta {
            page: Some(1),
            limit: 20,
            total: Some(1),
            total_pages: Some(1),
            next_cursor: None,
        },
    })
}

pub(super) fn change() -> Option<Value> {
    Some(json!({"name": "Production Server 2"}))
}

pub(super) fn revoked() -> Option<Value> {
    value(Revoked::new(None))
}

pub(super) fn rotation() -> Option<Value> {
    Some(json!({"expire_previous": "24h"}))
}

pub(super) fn to_verify() -> Option<Value> {
    Some(json!({"key": "sk_live_0U5lKtf600000000_…032Ts3u"}))
}

pub(super) fn valid() -> Option<Value> {
    value(Worth::new(&Introspection::Valid(key()?), now()?))
}
