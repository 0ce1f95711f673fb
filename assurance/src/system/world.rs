//! What the service is given: a clock that is set by hand, random bytes that are not, and what the reference's words stand for.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use keywright_core::{
    Caller, Clock, Entropy, KeyId, Metadata, Name, Permissions, Prefix, RandomError, Secret,
    Timestamp, Token, TokenRef, Workspace,
};

use crate::words::{Host, PREFIX, START};

/// The clock of all processes.
#[derive(Clone)]
pub(super) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    pub(super) fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        time(self.0.load(Ordering::Relaxed))
    }
}

/// Seeds that differ, and are the same in every run. All processes share it, since no two draw the same.
#[derive(Clone, Default)]
pub(super) struct Counter(Arc<AtomicU64>);

impl Entropy for Counter {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        *seed = [0; 32];
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        seed[..8].copy_from_slice(&count.to_le_bytes());
        Ok(())
    }
}

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
    match host.ends {
        Some(end) => caller.with_expires_at(time(end)),
        None => caller,
    }
}

/// An id that no key has.
pub(super) fn unknown_id() -> KeyId {
    KeyId::from_bytes(b"0U5lKtf600000000").expect("an id")
}

/// A token of this host for an id, with the secret of another one of its tokens.
pub(super) fn token(
    id: &KeyId,
    environment: keywright_core::Environment,
    secret_of: &str,
) -> String {
    let prefix = prefix();
    let other = TokenRef::parse(secret_of.as_bytes(), &prefix).expect("a token");
    let secret: Secret = other.secret();
    Token::assemble(&prefix, environment, id, &secret)
        .expose()
        .to_owned()
}
