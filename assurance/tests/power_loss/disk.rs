//! A disk that forgets what was not synced, and one that fails.
//!
//! What is written stays in a cache, as in a real system, until it is synced. When the power is cut,
//! each sector of each write that waits is on the disk or is not, whatever was written after it, or
//! holds neither what it was nor what it should be. So it is with lengths, and with the names of
//! files that were made or removed since their directory was synced.
//!
//! Only the bytes that are being written are at stake: a sector that is half written anew keeps its
//! other half, as SQLite assumes of every disk of today (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`).

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

use crate::chance::{chance, draw};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// Files by their names.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// The number of a file, whatever its name.
pub(crate) type Inode = usize;

/// How a step fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    Io,
    Full,
    ReadOnly,
}

/// What may fail or lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Read,
    Write,
    Sync,
}

/// Which of the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Database,
    Log,
    /// Both, and the journal that there is before the log.
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

/// A disk of a folder. See the module's docs.
pub(crate) struct Disk {
    state: Mutex<State>,
    dead: AtomicBool,
    /// How many steps have failed because they were told to.
    failed: AtomicU32,
}

struct State {
    random: ChaCha8Rng,
    files: Vec<File>,
    names: BTreeMap<String, Name>,
    cut: Option<Cut>,
    /// Whose syncs do nothing, and say that they did.
    lying: Option<Part>,
    failing: Option<(Step, Part, Failure)>,
    survivors: Option<Image>,
}

/// The power is cut during the last of so many steps that change a part.
struct Cut {
    part: Part,
    steps: u32,
}

/// What of a file is on the disk, and what is in the cache alone.
struct File {
    name: String,
    durable: Vec<u8>,
    waiting: Vec<Change>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// The file of a name on the disk, and those that it has had since the directory was synced.
#[derive(Default)]
struct Name {
    durable: Option<Inode>,
    waiting: Vec<Option<Inode>>,
}

impl Name {
    fn now(&self) -> Option<Inode> {
        self.waiting.last().copied().unwrap_or(self.durable)
    }
}

impl Disk {
    /// A disk with these files on it, whose accidents are drawn from the seed.
    pub(crate) fn new(seed: u64, image: &Image) -> Self {
        let mut state = State {
            random: ChaCha8Rng::seed_from_u64(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            cut: None,
            lying: None,
            failing: None,
            survivors: None,
        };
        for (name, bytes) in image {
            state.add_durable(name, bytes.clone());
        }
        Self {
            state: Mutex::new(state),
            dead: AtomicBool::new(false),
            failed: AtomicU32::new(0),
        }
    }

    /// Has the power cut during one of the next steps that change a part.
    pub(crate) fn cut_after(&self, part: Part, steps: u32) {
        self.state.lock().unwrap().cut = Some(Cut { part, steps });
    }

    /// Cuts the power now, unless it was cut before.
    pub(crate) fn cut_now(&self) {
        self.state.lock().unwrap().cut(&self.dead);
    }

    /// Has the syncs of a part do nothing from now on, as `PRAGMA synchronous = OFF` would.
    pub(crate) fn lie_about(&self, part: Part) {
        self.state.lock().unwrap().lying = Some(part);
    }

    /// Has each such step fail from now on. A sync that fails loses what it should have written, as
    /// Linux does: the next one does not try again.
    pub(crate) fn fail(&self, step: Step, part: Part, failure: Failure) {
        self.failed.store(0, Ordering::Relaxed);
        self.state.lock().unwrap().failing = Some((step, part, failure));
    }

    /// Ends that, and tells how many steps have failed.
    pub(crate) fn heal(&self) -> u32 {
        self.state.lock().unwrap().failing = None;
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the power was cut: nothing is done any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// What is left after the power was cut.
    pub(crate) fn survivors(&self) -> Image {
        self.state.lock().unwrap().survivors.clone().unwrap()
    }

    /// A file is opened, and made if it is not there and that was asked for. Tells whether it was.
    pub(crate) fn open(&self, name: &str, path: Option<&Path>, creates: bool) -> (Inode, bool) {
        let mut state = self.state.lock().unwrap();
        if let Some(inode) = state.names.get(name).and_then(Name::now) {
            return (inode, false);
        }
        // The store makes the file itself, and syncs its name, before SQLite opens it.
        if Part::Database.has(name) {
            let bytes = path.and_then(|path| fs::read(path).ok());
            return (state.add_durable(name, bytes.unwrap_or_default()), false);
        }
        let inode = state.add(name, Vec::new());
        let history = state.names.entry(name.into()).or_default();
        history.waiting.push(Some(inode));
        (inode, creates)
    }

    pub(crate) fn read(&self, inode: Inode) -> Result<(), Failure> {
        if self.is_dead() {
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
        state.files[inode].waiting.push(change);
        state.count_down(inode, &self.dead);
        self.alive()
    }

    pub(crate) fn sync(&self, inode: Inode) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap();
        self.alive()?;
        if let Err(failure) = self.check(&state, Step::Sync, inode) {
            // Some of it may have been written before it failed.
            state.settle(inode);
            return Err(failure);
        }
        state.count_down(inode, &self.dead);
        self.alive()?;
        let lying = state.lying;
        let file = &mut state.files[inode];
        if !lying.is_some_and(|part| part.has(&file.name)) {
            for change in file.waiting.drain(..) {
                change.apply(&mut file.durable);
            }
        }
        Ok(())
    }

    /// A name is taken away.
    pub(crate) fn delete(&self, name: &str) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap();
        self.alive()?;
        if let Some(inode) = state.names.get(name).and_then(Name::now) {
            state.count_down(inode, &self.dead);
            self.alive()?;
            state
                .names
                .entry(name.into())
                .or_default()
                .waiting
                .push(None);
        }
        Ok(())
    }

    /// The directory is synced: all names are durable as they are.
    pub(crate) fn sync_names(&self) {
        for name in self.state.lock().unwrap().names.values_mut() {
            name.durable = name.now();
            name.waiting.clear();
        }
    }

    fn alive(&self) -> Result<(), Failure> {
        if self.is_dead() {
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
            waiting: Vec::new(),
        });
        self.files.len() - 1
    }

