//! Calls that revoke and purge keys.

use keywright_core::Reach;

use super::{
    caller::Principal,
    event::EventKind,
    key::{Millis, Number},
    outcome::{CallOutcome, Rejection},
    state::Model,
};
use crate::{action::Slot, vocabulary::DAY};

impl Model {
    pub(super) fn revoke(
        &mut self,
        principal: Principal,
        slot: Slot,
        reach: Reach,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.current(principal)?;
        // A key can always revoke itself.
        let access = self.access_to(principal, &caller, "write", slot, true)?;
        let number = self.visible(&caller, access, slot)?;
        caller.check_covers(&self.keys[&number].permissions)?;
        let first = self.keys[&number].revoked_at.is_none();
        let reached = match reach {
            Reach::Key => [number].into(),
            Reach::Descendants => self.with_descendants(number),
        };
        let mut count = 0;
        for (number, key) in &mut self.keys {
            if reached.contains(number) && key.revoked_at.is_none() {
                key.revoke(self.now);
                count += 1;
            }
        }
        if count == 0 {
            return Err(Rejection::NotFound);
        }
        let cascade = reach == Reach::Descendants;
        let kind = EventKind::Revoked { cascade, count };
        self.append(self.actor(principal), kind, number, None);
        Ok(CallOutcome::Revoked { first, count })
    }

    /// Revokes all keys that the caller can list and revoke, and that it covers.
    pub(super) fn revoke_all(
        &mut self,
        principal: Principal,
        owner: Option<&'static str>,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.current(principal)?;
        let rights = [caller.access("write")?, caller.access("read")?];
        let is_reached = |number: &Number| {
            let key = &self.keys[number];
            rights.iter().all(|access| caller.sees(*access, key))
                && owner.is_none_or(|owner| key.owner == Some(owner))
                && key.revoked_at.is_none()
        };
        let reached: Vec<Number> = self.keys.keys().copied().filter(is_reached).collect();
        let mut outcome = Ok(CallOutcome::RevokedAll(reached.len() as u64));
        let kind = EventKind::Revoked {
            cascade: false,
            count: 1,
        };
        let now = self.now;
        for number in reached {
            let Some(key) = self.keys.get_mut(&number) else {
                continue;
            };
            match caller.check_covers(&key.permissions) {
                Ok(()) => {
                    key.revoke(now);
                    self.append(self.actor(principal), kind, number, None);
                }
                // The others are revoked nevertheless.
                Err(rejection) => outcome = Err(rejection),
            }
        }
        outcome
    }

    /// Deletes the records of keys that were revoked or expired long enough ago and have no
    /// descendants left.
    pub(super) fn purge(
        &mut self,
        workspace: Option<&'static str>,
        revoked: Option<Millis>,
        expired: Option<Millis>,
    ) -> CallOutcome {
        let now = self.now;
        let is_old = |time: Option<Millis>, age: Option<Millis>| {
            time.zip(age)
                .is_some_and(|(time, age)| time < now - age.max(DAY))
        };
        let mut count = 0;
        loop {
            let is_deletable = |number: &Number| {
                let key = &self.keys[number];
                (is_old(key.revoked_at, revoked) || is_old(key.expires_at, expired))
                    && workspace.is_none_or(|workspace| key.workspace == workspace)
                    && key
                        .successor
                        .is_none_or(|next| !self.keys.contains_key(&next))
                    && !self.keys.values().any(|key| key.was_received_by(*number))
            };
            let Some(number) = self.keys.keys().copied().find(is_deletable) else {
                return CallOutcome::Purged(count);
            };
            self.keys.remove(&number);
            count += 1;
        }
    }
}
