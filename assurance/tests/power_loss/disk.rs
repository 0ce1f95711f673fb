//! A simulated disk that loses unsynced writes when the power is cut, and that can fail.
//!
//! As in a real system, writes stay in a cache until they are synced. When the power is cut, each
//! sector of each pending write reaches the disk or does not, independently of later writes, or is
//! replaced by garbage. Pending truncations reach the disk or do not, and so do the creations and
//! deletions of files since their directory was last synced.
//!
//! A write can only damage the bytes that it writes. If it covers half a sector, the other half
//! stays intact. SQLite assumes this of current disks (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`).

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::random::{chance, draw};

/// The unit of writing, in bytes.
const SECTOR: usize = 512;

/// The contents of files, by name.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// The number of a file, which does not depend on its name.
pub(crate) type Inode = usize;

/// The error that a failing operation returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    Io,
    Full,
    ReadOnly,
}

/// The kind of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Read,
    Write,
    Sync,
}

/// The files that a setting applies to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Database,
    Log,
    /// All files, including the journal that SQLite uses before it creates the log.
    Any,
}

impl Part {
    fn has(self, name: &str) -> bool {
        match self {
            Self::Database => name.ends_with(".db"),
            Self::Log => name.ends_with("-wal"),
            Self::Any => true,
        }
    }
}

/// The simulated disk of a folder. See the module documentation.
pub(crate) struct Disk {
    state: Mutex<State>,
    off: AtomicBool,
    /// The number of operations that failed as requested with [`fail`](Disk::fail).
    failed: AtomicU32,
}

struct State {
    random: ChaCha8Rng,
    files: Vec<File>,
    names: BTreeMap<String, Name>,
    cut: Option<Cut>,
    /// The files whose syncs report success and do nothing.
    ignored_syncs: Option<Part>,
    failing: Option<(Step, Part, Failure)>,
    image_after_cut: Option<Image>,
}

/// A planned power cut: the power is cut during the last of this many operations that change the
/// part.
struct Cut {
    part: Part,
    steps: u32,
}

/// A file: its contents on the disk, and the changes in the cache.
struct File {
    name: String,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// The file that a name refers to on the disk, and the changes since the directory was last synced.
#[derive(Default)]
struct Name {
    durable: Option<Inode>,
    pending: Vec<Option<Inode>>,
}

impl Name {
    fn now(&self) -> Option<Inode> {
        self.pending.last().copied().unwrap_or(self.durable)
    }
}

impl Disk {
    /// Creates a disk with these files. The seed determines what a power cut leaves.
    pub(crate) fn new(seed: u64, image: &Image) -> Self {
        let mut state = State {
            random: ChaCha8Rng::seed_from_u64(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            cut: None,
            ignored_syncs: None,
            failing: None,
            image_after_cut: None,
        };
        for (name, bytes) in image {
            state.add_durable(name, bytes.clone());
        }
        Self {
            state: Mutex::new(state),
            off: AtomicBool::new(false),
            failed: AtomicU32::new(0),
        }
    }

    /// Plans a power cut during the last of the next `steps` operations that change a part.
    pub(crate) fn cut_after(&self, part: Part, steps: u32) {
        self.state.lock().unwrap().cut = Some(Cut { part, steps });
    }

    /// Cuts the power now, unless it is already cut.
    pub(crate) fn cut_now(&self) {
        self.state.lock().unwrap().cut(&self.off);
    }

    /// Makes the syncs of a part do nothing from now on, like `PRAGMA synchronous = OFF`.
    pub(crate) fn ignore_syncs(&self, part: Part) {
        self.state.lock().unwrap().ignored_syncs = Some(part);
    }

    /// Makes each such operation fail from now on. As on Linux, a failed sync drops the pending
    /// writes: the next sync does not retry them.
    pub(crate) fn fail(&self, step: Step, part: Part, failure: Failure) {
        self.failed.store(0, Ordering::Relaxed);
        self.state.lock().unwrap().failing = Some((step, part, failure));
    }

    /// Ends the failure, and returns how many operations have failed.
    pub(crate) fn clear_failure(&self) -> u32 {
        self.state.lock().unwrap().failing = None;
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the power is cut. All operations then fail.
    pub(crate) fn is_off(&self) -> bool {
        self.off.load(Ordering::Acquire)
    }

    /// The files that are left after the power was cut.
    pub(crate) fn image_after_cut(&self) -> Image {
        self.state.lock().unwrap().image_after_cut.clone().unwrap()
    }

    /// Opens a file, and creates it if it does not exist. Returns whether it was created as
    /// `creates` requested.
    pub(crate) fn open(&self, name: &str, path: Option<&Path>, creates: bool) -> (Inode, bool) {
        let mut state = self.state.lock().unwrap();
        if let Some(inode) = state.names.get(name).and_then(Name::now) {
            return (inode, false);
        }
        // The store creates the file and syncs its directory before SQLite opens it.
        if Part::Database.has(name) {
            let bytes = path.and_then(|path| fs::read(path).ok());
            return (state.add_durable(name, bytes.unwrap_or_default()), false);
        }
        let inode = state.add(name, Vec::new());
        let history = state.names.entry(name.into()).or_default();
        history.pending.push(Some(inode));
        (inode, creates)
    }

    pub(crate) fn read(&self, inode: Inode) -> Result<(), Failure> {
        if self.is_off() {
            return Err(Failure::Io);
        }
        self.check(&self.state.lock().unwrap(), Step::Read, inode)
    }

    pub(crate) fn write(&self, inode: Inode, offset: usize, bytes: &[u8]) -> Result<(), Failure> {
        self.change(
            inode,
            Change::Write {
                offset,
                bytes: bytes.into(),
            },
        )
    }

    pub(crate) fn truncate(&self, inode: Inode, length: usize) -> Result<(), Failure> {
        self.change(inode, Change::Truncate(length))
    }

    fn change(&self, inode: Inode, change: Change) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap();
        self.alive()?;
        self.check(&state, Step::Write, inode)?;
        state.files[inode].pending.push(change);
        state.count_down(inode, &self.off);
        self.alive()
    }

    pub(crate) fn sync(&self, inode: Inode) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap();
        self.alive()?;
        if let Err(failure) = self.check(&state, Step::Sync, inode) {
            // Some of the pending writes may have reached the disk before the sync failed.
            state.write_some(inode);
            return Err(failure);
        }
        state.count_down(inode, &self.off);
        self.alive()?;
        let ignored_syncs = state.ignored_syncs;
        let file = &mut state.files[inode];
        if !ignored_syncs.is_some_and(|part| part.has(&file.name)) {
            for change in file.pending.drain(..) {
                change.apply(&mut file.durable);
            }
        }
        Ok(())
    }

