//! Imports keys that another system issued.

mod digest;
mod error;
mod foreign_key;

pub use self::{digest::ForeignKeyDigest, error::ImportError, foreign_key::ForeignKey};
use crate::{
    Caller, IssueError, Issuer, Key, KeyId, Timestamp, Workspace,
    foreign::ForeignFormat,
    random::Generator,
    store::{Alias, Credential, Record, StoreErrorKind, StoredHash, Tag},
};

/// Imports keys that another system issued, with the hashes of their tokens.
///
/// The verifier accepts their tokens if it is [configured](crate::Config::with_foreign) with the
/// same format. They can be listed, updated, paused, rotated and revoked like other keys. Their ids
/// contain the time at which the other system created them.
///
/// You can repeat an import: it skips keys that are present, and adds those that the other system
/// has issued since. After an interruption, start the import again.
///
/// ```
/// use std::sync::Arc;
///
/// use keywright_core::{
///     Config, ForeignKey, Imported, Importer, Keywright, MemoryStore, Prefix, Workspace,
///     foreign::ForeignFormat,
/// };
///
/// # futures_executor::block_on(async {
/// let format = ForeignFormat::sha256_hex().with_token_prefix("old_");
/// let config = Config::new(Prefix::parse("acme")?).with_foreign(format.clone());
/// let keys = Keywright::open(config, Arc::new(MemoryStore::new())).await?;
///
/// let workspace = Workspace::parse("default")?;
/// let importer = Importer::new(keys.issuer().clone(), workspace, format);
/// let line = r#"{
///     "hash": "6f4c2b3e1bbb0a0b5a08b0f8f0a3c9f2b0c0a6f3c0a38f9b7d0f4c2d3e1a5b60",
///     "name": "CI of Jane",
///     "permissions": ["calls:read"],
///     "created_at": "2023-05-01T08:00:00Z"
/// }"#;
/// let imported = importer.import(&ForeignKey::parse(line)?).await?;
/// assert!(matches!(imported, Imported::New(_)));
/// assert!(matches!(importer.import(&ForeignKey::parse(line)?).await?, Imported::Present(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Importer {
    issuer: Issuer,
    operator: Caller,
    format: ForeignFormat,
    retire_by: Option<Timestamp>,
}

/// The result of the import of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "callers count both, and there is no third"
)]
pub enum Imported {
    /// The key was imported, or would be.
    New(KeyId),
    /// The key is present, with the same content.
    Present(KeyId),
}

/// The maximum number of ids to try.
const ID_ATTEMPTS: u32 = 3;

impl Importer {
    /// Creates an importer into a workspace, for keys with tokens of a format. The actor of its
    /// events is [`Actor::Operator`](crate::Actor::Operator).
    #[must_use]
    pub fn new(issuer: Issuer, workspace: Workspace, format: ForeignFormat) -> Self {
        Self {
            issuer,
            operator: Caller::operator(workspace),
            format,
            retire_by: None,
        }
    }

    /// Lets every imported key expire at this time, unless it expires earlier.
    #[must_use]
    pub const fn with_retire_by(mut self, end: Timestamp) -> Self {
        self.retire_by = Some(end);
        self
    }

