//! Compares the outcomes of calls, and the final state, with the model.

use futures_executor::block_on;
use keywright_core::{Denied, Introspection, IssueError, Key, ListKeys, Verified, VerifyError};

use super::{backend::Backend, calls::verify, convert, state::System};
use crate::{
    model::{Model, Number, Rejection, Verdict},
    vocabulary::{ADDRESSES, HOSTS, PROCESSES, WORKSPACES},
};

/// The reason why a call was rejected. A store that works returns no other errors.
pub(super) fn rejection(error: &IssueError) -> Rejection {
    match error {
        IssueError::NotPermitted(_) => Rejection::NotPermitted,
        IssueError::Environment => Rejection::Environment,
        IssueError::ExpiryPast => Rejection::ExpiryPast,
        IssueError::ExpiryBeyondCaller => Rejection::ExpiryBeyondCaller,
        IssueError::ExpiryBeyondPolicy { .. } => Rejection::ExpiryBeyondPolicy,
        IssueError::ExpiryAfterRotation => Rejection::ExpiryAfterRotation,
        IssueError::AddressesBeyondCaller => Rejection::AddressesBeyondCaller,
        IssueError::Expired => Rejection::Expired,
        IssueError::VersionMismatch => Rejection::VersionMismatch,
        IssueError::CallerInactive => Rejection::CallerInactive,
        IssueError::CallerAddress => Rejection::CallerAddress,
        IssueError::NotFound => Rejection::NotFound,
        IssueError::NotRotatable => Rejection::NotRotatable,
        IssueError::Cursor => Rejection::Cursor,
        IssueError::IdempotencyMismatch => Rejection::IdempotencyMismatch,
        other => panic!("the store does not work: {other:?}"),
    }
}

impl<B: Backend> System<B> {
    /// The key that the model expects, without its last use.
    pub(super) fn expected_key(&self, number: Number, model: &Model) -> Key {
        let expected = model.key(number).expect("the key is not purged");
        let permissions: Vec<&str> = expected.permissions.iter().copied().collect();
        let id = |number: Number| self.owned[number].id;
        let mut key = Key::new(
            id(number),
            convert::workspace(expected.workspace),
            expected.environment,
            convert::name(expected.name),
            convert::permissions(&permissions.join(",")),
        );
        assert_eq!(key.created_at(), convert::time(expected.created_at));
        key.owner = expected.owner.map(convert::owner);
        key.metadata = expected.metadata.map(convert::metadata);
        key.attributes = expected.attributes.map(convert::attributes);
        key.enabled = expected.enabled;
        key.allowed_ips = expected.allowed_ips.map(convert::allowed_ips);
        key.parent = expected.parent.map(id);
        key.successor = expected.successor.map(id);
        key.predecessor = expected.predecessor.map(id);
        key.rotated_by = expected.rotated_by.map(id);
        key.expires_at = expected.expires_at.map(convert::time);
        key.revoked_at = expected.revoked_at.map(convert::time);
        key
    }

    /// Asserts that a key equals the key that the model expects, with a plausible time of last use.
    pub(super) fn assert_key(&self, process: usize, key: &Key, number: Number, model: &Model) {
        let mut without_last_use = key.clone();
        without_last_use.last_used_at = None;
        assert_eq!(without_last_use, self.expected_key(number, model));
        let used = key.last_used_at.map(|time| time.as_millis());
        let (earliest, latest) = model.last_used().range(process, number);
        assert!(
            earliest <= used && used <= latest,
            "last used at {used:?}, expected {earliest:?} to {latest:?}: {key:?}"
        );
    }

