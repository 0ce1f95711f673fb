//! Copies all keys of one store into another, while servers use the source.
//!
//! A copy takes any number of [runs](StoreCopy::run), and one that [finishes](StoreCopy::finish)
//! it. Each run carries what has changed since the one before. No server can use the target until
//! the copy has finished:
//!
//! 1. The first run marks the target as incomplete. A store with keys is rejected.
//! 2. The last run seals the source: from then on, it verifies keys and makes no changes. The run
//!    carries the last changes, and compares the number of keys and events, and a digest of them,
//!    for each workspace, and all reservations.
//! 3. Only then does the target become usable. So at no time does a server accept a key from the
//!    target that is revoked in the source.
//!
//! The servers of the source continue to verify keys with the state of that time. Stop them soon,
//! because they do not see later changes in the target.
//!
//! ```
//! use keywright_core::{
//!     Caller, Config, Keywright, MemoryStore, Name, NewKey, Prefix, Workspace,
//!     copy::StoreCopy,
//! };
//! use std::sync::Arc;
//!
//! # futures_executor::block_on(async {
//! let source = Arc::new(MemoryStore::new());
//! let config = || Prefix::parse("acme").map(Config::new);
//! let keys = Keywright::open(config()?, Arc::clone(&source) as _).await?;
//! let operator = Caller::operator(Workspace::parse("default")?);
//! let issued = keys.issuer().create(&operator, NewKey::new(Name::parse("CI")?)).await?;
//!
//! let target = Arc::new(MemoryStore::new());
//! let copy = StoreCopy::new(&*source, &*target);
//! copy.run().await?;
//! assert!(Keywright::open(config()?, Arc::clone(&target) as _).await.is_err());
//!
//! let report = copy.finish().await?;
//! assert_eq!(report.keys, 1);
//! let moved = Keywright::open(config()?, target).await?;
//! assert!(moved.verifier().verify(issued.token.expose().as_bytes()).await.is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod digest;
mod error;
mod pages;
mod report;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

pub(crate) use self::digest::ContentHasher;
use self::pages::{Item, PAGE, Pages, Pair, Reservations, Side, Workspaces, next_pair};
pub use self::{
    digest::ContentDigest,
    error::CopyError,
    report::{CopyObserver, CopyProgress, CopyReport, WorkspaceContent, WorkspaceReport},
};
use crate::{
    Clock, Entropy, Event, OsEntropy, Prefix, SystemClock, Workspace,
    store::{Import, Record, Stage, StoreError, StoreErrorKind, Transfer, TransferId},
    sync::PoisonError,
};

/// A copy of all keys of a store, with their hashes, lineage, events and reservations, into another
/// store.
///
/// Only one run of a copy writes at a time: when another one begins, the earlier one fails. A run
/// that is interrupted can be repeated.
///
/// It holds a few pages of each store in memory.
#[must_use]
pub struct StoreCopy<'a> {
    source: Side<'a>,
    target: Side<'a>,
    observer: Option<&'a dyn CopyObserver>,
    is_source_stopped: bool,
    /// The progress of the latest run.
    progress: Mutex<CopyProgress>,
}

/// The stores of a run, and the stage of the target while the run writes into it.
struct Run {
    receiving: Stage,
    /// The stage of the source at the start.
    source: Stage,
    /// The id of the target.
    target: TransferId,
}

impl Run {
    /// Returns the stage of the source after its keys have moved.
    fn moved(&self, prefix: &Prefix) -> Stage {
        Stage::Moved {
            prefix: prefix.clone(),
            to: self.target,
        }
    }
}

impl<'a> StoreCopy<'a> {
    /// Creates a copy from one store to another.
    pub fn new(source: &'a dyn Transfer, target: &'a dyn Transfer) -> Self {
        Self {
            source: Side {
                store: source,
                error: CopyError::Source,
            },
            target: Side {
                store: target,
                error: CopyError::of_target_error,
            },
            observer: None,
            is_source_stopped: false,
            progress: Mutex::default(),
        }
    }

