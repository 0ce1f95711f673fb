//! The answers, as the reference has them.

use futures_executor::block_on;
use keywright_core::{
    Denied, Introspection, IssueError, Key, ListKeys, Verified, VerifyError,
    VerifyError::Denied as Refused,
};

use super::{Owned, Stage, System, world};
use crate::{
    model::{Model, Number, Refusal, Verdict},
    words::{HANDLES, HOSTS, WORKSPACES},
};

/// A key as the reference has it, but for its last use.
pub(super) fn key(owned: &[Owned], number: Number, model: &Model) -> Key {
    let known = model.key(number).expect("a key that is not purged");
    let permissions: Vec<&str> = known.permissions.iter().copied().collect();
    let mut key = Key::new(
        owned[number].id,
        world::workspace(known.workspace),
        known.environment,
        world::name(known.name),
        world::permissions(&permissions.join(",")),
    );
    assert_eq!(key.created_at(), world::time(known.created_at));
    key.metadata = known.metadata.map(world::metadata);
    key.parent = known.parent.map(|number| owned[number].id);
    key.successor = known.successor.map(|number| owned[number].id);
    key.expires_at = known.expires_at.map(world::time);
    key.revoked_at = known.revoked_at.map(world::time);
    key
}

/// Why a call was refused. Of a store that works nothing else comes.
pub(super) fn refusal(error: &IssueError) -> Refusal {
    match error {
        IssueError::NotPermitted(_) => Refusal::NotPermitted,
        IssueError::Environment => Refusal::Environment,
        IssueError::ExpiryPast => Refusal::ExpiryPast,
        IssueError::ExpiryBeyondCaller => Refusal::ExpiryBeyondCaller,
        IssueError::CallerInactive => Refusal::CallerInactive,
        IssueError::NotFound => Refusal::NotFound,
        IssueError::NotRotatable => Refusal::NotRotatable,
        IssueError::Cursor => Refusal::Cursor,
        IssueError::IdempotencyMismatch => Refusal::IdempotencyMismatch,
        other => panic!("a store that works: {other:?}"),
    }
}

impl<S: Stage> System<S> {
    pub(super) fn assert_verdict(
        &self,
        at: usize,
        outcome: &Result<Verified, VerifyError>,
        expected: Verdict,
        model: &Model,
    ) {
        let agrees = match (outcome, expected) {
            (Ok(verified), Verdict::Accepted(number)) => {
                let mut key = verified.key().clone();
                key.last_used_at = verified.last_used_at();
                self.assert_is(at, &key, number, model);
                true
            }
            (Err(Refused(Denied::Malformed(_))), Verdict::Malformed)
            | (Err(Refused(Denied::WrongSecret(_))), Verdict::WrongSecret | Verdict::Gone)
            | (Err(Refused(Denied::Unknown(_))), Verdict::Unknown | Verdict::Gone)
            | (Err(Refused(Denied::Revoked(_))), Verdict::Revoked | Verdict::Gone)
            | (Err(Refused(Denied::Expired(_))), Verdict::Expired) => true,
            _ => false,
        };
        assert!(agrees, "{outcome:?} and not {expected:?}");
    }

    pub(super) fn assert_told(
        &self,
        at: usize,
        told: &Introspection,
        expected: Verdict,
        model: &Model,
    ) {
        match (told, expected) {
            (Introspection::Valid(key), Verdict::Accepted(number)) => {
                self.assert_is(at, key, number, model);
            }
            (Introspection::NotFound, Verdict::Unknown)
            | (Introspection::Expired, Verdict::Expired)
            | (Introspection::Revoked, Verdict::Revoked) => {}
            _ => panic!("{told:?} and not {expected:?}"),
        }
    }

    /// Looks at every key that was ever made, in both processes: in lists, by its id, by its token.
    ///
    /// # Panics
    ///
    /// Where one differs from the reference.
    pub fn check_all(&mut self, model: &Model) {
        assert_eq!(self.owned.len(), model.made());
        for at in 0..HANDLES {
            self.catch_up(at);
            for workspace in WORKSPACES {
                self.check_workspace(at, workspace, model);
            }
        }
        for at in 0..HANDLES {
            for (number, owned) in self.owned.iter().enumerate() {
                let verifier = self.processes[at].keys().verifier();
                let outcome = block_on(verifier.verify(owned.token.as_bytes()));
                match (&outcome, model.worth(number)) {
                    // Its last use is later than the reference knows.
                    (Ok(verified), Verdict::Accepted(_)) => {
                        let mut shown = verified.key().clone();
                        shown.last_used_at = None;
                        assert_eq!(shown, key(&self.owned, number, model));
                    }
                    (_, expected) => self.assert_verdict(at, &outcome, expected, model),
                }
            }
        }
    }

    fn check_workspace(&self, at: usize, workspace: &str, model: &Model) {
        let issuer = self.processes[at].keys().issuer();
        let host = HOSTS.iter().find(|host| host.workspace == workspace);
        let caller = world::caller(host.expect("a host of each workspace"));
        let mut all = ListKeys::new();
        all.limit = ListKeys::MAX_LIMIT;
        let listed = block_on(issuer.list(&caller, all)).expect("a list").keys;
        let mut numbers: Vec<Number> = (0..self.owned.len())
            .filter(|number| {
                model
                    .key(*number)
                    .is_some_and(|key| key.workspace == workspace)
            })
            .collect();
        numbers.sort_by_key(|number| std::cmp::Reverse(self.owned[*number].id));
        assert_eq!(listed.len(), numbers.len(), "{listed:?}");
        for (key, number) in listed.iter().zip(numbers) {
            self.assert_is(at, key, number, model);
            let found = block_on(issuer.find(&caller, &key.id)).expect("a key that is listed");
            self.assert_is(at, &found, number, model);
        }
    }
}