    pub(super) fn assert_verdict(
        &self,
        process: usize,
        outcome: &Result<Verified, VerifyError>,
        expected: Verdict,
        model: &Model,
    ) {
        let agrees = match (outcome, expected) {
            (Ok(verified), Verdict::Accepted(number)) => {
                let mut key = verified.key().clone();
                key.last_used_at = verified.last_used_at();
                self.assert_key(process, &key, number, model);
                true
            }
            (Err(VerifyError::Denied(Denied::Malformed(_))), Verdict::Malformed)
            | (
                Err(VerifyError::Denied(Denied::WrongSecret(_))),
                Verdict::WrongSecret | Verdict::Gone,
            )
            | (Err(VerifyError::Denied(Denied::Unknown(_))), Verdict::Unknown | Verdict::Gone)
            | (Err(VerifyError::Denied(Denied::Revoked(_))), Verdict::Revoked | Verdict::Gone)
            | (Err(VerifyError::Denied(Denied::Expired(_))), Verdict::Expired | Verdict::Gone)
            | (Err(VerifyError::Denied(Denied::Disabled(_))), Verdict::Disabled)
            | (
                Err(VerifyError::Denied(Denied::AddressNotAllowed(_))),
                Verdict::AddressNotAllowed,
            ) => true,
            _ => false,
        };
        assert!(agrees, "{outcome:?}, expected {expected:?}");
    }

    pub(super) fn assert_introspection(
        &self,
        process: usize,
        introspection: &Introspection,
        expected: Verdict,
        model: &Model,
    ) {
        match (introspection, expected) {
            (Introspection::Valid(key), Verdict::Accepted(number)) => {
                self.assert_key(process, key, number, model);
            }
            (Introspection::NotFound, Verdict::Unknown)
            | (Introspection::Expired, Verdict::Expired)
            | (Introspection::Revoked, Verdict::Revoked)
            | (Introspection::Disabled, Verdict::Disabled)
            | (Introspection::AddressNotAllowed, Verdict::AddressNotAllowed)
            | (Introspection::InsufficientPermission, Verdict::InsufficientPermission) => {}
            _ => panic!("{introspection:?}, expected {expected:?}"),
        }
    }

    /// Reads every key that was ever created, in both processes, from lists, by its id, and by its
    /// token from every address.
    ///
    /// # Panics
    ///
    /// If a key differs from the model's.
    pub fn check_all(&mut self, model: &Model) {
        assert_eq!(self.owned.len(), model.created());
        for process in 0..PROCESSES {
            self.catch_up(process);
            for workspace in WORKSPACES {
                self.check_workspace(process, workspace, model);
                self.check_events(process, workspace, model);
            }
        }
        let addresses = ADDRESSES.map(Some).into_iter().chain([None]);
        for (process, from) in (0..PROCESSES).flat_map(|process| {
            let addresses = addresses.clone();
            addresses.map(move |from| (process, from))
        }) {
            for (number, owned) in self.owned.iter().enumerate() {
                let verifier = self.processes[process].keys().verifier();
                let outcome = verify(verifier, &owned.token, from);
                match (&outcome, model.verdict_for(number, from)) {
                    // These verifications are not part of the model, so the last use is later than
                    // expected.
                    (Ok(verified), Verdict::Accepted(_)) => {
                        let mut shown = verified.key().clone();
                        shown.last_used_at = None;
                        assert_eq!(shown, self.expected_key(number, model));
                    }
                    (_, expected) => self.assert_verdict(process, &outcome, expected, model),
                }
            }
        }
    }

    fn check_workspace(&self, process: usize, workspace: &str, model: &Model) {
        let issuer = self.processes[process].keys().issuer();
        let host = HOSTS.iter().find(|host| host.workspace == workspace);
        let caller = convert::caller(host.expect("each workspace has a host"));
        let mut all = ListKeys::new();
        all.limit = ListKeys::MAX_LIMIT;
        let listed = block_on(issuer.list(&caller, all))
            .expect("the list succeeds")
            .keys;
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
            self.assert_key(process, key, number, model);
            let found = block_on(issuer.find(&caller, &key.id)).expect("the key was listed");
            self.assert_key(process, &found.key, number, model);
        }
    }
}
