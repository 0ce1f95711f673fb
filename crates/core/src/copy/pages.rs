//! Reading a store in pages, in the order of ids.

use std::{cmp::Ordering, pin::Pin, vec};

use super::{error::CopyError, report::CopyProgress};
use crate::{
    Event, EventId, KeyId, Workspace,
    store::{Import, Record, Reservation, StoreError, Transfer},
};

/// The number of records or events that are read or written at once.
pub(super) const PAGE: u32 = 1_000;

/// The store that is read, which its errors name.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) store: &'a dyn Transfer,
    pub(super) error: fn(StoreError) -> CopyError,
}

type Reading<'r, T> = Pin<Box<dyn Future<Output = Result<Vec<T>, StoreError>> + Send + 'r>>;

/// A record or an event.
pub(super) trait Item: PartialEq + Clone + Send + Sync + Sized {
    type Id: Ord + Copy + Send + Sync;

    fn id(&self) -> Self::Id;

    /// Reads the page of a workspace after an id.
    fn read<'r>(
        store: &'r dyn Transfer,
        workspace: &'r Workspace,
        after: Option<&'r Self::Id>,
    ) -> Reading<'r, Self>;

    /// Counts an item of the source.
    fn count(progress: &mut CopyProgress);

    /// Adds an item that the target lacks, or has with another content.
    fn write(self, import: &mut Import);

    /// Adds an item that only the target has.
    fn delete(self, import: &mut Import);
}

impl Item for Record {
    type Id = KeyId;

    fn id(&self) -> KeyId {
        self.key.id
    }

    fn read<'r>(
        store: &'r dyn Transfer,
        workspace: &'r Workspace,
        after: Option<&'r KeyId>,
    ) -> Reading<'r, Self> {
        store.export_records(workspace, after, PAGE)
    }

    fn count(progress: &mut CopyProgress) {
        progress.keys += 1;
    }

    fn write(self, import: &mut Import) {
        import.records.push(self);
    }

    fn delete(self, import: &mut Import) {
        import.purged_records.push(self);
    }
}

impl Item for Event {
    type Id = EventId;

    fn id(&self) -> EventId {
        self.id
    }

    fn read<'r>(
        store: &'r dyn Transfer,
        workspace: &'r Workspace,
        after: Option<&'r EventId>,
    ) -> Reading<'r, Self> {
        store.export_events(workspace, after, PAGE)
    }

    fn count(progress: &mut CopyProgress) {
        progress.events += 1;
    }

    fn write(self, import: &mut Import) {
        import.events.push(self);
    }

    fn delete(self, import: &mut Import) {
        import.purged_events.push(self);
    }
}

/// The records or the events of a workspace, read page by page.
pub(super) struct Pages<'a, T: Item> {
    side: Side<'a>,
    workspace: &'a Workspace,
    page: vec::IntoIter<T>,
    last: Option<T::Id>,
    ended: bool,
}

impl<'a, T: Item> Pages<'a, T> {
    pub(super) fn new(side: Side<'a>, workspace: &'a Workspace) -> Self {
        Self {
            side,
            workspace,
            page: Vec::new().into_iter(),
            last: None,
            ended: false,
        }
    }

    /// Returns the id of the next item.
    async fn peek(&mut self) -> Result<Option<T::Id>, CopyError> {
        if self.page.as_slice().is_empty() && !self.ended {
            let page = T::read(self.side.store, self.workspace, self.last.as_ref()).await;
            let page = page.map_err(self.side.error)?;
            self.ended = page.is_empty();
            self.last = page.last().map(T::id).or(self.last);
            self.page = page.into_iter();
        }
        Ok(self.page.as_slice().first().map(T::id))
    }

    /// Returns the next item.
    pub(super) async fn next(&mut self) -> Result<Option<T>, CopyError> {
        self.peek().await?;
        Ok(self.page.next())
    }
}

/// An item of the source, the target, or both.
pub(super) struct Pair<T> {
    pub(super) source: Option<T>,
    pub(super) target: Option<T>,
}

/// Returns the next item of two stores, in the order of ids.
pub(super) async fn next_pair<T: Item>(
    source: &mut Pages<'_, T>,
    target: &mut Pages<'_, T>,
) -> Result<Option<Pair<T>>, CopyError> {
    let order = match (source.peek().await?, target.peek().await?) {
        (None, None) => return Ok(None),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(source), Some(target)) => source.cmp(&target),
    };
    Ok(Some(Pair {
        source: order.is_le().then(|| source.page.next()).flatten(),
        target: order.is_ge().then(|| target.page.next()).flatten(),
    }))
}

/// The workspaces of two stores, in the order of their names.
pub(super) struct Workspaces<'a> {
    sides: [(Side<'a>, vec::IntoIter<Workspace>, bool); 2],
    last: Option<Workspace>,
}

impl<'a> Workspaces<'a> {
    pub(super) fn of_both(sides: [Side<'a>; 2]) -> Self {
        Self {
            sides: sides.map(|side| (side, Vec::new().into_iter(), false)),
            last: None,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Workspace>, CopyError> {
        let mut first: Option<Workspace> = None;
        for (side, page, ended) in &mut self.sides {
            let is_done = |workspace: &Workspace| Some(workspace) <= self.last.as_ref();
            while page.as_slice().first().is_some_and(is_done) {
                page.next();
            }
            if page.as_slice().is_empty() && !*ended {
                let next = side.store.workspaces(self.last.as_ref()).await;
                let next = next.map_err(side.error)?;
                *ended = next.is_empty();
                *page = next.into_iter();
            }
            if let Some(workspace) = page.as_slice().first()
                && first.as_ref().is_none_or(|first| workspace < first)
            {
                first = Some(workspace.clone());
            }
        }
        if first.is_some() {
            self.last.clone_from(&first);
        }
        Ok(first)
    }
}

/// The reservations of a store, in the order of their keys.
pub(super) struct Reservations<'a> {
    side: Side<'a>,
    page: vec::IntoIter<Reservation>,
    last: Option<[u8; 32]>,
}

impl<'a> Reservations<'a> {
    pub(super) fn new(side: Side<'a>) -> Self {
        Self {
            side,
            page: Vec::new().into_iter(),
            last: None,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Reservation>, CopyError> {
        if self.page.as_slice().is_empty() {
            let store = self.side.store;
            let page = store.export_reservations(self.last.as_ref(), PAGE).await;
            self.page = page.map_err(self.side.error)?.into_iter();
        }
        let next = self.page.next();
        self.last = next.as_ref().map(|binding| binding.key).or(self.last);
        Ok(next)
    }
}