    /// Sets an observer, which is notified of the progress.
    pub const fn with_observer(mut self, observer: &'a dyn CopyObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Confirms that no server has the source open. [`finish`](Self::finish) requires this if the
    /// source cannot be [sealed](Transfer::seals).
    pub const fn with_stopped_source(mut self) -> Self {
        self.is_source_stopped = true;
        self
    }

    /// Copies what the target does not have yet, and compares both stores. They may differ, because
    /// the source may change during the run.
    ///
    /// # Errors
    ///
    /// A [`CopyError`]. The target stays unusable, and the call can be repeated.
    pub async fn run(&self) -> Result<CopyReport, CopyError> {
        let run = self.begin().await?;
        self.transfer(&run).await
    }

    /// Finishes the copy: copies, seals the source, copies the last changes, compares both stores,
    /// and makes the target usable.
    ///
    /// # Errors
    ///
    /// A [`CopyError`]. The target stays unusable, and the source makes changes again. Only if a
    /// store fails in the very last step, or while this undoes the seal, the source stays sealed:
    /// repeat the call, or [`abort`] the copy.
    pub async fn finish(&self) -> Result<CopyReport, CopyError> {
        if !self.source.store.seals() && !self.is_source_stopped {
            return Err(CopyError::SourceNotSealable);
        }
        let run = self.begin().await?;
        // Servers wait for the last pass, so let it have little to do.
        self.pass(&run).await?;
        match self.seal_and_transfer(&run).await {
            Ok((report, source)) => {
                self.hand_over(&run, &source).await?;
                Ok(report)
            }
            Err(error) => {
                // If this fails as well, the operator calls it.
                let _ = abort(self.source.store, Some(self.target.store)).await;
                Err(error)
            }
        }
    }

    /// Seals the source, copies the last changes, and compares both stores. Returns the report and
    /// the stage of the source after it.
    async fn seal_and_transfer(&self, run: &Run) -> Result<(CopyReport, Stage), CopyError> {
        let source = self.source.store;
        let stage = match &run.source {
            Stage::Open(prefix) if source.seals() => Stage::Sealed(prefix.clone()),
            // No server opens the source from now on.
            Stage::Open(prefix) | Stage::Sealed(prefix) if !source.seals() => run.moved(prefix),
            stage => stage.clone(),
        };
        if stage != run.source {
            let sealed = source.set_stage(&run.source, &stage).await;
            sealed.map_err(self.source.error)?;
        }
        let report = self.transfer(run).await?;
        if report.differing > 0 {
            return Err(CopyError::Differs {
                count: report.differing,
                first: report.first_differing,
            });
        }
        if report.missing_reservations > 0 {
            return Err(CopyError::ReservationsDiffer {
                count: report.missing_reservations,
            });
        }
        Ok((report, stage))
    }

    /// Makes the target usable, and keeps servers from opening the source again.
    ///
    /// The source comes first: if this is interrupted, no server can open either store, and the
    /// next call of [`finish`](Self::finish) finishes.
    async fn hand_over(&self, run: &Run, source: &Stage) -> Result<(), CopyError> {
        let (Stage::Open(prefix) | Stage::Sealed(prefix) | Stage::Moved { prefix, .. }) = source
        else {
            return Err(CopyError::NoSource);
        };
        let moved = run.moved(prefix);
        if *source != moved {
            let done = self.source.store.set_stage(source, &moved).await;
            done.map_err(self.source.error)?;
        }
        let open = Stage::Open(prefix.clone());
        let done = self.target.store.set_stage(&run.receiving, &open).await;
        done.map_err(self.target.error)
    }

    /// Checks both stores, and marks the target.
    async fn begin(&self) -> Result<Run, CopyError> {
        let [source, target] = [self.source, self.target];
        *self.progress() = CopyProgress::default();
        let stage = source.store.stage().await.map_err(source.error)?;
        match stage {
            Stage::Unclaimed => return Err(CopyError::NoSource),
            Stage::Receiving { .. } => return Err(CopyError::SourceIncomplete),
            Stage::Open(_) | Stage::Sealed(_) | Stage::Moved { .. } => {}
        }
        let new_id = || TransferId::generate(&OsEntropy as &dyn Entropy);
        let source_id = source.store.identify(&new_id()?).await;
        let source_id = source_id.map_err(source.error)?;
        let target_id = target.store.identify(&new_id()?).await;
        let target_id = target_id.map_err(target.error)?;
        if target_id == source_id {
            return Err(CopyError::SameStore);
        }
        // Keys that were revoked in that store since then are still active here.
        if let Stage::Moved { to, .. } = &stage
            && *to != target_id
        {
            return Err(CopyError::SourceMoved);
        }
        let before = target.store.stage().await.map_err(target.error)?;
        let may_begin = match &before {
            Stage::Unclaimed => true,
            Stage::Receiving { source, .. } => *source == source_id,
            _ => false,
        };
        if !may_begin {
            return Err(match stage {
                Stage::Moved { .. } => CopyError::SourceMoved,
                _ => CopyError::of_target(before),
            });
        }
        let receiving = Stage::Receiving {
            source: source_id,
            run: new_id()?,
        };
        let marked = target.store.set_stage(&before, &receiving).await;
        marked.map_err(|error| match (error.kind(), before) {
            (StoreErrorKind::Conflict, Stage::Unclaimed) => CopyError::TargetNotEmpty,
            _ => (target.error)(error),
        })?;
        Ok(Run {
            receiving,
            source: stage,
            target: target_id,
        })
    }

    async fn transfer(&self, run: &Run) -> Result<CopyReport, CopyError> {
        self.pass(run).await?;
        self.compare().await
    }

    /// Makes the target's content that of the source.
    async fn pass(&self, run: &Run) -> Result<(), CopyError> {
        let mut workspaces = Workspaces::of_both([self.source, self.target]);
        while let Some(workspace) = workspaces.next().await? {
            self.carry::<Record>(run, &workspace).await?;
            self.carry::<Event>(run, &workspace).await?;
        }
        self.carry_reservations(run).await
    }

    async fn carry<T: Item>(&self, run: &Run, workspace: &Workspace) -> Result<(), CopyError> {
        let mut source: Pages<'_, T> = Pages::new(self.source, workspace);
        let mut target: Pages<'_, T> = Pages::new(self.target, workspace);
        let mut import = Import::default();
        let mut read: u64 = 0;
        while let Some(pair) = next_pair(&mut source, &mut target).await? {
            match pair {
                Pair {
                    source: Some(source),
                    target,
                } => {
                    T::count(&mut self.progress());
                    if target.as_ref() != Some(&source) {
                        source.write(&mut import);
                    }
                }
                Pair { target, .. } => target.into_iter().for_each(|item| item.delete(&mut import)),
            }
            read += 1;
            if import.len() >= PAGE as usize {
                self.write(run, &mut import).await?;
            }
            if read.is_multiple_of(PAGE.into()) {
                self.notify();
            }
        }
        self.write(run, &mut import).await
    }

    async fn carry_reservations(&self, run: &Run) -> Result<(), CopyError> {
        let now = SystemClock::default().now();
        let mut last = None;
        loop {
            let page = self.source.store.export_reservations(last.as_ref(), PAGE);
            let page = page.await.map_err(self.source.error)?;
            let Some(reservation) = page.last() else {
                return Ok(());
            };
            last = Some(reservation.key);
            let mut import = Import::default();
            let current = page.into_iter().filter(|binding| binding.until > now);
            import.reservations.extend(current);
            self.progress().reservations += import.reservations.len() as u64;
            self.write(run, &mut import).await?;
        }
    }

    async fn write(&self, run: &Run, import: &mut Import) -> Result<(), CopyError> {
        if import.is_empty() {
            return Ok(());
        }
        let import = std::mem::take(import);
        let written = self.target.store.import(&run.receiving, &import).await;
        written.map_err(self.target.error)?;
        let is_written = import.len() - import.reservations.len();
        self.progress().written += is_written as u64;
        self.notify();
        Ok(())
    }

    /// Compares the content of both stores.
    async fn compare(&self) -> Result<CopyReport, CopyError> {
        let mut report = CopyReport {
            written: self.progress().written,
            ..CopyReport::default()
        };
        let mut workspaces = Workspaces::of_both([self.source, self.target]);
        while let Some(workspace) = workspaces.next().await? {
            let source = self.content(self.source, &workspace).await?;
            let target = self.content(self.target, &workspace).await?;
            let compared = WorkspaceReport {
                workspace,
                source,
                target,
            };
            if let Some(observer) = self.observer {
                observer.compared(&compared);
            }
            report.add(compared);
        }
        self.compare_reservations(&mut report).await?;
        Ok(report)
    }

    /// Looks for the current reservations of the source in the target. The target may have more: a
    /// server of the source may have deleted one since it was copied, because it has ended by the
    /// clock of that server.
    async fn compare_reservations(&self, report: &mut CopyReport) -> Result<(), CopyError> {
        let now = SystemClock::default().now();
        let mut source = Reservations::new(self.source);
        let mut target = Reservations::new(self.target);
        let mut candidate = target.next().await?;
        while let Some(reservation) = source.next().await? {
            if reservation.until <= now {
                continue;
            }
            while candidate
                .as_ref()
                .is_some_and(|it| it.key < reservation.key)
            {
                candidate = target.next().await?;
            }
            report.reservations += 1;
            if candidate.as_ref() != Some(&reservation) {
                report.missing_reservations += 1;
            }
        }
        Ok(())
    }

    async fn content(
        &self,
        side: Side<'_>,
        workspace: &Workspace,
    ) -> Result<WorkspaceContent, CopyError> {
        let mut hasher = ContentHasher::new();
        let [mut keys, mut events] = [0; 2];
        let mut records: Pages<'_, Record> = Pages::new(side, workspace);
        while let Some(record) = records.next().await? {
            hasher.add_record(&record);
            keys += 1;
            self.count_compared();
        }
        let mut log: Pages<'_, Event> = Pages::new(side, workspace);
        while let Some(event) = log.next().await? {
            let added = hasher.add_event(&event);
            added.map_err(|kind| (side.error)(StoreError::new(kind, "copy")))?;
            events += 1;
            self.count_compared();
        }
        Ok(WorkspaceContent {
            keys,
            events,
            digest: hasher.finish(),
        })
    }

    fn count_compared(&self) {
        let mut progress = self.progress();
        progress.compared += 1;
        let is_due = progress.compared.is_multiple_of(PAGE.into());
        drop(progress);
        if is_due {
            self.notify();
        }
    }

    fn notify(&self) {
        if let Some(observer) = self.observer {
            let progress = *self.progress();
            observer.progressed(&progress);
        }
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, CopyProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for StoreCopy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreCopy")
            .field("source", &self.source.store)
            .field("target", &self.target.store)
            .finish_non_exhaustive()
    }
}

/// Undoes an interrupted [`finish`](StoreCopy::finish): lets the source make changes again. The
/// target stays unusable.
///
/// `target` is the target of the copy, if it can be opened. Without it, a source whose keys may
/// have moved stays as it is.
///
/// # Errors
///
/// [`CopyError::Finished`] if the target is in use, or may be. [`CopyError::Source`] and
/// [`CopyError::Target`] if a store fails, [`CopyError::Superseded`] if another run has begun, and
/// [`CopyError::Random`] if the source of random bytes fails.
pub async fn abort(source: &dyn Transfer, target: Option<&dyn Transfer>) -> Result<(), CopyError> {
    let stage = source.stage().await.map_err(CopyError::Source)?;
    if let Stage::Moved { to, .. } = stage {
        let Some(target) = target else {
            return Err(CopyError::Finished);
        };
        let run = TransferId::generate(&OsEntropy as &dyn Entropy)?;
        let id = target.identify(&run).await.map_err(CopyError::Target)?;
        let before = target.stage().await.map_err(CopyError::Target)?;
        let Stage::Receiving { source, .. } = before else {
            return Err(CopyError::Finished);
        };
        if id != to {
            return Err(CopyError::Finished);
        }
        // Take the mark over, so that no run of the copy makes the target usable.
        let taken = Stage::Receiving { source, run };
        let done = target.set_stage(&before, &taken).await;
        done.map_err(CopyError::of_target_error)?;
    }
    reopen(source).await.map_err(CopyError::Source)
}

/// Lets a sealed store make changes again.
async fn reopen(source: &dyn Transfer) -> Result<(), StoreError> {
    let stage = source.stage().await?;
    match &stage {
        Stage::Sealed(prefix) | Stage::Moved { prefix, .. } => {
            source.set_stage(&stage, &Stage::Open(prefix.clone())).await
        }
        Stage::Unclaimed | Stage::Receiving { .. } | Stage::Open(_) => Ok(()),
    }
}
