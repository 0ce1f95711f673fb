//! Renaming, revoking and purging keys.

use keywright_core::Reach;

use super::{Answer, Millis, Model, Number, Refusal, key::Asker};
use crate::{act::Slot, words::DAY};

impl Model {
    pub(super) fn rename(
        &mut self,
        asker: Asker,
        slot: Slot,
        name: Option<&'static str>,
        metadata: Option<&'static str>,
    ) -> Result<Answer, Refusal> {
        let caller = self.permitted(asker, "api_keys:write")?;
        let number = self.changeable(&caller, slot)?;
        if let Some(key) = self.keys.get_mut(&number) {
            key.name = name.unwrap_or(key.name);
            key.metadata = metadata.or(key.metadata);
        }
        Ok(Answer::Key(number))
    }

    pub(super) fn revoke(
        &mut self,
        asker: Asker,
        slot: Slot,
        reach: Reach,
    ) -> Result<Answer, Refusal> {
        let caller = self.permitted(asker, "api_keys:write")?;
        let number = self.visible(&caller, slot)?;
        let first = self.keys[&number].revoked_at.is_none();
        let reached = match reach {
            Reach::Key => [number].into(),
            Reach::Descendants => self.family(number),
        };
        let mut count = 0;
        for (number, key) in &mut self.keys {
            if reached.contains(number) && key.revoked_at.is_none() {
                key.revoked_at = Some(self.now);
                count += 1;
            }
        }
        if count == 0 {
            return Err(Refusal::NotFound);
        }
        Ok(Answer::Revoked { first, count })
    }

    /// Deletes what was revoked long enough ago and has nothing left that descends from it.
    pub(super) fn purge(&mut self, workspace: Option<&'static str>, age: Millis) -> Answer {
        let before = self.now - age.max(DAY);
        let mut count = 0;
        loop {
            let goes = |number: &Number| {
                let key = &self.keys[number];
                key.revoked_at.is_some_and(|time| time < before)
                    && workspace.is_none_or(|workspace| key.workspace == workspace)
                    && key
                        .successor
                        .is_none_or(|next| !self.keys.contains_key(&next))
                    && !self.keys.values().any(|key| key.parent == Some(*number))
            };
            let Some(number) = self.keys.keys().copied().find(goes) else {
                return Answer::Purged(count);
            };
            self.keys.remove(&number);
            count += 1;
        }
    }
}
