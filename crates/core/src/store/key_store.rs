//! The [`KeyStore`] trait, whose documentation is the contract of every store.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{
    alias::Alias,
    durability::Durability,
    error::StoreError,
    lease::Lease,
    purge::{Purge, PurgeEvents},
    record::{Record, Settings},
    reservation::{Reservation, Reserved},
    revocation::{Reach, Revocation},
    rotation::Rotation,
};
#[cfg(doc)]
use crate::Key;
use crate::{
    Environment, Event, EventId, EventPage, KeyId, ListEvents, ListKeys, Page, Prefix, Timestamp,
    VersionedKey, Workspace, hash::Credential,
};

/// A store of keys.
///
/// [`MemoryStore`](crate::MemoryStore) is a complete implementation in one file. A store for a
/// database usually starts as a copy of it, and keeps these rules:
///
/// * It decides nothing about permissions. [`Issuer`](crate::Issuer) checks them before it calls
///   the store.
/// * It checks the state of a record and changes the record in one atomic step, such as a
///   transaction.
/// * It reports every change to its [`Lease`] between the commit and the acknowledgement:
///
/// ```
/// use std::sync::{Arc, Mutex, PoisonError};
///
/// use keywright_core::{
///     KeyId, Timestamp, Workspace,
///     store::{Lease, Record, StoreError, StoreErrorKind},
/// };
///
/// struct OneKey {
///     record: Mutex<Record>,
///     lease: Arc<Lease>,
/// }
///
/// impl OneKey {
///     /// A part of `KeyStore::revoke`.
///     async fn revoke(
///         &self,
///         workspace: &Workspace,
///         id: &KeyId,
///         now: Timestamp,
///     ) -> Result<bool, StoreError> {
///         // The lock is the atomic step.
///         let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
///         if record.key.id != *id || record.key.workspace != *workspace {
///             return Err(StoreError::new(StoreErrorKind::NotFound, "one key"));
///         }
///         let revoked = record.revoke(now);
///         drop(record);
///         if revoked {
///             self.lease.changed(id);
///         }
///         Ok(revoked)
///     }
/// }
/// ```
///
/// # The contract
///
/// Every store keeps these clauses. For each clause, the `conformance` module (a feature of this
/// crate) has a function of the same name that tests it. A store is complete when all of them pass.
///
/// 1. **Atomic insert.** No upsert: an existing id is `AlreadyExists`, and the stored record is
///    untouched. Of any number of concurrent inserts of one id, exactly one succeeds. A record with
///    a parent is admitted only if [`parent.admits(child)`](Key::admits) in the same step (active,
///    enabled, same workspace, expires no earlier, covers the permissions and addresses), otherwise
///    the insert is `Conflict`.
/// 2. **Atomic rotate.** The successor is inserted, and the predecessor is retired and linked to
///    it, all or nothing, only while the caller's key ([`rotated_by`](Key::rotated_by) of the
///    successor) [admits](Key::admits) it. Otherwise, the rotation is `Conflict`. A store that
///    cannot check the caller's key in the same step checks it immediately before, and says so in
///    its docs. Of two rotations of one key, exactly one succeeds. The other is `Conflict`, or
///    `NotFound` if the winner revoked the key.
/// 3. **Durable.** The docs of the store state what `Ok` promises after a crash of the process and
///    of the host. A store that promises less than surviving both also says so in
///    [`durability`](Self::durability).
/// 4. **Monotone revocation.** After `revoke` returns, no `find` that starts later, through any
///    handle of the store, shows the key active. Nothing reactivates it: no update, touch, rehash,
///    late write or restart.
/// 5. **Idempotent revoke.** A repeat is `Ok` and reports that it changed nothing. The record keeps
///    the time of the first revocation.
/// 6. **Cascade.** Revokes the key and all its descendants at any depth, even past keys that are
///    already revoked. Descendants of a key are its successor, the keys that it created, the
///    keys that it received by rotating another key ([`rotated_by`](Key::rotated_by)), and their
///    descendants: lineage follows who holds the
///    secret. A descendant that is inserted concurrently is either rejected or revoked.
/// 7. **Conditional update.** `update` and `rehash` replace only what they name, and only on the
///    version that was read (`Conflict` otherwise). They never touch a revoked record (`NotFound`).
///    The settings of an update are replaced together: no reader sees a mixture of two updates.
/// 8. **Touch is not a write of the record.** `touch` takes a batch of (id, time) and moves
///    `last_used_at` forward only. It creates nothing, changes nothing else (not even the version),
///    ignores unknown ids, and is not a change in the sense of clause 13.
/// 9. **Tenancy.** Operations on behalf of a caller (`list`, `update`, `revoke`, `rotate`) take the
///    workspace. An id of another workspace is `NotFound`. `find`, `touch` and `rehash` belong to
///    the verifier and take only an id.
/// 10. **Listing.** Newest first by id, which begins with the time of creation. Cursors are stable
///     under inserts and revocations. Without `search`, `status` and `imported`, a page by cursor
///     costs O(page) at any depth in a workspace of any size, also filtered by owner and for a
///     `test` caller among `live` keys. With them, a store may limit the keys that it reads for one
///     page. A page that ends at the limit has fewer keys, a cursor to continue, and no total. A
///     list ends when its future is dropped.
/// 11. **Reservation.** An idempotency key is bound to an id once, atomically, with the request's
///     fingerprint, until a given time. The same call reports an earlier binding. Bootstrapping an
///     empty store uses it: if two servers start at once, one of them creates the first key.
/// 12. **Clock, cancellation, secrets.** Callers pass times as [`Timestamp`]s, and stores read no
///     clock. An operation whose future is dropped is done or not done, never half done. A store
///     sees hashes, never a token.
/// 13. **Changes.** Verifiers cache records, and use them while the store's [`Lease`] holds. The
///     store reports each change that this handle makes (an update, a revocation, each key of a
///     cascade, the predecessor of a rotation, a rehash) after the commit and before the
///     acknowledgement. It reports changes that are made elsewhere within a bound that its docs
///     state. An insert and a touch are not changes. When the store cannot report changes, its
///     lease lapses (or never holds), and each verification asks the store.
/// 14. **Errors.** Each [`StoreError`] has a kind, the backend's name, and the driver's error as
///     `source()`. A record that cannot be read back is `Corrupt`, never skipped, never a panic.
/// 15. **Format.** Records carry a version. A program reads its own version and the previous
///     version, and rejects newer versions. An old program does not write where a newer program has
///     migrated. The store keeps the token prefix that it was first claimed for.
/// 16. **Purge.** Deletes records of keys that were revoked, or that expired, before a given time
///     (not at it), and never one of another key. It never deletes a record from which
///     a remaining record descends in the sense of clause 6, so that a cascade still reaches every
///     descendant. Each call is one atomic step, deletes no more records than its limit, and
///     returns 0 only when nothing is left to delete. It leaves the events of the deleted keys.
/// 17. **Events.** Each `insert`, `update`, `rotate` and `revoke` that is passed an event appends
///     it in the same atomic step as its change. A call that fails or changes nothing appends none,
///     and a cascade appends one. No event is ever changed, except that a store that does not
///     revoke a cascade in one step sets the number of revoked keys at its end. Events are listed
///     by workspace, key or owner, in either order, at O(page), with stable cursors, and deleted by
///     time. A store without an event log returns `false` from
///     [`keeps_events`](Self::keeps_events).
///
/// 18. **Aliases.** A record may carry an [`Alias`], which is unique in the store: an `insert` with
///     a taken alias is `AlreadyExists`, whatever the status of the key that has it. Of any number
///     of concurrent inserts with one alias, exactly one succeeds. `find_by_alias` returns the
///     record. A purge of the record frees its alias. No other change touches it.
///
/// No method has a default implementation, because a default that does not suit a store could break
/// its security unnoticed.
///
/// # Errors
///
/// In addition to the kinds that it lists, each method may return `Unavailable` or `Corrupt`. A
/// write that was done, but was confirmed by too few replicas, returns `NotConfirmed`.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// Inserts a record with a new id, and appends the event (clauses 1, 17 and 18). The parent
    /// must be active at `now`.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the id or the alias is taken. `Conflict` if the parent does not exist, or
    /// does not [admit](Key::admits) the record.
    async fn insert(
        &self,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError>;

    /// Returns the record with this id, even if its key is revoked. `None` if there is none.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError>;

    /// Returns the record with this alias, even if its key is revoked (clause 18). `None` if there
    /// is none.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn find_by_alias(&self, alias: &Alias) -> Result<Option<Record>, StoreError>;

    /// Returns one page of the keys in a workspace that a caller of this environment
    /// [sees](Environment::covers), newest first (clause 10). The status of each key is its status
    /// at `now`. The page has a total if `list` starts at an offset.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn list(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError>;

    /// Replaces the settings of a key together, if the record still has this version, and appends
    /// the event (clauses 7 and 17). Returns the key and the version after the change.
    ///
    /// # Errors
    ///
    /// `NotFound` if the workspace has no such key or the key is revoked. `Conflict` if the record
    /// has another version.
    async fn update(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError>;

    /// Revokes one key, or the key and all its descendants, and appends the event with the number
    /// of keys that this call revoked, if it is not 0 (clauses 4 to 6 and 17). Returns once the
    /// change is as durable as the store can make it.
    ///
    /// # Errors
    ///
    /// `NotFound` if the workspace has no such key.
    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError>;

    /// Replaces a key with a successor, and appends the event (clauses 2 and 17). The predecessor
    /// is retired as [`Rotation::retire`] specifies, but no later than it would expire anyway.
    ///
    /// # Errors
    ///
    /// `NotFound` if the workspace has no such key or the key is revoked. `Conflict` if the key
    /// already has a successor, has expired, is disabled, or has another version, or if the
    /// caller's key is not active or does not admit the successor. `AlreadyExists` if the
    /// successor's id is taken.
    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError>;

    /// Replaces the hash and the tag together, if the record still has this version (clause 7).
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such key or it is revoked. `Conflict` if the record has another
    /// version.
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
    /// `Unavailable` or `Corrupt`.
    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError>;

    /// Binds an idempotency key to an id, or returns its earlier binding if that has not ended at
    /// `now` (clause 11). A reservation that ends at `now` or before binds nothing and only looks
    /// for an earlier binding.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError>;

    /// Deletes records of revoked or expired keys and returns how many (clause 16). To delete all
    /// that match, call it until it returns 0.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError>;

    /// Returns one page of the events of a workspace whose keys a caller of this environment
    /// [sees](Environment::covers) (clause 17).
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn events(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError>;

    /// Deletes events and returns how many (clause 17). Each call is one atomic step, and deletes
    /// no more events than its limit. To delete all that match, call it until it returns 0.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn purge_events(&self, purge: &PurgeEvents) -> Result<u64, StoreError>;

    /// Whether the store has an event log, which is the same at each call. A store without one
    /// ignores the events that it is passed, lists none and deletes none.
    fn keeps_events(&self) -> bool;

    /// Whether the store has no key in any workspace.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn is_empty(&self) -> Result<bool, StoreError>;

    /// Checks that the store can be reached, at a cost that does not depend on its content.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Returns the prefix that the store was claimed for, or `None` if it was not claimed yet
    /// (clause 15). This claims nothing. A verifier reads no record of a store that was not
    /// claimed.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`. `Incomplete` or `Moved` if the store is the target or the source
    /// of a copy (see [`Transfer`](super::Transfer)).
    async fn prefix(&self) -> Result<Option<Prefix>, StoreError>;

    /// Claims the store for tokens with this prefix, unless another prefix was claimed before.
    /// Returns the prefix that holds the claim (clause 15). The issuer calls this before it creates
    /// a key. Of concurrent claims for different prefixes, exactly one succeeds.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Corrupt`.
    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError>;

    /// Returns what an acknowledged write survives (clause 3).
    fn durability(&self) -> Durability;

    /// Returns the lease of this store's records, which is the same at each call (clause 13).
    fn lease(&self) -> Arc<Lease>;
}
