//! Creating a key for a caller.

use super::{IssueError, Issuer, Minted, authorize, check_expiry};
use crate::{
    Caller, Environment, Key, KeyId, Metadata, Name, Permission, Permissions, Record, StoreError,
    StoreErrorKind, Timestamp, Token,
};

/// The key that a caller asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NewKey {
    /// What it will be called.
    pub name: Name,
    /// When it will end.
    pub expiry: Expiry,
    /// What it will be allowed; `None` is all that the caller is.
    pub permissions: Option<Permissions>,
    /// Live or test; `None` is the caller's.
    pub environment: Option<Environment>,
    /// The host's notes.
    pub metadata: Option<Metadata>,
}

impl NewKey {
    /// A key that has everything else from its caller.
    #[must_use]
    pub const fn named(name: Name) -> Self {
        Self {
            name,
            expiry: Expiry::Inherited,
            permissions: None,
            environment: None,
            metadata: None,
        }
    }
}

/// When a key ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Expiry {
    /// With its caller, or never if the caller never does.
    #[default]
    Inherited,
    /// It is created expired.
    Now,
    /// At this time, in the future and not after the caller's own end.
    At(Timestamp),
}

/// A key that was issued, with its token: this is the only time that the token can be seen.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
#[non_exhaustive]
pub struct Issued {
    /// The key.
    pub key: Key,
    /// The whole token.
    pub token: Token,
    /// Whether the store has done all that it was told to do for its safety. `false` if the key is
    /// there, but fewer replicas than wanted have said that they have it.
    pub confirmed: bool,
}

/// How often an id is drawn anew because it is taken. Two ids of one millisecond are the same with
/// a probability of 2⁻⁴⁷.
const ID_ATTEMPTS: u32 = 3;

impl Issuer {
    /// Creates a key in the caller's workspace. It can do what the caller can, or less; its parent
    /// is the caller's key, and the store admits it only while that is active.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] if the caller lacks `api_keys:write` or a permission that it
    /// wants for the key; [`Environment`](IssueError::Environment),
    /// [`ExpiryPast`](IssueError::ExpiryPast) and
    /// [`ExpiryBeyondCaller`](IssueError::ExpiryBeyondCaller) for what it may not choose;
    /// [`CallerInactive`](IssueError::CallerInactive) if it has ended, also just now; and what the
    /// source of random bytes, the hashing and the store report.
    pub async fn create(&self, caller: &Caller, new: NewKey) -> Result<Issued, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.0.now();
        let draft = Draft::new(caller, new, now)?;
        for _ in 1..ID_ATTEMPTS {
            match self.create_draft(&draft, None, now).await {
                Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::AlreadyExists => {}
                done => return done,
            }
        }
        self.create_draft(&draft, None, now).await
    }

    /// Mints, under a given id or a new one, and stores.
    pub(super) async fn create_draft(
        &self,
        draft: &Draft,
        id: Option<KeyId>,
        now: Timestamp,
    ) -> Result<Issued, IssueError> {
        let Minted {
            id,
            token,
            credential,
        } = self
            .mint_with_id(draft.caller.workspace(), draft.environment, |random| {
                id.unwrap_or_else(|| KeyId::generate(now, random))
            })
            .await?;
        let mut record = Record::new(draft.key(id), credential);
        loop {
            match confirmed(self.0.store().insert(&record, now).await) {
                Ok(confirmed) => {
                    return Ok(Issued {
                        key: record.key,
                        token,
                        confirmed,
                    });
                }
                Err(error) if error.kind() == StoreErrorKind::Conflict => {
                    // The caller is not active any more, or another process has given it an end.
                    let caller = self.stored(&draft.caller).await?;
                    let end = ends_at(&caller, draft.expiry, now)?;
                    if record.key.expires_at == end {
                        return Err(IssueError::CallerInactive);
                    }
                    record.key.expires_at = end;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// When a key ends that a caller asks for, if it may choose that.
fn ends_at(
    caller: &Caller,
    expiry: Expiry,
    now: Timestamp,
) -> Result<Option<Timestamp>, IssueError> {
    match expiry {
        Expiry::Inherited => Ok(caller.expires_at()),
        Expiry::Now => Ok(Some(now)),
        Expiry::At(end) => {
            check_expiry(caller, end, now)?;
            Ok(Some(end))
        }
    }
}

/// Whether what was done was confirmed.
pub(super) fn confirmed(outcome: Result<(), StoreError>) -> Result<bool, StoreError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == StoreErrorKind::NotConfirmed => Ok(false),
        Err(error) => Err(error),
    }
}

/// A key that its caller may have, without an id yet.
pub(super) struct Draft {
    caller: Caller,
    name: Name,
    environment: Environment,
    permissions: Permissions,
    expiry: Expiry,
    expires_at: Option<Timestamp>,
    metadata: Option<Metadata>,
}

impl Draft {
    /// Holds what is asked for against what the caller may give.
    pub(super) fn new(caller: &Caller, new: NewKey, now: Timestamp) -> Result<Self, IssueError> {
        authorize(caller, &Permission::API_KEYS_WRITE, now)?;
        let environment = new.environment.unwrap_or(caller.environment());
        if !caller.environment().covers(environment) {
            return Err(IssueError::Environment);
        }
        let permissions = new
            .permissions
            .unwrap_or_else(|| caller.permissions().clone());
        if let Some(missing) = caller.permissions().first_not_covered(&permissions) {
            return Err(IssueError::NotPermitted(missing.clone()));
        }
        let expires_at = ends_at(caller, new.expiry, now)?;
        Ok(Self {
            caller: caller.clone(),
            name: new.name,
            environment,
            permissions,
            expiry: new.expiry,
            expires_at,
            metadata: new.metadata,
        })
    }

    fn key(&self, id: KeyId) -> Key {
        Key {
            metadata: self.metadata.clone(),
            parent: self.caller.key().copied(),
            expires_at: self.expires_at,
            ..Key::new(
                id,
                self.caller.workspace().clone(),
                self.environment,
                self.name.clone(),
                self.permissions.clone(),
            )
        }
    }
}
