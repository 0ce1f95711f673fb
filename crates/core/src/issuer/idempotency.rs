//! Creates a key once for each idempotency key, however often the request is repeated.

use std::{fmt, time::Duration};

use super::{Action, IssueError, Issued, Issuer, NewKey, authority::Scope, digest};
use crate::{
    Caller, Key, KeyId, Owner, Timestamp,
    random::{Generator, RandomError},
    store::{Reservation, Reserved, StoreErrorKind},
};

/// How long a repeated request is recognised.
pub(super) const REPLAY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// A client's name for a request, which identifies a repeat of the request: 1 to 255 visible ASCII
/// characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// The maximum length, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// Parses an idempotency key.
    ///
    /// # Errors
    ///
    /// [`IdempotencyKeyError`] if the text is empty, too long, or contains another character.
    pub fn parse(text: &str) -> Result<Self, IdempotencyKeyError> {
        let visible = |byte: u8| byte.is_ascii_graphic();
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(visible) {
            Ok(Self(text.into()))
        } else {
            Err(IdempotencyKeyError)
        }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::parsed_text!(IdempotencyKey, IdempotencyKeyError);

/// An error from [`IdempotencyKey::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key must be 1 to 255 visible ASCII characters")]
#[non_exhaustive]
pub struct IdempotencyKeyError;

/// The result of a request with an idempotency key.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a request is the first or a repeat"
)]
pub enum IssueOutcome {
    /// The request was the first with its idempotency key. Contains the key and its token.
    Issued(Issued),
    /// The request was a repeat. Contains the key in its current state, without its token, which
    /// only the first request returned.
    Replayed(Key),
}

/// The target of an idempotency key.
pub(super) enum Bound {
    /// A key that exists.
    Existing(Key),
    /// The id of a key that does not exist yet. This request creates it, unless an earlier request,
    /// which has crashed or is still in flight, does so first.
    Pending(KeyId),
}

impl Issuer {
    /// [Creates](Self::create) a key once for each idempotency key of this caller. A repeat within
    /// 24 hours returns the same key, without its token. `request` contains the bytes that must be
    /// equal in a repeat, usually the body.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), and
    /// [`IdempotencyMismatch`](IssueError::IdempotencyMismatch) if the idempotency key was already
    /// used for another request.
    pub async fn create_once(
        &self,
        caller: &Caller,
        new: NewKey,
        idempotency: &IdempotencyKey,
        request: &[u8],
    ) -> Result<IssueOutcome, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.verifier.now();
        let draft = defer_late_error(self.draft(caller, new, now))?;
        let scope = self.scope(caller, Action::Create, None)?;
        let own = self.generate_id(|random| KeyId::generate(now, random))?;
        let until = bound_until(&draft, now);
        let reservation = reservation(caller, "create", idempotency, request, own, until);
        match self.bind(caller, &scope, &reservation, now).await? {
            Bound::Existing(key) => Ok(IssueOutcome::Replayed(key)),
            Bound::Pending(id) => match self.create_draft(&draft?, Some(id), now).await {
                Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::AlreadyExists => {
                    let record = self.visible(caller, &scope, &id).await?;
                    Ok(IssueOutcome::Replayed(record.key))
                }
                done => Ok(IssueOutcome::Issued(done?)),
            },
        }
    }

    /// Binds an id to an idempotency key, or returns its earlier binding.
    pub(super) async fn bind(
        &self,
        caller: &Caller,
        scope: &Scope,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Bound, IssueError> {
        match self.verifier.store().reserve(reservation, now).await? {
            Reserved::New => Ok(Bound::Pending(reservation.id)),
            Reserved::Earlier { fingerprint, .. } if fingerprint != reservation.fingerprint => {
                Err(IssueError::IdempotencyMismatch)
            }
            Reserved::Earlier { id, .. } => match self.visible(caller, scope, &id).await {
                Ok(record) => Ok(Bound::Existing(record.key)),
                Err(IssueError::NotFound) => Ok(Bound::Pending(id)),
                Err(error) => Err(error),
            },
        }
    }

    pub(super) fn generate_id(
        &self,
        generate: impl FnOnce(&mut Generator) -> KeyId,
    ) -> Result<KeyId, RandomError> {
        Ok(generate(&mut Generator::seeded(self.verifier.entropy())?))
    }
}

/// Moves an error that the passage of time can cause into the inner result. A request that fails
/// with such an error may repeat one that succeeded earlier. The caller therefore looks for an
/// earlier binding first, and reports the error only if there is none.
pub(super) fn defer_late_error<T>(
    checked: Result<T, IssueError>,
) -> Result<Result<T, IssueError>, IssueError> {
    match checked {
        Ok(possible) => Ok(Ok(possible)),
        Err(
            late @ (IssueError::ExpiryPast
            | IssueError::ExpiryBeyondCaller
            | IssueError::ExpiryBeyondPolicy { .. }
            | IssueError::NotFound
            | IssueError::NotRotatable),
        ) => Ok(Err(late)),
        Err(error) => Err(error),
    }
}

/// Returns when a new binding ends. A request that must fail gets a binding that ends immediately:
/// reserving it only looks for an earlier binding.
pub(super) fn bound_until<T>(checked: &Result<T, IssueError>, now: Timestamp) -> Timestamp {
    match checked {
        Ok(_) => now.saturating_add(REPLAY_WINDOW),
        Err(_) => now,
    }
}

/// Returns the reservation that binds the id `own` to an idempotency key of this caller on this
/// route.
pub(super) fn reservation(
    caller: &Caller,
    route: &str,
    idempotency: &IdempotencyKey,
    request: &[u8],
    own: KeyId,
    until: Timestamp,
) -> Reservation {
    let who = match caller.key() {
        Some(key) => key.to_string(),
        // A caller that is not a key has no id. Such callers share their idempotency keys if they
        // have the same owner, environment and permissions.
        None => format!("{} {}", caller.environment(), caller.permissions()),
    };
    let owner = caller.owner().map_or("", Owner::as_str);
    let workspace = caller.workspace().as_str();
    let scope = [workspace, owner, &who, route, &idempotency.0];
    Reservation::new(
        digest(scope.map(str::as_bytes)),
        digest([request]),
        own,
        until,
    )
}
