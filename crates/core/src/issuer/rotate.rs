//! Rotates keys: replaces a key with a successor.

use std::time::Duration;

use super::{
    Action, IssueError, Issued, Issuer, Minted,
    authority::{Scope, check_addresses, check_covers},
    create::confirmed,
    idempotency::{
        Bound, IdempotencyKey, IssueOutcome, bound_until, defer_late_error, reservation,
    },
    not_found,
    update::CHANGE_ATTEMPTS,
};
use crate::{
    Caller, Changes, Event, EventKind, Key, KeyId, Status, Timestamp,
    caller::earliest,
    store::{Record, Retire, Rotation, StoreError, StoreErrorKind},
};

/// How to rotate a key.
///
/// ```
/// use std::time::Duration;
///
/// use keywright_core::NewRotation;
///
/// // The old key stays valid for an hour.
/// let rotation = NewRotation::new().with_overlap(Duration::from_secs(60 * 60));
/// # assert_eq!(rotation.expires_at, None);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NewRotation {
    /// How long the old key stays valid, unless it expires earlier anyway. Zero revokes it.
    pub overlap: Duration,
    /// When the successor expires. `None` gives it the lifetime of its predecessor, counted from
    /// now, but no later expiry than the caller's.
    pub expires_at: Option<Timestamp>,
}

impl NewRotation {
    /// The maximum overlap: 30 days. A longer one is shortened to this.
    pub const MAX_OVERLAP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Creates a rotation with an overlap of 24 hours.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            overlap: Duration::from_secs(24 * 60 * 60),
            expires_at: None,
        }
    }

    /// Sets how long the old key stays valid.
    #[must_use]
    pub const fn with_overlap(mut self, overlap: Duration) -> Self {
        self.overlap = overlap;
        self
    }

    /// Sets when the successor expires.
    #[must_use]
    pub const fn with_expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }
}

impl Default for NewRotation {
    fn default() -> Self {
        Self::new()
    }
}

