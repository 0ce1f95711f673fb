//! Conversions from the vocabulary to the types of the library.

use std::net::IpAddr;

use keywright_core::{
    AllowedIps, Attributes, Caller, Environment, KeyId, Metadata, Name, Owner, Permission,
    Permissions, Prefix, RequestId, Secret, Timestamp, Token, TokenRef, Workspace,
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

pub(super) fn permission(text: &str) -> Permission {
    Permission::parse(text).expect("a permission")
}

pub(super) fn owner(text: &str) -> Owner {
    Owner::parse(text).expect("an owner")
}

pub(super) fn attributes(text: &str) -> Attributes {
    Attributes::parse(text).expect("an object")
}

pub(super) fn allowed_ips(text: &str) -> AllowedIps {
    text.parse().expect("addresses")
}

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(super) fn request_id(number: usize) -> RequestId {
    RequestId::parse(&format!("request-{number}")).expect("an id")
}

pub(super) fn caller(host: &Host) -> Caller {
    let mut caller = Caller::new(workspace(host.workspace), permissions(host.permissions))
        .with_environment(host.environment);
    if let Some(text) = host.owner {
        caller = caller.with_owner(owner(text));
    }
    if let Some(text) = host.attributes {
        caller = caller.with_attributes(attributes(text));
    }
    if let Some(text) = host.allowed_ips {
        caller = caller.with_allowed_ips(allowed_ips(text));
    }
    if let Some(end) = host.expires_at {
        caller = caller.with_expires_at(time(end));
    }
    caller
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
