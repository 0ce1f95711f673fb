//! Replacing a key by a successor.

use std::time::Duration;

use super::{
    IssueError, Issued, Issuer, Minted, authorize, check_expiry,
    create::confirmed,
    idempotency::{Bound, IdempotencyKey, Outcome, kept_until, or_late, reservation},
    not_found,
    rename::CHANGE_ATTEMPTS,
};
use crate::{
    Caller, Key, KeyId, Permission, Record, Retire, Rotation, Status, StoreError, StoreErrorKind,
    Timestamp,
};

/// How a key is replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NewRotation {
    /// How long the old key lives on, at most until it would have ended anyway; zero revokes it.
    pub overlap: Duration,
    /// When the successor ends. `None` gives it the lifetime that its predecessor had, from now, and
    /// never more than the caller has left.
    pub expires_at: Option<Timestamp>,
}

impl NewRotation {
    /// Longest overlap: 30 days.
    pub const MAX_OVERLAP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// With an overlap of 24 hours.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            overlap: Duration::from_secs(24 * 60 * 60),
            expires_at: None,
        }
    }
}

impl Default for NewRotation {
    fn default() -> Self {
        Self::new()
    }
}

impl Issuer {
    /// Replaces a key: a successor of the same name, permissions, environment, parent and metadata is
    /// created, and the old key ends after the overlap, in one step.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] if the caller lacks `api_keys:write` or a permission of the key;
    /// [`NotFound`](IssueError::NotFound); [`NotRotatable`](IssueError::NotRotatable) if the key has
    /// expired or has a successor; and as for [`create`](Self::create).
    pub async fn rotate(
        &self,
        caller: &Caller,
        id: &KeyId,
        rotation: &NewRotation,
    ) -> Result<Issued, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.0.now();
        let record = self.rotatable(caller, id, rotation, now).await?;
        self.replace(caller, record, rotation, None, now).await
    }

    /// The same, once for an idempotency key.
    ///
    /// # Errors
    ///
    /// Those of [`rotate`](Self::rotate), and [`IssueError::IdempotencyMismatch`] if the idempotency
    /// key was used for another request.
    pub async fn rotate_once(
        &self,
        caller: &Caller,
        id: &KeyId,
        rotation: &NewRotation,
        idempotency: &IdempotencyKey,
        request: &[u8],
    ) -> Result<Outcome, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.0.now();
        // A repeat finds the key rotated, and must not be refused for that.
        let record = or_late(self.rotatable(caller, id, rotation, now).await)?;
        let route = format!("rotate {id}");
        let own = self.draw_id(|random| id.successor(now, random))?;
        let until = kept_until(&record, now);
        let reservation = reservation(caller, &route, idempotency, request, own, until);
        match self.bind(caller, &reservation, now).await? {
            Bound::Done(key) => Ok(Outcome::Replayed(key)),
            Bound::To(successor) => {
                let rotated = self
                    .replace(caller, record?, rotation, Some(successor), now)
                    .await;
                match rotated {
                    Ok(issued) => Ok(Outcome::Issued(issued)),
                    Err(error) => self.rotated_meanwhile(caller, &successor, error).await,
                }
            }
        }
    }

    /// What a repeat is told that found the key as another request of its binding had left it, and
    /// came after that one had bound the id: the successor, or else why it failed.
    async fn rotated_meanwhile(
        &self,
        caller: &Caller,
        successor: &KeyId,
        error: IssueError,
    ) -> Result<Outcome, IssueError> {
        let taken = |error: &StoreError| error.kind() == StoreErrorKind::AlreadyExists;
        match &error {
            IssueError::NotFound | IssueError::NotRotatable => {}
            IssueError::Store(store) if taken(store) => {}
            _ => return Err(error),
        }
        match self.visible(caller, successor).await {
            Ok(record) => Ok(Outcome::Replayed(record.key)),
            Err(IssueError::NotFound) => Err(error),
            Err(other) => Err(other),
        }
    }

    /// The record of a key that the caller may rotate so.
    async fn rotatable(
        &self,
        caller: &Caller,
        id: &KeyId,
        rotation: &NewRotation,
        now: Timestamp,
    ) -> Result<Record, IssueError> {
        authorize(caller, &Permission::API_KEYS_WRITE, now)?;
        let record = self.changeable(caller, id).await?;
        let key = &record.key;
        // Who rotates receives a secret.
        if let Some(missing) = caller.permissions().first_not_covered(&key.permissions) {
            return Err(IssueError::NotPermitted(missing.clone()));
        }
        if key.successor.is_some() || key.status(now) != Status::Active {
            return Err(IssueError::NotRotatable);
        }
        if let Some(end) = rotation.expires_at {
            check_expiry(caller, end, now)?;
        }
        Ok(record)
    }

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
            let key = succeed(&record.key, id, wanted.expires_at, &caller, now);
            let successor = Record::new(key, credential.clone());
            let rotation = Rotation::new(predecessor, record.version, retire, successor)
                .with_caller(caller.key().copied());
            let rotated = self
                .0
                .store()
                .rotate(caller.workspace(), &rotation, now)
                .await;
            match confirmed(rotated) {
                Ok(confirmed) => {
                    return Ok(Issued {
                        key: rotation.successor.key,
                        token,
                        confirmed,
                    });
                }
                Err(error) if error.kind() == StoreErrorKind::Conflict => {
                    // The caller is not active any more, or another process has given it an end; or
                    // the key was renamed meanwhile, or rotated, or it has just expired.
                    caller = self.stored(&caller).await?;
                    if let Some(end) = wanted.expires_at {
                        check_expiry(&caller, end, now)?;
                    }
                    record = self.changeable(&caller, &predecessor).await?;
                    let over =
                        record.key.successor.is_some() || record.key.status(now) != Status::Active;
                    if over {
                        return Err(IssueError::NotRotatable);
                    }
                    if attempts == CHANGE_ATTEMPTS {
                        return Err(error.into());
                    }
                    attempts += 1;
                }
                Err(error) => return Err(not_found(error)),
            }
        }
    }
}

/// The key that replaces another. It lives as long as that one was meant to, from now, and no
/// longer than who asked for it.
fn succeed(
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
    let expires_at = match (own, caller.expires_at()) {
        (Some(own), Some(last)) => Some(own.min(last)),
        (own, last) => own.or(last),
    };
    Key {
        metadata: key.metadata.clone(),
        parent: key.parent,
        expires_at,
        ..Key::new(
            id,
            key.workspace.clone(),
            key.environment,
            key.name.clone(),
            key.permissions.clone(),
        )
    }
}
