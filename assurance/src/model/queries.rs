//! Calls that read keys and verify tokens.

use keywright_core::Status;

use super::{
    addresses,
    caller::{Access, Caller, Principal, covers},
    key::Number,
    outcome::{CallOutcome, ListQuery, Rejection, Verdict},
    state::Model,
};
use crate::action::{PresentedToken, Slot};

impl Model {
    pub(super) fn find(&self, principal: Principal, slot: Slot) -> Result<CallOutcome, Rejection> {
        let caller = self.current(principal)?;
        // A key can always read itself.
        let access = self.access_to(principal, &caller, "read", slot, true)?;
        self.visible(&caller, access, slot).map(CallOutcome::Key)
    }

    pub(super) fn list(
        &self,
        principal: Principal,
        owner: Option<&'static str>,
        status: Option<Status>,
        search: Option<&'static str>,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.current(principal)?;
        let access = caller.access("read")?;
        let own = match access {
            Access::All => None,
            Access::OwnedBy(owner) => Some(owner),
        };
        let query = ListQuery {
            workspace: caller.workspace,
            environment: caller.environment,
            // A caller who sees only the keys of its owner has the list of that owner.
            owner: owner.or(own),
            status,
            search: folded(search.unwrap_or_default()),
        };
        let shown = self.keys.iter().filter(|(_, key)| {
            caller.sees(access, key)
                && owner.is_none_or(|owner| key.owner == Some(owner))
                && status.is_none_or(|status| key.status(self.now) == status)
                && folded(key.name).contains(&query.search)
        });
        let shown = shown.map(|(number, _)| *number).collect();
        Ok(CallOutcome::Listed(query, shown))
    }

    pub(super) fn verify(
        &mut self,
        process: usize,
        token: PresentedToken,
        from: Option<&str>,
    ) -> Verdict {
        let verdict = match self.slots.get(&token.slot()) {
            None if matches!(token, PresentedToken::Damaged(_)) => Verdict::Malformed,
            None => Verdict::Unknown,
            Some(number) => match token {
                PresentedToken::Damaged(_) => Verdict::Malformed,
                PresentedToken::OtherEnvironment(_) => Verdict::Unknown,
                PresentedToken::OtherSecret(_) if self.keys.contains_key(number) => {
                    Verdict::WrongSecret
                }
                PresentedToken::OtherSecret(_) | PresentedToken::Token(_) => {
                    self.verdict_for(*number, from)
                }
            },
        };
        if let Verdict::Accepted(number) = verdict {
            self.last_used.record(process, number, self.now);
        }
        verdict
    }

    /// The verdict on the key's own token, which a client at this address or at an unknown address
    /// presents.
    #[must_use]
    pub fn verdict_for(&self, number: Number, from: Option<&str>) -> Verdict {
        let Some(key) = self.keys.get(&number) else {
            return Verdict::Gone;
        };
        match key.status(self.now) {
            Status::Revoked => Verdict::Revoked,
            Status::Expired => Verdict::Expired,
            Status::Disabled => Verdict::Disabled,
            Status::Active => match (key.allowed_ips, from) {
                (None, _) => Verdict::Accepted(number),
                (Some(allowed), Some(from)) if addresses::contains(allowed, from) => {
                    Verdict::Accepted(number)
                }
                (Some(_), _) => Verdict::AddressNotAllowed,
            },
        }
    }

    /// Records that a key was verified, so that its later calls are made in its present state.
    pub(super) fn see(&mut self, verdict: Verdict) {
        if let Verdict::Accepted(number) = verdict {
            self.callers
                .insert(number, Caller::of_key(&self.keys[&number]));
        }
    }

    pub(super) fn introspect(
        &mut self,
        process: usize,
        principal: Principal,
        token: PresentedToken,
        from: Option<&str>,
        permission: Option<&str>,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.current(principal)?;
        let access = caller.access("verify")?;
        let verdict = self.verify(process, token, from);
        let is_proven = matches!(
            verdict,
            Verdict::Accepted(_)
                | Verdict::Revoked
                | Verdict::Expired
                | Verdict::Disabled
                | Verdict::AddressNotAllowed
        );
        let number = self.visible(&caller, access, token.slot());
        let visible = match (is_proven, number, verdict, permission) {
            (true, Ok(number), Verdict::Accepted(_), Some(permission)) => {
                let mut granted = self.keys[&number].permissions.iter();
                if granted.any(|granted| covers(granted, permission)) {
                    verdict
                } else {
                    Verdict::InsufficientPermission
                }
            }
            (true, Ok(_), _, _) => verdict,
            _ => Verdict::Unknown,
        };
        Ok(CallOutcome::Introspected(visible))
    }
}

/// Folds the case of a text, so that texts that differ only in case compare equal.
fn folded(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}
