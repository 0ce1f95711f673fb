//! The one seam between the library and a database: the [`KeyStore`] trait and its contract.

mod error;
mod lease;
mod listing;
mod memory;
mod purge;
mod record;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

pub(crate) use self::lease::Watch;
pub use self::{
    error::{StoreError, StoreErrorKind},
    lease::{Lease, Stamp},
    listing::{Listing, Page, Start},
    memory::MemoryStore,
    purge::Purge,
    record::Record,
};
use crate::{Key, KeyId, Metadata, Name, Prefix, Timestamp, Workspace, hash::Credential};

/// Where keys are kept.
///
/// # The contract
///
/// Every store keeps these clauses; for each there is one function of that name in the
/// `conformance` suite (a feature of this crate), and a store is done when all of them pass.
///
/// 1. **Atomic insert.** No upsert: an id that exists is `AlreadyExists`, and the old record is
///    untouched. Of any number of concurrent inserts of one id one wins. A record with a parent is
///    admitted only while the parent is active, and only if it ends no later than the parent, in the
///    same step, else `Conflict`.
/// 2. **Atomic rotate.** Successor inserted, predecessor's expiry or revocation set and linked: all
///    or nothing. It is done only while the caller's key is active, and only if the successor ends no
///    later than that, else `Conflict`: in the same step, or where that cannot be, just before it, and
///    the store's docs say so. Of two rotations of one key exactly one wins, the other is `Conflict`,
///    or `NotFound` where the winner has revoked the key.
/// 3. **Durable.** What `Ok` promises after a crash of the process and of the host. A store that
///    promises less says so in its docs and in [`durability`](Self::durability).
/// 4. **Monotone revocation.** After `revoke` returned, no `find` that starts later, through any
///    handle of the store, shows the key active; nothing turns a revoked key back: no rename, no
///    touch, no rehash, no late write, no restart.
/// 5. **Idempotent revoke.** Again is `Ok`, and says that it changed nothing; the first time stays.
/// 6. **Cascade.** Revokes the key and all that descends from it, by creation and by rotation, at
///    any depth, also where a key on the way is revoked already; a descendant being inserted at
///    that moment is either refused or revoked.
/// 7. **Conditional update.** `rename` and `rehash` replace only what they name, and only on the
///    version that was read (`Conflict` else); they never touch a revoked record (`NotFound`).
/// 8. **Touch is not a write of the record.** `touch` takes a batch of (id, time), moves
///    `last_used_at` forward only, never creates, never changes anything else (the version
///    included), and ignores ids that are gone.
/// 9. **Tenancy.** Operations on behalf of a caller (`list`, `rename`, `revoke`, `rotate`) take the
///    workspace; an id of another workspace is `NotFound`. `find`, `touch` and `rehash` are the
///    verifier's own and go by id.
/// 10. **Listing.** Newest first by id, which begins with the time of creation; a cursor is stable
///     while keys are inserted and revoked; without `search` and `status`, a page by cursor costs
///     O(page) at any depth in a workspace of any size, also for a `test` caller among `live` keys.
/// 11. **Reservation.** An idempotency key is bound to an id once, atomically, with a fingerprint of
///     the request, until a given time; the same call tells of an earlier binding. Bootstrapping an
///     empty store uses it: of two servers starting at once, one makes the first key.
/// 12. **Clock, cancellation, secrets.** Times come in as Unix milliseconds: stores read no clock. A
///     dropped future is done or not done, never half. A store sees hashes, never a token.
/// 13. **Changes.** Verifiers keep copies of records, and use them while the store's [`Lease`] holds.
///     The store tells it of each change of a record that this handle makes (rename, revoke, each key
///     of a cascade, a rotation's predecessor, rehash), after the commit and before the
///     acknowledgement; of changes that others make within a bound that the store's docs state. An
///     insert and a touch are no changes. Where the store cannot tell, the lease lapses by itself, or
///     never holds, and each verification asks the store.
/// 14. **Errors.** Each [`StoreError`] has a kind, the backend's name and the driver's error as
///     `source()`. A row that cannot be read back is `Corrupt`, never skipped, never a panic.
/// 15. **Format.** Records carry a version; a program reads the version before its own, refuses a
///     newer one, and an old program does not write where a newer one has migrated. The store keeps
///     the token prefix it was first used with.
/// 16. **Purge.** `purge` deletes records of keys that were revoked before a given time: not at it,
///     and never a key that is active or has only expired. A record stays as long as one that stays
///     descends from it, by creation or by rotation, so that a cascade from above still reaches all
///     of them. One call is one step, deletes no more than it is asked for, and answers 0 only once
///     nothing is left that it may delete.
///
/// No method has a default: a default that misleads becomes a security release later.
///
/// # Errors
///
/// Beside the kinds that a method names, each may return `Unavailable` and `Corrupt`.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a record, under an id that is new (clause 1). `now` decides whether the parent is
    /// active.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the id is taken; `Conflict` if the parent is unknown, in another
    /// workspace, expired or revoked, or ends earlier.
    async fn insert(&self, record: &Record, now: Timestamp) -> Result<(), StoreError>;

    /// The record of an id, revoked ones too; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError>;

    /// One page of the keys of a workspace (clause 10).
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn list(&self, workspace: &Workspace, listing: &Listing) -> Result<Page, StoreError>;

    /// Replaces name and metadata, if the record still has that version (clause 7).
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such key in the workspace or it is revoked; `Conflict` on another
    /// version.
    async fn rename(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError>;

    /// Revokes one key, or it and all its descendants (clauses 4 to 6), and returns once that is as
    /// durable as the store can make it.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such key in the workspace.
    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
    ) -> Result<Revocation, StoreError>;

    /// Replaces a key by a successor (clause 2). The predecessor is retired as
    /// [`Rotation::retire`] says, never later than it would have ended anyway.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such key in the workspace or it is revoked; `Conflict` if it has a
    /// successor, has expired, or has another version, or if the caller is not active or ends before
    /// the successor; `AlreadyExists` if the successor's id is taken.
    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Replaces hash and tag together, if the record still has that version (clause 7).
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such key or it is revoked; `Conflict` on another version.
    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError>;

    /// Moves the times of last use forward (clause 8).
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError>;

    /// Binds a reservation, or tells of the earlier binding of the same key that has not run out
    /// at `now` (clause 11). A reservation until `now` binds nothing: it only asks for an earlier one.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError>;

    /// Deletes records of keys that were revoked long ago, and tells how many (clause 16). Whoever
    /// wants all of them deleted calls it until it answers 0.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError>;

    /// Whether there is no key in any workspace.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn is_empty(&self) -> Result<bool, StoreError>;

    /// The prefix of the tokens that this store's keys belong to (clause 15): this one, if it is
    /// the first to be claimed, or else the one that was.
    ///
    /// # Errors
    ///
    /// Only the general ones.
    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError>;

    /// What an `Ok` survives (clause 3).
    fn durability(&self) -> Durability;

    /// The lease of this store's records, the same one at each call (clause 13).
    fn lease(&self) -> Arc<Lease>;
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: it ends with the process.
    Process,
    /// A crash of the process, but not of the host.
    ProcessCrash,
    /// A crash of the host.
    HostCrash,
}

