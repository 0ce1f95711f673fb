//! Checkpoints, which copy the write-ahead log into the file.
//!
//! By default SQLite checkpoints inside a commit, so that the caller waits for it, and ignores a
//! checkpoint that fails. This module checkpoints after the callers have received their results,
//! and does not ignore a sync that fails.
//!
//! After a failed sync, Linux drops the pages that it could not write, and the next sync succeeds.
//! SQLite does not copy again the pages that an earlier checkpoint has copied. It would restart the
//! log, and those pages would be neither in the log nor in the file. So after a failed sync, the
//! store rejects every operation and leaves the log as it is. When all connections are closed and
//! the file is opened again, SQLite reads the whole log.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ffi};

use crate::{
    connection::{BUSY_TIMEOUT, disable_checkpoint_on_close},
    error::{Result, extended_code},
    file_identity::FileIdentity,
    gate::Gates,
    record,
};

/// The length at which the log is checkpointed after each commit, in pages. It is SQLite's default.
const THRESHOLD: i64 = 1000;

/// The longest time from a commit until its pages are copied into the file, unless a reader still
/// needs the state before it. The crate's docs state this bound. It also holds for a commit of
/// another connection, such as the host's.
const DELAY: Duration = Duration::from_secs(1);

/// How long a restart of the log waits for other handles and processes. The readers of this handle
/// wait for the restart.
const RESTART_TIMEOUT: Duration = Duration::from_millis(50);

/// The lengths of the log at which the writer pauses the readers of this handle and restarts the
/// log, in pages. A single transaction may exceed them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The limit outside backups: 16 MiB.
    pub(crate) pages: i64,
    /// The limit at which a backup is aborted: 1 GiB.
    pub(crate) pages_during_backup: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pages: 4 * THRESHOLD,
            pages_during_backup: 262_144,
        }
    }
}

/// Returns the current time of the monotonic clock, which no test sets.
#[expect(
    clippy::disallowed_methods,
    reason = "the delay of a checkpoint is real time"
)]
fn monotonic() -> Instant {
    Instant::now()
}

/// Checkpoints the log after commits.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// Whether the store had no key after the last commit.
    is_empty: bool,
    /// When the log is due to be checked, and checkpointed if there was a commit.
    due: Instant,
    gates: Arc<Gates>,
    limits: Limits,
    /// The length at which the log is restarted, in pages. It increases while other processes
    /// prevent a restart.
    restart_at: i64,
}

impl Checkpointer {
    /// Replaces the automatic checkpoints of this connection.
    pub(crate) fn attach(
        connection: &Connection,
        gates: Arc<Gates>,
        limits: Limits,
    ) -> rusqlite::Result<Self> {
        connection.query_one("PRAGMA wal_autocheckpoint = 0", (), |_| Ok(()))?;
        Ok(Self {
            // If this fails, the file is damaged, and so not empty.
            is_empty: record::is_empty(connection).unwrap_or(false),
            // A program that crashed may have left a log.
            due: monotonic() + DELAY,
            gates,
            limits,
            restart_at: limits.pages,
        })
    }

    /// Returns the time until [`run`](Self::run) is due, which is zero if it is overdue.
    pub(crate) fn time_left(&self) -> Duration {
        self.due.saturating_duration_since(monotonic())
    }

    /// Checkpoints now if the log is long, and later otherwise.
    pub(crate) fn after_commit(&mut self, connection: &Connection, files: &FileIdentity) {
        // If the log cannot be read, the next check reports it.
        let Ok(log) = Log::read(connection, STATE) else {
            return;
        };
        if log.is_copied() {
            return;
        }
        // Checkpoint the first key at once: a copy of the file without its log must not look like a
        // store without keys.
        let has_first_key =
            self.is_empty && record::is_empty(connection).is_ok_and(|is_empty| !is_empty);
        if has_first_key || log.pages >= THRESHOLD {
            self.is_empty &= !has_first_key;
            self.run(connection, files);
        }
    }

    /// Checkpoints if there was a commit, also of another connection. Pages that a reader still
    /// needs stay in the log.
    pub(crate) fn run(&mut self, connection: &Connection, files: &FileIdentity) {
        self.due = monotonic() + DELAY;
        if let Ok(log) = Log::read(connection, STATE)
            && !log.is_copied()
        {
            // If this fails for another reason than a failed sync, such as a full disk, the log is
            // complete. The next run tries again.
            let _ = checkpoint_intact(connection, files, PASSIVE);
            self.restart_if_long(connection, files, log.pages);
        }
    }