impl Issuer {
    /// Rotates a key. In one step, it creates a successor with the same owner, name, permissions,
    /// environment, parent, metadata, attributes and addresses, and lets the old key expire after
    /// the overlap.
    ///
    /// The caller receives the secret of the successor, so it must cover the permissions and the
    /// addresses of the key.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), and
    ///
    /// * [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:write` (for its
    ///   own key, `api_keys.self:rotate` is enough) or one of the permissions of the key,
    /// * [`NotFound`](IssueError::NotFound) if there is no such key or it is revoked,
    /// * [`NotRotatable`](IssueError::NotRotatable) if the key has expired, is disabled or
    ///   already has a successor.
    pub async fn rotate(
        &self,
        caller: &Caller,
        id: &KeyId,
        rotation: &NewRotation,
    ) -> Result<Issued, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.verifier.now();
        let scope = self.scope(caller, Action::Rotate, Some(id))?;
        let record = self.rotatable(caller, &scope, id, rotation, now).await?;
        self.replace(caller, record, rotation, None, now).await
    }

    /// [Rotates](Self::rotate) a key once for each idempotency key of this caller. A repeat within
    /// 24 hours returns the same successor, without its token. `request` contains the bytes that
    /// must be equal in a repeat, usually the body.
    ///
    /// # Errors
    ///
    /// As for [`rotate`](Self::rotate), and
    /// [`IdempotencyMismatch`](IssueError::IdempotencyMismatch) if the idempotency key was already
    /// used for another request.
    pub async fn rotate_once(
        &self,
        caller: &Caller,
        id: &KeyId,
        rotation: &NewRotation,
        idempotency: &IdempotencyKey,
        request: &[u8],
    ) -> Result<IssueOutcome, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.verifier.now();
        // A repeat finds the key already rotated, and must not fail because of that.
        let scope = self.scope(caller, Action::Rotate, Some(id))?;
        let record = defer_late_error(self.rotatable(caller, &scope, id, rotation, now).await)?;
        let route = format!("rotate {id}");
        let own = self.generate_id(|random| id.successor(now, random))?;
        let until = bound_until(&record, now);
        let reservation = reservation(caller, &route, idempotency, request, own, until);
        // The successor of the caller's own key is another key, which the caller sees here.
        let replayed = match &scope {
            Scope::Itself(_) => Scope::Workspace,
            other => other.clone(),
        };
        match self.bind(caller, &replayed, &reservation, now).await? {
            Bound::Existing(key) => Ok(IssueOutcome::Replayed(key)),
            Bound::Pending(successor) => {
                let rotated = self
                    .replace(caller, record?, rotation, Some(successor), now)
                    .await;
                match rotated {
                    Ok(issued) => Ok(IssueOutcome::Issued(issued)),
                    Err(error) => {
                        self.replayed_rotation(caller, &replayed, &successor, error)
                            .await
                    }
                }
            }
        }
    }

    /// Returns the successor if a concurrent request with the same idempotency key created it, and
    /// `error` otherwise. The other request reserved the id first and then rotated the key, so this
    /// request found the key already rotated.
    async fn replayed_rotation(
        &self,
        caller: &Caller,
        scope: &Scope,
        successor: &KeyId,
        error: IssueError,
    ) -> Result<IssueOutcome, IssueError> {
        let taken = |error: &StoreError| error.kind() == StoreErrorKind::AlreadyExists;
        match &error {
            IssueError::NotFound | IssueError::NotRotatable => {}
            IssueError::Store(store) if taken(store) => {}
            _ => return Err(error),
        }
        match self.visible(caller, scope, successor).await {
            Ok(record) => Ok(IssueOutcome::Replayed(record.key)),
            Err(IssueError::NotFound) => Err(error),
            Err(other) => Err(other),
        }
    }

    /// Returns the record of the key if the caller may rotate it in this way.
    async fn rotatable(
        &self,
        caller: &Caller,
        scope: &Scope,
        id: &KeyId,
        rotation: &NewRotation,
        now: Timestamp,
    ) -> Result<Record, IssueError> {
        let record = self.changeable(caller, scope, id).await?;
        let key = &record.key;
        // The caller receives a secret with these permissions and addresses, so it must cover them.
        check_covers(caller, &key.permissions)?;
        check_addresses(caller, key.allowed_ips.as_ref())?;
        if key.successor.is_some() || key.status(self.verifier.expiry_now()) != Status::Active {
            return Err(IssueError::NotRotatable);
        }
        if let Some(end) = rotation.expires_at {
            self.check_expiry(caller, end, now, now)?;
        }
        Ok(record)
    }

    /// Mints the successor and rotates the key in the store, and retries if the record or the
    /// caller changes in between.
    async fn replace(
        &self,
        caller: &Caller,
        mut record: Record,
        wanted: &NewRotation,
        successor: Option<KeyId>,
        now: Timestamp,
    ) -> Result<Issued, IssueError> {
        let retire = if wanted.overlap.is_zero() {
            Retire::Now
        } else {
            Retire::At(now.saturating_add(wanted.overlap.min(NewRotation::MAX_OVERLAP)))
        };
        let predecessor = record.key.id;
        self.claim_prefix().await?;
        let Minted {
            id,
            token,
            credential,
        } = self
            .mint_with_id(&record.key.workspace, record.key.environment, |random| {
                successor.unwrap_or_else(|| predecessor.successor(now, random))
            })
            .await?;
        let mut caller = caller.clone();
        let mut attempts = 1;
        loop {
            let key = self.successor(&record.key, id, wanted.expires_at, &caller, now);
            let successor = Record::new(key, credential.clone());
            let rotation = Rotation::new(predecessor, record.version, retire, successor);
            let event = self.rotation_event(&caller, &record, &rotation, now)?;
            let rotated = self
                .verifier
                .store()
                .rotate(
                    caller.workspace(),
                    &rotation,
                    now,
                    self.recorder.written(&event),
                )
                .await;
            self.recorder.report(&event, &rotated);
            match confirmed(rotated) {
                Ok(confirmed) => {
                    return Ok(Issued {
                        key: rotation.successor.key,
                        token,
                        confirmed,
                    });
                }
                Err(error) if error.kind() == StoreErrorKind::Conflict => {
                    // Either the caller is no longer active or was narrowed, or the key was updated
                    // or rotated or has expired.
                    caller = self.current_in_store(&caller).await?;
                    let scope = self.scope(&caller, Action::Rotate, Some(&predecessor))?;
                    record = self
                        .rotatable(&caller, &scope, &predecessor, wanted, now)
                        .await?;
                    if attempts == CHANGE_ATTEMPTS {
                        return Err(error.into());
                    }
                    attempts += 1;
                }
                Err(error) => return Err(not_found(error)),
            }
        }
    }

    /// Makes the event of a rotation. It shows the predecessor as the store retires it.
    fn rotation_event(
        &self,
        caller: &Caller,
        predecessor: &Record,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Event, IssueError> {
        let successor = rotation.successor.key.id;
        let mut retired = predecessor.clone();
        // If the key cannot be retired, the store rejects the rotation, and the event is dropped.
        let _ = retired.retire(rotation.version, rotation.retire, successor, now);
        let changes = Changes::between(&predecessor.key, &retired.key);
        let kind = EventKind::Rotated { successor };
        Ok(self.event(caller, &predecessor.key, kind, changes)?)
    }

    /// Creates the successor of a key. The caller receives its secret. Without a requested expiry,
    /// the successor gets the lifetime of `key`, counted from now. It expires no later than the
    /// caller, and within the maximum lifetime.
    fn successor(
        &self,
        key: &Key,
        id: KeyId,
        wanted: Option<Timestamp>,
        caller: &Caller,
        now: Timestamp,
    ) -> Key {
        let lifetime = |end: Timestamp| {
            let millis = end.as_millis().saturating_sub(key.created_at().as_millis());
            now.saturating_add(Duration::from_millis(millis.unsigned_abs()))
        };
        let own = wanted.or(key.expires_at.map(lifetime));
        let last = earliest(caller.expires_at(), self.latest_expiry(now));
        Key {
            id,
            predecessor: Some(key.id),
            successor: None,
            rotated_by: caller.key().copied(),
            imported: false,
            expires_at: earliest(own, last),
            revoked_at: None,
            last_used_at: None,
            ..key.clone()
        }
    }
}