/// How far a revocation reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must handle each; a third is a new contract"
)]
pub enum Reach {
    /// The key alone; what it created lives on.
    Key,
    /// The key and all that it created or was rotated into, at any depth.
    Descendants,
}

/// What a revocation did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Revocation {
    /// Whether it was this call that revoked the key it names.
    pub first: bool,
    /// How many keys this call revoked.
    pub count: u64,
}

impl Revocation {
    /// What a store answers.
    #[must_use]
    pub const fn new(first: bool, count: u64) -> Self {
        Self { first, count }
    }
}

/// What a rename replaces.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Rename {
    /// The new name; `None` leaves the old one.
    pub name: Option<Name>,
    /// The new metadata; `None` leaves the old.
    pub metadata: Option<Metadata>,
}

impl Rename {
    /// Replaces what is not `None`.
    #[must_use]
    pub const fn new(name: Option<Name>, metadata: Option<Metadata>) -> Self {
        Self { name, metadata }
    }
}

/// A rotation: which key is replaced, by what, and what becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Rotation {
    /// The key that is replaced.
    pub predecessor: KeyId,
    /// The version in which it was read.
    pub version: u64,
    /// What becomes of it.
    pub retire: Retire,
    /// The record of the new key. It has the predecessor's workspace and parent, and the parent need
    /// not be active: that is for whoever makes the rotation to see to.
    pub successor: Record,
    /// The key that has asked for it, if it was one: it receives a secret, and so must be active, and
    /// not end before the successor.
    pub caller: Option<KeyId>,
}

impl Rotation {
    /// A rotation of the key that was read in this version.
    #[must_use]
    pub const fn new(predecessor: KeyId, version: u64, retire: Retire, successor: Record) -> Self {
        Self {
            predecessor,
            version,
            retire,
            successor,
            caller: None,
        }
    }

    /// The same, asked for by a key.
    #[must_use]
    pub fn with_caller(mut self, caller: Option<KeyId>) -> Self {
        self.caller = caller;
        self
    }
}

/// What becomes of a key that is rotated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must handle each; a third is a new contract"
)]
pub enum Retire {
    /// It is revoked at once.
    Now,
    /// It expires at this time, or when it would have anyway, if that is earlier.
    At(Timestamp),
}

/// The reservation of an id for an idempotency key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Reservation {
    /// A digest of the idempotency key and of what scopes it.
    pub key: [u8; 32],
    /// A digest of the request.
    pub fingerprint: [u8; 32],
    /// The id that a record made by this request has.
    pub id: KeyId,
    /// Until when the binding holds.
    pub until: Timestamp,
}

impl Reservation {
    /// Binds `id` to `key` until the given time.
    #[must_use]
    pub const fn new(key: [u8; 32], fingerprint: [u8; 32], id: KeyId, until: Timestamp) -> Self {
        Self {
            key,
            fingerprint,
            id,
            until,
        }
    }
}

/// What became of a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a binding is new or earlier")]
pub enum Reserved {
    /// It was the first of its key.
    New,
    /// The key was bound before, and this is that binding.
    Earlier {
        /// The id that was bound.
        id: KeyId,
        /// The fingerprint of that request.
        fingerprint: [u8; 32],
    },
}
