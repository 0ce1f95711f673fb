//! A store that keeps API keys in one SQLite file: durable, shared between processes, and with
//! group commit.
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
//!   that concurrent callers share one sync, and answers them after the commit.
//! * **Readers do not wait** for the writer. One thread finds keys, and another lists them. No
//!   operation blocks the caller's thread, and the crate needs no async runtime.
//! * **A bounded log.** Once the log has 16 MiB, the store's own readers pause for a moment and the
//!   log is emptied. So it grows to 16 MiB and one transaction, or to 1 GiB during a backup, which
//!   is then aborted. A reader of another handle or process can keep the log from being emptied for
//!   as long as it reads without a pause.
//! * **Bounded.** Each thread has a queue of 1024 operations. If it is full, an operation fails
//!   with `Unavailable` at once.
//! * **Fair.** A list reads its workspace in slices of 5,000 keys. After each slice, the next
//!   workspace gets its turn, and a list ends whose future was dropped. Up to 64 lists of one
//!   workspace wait, and a further one fails with `Unavailable`.
//! * **Shared.** Any number of handles and processes on one host may have the file open. It must
//!   not be on a network file system: SQLite's write-ahead log needs shared memory.
//! * **Revoked keys are rejected** at once by a verifier over the same handle, and within 100 ms by
//!   a verifier over another handle or process. A thread polls the file every 25 ms. With
//!   [`Sharing`] you can choose to read the record on each verification, or to allow no other
//!   handle. If you change a row by hand, insert its id into the table `changes`.
//! * **Safe against lost files.** If the file, its `-wal` or its `-shm` is removed or replaced,
//!   every operation fails with `Unavailable`, and within 100 ms so does every verification: SQLite
//!   would continue with a file that no one else can open. A file that is missing or empty becomes
//!   a new store, but not if its log exists. A symbolic link is followed, and a file with a hard
//!   link is rejected.
//! * **Safe against incomplete copies.** A write is in the log first, and in the file one second
//!   later, unless a reader needs the state before it. When the store is closed, the file holds
//!   every write. A copy that has a log according to its header, but neither a schema nor a log, is
//!   rejected and never becomes a new store. Make backups with [`SqliteStore::backup`].
//! * **Safe against failed syncs.** If a sync of the file fails, this handle's operations fail with
//!   `Unavailable`, since pages that were written earlier may be lost. The log is complete: restart
//!   all programs that have the file open.
//! * **Private.** The file is created with mode 0600 under any umask, and so are the files next to
//!   it, `-wal`, `-shm` and `-lock`. No symbolic link is followed for those. Opening the store logs
//!   a warning with `tracing` for each of them that other users may read or write.

mod backup;
mod changes;
mod checkpoint;
mod connection;
mod error;
mod fair_queue;
mod file;
mod file_identity;
mod finder;
mod gate;
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
mod worker;
mod writer;

#[cfg(test)]
#[path = "../tests/sqlite/sample.rs"]
mod sample;

// The public interface is:
pub use crate::{lock::Sharing, open_error::OpenError, store::SqliteStore};
