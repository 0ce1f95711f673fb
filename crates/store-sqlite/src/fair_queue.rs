//! The queue of a thread whose tenants take turns.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(crate) use keywright_core::store::Tenant;

use crate::error::{Error, Result};

/// The number of jobs that may wait.
const CAPACITY: usize = 1024;

/// The number of jobs of one tenant that may wait.
const CAPACITY_OF_TENANT: usize = 64;

/// A job whose caller may stop waiting for it.
pub(crate) trait Abandonable {
    fn is_abandoned(&self) -> bool;
}

/// A [`FairQueue`](keywright_core::store::FairQueue) that a thread waits for.
#[derive(Debug)]
pub(crate) struct FairQueue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<J> {
    jobs: keywright_core::store::FairQueue<J>,
    closed: bool,
}

impl<J: Abandonable> FairQueue<J> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                jobs: keywright_core::store::FairQueue::new(CAPACITY, CAPACITY_OF_TENANT),
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Appends a job to the queue of its tenant, unless the tenant or all tenants together have too
    /// many jobs. An abandoned job does not count.
    pub(crate) fn push(&self, tenant: Tenant, job: J) -> Result<()> {
        let jobs = &mut self.state().jobs;
        if let Err(job) = jobs.push(tenant.clone(), job) {
            jobs.retain(|job| !job.is_abandoned());
            jobs.push(tenant, job).map_err(|_| Error::QueueFull)?;
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Puts back a job that is not finished. It comes before the other jobs of its tenant, but
    /// after the next turn of each other tenant.
    pub(crate) fn resume(&self, tenant: Tenant, job: J) {
        self.state().jobs.resume(tenant, job);
    }

    /// Waits for the next job and removes it. Returns `None` once the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<(Tenant, J)> {
        self.changed
            .wait_while(self.state(), |state| state.jobs.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner)
            .jobs
            .pop()
    }

    /// Closes the queue: once it is empty, [`next`](Self::next) returns `None`.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
