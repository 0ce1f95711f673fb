//! A store that keeps API keys in one SQLite file, which may be the database of the host: durable,
//! shared between processes, and with group commit.
//!
//! ```
//! use std::sync::Arc;
//!
//! use keywright_core::{Caller, Config, Keywright, Name, NewKey, Permissions, Prefix, Workspace};
//! use keywright_store_sqlite::SqliteStore;
//!
//! # futures_executor::block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let store = SqliteStore::open(folder.path().join("keys.db"))?;
//! let keys = Keywright::open(Config::new(Prefix::parse("acme")?), Arc::new(store)).await?;
//!
//! let operator = Caller::new(Workspace::parse("default")?, Permissions::all());
//! let issued = keys.issuer().create(&operator, NewKey::new(Name::parse("CI")?)).await?;
//! assert!(keys.verifier().verify(issued.token.expose().as_bytes()).await.is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! * **Durable.** An operation returns `Ok` after its write was synced to the disk. The write
//!   survives a crash of the host, provided that the disk keeps what it reports as synced.
//! * **Group commit.** One thread writes. It commits all waiting operations in one transaction, so
//!   that concurrent callers share one sync. It returns their results after the commit.
//! * **Readers do not wait** for the writer. One thread finds keys, and another lists them. No
//!   operation blocks the caller's thread, and the crate needs no async runtime.
//! * **A bounded log.** When the log reaches 16 MiB, the store pauses its readers for a moment and
//!   empties the log. So the log grows to at most 16 MiB plus one transaction, and after commits of
//!   the host by what it writes within a second. During a backup, it may grow to 1 GiB, at which
//!   the store aborts the backup. While a reader of the host, another handle or another process
//!   reads without a pause, the store cannot empty the log.
//! * **Bounded.** Each thread has a queue of 1024 operations, and that of finds 16,384. If it is
//!   full, an operation fails with `Unavailable` at once. A handle has four connections, each of
//!   which caches up to 16 MiB of the file.
//! * **Indexed.** A page by cursor reads only its own keys, in a workspace of any size and also for
//!   one owner or for a caller that sees only `test` keys. A page of events reads only its own
//!   events, also for one key, and in both orders.
//! * **Events.** A change and its event are in one transaction. Events are deleted in steps of 500,
//!   so that other writes get their turn.
//! * **Fair.** A list with a status, a search or a total reads its workspace in slices of 5,000
//!   keys, and so does a purge. After each slice, the next workspace gets its turn. A list ends
//!   when its future is dropped. At most 64 lists of one workspace wait, and further ones fail with
//!   `Unavailable`.
//! * **Shared.** Any number of handles and processes on one host may have the file open. It must
//!   not be on a network file system: SQLite's write-ahead log needs shared memory.
//! * **In the database of the host**, with [`SqliteConfig::in_existing_database`]. The store
//!   creates its tables, named `keywright_…`, next to those of the host. With
//!   [`insert_in`](SqliteStore::insert_in), [`update_in`](SqliteStore::update_in) and
//!   [`revoke_in`](SqliteStore::revoke_in), the host changes its rows and a key in one transaction.
//! * **Changes take effect** at once in a verifier over the same handle, and within 100 ms in a
//!   verifier over another handle or process: revocations, rotations and updates, such as a pause
//!   or fewer permissions. A thread polls the file every 25 ms. With [`Sharing`] you can choose to
//!   read the record on each verification, or to allow no other handle. If you change a row by
//!   hand, insert its id into the table `keywright_changes`.
//! * **Safe against lost files.** If the file, its `-wal` or its `-shm` is removed or replaced,
//!   every operation fails with `Unavailable`, and within 100 ms so does every verification: SQLite
//!   would continue with a file that no one else can open. A file that is missing or empty becomes
//!   a new store, but not if its log exists. A symbolic link is followed, and a file with a hard
//!   link is rejected.
//! * **Safe against incomplete copies.** A write goes to the log first, and to the file within a
//!   second, also a commit of the host, unless a reader needs the state before it. When the store
//!   is closed, the file contains every write. If the header of a file says that it has a log, but
//!   the file has neither a schema nor a log, opening it fails: it is an incomplete copy, not a new
//!   store. Make backups with [`SqliteStore::backup`].
//! * **Safe against failed syncs.** If a sync of the file fails, this handle's operations fail with
//!   `Unavailable`, since pages that were written earlier may be lost. The log is complete: restart
//!   all programs that have the file open.
//! * **Private.** The file is created with mode 0600 under any umask, and so are the files next to
//!   it, `-wal`, `-shm` and `-lock`. The store does not follow a symbolic link in place of one of
//!   these. If other users may read or write a file, opening the store logs a warning with
//!   `tracing`.

mod backup;
mod changes;
mod checkpoint;
mod config;
mod connection;
mod error;
mod event;
mod fair_queue;
mod file;
mod file_identity;
mod finder;
mod gate;
mod in_transaction;
mod lister;
mod lock;
mod open;
mod open_error;
mod operations;
mod poller;
mod record;
mod savepoint;
mod schema;
mod store;
mod transfer;
mod worker;
mod writer;

#[cfg(test)]
mod query_plan;
#[cfg(test)]
#[path = "../tests/sqlite/sample.rs"]
mod sample;

// The public interface is:
pub use crate::{config::SqliteConfig, lock::Sharing, open_error::OpenError, store::SqliteStore};
