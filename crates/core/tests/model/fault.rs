//! Faults that are planted around the library's sources, to show that the check detects them.

use std::cell::{Cell, RefCell};

use crate::store::Record;

/// A planted fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The record is read before the stamp is taken, so that the comparison at the end of the fill
    /// misses a change in between.
    ReadBeforeStamp,
    /// A fill makes its entry fresh with a store instead of a compare-and-exchange.
    StoreInsteadOfExchange,
    /// Fills have no numbers, so that a fill mistakes another fill's entry for its own.
    FillsNotNumbered,
    /// A change moves the generation, but does not mark the entry as stale.
    EntryNotMarked,
    /// A change is published before it is committed.
    PublishedBeforeCommit,
    /// A change is published after it is acknowledged.
    PublishedAfterAcknowledgement,
    /// The lease is extended before the changes are published.
    ExtendedBeforePublished,
    /// The lease is extended from the time of the response instead of the request.
    ExtendedFromResponse,
    /// The lease is checked after the entry.
    LeaseAfterEntry,
    /// The coarse clock is further behind than leases allow for.
    CoarserThanATick,
    /// The lease is not checked again after a slow hash.
    LeaseNotCheckedAfterHash,
    /// A rehash is queued before the entry is in the cache.
    QueuedBeforeFill,
    /// The flag of an outdated entry is cleared after its rehash is queued.
    ClearedAfterQueueing,
    /// A check that fails ends without distrusting the tag.
    FailedCheckForgotten,
    /// An entry does not note that only a tag proves it.
    NotMarkedAsByTag,
}

thread_local! {
    // Shuttle runs all threads of a model on one thread of the system.
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

shuttle::thread_local! {
    static SKIP_LEASE: Cell<bool> = Cell::new(false);
    static READ_AHEAD: RefCell<Option<Option<Record>>> = RefCell::new(None);
}

/// Plants a fault in all models of this thread, or removes it.
pub(crate) fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

pub(crate) fn planted() -> Option<Fault> {
    PLANTED.get()
}

pub(crate) fn is(fault: Fault) -> bool {
    planted() == Some(fault)
}

/// Makes the next load of an atomic return the end of a lease without an end.
pub(crate) fn skip_lease() {
    SKIP_LEASE.with(|skip| skip.set(true));
}

pub(crate) fn skips_lease() -> bool {
    is(Fault::LeaseAfterEntry) && SKIP_LEASE.with(|skip| skip.take())
}

/// Sets what the next read of the store returns.
pub(crate) fn read_ahead(record: Option<Record>) {
    READ_AHEAD.with(|ahead| ahead.replace(Some(record)));
}

/// Returns what was read ahead.
pub(crate) fn take_read_ahead() -> Option<Option<Record>> {
    READ_AHEAD.with(|ahead| ahead.take())
}
