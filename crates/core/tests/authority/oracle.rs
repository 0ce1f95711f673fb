//! An independent model of authority: who reaches which key with which operation.

use std::collections::{HashMap, HashSet};

use keywright_core::{Caller, Environment, Key, KeyId, Timestamp, store::Record};

use crate::{
    addresses,
    permissions::{grants, includes},
};

/// A kind of operation on keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Right {
    Read,
    Write,
    Verify,
}

impl Right {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Verify => "verify",
        }
    }
}

/// Whether the caller has this right to all keys of its workspace.
pub(crate) fn has_all(caller: &Caller, right: Right) -> bool {
    grants(caller.permissions(), &format!("api_keys:{}", right.name()))
}

/// Whether the caller has this right to the keys of its owner, and has one.
pub(crate) fn has_own(caller: &Caller, right: Right) -> bool {
    let name = format!("api_keys.own:{}", right.name());
    caller.owner().is_some() && grants(caller.permissions(), &name)
}

/// Whether the caller has this right to some keys of its workspace.
pub(crate) fn has_some(caller: &Caller, right: Right) -> bool {
    has_all(caller, right) || has_own(caller, right)
}

/// Whether a caller of this environment sees a key. A `test` caller sees only `test` keys.
pub(crate) fn sees(caller: Environment, key: Environment) -> bool {
    caller == Environment::Live || key == Environment::Test
}

/// Whether the caller reaches a key with this right.
pub(crate) fn reaches(caller: &Caller, right: Right, key: &Key) -> bool {
    let is_own = || has_own(caller, right) && key.owner.as_ref() == caller.owner();
    is_in_sight(caller, key) && (has_all(caller, right) || is_own())
}

/// Whether a key is in the workspace of the caller and in an environment that the caller sees.
pub(crate) fn is_in_sight(caller: &Caller, key: &Key) -> bool {
    *caller.workspace() == key.workspace && sees(caller.environment(), key.environment)
}

pub(crate) fn is_itself(caller: &Caller, key: &Key) -> bool {
    caller.key() == Some(&key.id)
}

/// Whether the caller has each permission of a key.
pub(crate) fn covers(caller: &Caller, key: &Key) -> bool {
    includes(caller.permissions(), &key.permissions)
}

pub(crate) fn is_expired(key: &Key, now: Timestamp) -> bool {
    key.expires_at.is_some_and(|end| end <= now)
}

pub(crate) fn is_active(key: &Key, now: Timestamp) -> bool {
    key.revoked_at.is_none() && !is_expired(key, now) && key.enabled
}

/// Whether the caller may give a key this expiry, if the policy allows no later one than `latest`.
pub(crate) fn can_expire_at(
    caller: &Caller,
    end: Timestamp,
    latest: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    now < end && end <= end_or_max(caller.expires_at()) && end <= end_or_max(latest)
}

/// Returns the earlier of two expiries. `None` means never.
pub(crate) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    let earlier = end_or_max(a).min(end_or_max(b));
    (earlier != Timestamp::MAX).then_some(earlier)
}

/// Returns an expiry, or the maximum time if there is none.
pub(crate) fn end_or_max(end: Option<Timestamp>) -> Timestamp {
    end.unwrap_or(Timestamp::MAX)
}

/// Whether the caller is a key that may rotate itself.
pub(crate) fn rotates_itself(caller: &Caller, key: &Key) -> bool {
    is_itself(caller, key) && grants(caller.permissions(), "api_keys.self:rotate")
}

/// Whether a caller that receives the secret of this key can do more with it than before.
pub(crate) fn exceeds(caller: &Caller, key: &Key) -> bool {
    !covers(caller, key) || !addresses::includes(caller.allowed_ips(), key.allowed_ips.as_ref())
}

/// Returns a key and its descendants: its successor, the keys that it created, the keys that it
/// received by rotating another, and their descendants.
pub(crate) fn family(records: &HashMap<KeyId, Record>, top: KeyId) -> HashSet<KeyId> {
    let mut family = HashSet::from([top]);
    let mut unvisited = vec![top];
    while let Some(id) = unvisited.pop() {
        let received = records
            .values()
            .filter(|record| [record.key.parent, record.key.rotated_by].contains(&Some(id)));
        let next = received
            .map(|record| record.key.id)
            .chain(records[&id].key.successor);
        unvisited.extend(next.filter(|id| family.insert(*id)).collect::<Vec<_>>());
    }
    family
}

/// Whether the key does more after an update than before: with more permissions, after a pause,
/// from more addresses, or for longer.
pub(crate) fn does_more(before: &Key, after: &Key) -> bool {
    !includes(&before.permissions, &after.permissions)
        || (after.enabled && !before.enabled)
        || !addresses::includes(before.allowed_ips.as_ref(), after.allowed_ips.as_ref())
        || end_or_max(after.expires_at) > end_or_max(before.expires_at)
}

/// Whether a key can be used only from addresses of the caller, and no longer than the caller.
pub(crate) fn is_within(caller: &Caller, key: &Key) -> bool {
    addresses::includes(caller.allowed_ips(), key.allowed_ips.as_ref())
        && end_or_max(key.expires_at) <= end_or_max(caller.expires_at())
}
