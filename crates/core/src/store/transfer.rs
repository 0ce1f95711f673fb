//! The [`Transfer`] trait, through which the keys of one store are copied into another.

use std::fmt;

use async_trait::async_trait;

use super::{
    error::{StoreError, StoreErrorKind},
    key_store::KeyStore,
    record::Record,
    reservation::Reservation,
};
use crate::{
    Entropy, Event, EventId, KeyId, Prefix, Workspace, base62::is_base62, error::RandomError,
    random::Generator,
};

/// A store whose content can be [copied](crate::copy) into another store, and into which another
/// store can be copied.
///
/// A store may leave this out: nothing else in the library needs it.
///
/// # Reading
///
/// Records and events are read by workspace, in the order of their ids, in pages. The pages need
/// not come from one state of the store: a copy reads the whole store again after it is sealed. A
/// record that cannot be read is `Corrupt`, and the source of the error names its id. No record and
/// no event is skipped.
///
/// # Stages
///
/// A store is in one of the [stages](Stage), which its settings contain. With two of them, it
/// rejects the operations of servers, in every process that has it open:
///
/// * [`Receiving`](Stage::Receiving): [`prefix`](KeyStore::prefix) and
///   [`claim_prefix`](KeyStore::claim_prefix) fail with `Incomplete`. No verifier reads a store
///   without a claimed prefix, so no server accepts a key of an incomplete copy.
/// * [`Sealed`](Stage::Sealed): each operation that changes the store fails with `Moved`. Once
///   [`set_stage`](Self::set_stage) has returned, no change is in progress.
///
/// In the stage [`Moved`](Stage::Moved), all of these operations fail with `Moved`. `find` and the
/// lists work in all stages.
///
/// # Errors
///
/// Each method may also return `Unavailable` or `Corrupt`.
#[async_trait]
pub trait Transfer: KeyStore {
    /// Returns the id of this store. If it has none yet, it gets `candidate`.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn identify(&self, candidate: &TransferId) -> Result<TransferId, StoreError>;

    /// Returns the stage of the store.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn stage(&self) -> Result<Stage, StoreError>;

    /// Moves the store from one stage to another, in one atomic step.
    ///
    /// # Errors
    ///
    /// `Conflict` if the store is in another stage than `from`, or if `to` is
    /// [`Receiving`](Stage::Receiving) and the store has a key.
    async fn set_stage(&self, from: &Stage, to: &Stage) -> Result<(), StoreError>;

    /// Whether a sealed store rejects the changes of all processes that have it open. If not, the
    /// servers of the source must be stopped before the last run of a copy.
    fn seals(&self) -> bool;

    /// Returns the first workspaces, after the given one, that have a key or an event, in the
    /// order of their names. Returns an empty list after the last one.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn workspaces(&self, after: Option<&Workspace>) -> Result<Vec<Workspace>, StoreError>;

    /// Returns up to `limit` records of a workspace after the given id, in the order of their ids,
    /// with their times of last use. Returns an empty page only after the last one.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn export_records(
        &self,
        workspace: &Workspace,
        after: Option<&KeyId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError>;

    /// Returns up to `limit` events of a workspace after the given id, in the order of their ids.
    /// Returns an empty page only after the last one.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn export_events(
        &self,
        workspace: &Workspace,
        after: Option<&EventId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError>;

    /// Returns about `limit` reservations after the given key, in the order of their keys,
    /// including those that have ended. Returns an empty page only after the last one.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn export_reservations(
        &self,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StoreError>;

    /// Writes an import into a store that is in the stage `receiving`.
    ///
    /// The call is idempotent: it inserts what is absent, and replaces what is present. It
    /// invalidates the copies of the records that it replaces or deletes (clause 13). If it fails,
    /// a part of the import may be written.
    ///
    /// # Errors
    ///
    /// `Conflict` if the store is in another stage, or if the import would make a revoked key
    /// active again.
    async fn import(&self, receiving: &Stage, import: &Import) -> Result<(), StoreError>;
}

/// Changes to the target of a copy: items to write, and items to delete.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Import {
    /// The records to insert or to replace.
    pub records: Vec<Record>,
    /// The records to delete: the source has purged them.
    pub purged_records: Vec<Record>,
    /// The events to insert or to replace.
    pub events: Vec<Event>,
    /// The events to delete: the source has purged them.
    pub purged_events: Vec<Event>,
    /// The reservations to insert or to replace.
    pub reservations: Vec<Reservation>,
}

impl Import {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
            + self.purged_records.len()
            + self.events.len()
            + self.purged_events.len()
            + self.reservations.len()
    }

    /// Checks that no record would become active again: the target has `present` in place of one of
    /// the records.
    ///
    /// # Errors
    ///
    /// An error with the id of the key.
    pub fn check_replacement(present: &Record, new: &Record) -> Result<(), Reactivation> {
        if present.key.revoked_at.is_some() && new.key.revoked_at.is_none() {
            Err(Reactivation(new.key.id))
        } else {
            Ok(())
        }
    }
}