    /// Pauses the readers of this handle and restarts the log if it is too long.
    ///
    /// SQLite restarts the log by itself only when no reader needs it, which never happens while
    /// reads overlap without a pause.
    fn restart_if_long(&mut self, connection: &Connection, files: &FileIdentity, pages: i64) {
        if pages < self.limits.pages {
            self.restart_at = self.limits.pages;
        }
        let gates = Arc::clone(&self.gates);
        let waits_for_backup = gates.backups.is_in_use() && pages < self.limits.pages_during_backup;
        if pages < self.restart_at || waits_for_backup {
            return;
        }
        // Closing the gate of backups aborts a backup, and closing that of lists waits for one
        // slice. Close the gate of finds last, so that no verification waits for a list.
        let _backups = gates.backups.close();
        let _lists = gates.lists.close();
        let _finds = gates.finds.close();
        self.restart_at = match restart(connection, files) {
            Ok(log) if log.is_copied() => self.limits.pages,
            Ok(_) | Err(_) => pages.saturating_add(pages / 4),
        };
    }
}

/// Copies the whole log and empties it. Waits only a short time for other processes.
fn restart(connection: &Connection, files: &FileIdentity) -> Result<Log> {
    connection.busy_timeout(RESTART_TIMEOUT)?;
    let log = checkpoint_intact(connection, files, TRUNCATE);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    log
}

fn checkpoint_intact(connection: &Connection, files: &FileIdentity, mode: &str) -> Result<Log> {
    // A log that is no longer at its path must not be copied into the file.
    files.check()?;
    let log = Log::read(connection, mode);
    if log.as_ref().is_err_and(is_failed_sync) {
        files.mark_unsynced();
    }
    Ok(log?)
}

/// Keeps the log when this connection is closed, if a sync has failed.
///
/// It must be called before closing a connection that may be the last: SQLite would checkpoint and
/// delete the log.
pub(crate) fn keep_log_if_unsynced(connection: &Connection, files: &FileIdentity) {
    if files.is_unsynced() {
        // This sets a flag of the connection and cannot fail.
        let _ = disable_checkpoint_on_close(connection);
    }
}

/// Copies the log into the file without waiting.
pub(crate) fn copy_log(connection: &Connection) -> rusqlite::Result<()> {
    Log::read(connection, PASSIVE).map(|_| ())
}

/// Changes nothing.
const STATE: &str = "PRAGMA wal_checkpoint(NOOP)";

/// Checkpoints without waiting: pages that a reader still needs stay in the log.
const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Waits for all readers and writers, checkpoints the whole log, and truncates it. If the sync of
/// the file fails, the log stays as it is.
const TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The state of the log after a checkpoint.
#[derive(Clone, Copy, Debug)]
struct Log {
    /// Whether another connection prevented the checkpoint.
    is_busy: bool,
    /// The length of the log, in pages.
    pages: i64,
    /// How many of the pages were copied into the file.
    copied: i64,
}

impl Log {
    /// Checkpoints in this mode, and returns the state of the log.
    fn read(connection: &Connection, mode: &str) -> rusqlite::Result<Self> {
        connection.prepare_cached(mode)?.query_one((), |row| {
            Ok(Self {
                is_busy: row.get(0)?,
                pages: row.get(1)?,
                copied: row.get(2)?,
            })
        })
    }

    /// Whether the file contains every commit.
    const fn is_copied(self) -> bool {
        !self.is_busy && self.pages == self.copied
    }
}

