//! Conversions from the vocabulary to the types of the library.

use keywright_core::{
    Caller, Environment, KeyId, Metadata, Name, Permissions, Prefix, Secret, Timestamp, Token,
    TokenRef, Workspace,
};

use crate::vocabulary::{Host, PREFIX};

pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("a time after 1970")
}

pub(super) fn prefix() -> Prefix {
    Prefix::parse(PREFIX).expect("a prefix")
}

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

pub(super) fn metadata(text: &str) -> Metadata {
    Metadata::parse(text).expect("an object")
}

pub(super) fn workspace(text: &str) -> Workspace {
    Workspace::parse(text).expect("a workspace")
}

pub(super) fn permissions(text: &str) -> Permissions {
    text.parse().expect("permissions")
}

pub(super) fn caller(host: &Host) -> Caller {
    let caller = Caller::new(workspace(host.workspace), permissions(host.permissions))
        .with_environment(host.environment);
    match host.expires_at {
        Some(end) => caller.with_expires_at(time(end)),
        None => caller,
    }
}

/// An id that does not belong to any key.
pub(super) fn unknown_id() -> KeyId {
    KeyId::from_bytes(b"0U5lKtf600000000").expect("an id")
}

/// Assembles a token with this id and environment, and with the secret of another token.
pub(super) fn token(id: &KeyId, environment: Environment, secret_of: &str) -> String {
    let prefix = prefix();
    let other = TokenRef::parse(secret_of.as_bytes(), &prefix).expect("a token");
    let secret: Secret = other.secret();
    Token::assemble(&prefix, environment, id, &secret)
        .expose()
        .to_owned()
}