/// An error from [`Import::check_replacement`]: the source is an older state of the same store,
/// such as a restored backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is revoked in the target, but not in the source: is the source a restored backup?")]
pub struct Reactivation(KeyId);

impl Reactivation {
    /// Creates the error for a key.
    #[must_use]
    pub const fn new(id: KeyId) -> Self {
        Self(id)
    }
}

/// A random id of a store, or of one run of a copy: 16 base62 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransferId([u8; TransferId::LENGTH]);

impl TransferId {
    /// The length, in bytes.
    pub const LENGTH: usize = 16;

    /// Generates an id.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, RandomError> {
        let mut characters = [0; Self::LENGTH];
        Generator::seeded(entropy)?.fill_base62(&mut characters);
        Ok(Self(characters))
    }

    /// Parses an id that a store has kept. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let characters = text.as_bytes().try_into().ok()?;
        is_base62(&characters).then_some(Self(characters))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The characters are ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransferId({self})")
    }
}

/// How far a store has come in a copy of its keys to or from another store.
///
/// | stage | the source is | the target is |
/// | --- | --- | --- |
/// | `Unclaimed` | | empty |
/// | `Receiving` | | incomplete, and usable by no server |
/// | `Open` | in use | in use |
/// | `Sealed` | complete: it verifies keys and changes none | |
/// | `Moved` | replaced by the target: no server opens it | |
///
/// The prefix is claimed last, so that the target of a copy stays unclaimed until it is complete.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must handle each; a sixth is a new contract"
)]
pub enum Stage {
    /// The store was not claimed for a prefix yet, so it has no key.
    Unclaimed,
    /// The store is the target of a copy that has not finished.
    Receiving {
        /// The id of the source.
        source: TransferId,
        /// The latest run of the copy. An earlier run can no longer write.
        run: TransferId,
    },
    /// The store is in use.
    Open(Prefix),
    /// The store is the source of a copy that is about to finish. It rejects all changes.
    Sealed(Prefix),
    /// The keys have moved to another store.
    Moved {
        /// The prefix that the store was claimed for.
        prefix: Prefix,
        /// The id of the other store.
        to: TransferId,
    },
}

/// Begins the claim of a store that receives a copy. No prefix contains this character.
const RECEIVING: &str = "receiving:";

/// Begins the claim of a store whose keys have moved.
const MOVED: &str = "moved:";

impl Stage {
    /// Returns the text of the setting that contains the claim of the prefix. `None` if the store
    /// has no such setting.
    #[must_use]
    pub fn claim(&self) -> Option<String> {
        match self {
            Self::Unclaimed => None,
            Self::Receiving { source, run } => Some(format!("{RECEIVING}{source}:{run}")),
            Self::Open(prefix) | Self::Sealed(prefix) => Some(prefix.to_string()),
            Self::Moved { prefix, to } => Some(format!("{MOVED}{to}:{prefix}")),
        }
    }

    /// Whether the store rejects all changes.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_) | Self::Moved { .. })
    }

    /// Reads a stage from the setting that contains the claim, and from whether the store is
    /// sealed. Returns `None` for any other text.
    #[must_use]
    pub fn parse(claim: Option<&str>, is_sealed: bool) -> Option<Self> {
        let Some(claim) = claim else {
            return Some(Self::Unclaimed);
        };
        if let Some(ids) = claim.strip_prefix(RECEIVING) {
            let (source, run) = ids.split_once(':')?;
            return Some(Self::Receiving {
                source: TransferId::parse(source)?,
                run: TransferId::parse(run)?,
            });
        }
        if let Some(moved) = claim.strip_prefix(MOVED) {
            let (to, prefix) = moved.split_once(':')?;
            return Some(Self::Moved {
                prefix: Prefix::parse(prefix).ok()?,
                to: TransferId::parse(to)?,
            });
        }
        let prefix = Prefix::parse(claim).ok()?;
        Some(if is_sealed {
            Self::Sealed(prefix)
        } else {
            Self::Open(prefix)
        })
    }

    /// Reads the prefix from the setting that contains the claim, for [`KeyStore::prefix`].
    ///
    /// # Errors
    ///
    /// `Incomplete` if the store receives a copy, `Moved` if its keys have moved, and `Corrupt` for
    /// any other text.
    pub fn claimed_prefix(claim: &str) -> Result<Prefix, StoreErrorKind> {
        match Self::parse(Some(claim), false) {
            Some(Self::Open(prefix)) => Ok(prefix),
            Some(Self::Receiving { .. }) => Err(StoreErrorKind::Incomplete),
            Some(Self::Moved { .. }) => Err(StoreErrorKind::Moved),
            Some(Self::Unclaimed | Self::Sealed(_)) | None => Err(StoreErrorKind::Corrupt),
        }
    }
}
