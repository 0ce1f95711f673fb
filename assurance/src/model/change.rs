//! Calls that rename, revoke and purge keys.

use keywright_core::Reach;

use super::{
    caller::Principal,
    key::{Millis, Number},
    outcome::{CallOutcome, Rejection},
    state::Model,
};
use crate::{action::Slot, vocabulary::DAY};

impl Model {
    pub(super) fn rename(
        &mut self,
        principal: Principal,
        slot: Slot,
        name: Option<&'static str>,
        metadata: Option<&'static str>,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.permitted(principal, "api_keys:write")?;
        let number = self.changeable(&caller, slot)?;
        if let Some(key) = self.keys.get_mut(&number) {
            key.name = name.unwrap_or(key.name);
            key.metadata = metadata.or(key.metadata);
        }
        Ok(CallOutcome::Key(number))
    }

    pub(super) fn revoke(
        &mut self,
        principal: Principal,
        slot: Slot,
        reach: Reach,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.permitted(principal, "api_keys:write")?;
        let number = self.visible(&caller, slot)?;
        let first = self.keys[&number].revoked_at.is_none();
        let reached = match reach {
            Reach::Key => [number].into(),
            Reach::Descendants => self.with_descendants(number),
        };
        let mut count = 0;
        for (number, key) in &mut self.keys {
            if reached.contains(number) && key.revoked_at.is_none() {
                key.revoked_at = Some(self.now);
                count += 1;
            }
        }
        if count == 0 {
            return Err(Rejection::NotFound);
        }
        Ok(CallOutcome::Revoked { first, count })
    }

    /// Deletes the records of keys that were revoked long enough ago and have no descendants left.
    pub(super) fn purge(&mut self, workspace: Option<&'static str>, age: Millis) -> CallOutcome {
        let before = self.now - age.max(DAY);
        let mut count = 0;
        loop {
            let is_deletable = |number: &Number| {
                let key = &self.keys[number];
                key.revoked_at.is_some_and(|time| time < before)
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
