//! Faults that are planted around the product's sources, to show that the check would see them.

use std::cell::Cell;

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// A fill does not hold the stamp from before the read against the present one.
    NoFence,
    /// A fill counts whatever was told since: a store in place of the compare-and-exchange.
    StoreForExchange,
    /// A fill does not know its own entry from that of another fill.
    FillsNotTold,
    /// A change is told by the generation only: the entry is not marked.
    EntryNotMarked,
    /// A change is told before it is committed.
    ToldBeforeCommit,
    /// A change is told after it was acknowledged.
    ToldAfterAcknowledgement,
    /// The lease is extended before what was learnt is told.
    ExtendedBeforeTold,
    /// The lease is extended from the time at which the answer came.
    ExtendedFromTheAnswer,
    /// The lease is looked at after the entry.
    LeaseAfterEntry,
    /// The coarse clock is further behind than leases allow for.
    CoarserThanATick,
    /// The lease is not looked at again after a hash that took its time.
    NoLookAfterHash,
}

thread_local! {
    // All threads of a model are one of the system's.
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

shuttle::thread_local! {
    static PASS_OVER: Cell<bool> = Cell::new(false);
}

/// Plants a fault in all models of this thread, or none.
pub(crate) fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

pub(crate) fn planted() -> Option<Fault> {
    PLANTED.get()
}

pub(crate) fn is(fault: Fault) -> bool {
    planted() == Some(fault)
}

/// Lets the next number that is read be that of a lease without end.
pub(crate) fn pass_over_the_lease() {
    PASS_OVER.with(|pass| pass.set(true));
}

pub(crate) fn passes_over_a_lease() -> bool {
    is(Fault::LeaseAfterEntry) && PASS_OVER.with(|pass| pass.take())
}
