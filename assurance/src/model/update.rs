//! Calls that change the settings of keys.

use keywright_core::{Change, Status};

use super::{
    addresses,
    caller::{Caller, Principal, covers, earliest, split},
    event::{EventActor, EventKind},
    key::{Key, Millis, Number},
    outcome::{CallOutcome, Rejection},
    state::Model,
};
use crate::{
    action::{KeyChange, RequiredVersion, Slot},
    vocabulary::HOSTS,
};

impl Model {
    pub(super) fn update(
        &mut self,
        process: usize,
        principal: Principal,
        slot: Slot,
        update: &KeyChange,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.current(principal)?;
        let access = caller.access("write")?;
        let number = self.changeable(&caller, access, slot)?;
        let key = &self.keys[&number];
        let has_version = match update.version {
            RequiredVersion::Any => true,
            RequiredVersion::AsRead => self.read.get(&number) == Some(&key.changes),
            RequiredVersion::Older => false,
        };
        if !has_version {
            return Err(Rejection::VersionMismatch);
        }
        caller.check_covers(&key.permissions)?;
        if key.status(self.now) == Status::Expired {
            return Err(Rejection::Expired);
        }
        let permissions = match update.permissions {
            Some(list) => split(list),
            None => key.permissions.clone(),
        };
        caller.check_covers(&permissions)?;
        let allowed_ips = match update.allowed_ips {
            Change::Keep => key.allowed_ips,
            Change::Clear => caller.allowed_ips,
            Change::Set(wanted) => {
                caller.check_addresses(Some(wanted))?;
                Some(wanted)
            }
        };
        let expires_at = match update.expires_in {
            Change::Keep => key.expires_at,
            Change::Clear => self.moved_end(process, &caller, key, None)?,
            Change::Set(millis) => {
                self.moved_end(process, &caller, key, Some(self.now + millis))?
            }
        };
        let changed = Key {
            name: update.name.unwrap_or(key.name),
            permissions,
            metadata: update.metadata.apply(key.metadata),
            enabled: update.enabled.unwrap_or(key.enabled),
            allowed_ips,
            expires_at,
            ..key.clone()
        };
        if does_more(key, &changed) {
            caller.check_addresses(changed.allowed_ips)?;
            if earliest([caller.expires_at, changed.expires_at]) != changed.expires_at {
                return Err(Rejection::ExpiryBeyondCaller);
            }
        }
        Ok(self.replace(self.actor(principal), number, changed))
    }

    /// Returns the new end of a key: the wanted end, or the latest that the caller can give it.
    fn moved_end(
        &self,
        process: usize,
        caller: &Caller,
        key: &Key,
        wanted: Option<Millis>,
    ) -> Result<Option<Millis>, Rejection> {
        let latest = self.latest_end(process, key.created_at);
        let end = wanted.or(earliest([caller.expires_at, latest]));
        if let Some(end) = end {
            self.check_end(caller, end, latest)?;
        }
        // The end of a rotated key can only move earlier.
        match (key.successor, key.expires_at, end) {
            (Some(_), Some(current), Some(end)) if end > current => {
                Err(Rejection::ExpiryAfterRotation)
            }
            (Some(_), Some(_), None) => Err(Rejection::ExpiryAfterRotation),
            _ => Ok(end),
        }
    }

    pub(super) fn set_attributes(
        &mut self,
        host: usize,
        slot: Slot,
        attributes: Option<&'static str>,
    ) -> Result<CallOutcome, Rejection> {
        let number = self.slots.get(&slot).ok_or(Rejection::NotFound)?;
        match self.keys.get(number) {
            Some(key) if key.workspace == HOSTS[host].workspace && key.revoked_at.is_none() => {
                let changed = Key {
                    attributes,
                    ..key.clone()
                };
                Ok(self.replace(EventActor::Host(HOSTS[host].owner), *number, changed))
            }
            _ => Err(Rejection::NotFound),
        }
    }

    /// Replaces a key. An update that changes nothing is not a change.
    fn replace(&mut self, actor: EventActor, number: Number, mut changed: Key) -> CallOutcome {
        if self.keys.get(&number) != Some(&changed) {
            changed.changes += 1;
            let before = self.keys.insert(number, changed);
            self.append(actor, EventKind::Updated, number, before.as_ref());
        }
        CallOutcome::Key(number)
    }
}

/// Whether the key does more after an update than before: with more permissions, after a pause,
/// from more addresses, or for longer.
fn does_more(before: &Key, after: &Key) -> bool {
    let has = |wanted: &&str| before.permissions.iter().any(|own| covers(own, wanted));
    let from_more = match (before.allowed_ips, after.allowed_ips) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(before), Some(after)) => !addresses::includes(before, after),
    };
    let longer = earliest([before.expires_at, after.expires_at]) != after.expires_at;
    !after.permissions.iter().all(has) || (after.enabled && !before.enabled) || from_more || longer
}
