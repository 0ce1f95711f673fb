//! Creates keys.

use super::{
    Action, IssueError, Issuer, Minted,
    authority::{check_addresses, check_covers},
};
use crate::{
    AllowedIps, Caller, Changes, Environment, EventKind, Key, KeyId, Metadata, Name, Permissions,
    Timestamp, Token,
    store::{Record, StoreError, StoreErrorKind},
};

/// A key to create: its name, and what differs from the caller.
///
/// ```
/// use keywright_core::{Expiry, Name, NewKey, Timestamp};
///
/// let new = NewKey::new(Name::parse("CI")?)
///     .with_permissions("calls:read".parse()?)
///     .with_expiry(Expiry::At(Timestamp::parse("2030-01-01T00:00:00Z")?));
/// # assert_eq!(new.environment, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NewKey {
    /// The name of the key.
    pub name: Name,
    /// When the key expires.
    pub expiry: Expiry,
    /// The permissions of the key. `None` grants the permissions of the caller.
    pub permissions: Option<Permissions>,
    /// The environment of the key. `None` uses the environment of the caller.
    pub environment: Option<Environment>,
    /// The client's notes. The library stores them and does not interpret them.
    pub metadata: Option<Metadata>,
    /// The addresses from which the key may be used. `None` allows those of the caller.
    pub allowed_ips: Option<AllowedIps>,
}

impl NewKey {
    /// Creates a request for a key with the permissions, the environment and the expiry of its
    /// caller.
    #[must_use]
    pub const fn new(name: Name) -> Self {
        Self {
            name,
            expiry: Expiry::Inherited,
            permissions: None,
            environment: None,
            metadata: None,
            allowed_ips: None,
        }
    }

    /// Grants these permissions, which the caller must cover.
    #[must_use]
    pub fn with_permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = Some(permissions);
        self
    }

    /// Creates the key in this environment. A `test` caller cannot create `live` keys.
    #[must_use]
    pub const fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Sets when the key expires.
    #[must_use]
    pub const fn with_expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// Attaches metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Allows the key to be used only from these addresses.
    #[must_use]
    pub fn with_allowed_ips(mut self, allowed_ips: AllowedIps) -> Self {
        self.allowed_ips = Some(allowed_ips);
        self
    }
}

/// When a new key expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Expiry {
    /// When its caller expires, or at the end of the [maximum
    /// lifetime](crate::Config::with_max_lifetime) if that is earlier. Never, if the caller does
    /// not expire and there is no maximum lifetime.
    #[default]
    Inherited,
    /// Immediately: the key is created expired.
    Now,
    /// At this time, which must be in the future, and not after the caller's own expiry or the end
    /// of the maximum lifetime.
    At(Timestamp),
}

/// A key that was just created, with its token. The token cannot be read again later.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
#[non_exhaustive]
pub struct Issued {
    /// The key.
    pub key: Key,
    /// The token, to be shown to its owner once.
    pub token: Token,
    /// Whether the configured number of replicas confirmed the write. If `false`, the key exists,
    /// but a failover may lose it.
    pub confirmed: bool,
}

/// The maximum number of ids to try. Two ids that are generated in the same millisecond are equal
/// with a probability of 2⁻⁴⁷.
const ID_ATTEMPTS: u32 = 3;