    /// Deletes a name.
    pub(crate) fn delete(&self, name: &str) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap();
        self.alive()?;
        if let Some(inode) = state.names.get(name).and_then(Name::now) {
            state.count_down(inode, &self.off);
            self.alive()?;
            state
                .names
                .entry(name.into())
                .or_default()
                .pending
                .push(None);
        }
        Ok(())
    }

    /// Syncs the directory: the current names become durable.
    pub(crate) fn sync_names(&self) {
        for name in self.state.lock().unwrap().names.values_mut() {
            name.durable = name.now();
            name.pending.clear();
        }
    }

    fn alive(&self) -> Result<(), Failure> {
        if self.is_off() {
            Err(Failure::Io)
        } else {
            Ok(())
        }
    }

    fn check(&self, state: &State, step: Step, inode: Inode) -> Result<(), Failure> {
        match state.failing {
            Some((failing, part, failure))
                if failing == step && part.has(&state.files[inode].name) =>
            {
                self.failed.fetch_add(1, Ordering::Relaxed);
                Err(failure)
            }
            _ => Ok(()),
        }
    }
}

impl State {
    fn add(&mut self, name: &str, durable: Vec<u8>) -> Inode {
        self.files.push(File {
            name: name.into(),
            durable,
            pending: Vec::new(),
        });
        self.files.len() - 1
    }

    fn add_durable(&mut self, name: &str, bytes: Vec<u8>) -> Inode {
        let inode = self.add(name, bytes);
        self.names.entry(name.into()).or_default().durable = Some(inode);
        inode
    }

    fn count_down(&mut self, inode: Inode, off: &AtomicBool) {
        let name = &self.files[inode].name;
        if let Some(cut) = self.cut.as_mut().filter(|cut| cut.part.has(name)) {
            cut.steps = cut.steps.saturating_sub(1);
            if cut.steps == 0 {
                self.cut(off);
            }
        }
    }

    fn cut(&mut self, off: &AtomicBool) {
        if off.swap(true, Ordering::AcqRel) {
            return;
        }
        for inode in 0..self.files.len() {
            self.write_some(inode);
        }
        let mut image_after_cut = Image::new();
        for (name, history) in &self.names {
            // Changes to a directory reach the disk in order.
            let survived = draw(&mut self.random, history.pending.len() + 1);
            let inode = match survived.checked_sub(1) {
                None => history.durable,
                Some(last) => history.pending[last],
            };
            if let Some(inode) = inode {
                image_after_cut.insert(name.clone(), self.files[inode].durable.clone());
            }
        }
        self.image_after_cut = Some(image_after_cut);
    }

