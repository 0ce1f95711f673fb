//! The parameters of a simulation.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    pub(crate) feed: Feed,
    pub(crate) processes: usize,
    pub(crate) revocations_a_second: u32,
    /// The troubles of processes.
    pub(crate) troubles: &'static [Trouble],
    /// The mean time between two troubles of one kind for a process.
    pub(crate) calm: Duration,
    pub(crate) fault: Option<Fault>,
}

/// How processes learn of changes.
///
/// The shared mode of SQLite also polls, but all of its processes are on one machine, without a
/// network between them and the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feed {
    /// Each process polls, as with PostgreSQL.
    Polls,
    /// The store pushes, and each process sends heartbeats, as with Redis.
    Pushes,
}

impl Feed {
    /// How long a copy may be used after a request for changes was sent.
    pub(crate) const fn bound(self) -> Duration {
        match self {
            Self::Polls => Duration::from_millis(500),
            Self::Pushes => Duration::from_secs(1),
        }
    }

    /// The number of polls or heartbeats in the bound.
    pub(crate) const fn requests_in_bound(self) -> u32 {
        match self {
            Self::Polls => 5,
            Self::Pushes => 3,
        }
    }

    /// The number of processor cores on which the store works.
    pub(crate) const fn cores(self) -> u32 {
        match self {
            Self::Polls => 16,
            Self::Pushes => 1,
        }
    }

    /// The time between two polls or heartbeats.
    pub(crate) fn interval(self) -> Duration {
        self.bound() / self.requests_in_bound()
    }
}

/// Something that happens to processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// A tenth of the processes is cut off from the store: all messages are lost.
    Partition,
    /// The messages of a process take long, with a different delay in each direction.
    SlowLink,
    /// A process is suspended, as after `SIGSTOP`.
    Suspension,
    /// A process is killed, and some time later a new one starts.
    Churn,
}

impl Trouble {
    pub(crate) const ALL: &'static [Self] = &[
        Self::Partition,
        Self::SlowLink,
        Self::Suspension,
        Self::Churn,
    ];
}

/// A fault that is planted to show that the simulation detects it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The lease counts from the reply to a poll or heartbeat, and not from when it was sent.
    ExtendedFromReply,
    /// A process that connects again keeps using its old copies.
    NothingStaleAfterReconnect,
    /// A process that revokes a key keeps using its own copy.
    OwnCopyStaysFresh,
}
