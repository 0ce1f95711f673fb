//! Creating and replacing keys.

use super::{
    Answer, Key, Millis, Model, Number, Refusal,
    key::{Asker, Caller, split},
};
use crate::{
    act::{End, New, Once, Slot},
    words::DAY,
};

/// Longest overlap of a rotation.
const MAX_OVERLAP: Millis = 30 * DAY;

/// What an idempotency key is scoped by: who calls, and what for.
pub(super) type Scope = (Asker, Route, u8);

/// What a call is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Route {
    Create,
    Replace(Option<Number>),
}

/// What came of the first request.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    request: u8,
    made: Number,
    until: Millis,
}

impl Model {
    pub(super) fn create(
        &mut self,
        asker: Asker,
        into: Slot,
        new: &New,
        once: Option<Once>,
    ) -> Result<Answer, Refusal> {
        let scope = once.map(|once| (asker, Route::Create, once.key));
        let draft = self.draft(asker, new);
        self.issue(scope, once, into, draft)
    }

    /// The key that is asked for, if the caller may have it.
    fn draft(&self, asker: Asker, new: &New) -> Result<Key, Refusal> {
        let caller = self.permitted(asker, "api_keys:write")?;
        let environment = new.environment.unwrap_or(caller.environment);
        if !caller.reaches(environment) {
            return Err(Refusal::Environment);
        }
        let permissions = new
            .permissions
            .map_or_else(|| caller.permissions.clone(), split);
        if !permissions.iter().all(|wanted| caller.may(wanted)) {
            return Err(Refusal::NotPermitted);
        }
        let expires_at = match new.end {
            End::Inherited => caller.ends,
            End::Now => Some(self.now),
            End::In(millis) => Some(self.checked_end(&caller, self.now + millis)?),
        };
        Ok(Key {
            workspace: caller.workspace,
            environment,
            name: new.name,
            permissions,
            metadata: new.metadata,
            parent: asker.key(),
            successor: None,
            created_at: self.now,
            expires_at,
            revoked_at: None,
        })
    }

    pub(super) fn rotate(
        &mut self,
        asker: Asker,
        slot: Slot,
        into: Slot,
        (overlap, end): (Millis, Option<Millis>),
        once: Option<Once>,
    ) -> Result<Answer, Refusal> {
        let predecessor = self.slots.get(&slot).copied();
        let scope = once.map(|once| (asker, Route::Replace(predecessor), once.key));
        let draft = self.successor(asker, slot, end);
        let answer = self.issue(scope, once, into, draft)?;
        if let (Answer::Issued(number), Some(predecessor)) = (&answer, predecessor)
            && let Some(old) = self.keys.get_mut(&predecessor)
        {
            old.successor = Some(*number);
            if overlap == 0 {
                old.revoked_at = Some(self.now);
            } else {
                let end = self.now + overlap.min(MAX_OVERLAP);
                old.expires_at = Some(old.expires_at.map_or(end, |own| own.min(end)));
            }
        }
        Ok(answer)
    }

    /// What a key is to be replaced by, if the caller may replace it.
    fn successor(&self, asker: Asker, slot: Slot, end: Option<Millis>) -> Result<Key, Refusal> {
        let caller = self.permitted(asker, "api_keys:write")?;
        let old = &self.keys[&self.changeable(&caller, slot)?];
        if !old.permissions.iter().all(|wanted| caller.may(wanted)) {
            return Err(Refusal::NotPermitted);
        }
        if old.successor.is_some() || !old.is_active(self.now) {
            return Err(Refusal::NotRotatable);
        }
        let lifetime = old.expires_at.map(|end| end - old.created_at);
        let wanted = match end {
            Some(millis) => Some(self.checked_end(&caller, self.now + millis)?),
            None => lifetime.map(|lifetime| self.now + lifetime),
        };
        let ends = [wanted, caller.ends];
        Ok(Key {
            created_at: self.now,
            expires_at: ends.into_iter().flatten().min(),
            ..old.clone()
        })
    }

    fn checked_end(&self, caller: &Caller, end: Millis) -> Result<Millis, Refusal> {
        if end <= self.now {
            Err(Refusal::ExpiryPast)
        } else if caller.ends.is_some_and(|last| last < end) {
            Err(Refusal::ExpiryBeyondCaller)
        } else {
            Ok(end)
        }
    }

    /// Makes a key, or tells of the one that was made for the same idempotency key.
    fn issue(
        &mut self,
        scope: Option<Scope>,
        once: Option<Once>,
        into: Slot,
        draft: Result<Key, Refusal>,
    ) -> Result<Answer, Refusal> {
        if let Err(refusal) = &draft
            && !refusal.comes_with_time()
        {
            return Err(*refusal);
        }
        if let (Some(scope), Some(once)) = (&scope, once)
            && let Some(binding) = self.bindings.get(scope)
            && self.now < binding.until
        {
            return if binding.request == once.request {
                Ok(Answer::Replayed(binding.made))
            } else {
                Err(Refusal::IdempotencyMismatch)
            };
        }
        let number = self.made;
        self.keys.insert(number, draft?);
        self.made += 1;
        self.slots.insert(into, number);
        if let (Some(scope), Some(once)) = (scope, once) {
            let binding = Binding {
                request: once.request,
                made: number,
                until: self.now + DAY,
            };
            self.bindings.insert(scope, binding);
        }
        Ok(Answer::Issued(number))
    }
}
