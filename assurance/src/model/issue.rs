//! Calls that create and rotate keys.

use super::{
    caller::{Caller, Principal, split},
    idempotency::{Binding, Operation, Scope},
    key::{Key, Millis},
    outcome::{CallOutcome, Rejection},
    state::Model,
};
use crate::{
    action::{Idempotency, KeyRequest, RequestedExpiry, Slot},
    vocabulary::DAY,
};

/// The maximum overlap of a rotation.
const MAX_OVERLAP: Millis = 30 * DAY;

impl Model {
    pub(super) fn create(
        &mut self,
        principal: Principal,
        into: Slot,
        new: &KeyRequest,
        idempotency: Option<Idempotency>,
    ) -> Result<CallOutcome, Rejection> {
        let scope = idempotency.map(|idempotency| (principal, Operation::Create, idempotency.key));
        let draft = self.draft(principal, new);
        self.issue(scope, idempotency, into, draft)
    }

    /// Returns the requested key if the caller may create it.
    fn draft(&self, principal: Principal, new: &KeyRequest) -> Result<Key, Rejection> {
        let caller = self.permitted(principal, "api_keys:write")?;
        let environment = new.environment.unwrap_or(caller.environment);
        if !caller.reaches(environment) {
            return Err(Rejection::Environment);
        }
        let permissions = new
            .permissions
            .map_or_else(|| caller.permissions.clone(), split);
        if !permissions.iter().all(|wanted| caller.may(wanted)) {
            return Err(Rejection::NotPermitted);
        }
        let expires_at = match new.expiry {
            RequestedExpiry::Inherited => caller.expires_at,
            RequestedExpiry::Now => Some(self.now),
            RequestedExpiry::In(millis) => Some(self.checked_end(&caller, self.now + millis)?),
        };
        Ok(Key {
            workspace: caller.workspace,
            environment,
            name: new.name,
            permissions,
            metadata: new.metadata,
            parent: principal.key(),
            successor: None,
            rotated_by: None,
            created_at: self.now,
            expires_at,
            revoked_at: None,
        })
    }

    pub(super) fn rotate(
        &mut self,
        principal: Principal,
        slot: Slot,
        into: Slot,
        (overlap, lifetime): (Millis, Option<Millis>),
        idempotency: Option<Idempotency>,
    ) -> Result<CallOutcome, Rejection> {
        let predecessor = self.slots.get(&slot).copied();
        let scope = idempotency
            .map(|idempotency| (principal, Operation::Rotate(predecessor), idempotency.key));
        let draft = self.successor(principal, slot, lifetime);
        let outcome = self.issue(scope, idempotency, into, draft)?;
        if let (CallOutcome::Issued(number), Some(predecessor)) = (&outcome, predecessor)
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
        Ok(outcome)
    }

    /// Returns the successor of a key if the caller may rotate the key.
    fn successor(
        &self,
        principal: Principal,
        slot: Slot,
        lifetime: Option<Millis>,
    ) -> Result<Key, Rejection> {
        let caller = self.permitted(principal, "api_keys:write")?;
        let old = &self.keys[&self.changeable(&caller, slot)?];
        if !old.permissions.iter().all(|wanted| caller.may(wanted)) {
            return Err(Rejection::NotPermitted);
        }
        if old.successor.is_some() || !old.is_active(self.now) {
            return Err(Rejection::NotRotatable);
        }
        let old_lifetime = old.expires_at.map(|end| end - old.created_at);
        let wanted = match lifetime {
            Some(millis) => Some(self.checked_end(&caller, self.now + millis)?),
            None => old_lifetime.map(|lifetime| self.now + lifetime),
        };
        let limits = [wanted, caller.expires_at];
        Ok(Key {
            rotated_by: principal.key(),
            created_at: self.now,
            expires_at: limits.into_iter().flatten().min(),
            ..old.clone()
        })
    }

    fn checked_end(&self, caller: &Caller, end: Millis) -> Result<Millis, Rejection> {
        if end <= self.now {
            Err(Rejection::ExpiryPast)
        } else if caller.expires_at.is_some_and(|last| last < end) {
            Err(Rejection::ExpiryBeyondCaller)
        } else {
            Ok(end)
        }
    }

    /// Creates a key, or returns the key that the same idempotency key is bound to.
    fn issue(
        &mut self,
        scope: Option<Scope>,
        idempotency: Option<Idempotency>,
        into: Slot,
        draft: Result<Key, Rejection>,
    ) -> Result<CallOutcome, Rejection> {
        if let Err(rejection) = &draft
            && !rejection.can_arise_later()
        {
            return Err(*rejection);
        }
        if let (Some(scope), Some(idempotency)) = (&scope, idempotency)
            && let Some(binding) = self.bindings.get(scope)
            && self.now < binding.expires_at
        {
            return if binding.request == idempotency.request {
                Ok(CallOutcome::Replayed(binding.created))
            } else {
                Err(Rejection::IdempotencyMismatch)
            };
        }
        let number = self.created;
        self.keys.insert(number, draft?);
        self.created += 1;
        self.slots.insert(into, number);
        if let (Some(scope), Some(idempotency)) = (scope, idempotency) {
            let binding = Binding {
                request: idempotency.request,
                created: number,
                expires_at: self.now + DAY,
            };
            self.bindings.insert(scope, binding);
        }
        Ok(CallOutcome::Issued(number))
    }
}