    /// Imports a key, unless it is present.
    ///
    /// # Errors
    ///
    /// [`ImportError`] if the key is invalid, differs from the one that is present, or cannot be
    /// stored. After any error but [`ImportError::Issue`], the store is unchanged.
    pub async fn import(&self, key: &ForeignKey) -> Result<Imported, ImportError> {
        self.issuer.claim_prefix().await?;
        for attempt in 1.. {
            let (alias, record) = self.record(key)?;
            let now = self.issuer.verifier.now();
            match self.issuer.insert(&self.operator, &record, now).await {
                Ok(_) => return Ok(Imported::New(record.key.id)),
                Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::AlreadyExists => {
                    if let Some(present) = self.present(key, &alias, &record).await? {
                        return Ok(present);
                    }
                    // The id is taken, not the alias.
                    if attempt == ID_ATTEMPTS {
                        return Err(IssueError::Store(error).into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Returns what [`import`](Self::import) would return, and changes nothing. It compares a key
    /// with the store only. To find two keys with one token, compare their [digests](Self::digest).
    ///
    /// # Errors
    ///
    /// As for [`import`](Self::import).
    pub async fn check(&self, key: &ForeignKey) -> Result<Imported, ImportError> {
        let (alias, record) = self.record(key)?;
        let present = self.present(key, &alias, &record).await?;
        Ok(present.unwrap_or(Imported::New(record.key.id)))
    }

    /// Returns the alias and the record of a key.
    fn record(&self, key: &ForeignKey) -> Result<(Alias, Record), ImportError> {
        let (alias, hash) = self.format.import(&key.hash, key.public_part.as_deref())?;
        let now = self.issuer.verifier.now();
        let created_at = key.created_at.unwrap_or(now);
        if created_at > now {
            return Err(ImportError::invalid(
                "created_at",
                "must not be in the future",
            ));
        }
        let id = KeyId::generate(
            created_at,
            &mut Generator::seeded(self.issuer.verifier.entropy()).map_err(IssueError::from)?,
        );
        let new = Key {
            owner: key.owner.clone(),
            metadata: key.metadata.clone(),
            enabled: key.enabled,
            allowed_ips: key.allowed_ips.clone(),
            expires_at: self.issuer.imported_expiry(
                &self.operator,
                self.requested_expiry(key),
                now,
            )?,
            ..Key::new(
                id,
                self.operator.workspace().clone(),
                key.environment,
                key.name.clone(),
                key.permissions.clone(),
            )
        };
        let credential = Credential::new(StoredHash::Foreign(hash), Tag::NONE);
        Ok((alias, Record::imported(new, credential, alias)))
    }

    /// Returns when the key is to expire. `None` stands for the maximum lifetime.
    fn requested_expiry(&self, key: &ForeignKey) -> Option<Timestamp> {
        [key.expires_at, self.retire_by].into_iter().flatten().min()
    }

    /// Returns the key that is present with the alias of a new record.
    async fn present(
        &self,
        key: &ForeignKey,
        alias: &Alias,
        new: &Record,
    ) -> Result<Option<Imported>, ImportError> {
        let store = self.issuer.verifier.store();
        let Some(present) = store.find_by_alias(alias).await.map_err(IssueError::from)? else {
            return Ok(None);
        };
        if self.is_result(&present, key, new) {
            Ok(Some(Imported::Present(present.key.id)))
        } else if present.key.workspace == new.key.workspace {
            Err(ImportError::Different(present.key.id))
        } else {
            Err(ImportError::Taken)
        }
    }

    /// Whether a record that is present could result from an earlier import of this key.
    ///
    /// The last use is not compared, and after the first use, neither is the hash. Two fields may
    /// depend on the time of the import: the time of creation if the other system does not know
    /// it, and the end of the maximum lifetime.
    fn is_result(&self, present: &Record, key: &ForeignKey, new: &Record) -> bool {
        let has_hash = match &present.credential.hash {
            hash @ StoredHash::Foreign(_) => *hash == new.credential.hash,
            StoredHash::Native(_) => true,
        };
        let created_at = present.key.created_at();
        let was_created_then = key.created_at.is_none_or(|then| then == created_at);
        let ends_in_time = match (self.requested_expiry(key), new.key.expires_at) {
            (None, Some(latest)) => present.key.expires_at.is_some_and(|end| end <= latest),
            _ => present.key.expires_at == new.key.expires_at,
        };
        let comparable = Key {
            id: new.key.id,
            last_used_at: None,
            expires_at: new.key.expires_at,
            ..present.key.clone()
        };
        has_hash && was_created_then && ends_in_time && comparable == new.key
    }
}
