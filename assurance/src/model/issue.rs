//! Calls that create and rotate keys.

use super::{
    caller::{Access, Caller, Principal, earliest, split},
    event::EventKind,
    idempotency::{Binding, Operation, Scope},
    key::{Key, Millis},
    outcome::{CallOutcome, Rejection},
    state::Model,
};
use crate::{
    action::{Idempotency, KeyRequest, RequestedExpiry, Slot},
    vocabulary::{DAY, MAX_LIFETIME},
};

/// The maximum overlap of a rotation.
const MAX_OVERLAP: Millis = 30 * DAY;

impl Model {
    pub(super) fn create(
        &mut self,
        process: usize,
        principal: Principal,
        into: Slot,
        new: &KeyRequest,
        idempotency: Option<Idempotency>,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.current(principal)?;
        let access = caller.access("write")?;
        let scope = idempotency.map(|idempotency| (principal, Operation::Create, idempotency.key));
        let draft = self.draft(process, principal, &caller, new);
        let outcome = self.issue((&caller, access), scope, idempotency, into, draft)?;
        if let CallOutcome::Issued(number) = outcome {
            self.append(self.actor(principal), EventKind::Created, number, None);
        }
        Ok(outcome)
    }

    /// Returns the requested key if the caller may create it.
    fn draft(
        &self,
        process: usize,
        principal: Principal,
        caller: &Caller,
        new: &KeyRequest,
    ) -> Result<Key, Rejection> {
        let environment = new.environment.unwrap_or(caller.environment);
        if !caller.reaches(environment) {
            return Err(Rejection::Environment);
        }
        let permissions = new
            .permissions
            .map_or_else(|| caller.permissions.clone(), split);
        caller.check_covers(&permissions)?;
        let allowed_ips = new.allowed_ips.or(caller.allowed_ips);
        caller.check_addresses(allowed_ips)?;
        let latest = self.latest_end(process, self.now);
        let expires_at = match new.expiry {
            RequestedExpiry::Inherited => earliest([caller.expires_at, latest]),
            RequestedExpiry::Now => Some(self.now),
            RequestedExpiry::In(millis) => {
                self.check_end(caller, self.now + millis, latest)?;
                Some(self.now + millis)
            }
        };
        Ok(Key {
            workspace: caller.workspace,
            environment,
            owner: caller.owner,
            name: new.name,
            permissions,
            metadata: new.metadata,
            attributes: caller.attributes,
            enabled: true,
            allowed_ips,
            parent: principal.key(),
            successor: None,
            predecessor: None,
            rotated_by: None,
            created_at: self.now,
            expires_at,
            revoked_at: None,
            changes: 0,
        })
    }

    pub(super) fn rotate(
        &mut self,
        process: usize,
        principal: Principal,
        slot: Slot,
        into: Slot,
        (overlap, lifetime): (Millis, Option<Millis>),
        idempotency: Option<Idempotency>,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.current(principal)?;
        let itself = caller.may("api_keys.self:rotate");
        let access = self.access_to(principal, &caller, "write", slot, itself)?;
        let predecessor = self.slots.get(&slot).copied();
        let scope = idempotency
            .map(|idempotency| (principal, Operation::Rotate(predecessor), idempotency.key));
        let draft = self.successor(process, principal, (&caller, access), slot, lifetime);
        let outcome = self.issue((&caller, access), scope, idempotency, into, draft)?;
        if let (CallOutcome::Issued(number), Some(predecessor)) = (&outcome, predecessor)
            && let Some(old) = self.keys.get_mut(&predecessor)
        {
            let before = old.clone();
            old.successor = Some(*number);
            old.changes += 1;
            if overlap == 0 {
                old.revoked_at = Some(self.now);
            } else {
                let end = self.now + overlap.min(MAX_OVERLAP);
                old.expires_at = earliest([old.expires_at, Some(end)]);
            }
            let kind = EventKind::Rotated(*number);
            self.append(self.actor(principal), kind, predecessor, Some(&before));
        }
        Ok(outcome)
    }

    /// Returns the successor of a key if the caller may rotate the key.
    fn successor(
        &self,
        process: usize,
        principal: Principal,
        (caller, access): (&Caller, Access),
        slot: Slot,
        lifetime: Option<Millis>,
    ) -> Result<Key, Rejection> {
        let number = self.changeable(caller, access, slot)?;
        let old = &self.keys[&number];
        caller.check_covers(&old.permissions)?;
        caller.check_addresses(old.allowed_ips)?;
        if old.successor.is_some() || !old.is_active(self.now) {
            return Err(Rejection::NotRotatable);
        }
        let latest = self.latest_end(process, self.now);
        let old_lifetime = old.expires_at.map(|end| end - old.created_at);
        if let Some(millis) = lifetime {
            self.check_end(caller, self.now + millis, latest)?;
        }
        let wanted = lifetime.or(old_lifetime).map(|millis| self.now + millis);
        Ok(Key {
            predecessor: Some(number),
            rotated_by: principal.key(),
            created_at: self.now,
            expires_at: earliest([wanted, caller.expires_at, latest]),
            changes: 0,
            ..old.clone()
        })
    }

    /// Returns the latest end that the policy of a process allows for a key that was created at
    /// this time.
    pub(super) fn latest_end(&self, process: usize, created_at: Millis) -> Option<Millis> {
        self.limited[process].then_some(created_at + MAX_LIFETIME)
    }

    /// Checks a requested end against the caller's and against the latest that the policy allows.
    pub(super) fn check_end(
        &self,
        caller: &Caller,
        end: Millis,
        latest: Option<Millis>,
    ) -> Result<(), Rejection> {
        if end <= self.now {
            Err(Rejection::ExpiryPast)
        } else if caller.expires_at.is_some_and(|last| last < end) {
            Err(Rejection::ExpiryBeyondCaller)
        } else if latest.is_some_and(|latest| latest < end) {
            Err(Rejection::ExpiryBeyondPolicy)
        } else {
            Ok(())
        }
    }

    /// Creates a key, or returns the key that the same idempotency key is bound to.
    fn issue(
        &mut self,
        (caller, access): (&Caller, Access),
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
            if binding.request != idempotency.request {
                return Err(Rejection::IdempotencyMismatch);
            }
            let created = self.keys.get(&binding.created);
            if created.is_some_and(|key| caller.sees(access, key)) {
                return Ok(CallOutcome::Replayed(binding.created));
            }
        }
        let number = self.created;
        self.keys.insert(number, draft?);
        self.created += 1;
        self.slots.insert(into, number);
        self.callers
            .insert(number, Caller::of_key(&self.keys[&number]));
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