    /// Writes a random part of the pending changes to the disk, and drops the others.
    fn write_some(&mut self, inode: Inode) {
        let Self { files, random, .. } = self;
        let File {
            durable, pending, ..
        } = &mut files[inode];
        // From a disk that had written nothing yet to one that had written everything.
        let kept = [0, 20, 50, 90, 100][draw(random, 5)];
        for change in pending.drain(..) {
            match change {
                Change::Truncate(_) if chance(random, kept) => change.apply(durable),
                Change::Truncate(_) => {}
                Change::Write { offset, bytes } => {
                    for (offset, mut bytes) in sectors(offset, bytes) {
                        if !chance(random, kept) {
                            continue;
                        }
                        if kept < 100 && chance(random, 5) {
                            random.fill_bytes(&mut bytes);
                        }
                        Change::Write { offset, bytes }.apply(durable);
                    }
                }
            }
        }
    }
}

impl Change {
    fn apply(self, file: &mut Vec<u8>) {
        match self {
            Self::Truncate(length) => file.resize(length, 0),
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[offset..end].copy_from_slice(&bytes);
            }
        }
    }
}

/// Splits a write into parts that lie within one sector each.
fn sectors(mut offset: usize, mut bytes: Vec<u8>) -> Vec<(usize, Vec<u8>)> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let length = (SECTOR - offset % SECTOR).min(bytes.len());
        let rest = bytes.split_off(length);
        parts.push((offset, bytes));
        offset += length;
        bytes = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is left of a file after this work and a power cut, for many seeds.
    fn kept(work: impl Fn(&Disk, Inode)) -> Vec<Option<Vec<u8>>> {
        (0..200)
            .map(|seed| {
                let disk = Disk::new(seed, &Image::new());
                let (log, is_new) = disk.open("x.db-wal", None, true);
                assert!(is_new);
                work(&disk, log);
                disk.cut_now();
                assert_eq!(disk.write(log, 0, b"late"), Err(Failure::Io));
                assert_eq!(disk.sync(log), Err(Failure::Io));
                disk.image_after_cut().remove("x.db-wal")
            })
            .collect()
    }

    #[test]
    fn synced_writes_are_kept_and_unsynced_writes_may_be_lost() {
        let old = [1; 2 * SECTOR];
        let outcomes = kept(|disk, log| {
            disk.write(log, 0, &old).unwrap();
            disk.sync(log).unwrap();
            disk.sync_names();
            disk.write(log, 0, &[2; 2 * SECTOR]).unwrap();
        });
        let is = |first: u8, second: u8| [vec![first; SECTOR], vec![second; SECTOR]].concat();
        for torn in [is(1, 1), is(1, 2), is(2, 1), is(2, 2)] {
            assert!(outcomes.contains(&Some(torn)));
        }
        assert!(outcomes.iter().all(|outcome| {
            outcome
                .as_ref()
                .is_some_and(|bytes| bytes.len() == 2 * SECTOR)
        }));
    }

    #[test]
    fn without_a_directory_sync_a_new_file_may_vanish_and_a_deleted_file_may_return() {
        let outcomes = kept(|disk, log| {
            disk.write(log, 0, b"new").unwrap();
            disk.sync(log).unwrap();
        });
        assert!(outcomes.contains(&None));
        assert!(outcomes.contains(&Some(b"new".into())));
        let outcomes = kept(|disk, log| {
            disk.write(log, 0, b"old").unwrap();
            disk.sync(log).unwrap();
            disk.sync_names();
            disk.delete("x.db-wal").unwrap();
        });
        assert!(outcomes.contains(&None));
        assert!(outcomes.contains(&Some(b"old".into())));
    }

    #[test]
    fn a_sync_does_not_retry_what_a_failed_sync_dropped() {
        let outcomes = kept(|disk, log| {
            disk.sync_names();
            disk.write(log, 0, b"lost").unwrap();
            disk.fail(Step::Sync, Part::Log, Failure::Io);
            assert_eq!(disk.sync(log), Err(Failure::Io));
            assert_eq!(disk.clear_failure(), 1);
            disk.sync(log).unwrap();
        });
        assert!(outcomes.contains(&Some(Vec::new())));
    }
}
