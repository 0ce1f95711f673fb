//! API keys in one SQLite file: durable, shared between processes, and written by many callers in
//! one transaction.
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
//! * **Durable.** What is answered with `Ok` has been synced to the disk: it survives a crash of the
//!   host, as far as its disk keeps what it says that it has.
//! * **Group commit.** One thread writes. It commits whatever is waiting in one transaction, so that
//!   concurrent callers share one sync, and answers each of them only after it.
//! * **Readers never wait** for the writer, nor do they run on the caller's thread: there is one
//!   thread to find keys and one to list them. The crate needs no async runtime.
//! * **Bounded.** 1024 jobs may wait for each thread; one more is `Unavailable` at once.
//! * **Shared.** Any number of handles and processes on one host may have the file open. It must not
//!   lie on a network file system: SQLite's write-ahead log needs shared memory.
//! * **Not fooled.** Once the file, its `-wal` or its `-shm` was removed or another one put in its place,
//!   every operation is `Unavailable`, and within 100 ms so is each verification, whatever the
//!   [`Sharing`]: SQLite would go on with a file that nobody else can open.
//!   A symbolic link is followed; a file with two names by a hard link is refused. The same holds of the
//!   handle that met it once a sync of the file has failed: SQLite would go on, and what it had written
//!   before is lost with the power. Its log has it: restart all programs that have the file open.
//! * **Not begun anew.** A file that is missing or empty becomes a new store, but not where there is
//!   the log of another one.
//! * **Told of changes.** A key that was revoked over this handle is refused at once, one that another
//!   handle or process has revoked within 100 ms: one thread asks the file every 25 ms. [`Sharing`]
//!   has two other choices: to ask the file each time, and to let nobody else open it. Whoever changes a row by hand adds its id to the table `changes`.
//! * **Private.** The file is created for its owner alone (mode 0600), and so are those beside it, with
//!   `-wal`, `-shm` and `-lock` after its name.

mod backup;
mod changes;
mod connection;
mod error;
mod file;
mod lock;
mod open;
mod operations;
mod place;
mod poller;
mod reader;
mod record;
mod schema;
mod store;
mod worker;
mod write_back;
mod writer;

#[cfg(test)]
#[path = "../tests/sqlite/sample.rs"]
mod sample;

// The public interface is:
pub use crate::{error::OpenError, lock::Sharing, store::SqliteStore};