fn is_failed_sync(error: &rusqlite::Error) -> bool {
    matches!(
        extended_code(error),
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use tempfile::TempDir;

    use super::*;
    use crate::{
        config::SqliteConfig,
        connection,
        file::with_suffix,
        gate::Gate,
        open::{self, Opened},
    };

    const MIB: u64 = 1 << 20;

    /// A connection that writes and checkpoints as the writer thread does.
    struct Fixture {
        path: PathBuf,
        writer: Connection,
        checkpointer: Checkpointer,
        files: FileIdentity,
        gates: Arc<Gates>,
        _folder: TempDir,
    }

    impl Fixture {
        fn new(limits: Limits) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let Opened { path, writer, .. } =
                open::open(&folder.path().join("keys.db"), SqliteConfig::new()).unwrap();
            let gates = Arc::<Gates>::default();
            let checkpointer = Checkpointer::attach(&writer, Arc::clone(&gates), limits).unwrap();
            Self {
                files: FileIdentity::of(path.clone()).unwrap(),
                path,
                writer,
                checkpointer,
                gates,
                _folder: folder,
            }
        }

        /// Writes this many MiB, one in each transaction, and returns the largest size of the log.
        fn write(&mut self, count: u32) -> u64 {
            let insert = "INSERT OR REPLACE INTO keywright_settings
                VALUES ('large', replace(hex(zeroblob(524288)), '0', char(97 + ?1 % 26)))";
            let mut largest = 0;
            for number in 0..count {
                self.writer.execute(insert, [number]).unwrap();
                largest = largest.max(self.log_size());
                self.checkpointer.after_commit(&self.writer, &self.files);
            }
            largest
        }

        fn log_size(&self) -> u64 {
            fs::metadata(with_suffix(&self.path, "-wal")).unwrap().len()
        }
    }

    /// Reads inside the gate without ever pausing, except when the writer closes the gate.
    fn read_without_pause(path: &Path, gate: &Gate, started: &AtomicBool, done: &AtomicBool) {
        let reader = connection::open_reader(path).unwrap();
        while !done.load(Ordering::Relaxed) {
            let _inside = gate.enter();
            reader
                .execute_batch("BEGIN; SELECT count(*) FROM keywright_keys")
                .unwrap();
            started.store(true, Ordering::Relaxed);
            while !gate.is_closed() && !done.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            reader.execute_batch("COMMIT").unwrap();
        }
    }

    fn under_readers<T>(
        path: &Path,
        gates: &Gates,
        readers: &[fn(&Gates) -> &Gate],
        work: impl FnOnce() -> T,
    ) -> T {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for gate in readers {
                let started = Arc::new(AtomicBool::new(false));
                let (reader_started, done) = (Arc::clone(&started), &done);
                scope.spawn(move || read_without_pause(path, gate(gates), &reader_started, done));
                while !started.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
            }
            let result = work();
            done.store(true, Ordering::Relaxed);
            result
        })
    }

    #[test]
    fn bug_the_log_grew_while_readers_overlapped() {
        let mut fixture = Fixture::new(Limits::default());
        let (path, gates) = (fixture.path.clone(), Arc::clone(&fixture.gates));
        let readers: [fn(&Gates) -> &Gate; 2] = [|gates| &gates.finds, |gates| &gates.lists];
        let largest = under_readers(&path, &gates, &readers, || fixture.write(64));
        // The limit of 16 MiB, the header of each frame, and one transaction.
        assert!(largest < 18 * MIB, "{largest}");
        assert!(largest > 15 * MIB, "the test did not reach the limit");
    }

    #[test]
    fn a_backup_keeps_the_log_up_to_a_higher_limit() {
        let mut fixture = Fixture::new(Limits {
            pages: 1000,
            pages_during_backup: 5000,
        });
        let (path, gates) = (fixture.path.clone(), Arc::clone(&fixture.gates));
        let backup: [fn(&Gates) -> &Gate; 1] = [|gates| &gates.backups];
        let largest = under_readers(&path, &gates, &backup, || fixture.write(64));
        assert!(largest < 22 * MIB, "{largest}");
        assert!(largest > 18 * MIB, "{largest}");
    }

    #[test]
    fn a_reader_of_another_program_delays_a_restart_but_does_not_stop_the_writer() {
        let mut fixture = Fixture::new(Limits::default());
        let other = Connection::open(&fixture.path).unwrap();
        other
            .execute_batch("BEGIN; SELECT count(*) FROM keywright_keys")
            .unwrap();
        assert!(fixture.write(24) > 20 * MIB);
        other.execute_batch("COMMIT").unwrap();
        fixture.write(24);
        assert!(fixture.log_size() < 18 * MIB);
    }

    #[test]
    fn a_log_is_not_restarted_after_a_failed_sync() {
        let mut fixture = Fixture::new(Limits::default());
        fixture.files.mark_unsynced();
        assert!(fixture.write(24) > 20 * MIB);
    }

    #[test]
    fn only_a_failed_sync_counts_as_one() {
        let failure = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC] {
            assert!(is_failed_sync(&failure(code)), "{code}");
        }
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_IOERR_WRITE,
        ] {
            assert!(!is_failed_sync(&failure(code)), "{code}");
        }
    }
}
