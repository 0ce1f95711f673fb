//! Looking at keys, and verifying tokens.

use keywright_core::Status;

use super::{Answer, Model, Number, Query, Refusal, Verdict, key::Asker};
use crate::act::{Presented, Slot};

impl Model {
    pub(super) fn find(&self, asker: Asker, slot: Slot) -> Result<Answer, Refusal> {
        let caller = self.permitted(asker, "api_keys:read")?;
        self.visible(&caller, slot).map(Answer::Key)
    }

    pub(super) fn list(
        &self,
        asker: Asker,
        status: Option<Status>,
        search: Option<&'static str>,
    ) -> Result<Answer, Refusal> {
        let caller = self.permitted(asker, "api_keys:read")?;
        let query = Query {
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
        Ok(Answer::Listed(query, shown))
    }

    pub(super) fn verify(&mut self, at: usize, token: Presented) -> Verdict {
        let verdict = match self.slots.get(&token.slot()) {
            None if matches!(token, Presented::Damaged(_)) => Verdict::Malformed,
            None => Verdict::Unknown,
            Some(number) => match token {
                Presented::Damaged(_) => Verdict::Malformed,
                Presented::OtherEnvironment(_) => Verdict::Unknown,
                Presented::OtherSecret(_) if self.keys.contains_key(number) => Verdict::WrongSecret,
                Presented::OtherSecret(_) | Presented::Token(_) => self.worth(*number),
            },
        };
        if let Verdict::Accepted(number) = verdict {
            self.uses.note(at, number, self.now);
        }
        verdict
    }

    /// What the token of a key is worth.
    #[must_use]
    pub fn worth(&self, number: Number) -> Verdict {
        match self.keys.get(&number).map(|key| key.status(self.now)) {
            None => Verdict::Gone,
            Some(Status::Active) => Verdict::Accepted(number),
            Some(Status::Expired) => Verdict::Expired,
            Some(Status::Revoked) => Verdict::Revoked,
        }
    }

    pub(super) fn introspect(
        &mut self,
        at: usize,
        asker: Asker,
        token: Presented,
    ) -> Result<Answer, Refusal> {
        let caller = self.permitted(asker, "api_keys:verify")?;
        let told = match self.verify(at, token) {
            verdict @ (Verdict::Accepted(_) | Verdict::Expired | Verdict::Revoked) => {
                match self.visible(&caller, token.slot()) {
                    Ok(_) => verdict,
                    Err(_) => Verdict::Unknown,
                }
            }
            _ => Verdict::Unknown,
        };
        Ok(Answer::Introspected(told))
    }
}

/// A text in which upper and lower case are the same.
fn folded(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}