    fn add_durable(&mut self, name: &str, bytes: Vec<u8>) -> Inode {
        let inode = self.add(name, bytes);
        self.names.entry(name.into()).or_default().durable = Some(inode);
        inode
    }

    fn count_down(&mut self, inode: Inode, dead: &AtomicBool) {
        let name = &self.files[inode].name;
        if let Some(cut) = self.cut.as_mut().filter(|cut| cut.part.has(name)) {
            cut.steps = cut.steps.saturating_sub(1);
            if cut.steps == 0 {
                self.cut(dead);
            }
        }
    }

    fn cut(&mut self, dead: &AtomicBool) {
        if dead.swap(true, Ordering::AcqRel) {
            return;
        }
        for inode in 0..self.files.len() {
            self.settle(inode);
        }
        let mut survivors = Image::new();
        for (name, history) in &self.names {
            // A directory is written in order.
            let survived = draw(&mut self.random, history.waiting.len() + 1);
            let inode = match survived.checked_sub(1) {
                None => history.durable,
                Some(last) => history.waiting[last],
            };
            if let Some(inode) = inode {
                survivors.insert(name.clone(), self.files[inode].durable.clone());
            }
        }
        self.survivors = Some(survivors);
    }

    /// What waits for its sync reaches the disk or does not.
    fn settle(&mut self, inode: Inode) {
        let Self { files, random, .. } = self;
        let File {
            durable, waiting, ..
        } = &mut files[inode];
        // From a disk that had no time at all to one that was done.
        let kept = [0, 20, 50, 90, 100][draw(random, 5)];
        for change in waiting.drain(..) {
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

/// The parts of a write that lie in one sector each.
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

    /// What a disk keeps of a file after this, over many seeds.
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
                disk.survivors().remove("x.db-wal")
            })
            .collect()
    }

    #[test]
    fn what_was_synced_is_kept_and_what_was_not_may_be() {
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
    fn a_file_whose_directory_was_not_synced_may_be_gone_and_a_removed_one_be_back() {
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
    fn a_sync_that_failed_is_not_made_good_by_the_next() {
        let outcomes = kept(|disk, log| {
            disk.sync_names();
            disk.write(log, 0, b"lost").unwrap();
            disk.fail(Step::Sync, Part::Log, Failure::Io);
            assert_eq!(disk.sync(log), Err(Failure::Io));
            assert_eq!(disk.heal(), 1);
            disk.sync(log).unwrap();
        });
        assert!(outcomes.contains(&Some(Vec::new())));
    }
}
