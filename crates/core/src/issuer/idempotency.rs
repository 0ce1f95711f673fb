//! Doing a thing once, however often it is asked for.

use std::{fmt, time::Duration};

use super::{IssueError, Issued, Issuer, NewKey, create::Draft, digest};
use crate::{
    Caller, Key, KeyId, RandomError, Reservation, Reserved, StoreErrorKind, Timestamp,
    random::Generator,
};

/// How long a repeat is known for one.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What a client calls a request by, so that a repeat of it does nothing twice: 1 to 255 visible
/// ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// Longest key, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// Reads an idempotency key.
    ///
    /// # Errors
    ///
    /// [`IdempotencyKeyError`] if it is empty, too long, or holds another character.
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

/// The text is no idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdempotencyKeyError;

impl fmt::Display for IdempotencyKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an idempotency key is 1 to 255 visible ASCII characters")
    }
}

impl std::error::Error for IdempotencyKeyError {}

/// What came of a request that may be a repeat.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a request is the first or a repeat"
)]
pub enum Outcome {
    /// It was the first: this is the key, with its token.
    Issued(Issued),
    /// It is a repeat: this is the key as it is now. Nobody has its token any more but who got the
    /// first answer.
    Replayed(Key),
}

/// What an idempotency key is bound to.
pub(super) enum Bound {
    /// To a key that exists.
    Done(Key),
    /// To the id of a key that has yet to be made: by this request, or by an earlier one that
    /// crashed or is still at it.
    To(KeyId),
}

impl Issuer {
    /// [`create`](Self::create), once for an idempotency key of this caller: `request` is what must
    /// be the same in a repeat, the body as a rule. A repeat within 24 hours gets the same key
    /// without its token.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create), and [`IssueError::IdempotencyMismatch`] if the idempotency
    /// key was used for another request.
    pub async fn create_once(
        &self,
        caller: &Caller,
        new: NewKey,
        idempotency: &IdempotencyKey,
        request: &[u8],
    ) -> Result<Outcome, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.0.now();
        let draft = or_late(Draft::new(caller, new, now))?;
        let own = self.draw_id(|random| KeyId::generate(now, random))?;
        let until = kept_until(&draft, now);
        let reservation = reservation(caller, "create", idempotency, request, own, until);
        match self.bind(caller, &reservation, now).await? {
            Bound::Done(key) => Ok(Outcome::Replayed(key)),
            Bound::To(id) => match self.create_draft(&draft?, Some(id), now).await {
                Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::AlreadyExists => {
                    Ok(Outcome::Replayed(self.visible(caller, &id).await?.key))
                }
                done => Ok(Outcome::Issued(done?)),
            },
        }
    }

    /// Binds an id to an idempotency key, or tells what that was bound to before.
    pub(super) async fn bind(
        &self,
        caller: &Caller,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Bound, IssueError> {
        match self.0.store().reserve(reservation, now).await? {
            Reserved::New => Ok(Bound::To(reservation.id)),
            Reserved::Earlier { fingerprint, .. } if fingerprint != reservation.fingerprint => {
                Err(IssueError::IdempotencyMismatch)
            }
            Reserved::Earlier { id, .. } => match self.visible(caller, &id).await {
                Ok(record) => Ok(Bound::Done(record.key)),
                Err(IssueError::NotFound) => Ok(Bound::To(id)),
                Err(error) => Err(error),
            },
        }
    }

    pub(super) fn draw_id(
        &self,
        draw: impl FnOnce(&mut Generator) -> KeyId,
    ) -> Result<KeyId, RandomError> {
        Ok(draw(&mut Generator::seeded(self.0.entropy())?))
    }
}

/// What can be done, or an error that may have come with time: a request that gets one may be the
/// repeat of one that could be done, and is told of what came of that.
pub(super) fn or_late<T>(
    checked: Result<T, IssueError>,
) -> Result<Result<T, IssueError>, IssueError> {
    match checked {
        Ok(possible) => Ok(Ok(possible)),
        Err(
            late @ (IssueError::ExpiryPast
            | IssueError::ExpiryBeyondCaller
            | IssueError::NotFound
            | IssueError::NotRotatable),
        ) => Ok(Err(late)),
        Err(error) => Err(error),
    }
}

/// How long a binding holds. One to what cannot be done holds for no time: it only asks whether
/// there is an earlier one.
pub(super) fn kept_until<T>(checked: &Result<T, IssueError>, now: Timestamp) -> Timestamp {
    match checked {
        Ok(_) => now.saturating_add(KEPT_FOR),
        Err(_) => now,
    }
}

/// A binding of `own` to an idempotency key of this caller on this route.
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
        // The host's own callers have no id; those who may do the same are one.
        None => format!("{} {}", caller.environment(), caller.permissions()),
    };
    let scope = [caller.workspace().as_str(), &who, route, &idempotency.0];
    Reservation::new(
        digest(scope.map(str::as_bytes)),
        digest([request]),
        own,
        until,
    )
}
