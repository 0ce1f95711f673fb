//! Calls that read keys and verify tokens.

use keywright_core::Status;

use super::{
    caller::Principal,
    key::Number,
    outcome::{CallOutcome, ListQuery, Rejection, Verdict},
    state::Model,
};
use crate::action::{PresentedToken, Slot};

impl Model {
    pub(super) fn find(&self, principal: Principal, slot: Slot) -> Result<CallOutcome, Rejection> {
        let caller = self.permitted(principal, "api_keys:read")?;
        self.visible(&caller, slot).map(CallOutcome::Key)
    }

    pub(super) fn list(
        &self,
        principal: Principal,
        status: Option<Status>,
        search: Option<&'static str>,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.permitted(principal, "api_keys:read")?;
        let query = ListQuery {
            workspace: caller.workspace,
            environment: caller.environment,
            status,
            search: folded(search.unwrap_or_default()),
        };
        let shown = self.keys.iter().filter(|(_, key)| {
            caller.sees(key)
                && status.is_none_or(|status| key.status(self.now) == status)
                && folded(key.name).contains(&query.search)
        });
        let shown = shown.map(|(number, _)| *number).collect();
        Ok(CallOutcome::Listed(query, shown))
    }

    pub(super) fn verify(&mut self, process: usize, token: PresentedToken) -> Verdict {
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
                    self.verdict_for(*number)
                }
            },
        };
        if let Verdict::Accepted(number) = verdict {
            self.last_used.record(process, number, self.now);
        }
        verdict
    }

    /// The verdict on the key's own token.
    #[must_use]
    pub fn verdict_for(&self, number: Number) -> Verdict {
        match self.keys.get(&number).map(|key| key.status(self.now)) {
            None => Verdict::Gone,
            Some(Status::Active) => Verdict::Accepted(number),
            Some(Status::Expired) => Verdict::Expired,
            Some(Status::Revoked) => Verdict::Revoked,
        }
    }

    pub(super) fn introspect(
        &mut self,
        process: usize,
        principal: Principal,
        token: PresentedToken,
    ) -> Result<CallOutcome, Rejection> {
        let caller = self.permitted(principal, "api_keys:verify")?;
        let visible = match self.verify(process, token) {
            verdict @ (Verdict::Accepted(_) | Verdict::Expired | Verdict::Revoked) => {
                match self.visible(&caller, token.slot()) {
                    Ok(_) => verdict,
                    Err(_) => Verdict::Unknown,
                }
            }
            _ => Verdict::Unknown,
        };
        Ok(CallOutcome::Introspected(visible))
    }
}

/// Folds the case of a text, so that texts that differ only in case compare equal.
fn folded(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}