impl Issuer {
    /// Creates a key in the caller's workspace, with the caller's owner and attributes. The caller
    /// must cover its permissions and addresses. If the caller is a key, that key becomes the
    /// parent, and the store accepts the new key only while the parent is active.
    ///
    /// # Errors
    ///
    /// * [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:write` or one of
    ///   the permissions of the new key.
    /// * [`Environment`](IssueError::Environment), [`ExpiryPast`](IssueError::ExpiryPast),
    ///   [`ExpiryBeyondCaller`](IssueError::ExpiryBeyondCaller),
    ///   [`ExpiryBeyondPolicy`](IssueError::ExpiryBeyondPolicy) or
    ///   [`AddressesBeyondCaller`](IssueError::AddressesBeyondCaller) if the caller may not choose
    ///   this environment, this expiry or these addresses.
    /// * [`CallerInactive`](IssueError::CallerInactive) if the caller has expired or was revoked,
    ///   even if that happened during the call.
    /// * [`Prefix`](IssueError::Prefix) if another program has created keys with another prefix in
    ///   the store since it was opened.
    /// * [`Random`](IssueError::Random), [`Hash`](IssueError::Hash) or
    ///   [`Store`](IssueError::Store) if the source of random bytes, the hashing or the store
    ///   fails.
    pub async fn create(&self, caller: &Caller, new: NewKey) -> Result<Issued, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.verifier.now();
        let draft = self.draft(caller, new, now)?;
        for _ in 1..ID_ATTEMPTS {
            match self.create_draft(&draft, None, now).await {
                Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::AlreadyExists => {}
                done => return done,
            }
        }
        self.create_draft(&draft, None, now).await
    }

    /// Mints a token with the given id, or with a new id, and makes the record.
    pub(super) async fn mint_draft(
        &self,
        draft: &Draft,
        id: Option<KeyId>,
        now: Timestamp,
    ) -> Result<(Record, Token), IssueError> {
        self.claim_prefix().await?;
        let Minted {
            id,
            token,
            credential,
        } = self
            .mint_with_id(draft.caller.workspace(), draft.environment, |random| {
                id.unwrap_or_else(|| KeyId::generate(now, random))
            })
            .await?;
        Ok((Record::new(draft.key(id), credential), token))
    }

    /// Mints a token with the given id, or with a new id, and inserts the record.
    pub(super) async fn create_draft(
        &self,
        draft: &Draft,
        id: Option<KeyId>,
        now: Timestamp,
    ) -> Result<Issued, IssueError> {
        let (mut record, token) = self.mint_draft(draft, id, now).await?;
        loop {
            match self.insert(&draft.caller, &record, now).await {
                Ok(confirmed) => {
                    return Ok(Issued {
                        key: record.key,
                        token,
                        confirmed,
                    });
                }
                Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::Conflict => {
                    // The caller is no longer active, or its expiry has moved earlier since the
                    // check. In the second case, check the caller again and retry with that expiry.
                    let caller = self.current_in_store(&draft.caller).await?;
                    self.scope(&caller, Action::Create, None)?;
                    check_covers(&caller, &draft.permissions)?;
                    check_addresses(&caller, draft.allowed_ips.as_ref())?;
                    let end = self.new_expiry(&caller, draft.expiry, now)?;
                    if record.key.expires_at == end {
                        return Err(IssueError::CallerInactive);
                    }
                    record.key.expires_at = end;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Inserts the record of a new key, with the event of its creation. Returns whether the write
    /// was confirmed.
    pub(crate) async fn insert(
        &self,
        caller: &Caller,
        record: &Record,
        now: Timestamp,
    ) -> Result<bool, IssueError> {
        let changes = Changes::of_new(&record.key);
        let event = self.event(caller, &record.key, EventKind::Created, changes)?;
        let written = self.recorder.written(&event);
        let inserted = self.verifier.store().insert(record, now, written).await;
        self.recorder.report(&event, &inserted);
        Ok(confirmed(inserted)?)
    }
}

/// Returns whether a write was confirmed. Converts the error `NotConfirmed` into `false`, because
/// the write was done.
pub(super) fn confirmed(outcome: Result<(), StoreError>) -> Result<bool, StoreError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == StoreErrorKind::NotConfirmed => Ok(false),
        Err(error) => Err(error),
    }
}

/// A key that its caller may create, before it has an id.
pub(super) struct Draft {
    caller: Caller,
    name: Name,
    environment: Environment,
    permissions: Permissions,
    expiry: Expiry,
    expires_at: Option<Timestamp>,
    metadata: Option<Metadata>,
    allowed_ips: Option<AllowedIps>,
}

impl Issuer {
    /// Checks the requested key against what the caller may grant.
    pub(super) fn draft(
        &self,
        caller: &Caller,
        new: NewKey,
        now: Timestamp,
    ) -> Result<Draft, IssueError> {
        self.scope(caller, Action::Create, None)?;
        let environment = new.environment.unwrap_or(caller.environment());
        if !caller.environment().covers(environment) {
            return Err(IssueError::Environment);
        }
        let permissions = new
            .permissions
            .unwrap_or_else(|| caller.permissions().clone());
        check_covers(caller, &permissions)?;
        let allowed_ips = new.allowed_ips.or_else(|| caller.allowed_ips().cloned());
        check_addresses(caller, allowed_ips.as_ref())?;
        let expires_at = self.new_expiry(caller, new.expiry, now)?;
        Ok(Draft {
            caller: caller.clone(),
            name: new.name,
            environment,
            permissions,
            expiry: new.expiry,
            expires_at,
            metadata: new.metadata,
            allowed_ips,
        })
    }
}

impl Draft {
    fn key(&self, id: KeyId) -> Key {
        Key {
            owner: self.caller.owner().cloned(),
            metadata: self.metadata.clone(),
            attributes: self.caller.attributes().cloned(),
            allowed_ips: self.allowed_ips.clone(),
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
