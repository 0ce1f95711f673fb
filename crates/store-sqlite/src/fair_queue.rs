//! A bounded queue whose tenants take turns.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use keywright_core::Workspace;

use crate::error::{Error, Result};

/// The number of jobs that may wait.
const CAPACITY: usize = 1024;

/// The number of jobs of one tenant that may wait.
const CAPACITY_OF_TENANT: usize = 64;

/// The tenant of a job: a workspace, or `None` for the operator of the whole store.
pub(crate) type Tenant = Option<Workspace>;

/// A job whose caller may stop waiting for it.
pub(crate) trait Abandonable {
    fn is_abandoned(&self) -> bool;
}

/// A round-robin queue: a tenant waits for at most one job of each other tenant, however many jobs
/// they have.
#[derive(Debug)]
pub(crate) struct FairQueue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<J> {
    /// The waiting jobs of each tenant. No tenant has an empty queue.
    jobs: HashMap<Tenant, VecDeque<J>>,
    /// The tenants with waiting jobs, in the order of their turns.
    turns: VecDeque<Tenant>,
    /// The number of waiting jobs.
    waiting: usize,
    closed: bool,
}

impl<J: Abandonable> FairQueue<J> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                jobs: HashMap::new(),
                turns: VecDeque::new(),
                waiting: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Appends a job to the queue of its tenant, unless the tenant or all tenants together have too
    /// many jobs. An abandoned job does not count.
    pub(crate) fn push(&self, tenant: Tenant, job: J) -> Result<()> {
        let mut state = self.state();
        if state.is_full_for(&tenant) {
            state.drop_abandoned();
            if state.is_full_for(&tenant) {
                return Err(Error::QueueFull);
            }
        }
        state.insert(tenant, job, VecDeque::push_back);
        self.changed.notify_one();
        Ok(())
    }

    /// Puts back a job that is not finished. It comes before the other jobs of its tenant, but
    /// after the next turn of each other tenant.
    pub(crate) fn resume(&self, tenant: Tenant, job: J) {
        self.state().insert(tenant, job, VecDeque::push_front);
    }

    /// Waits for the next job and removes it. Returns `None` once the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<(Tenant, J)> {
        let mut state = self
            .changed
            .wait_while(self.state(), |state| state.waiting == 0 && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let tenant = state.turns.pop_front()?;
        let jobs = state.jobs.get_mut(&tenant)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            state.jobs.remove(&tenant);
        } else {
            state.turns.push_back(tenant.clone());
        }
        state.waiting -= 1;
        Some((tenant, job))
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

impl<J: Abandonable> State<J> {
    fn is_full_for(&self, tenant: &Tenant) -> bool {
        let of_tenant = self.jobs.get(tenant).map_or(0, VecDeque::len);
        self.waiting >= CAPACITY || of_tenant >= CAPACITY_OF_TENANT
    }

    fn insert(&mut self, tenant: Tenant, job: J, insert: fn(&mut VecDeque<J>, J)) {
        if !self.jobs.contains_key(&tenant) {
            self.turns.push_back(tenant.clone());
        }
        insert(self.jobs.entry(tenant).or_default(), job);
        self.waiting += 1;
    }

    fn drop_abandoned(&mut self) {
        for jobs in self.jobs.values_mut() {
            jobs.retain(|job| !job.is_abandoned());
        }
        self.jobs.retain(|_, jobs| !jobs.is_empty());
        self.turns.retain(|tenant| self.jobs.contains_key(tenant));
        self.waiting = self.jobs.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job with a number, abandoned if it is negative.
    type Job = i32;

    impl Abandonable for Job {
        fn is_abandoned(&self) -> bool {
            *self < 0
        }
    }

    fn tenant(name: &str) -> Tenant {
        Some(Workspace::parse(name).unwrap())
    }

    #[test]
    fn bug_a_tenant_waited_for_all_jobs_of_another() {
        let queue = FairQueue::new();
        for job in 0..50 {
            queue.push(tenant("busy"), job).unwrap();
        }
        queue.push(tenant("other"), 100).unwrap();
        queue.push(None, 200).unwrap();
        let mut order = Vec::new();
        for _ in 0..6 {
            let (tenant, job) = queue.next().unwrap();
            order.push(job);
            // The first job takes three turns.
            if order.iter().filter(|done| **done == 0).count() < 3 && job == 0 {
                queue.resume(tenant, job);
            }
        }
        assert_eq!(order, [0, 100, 200, 0, 0, 1]);
    }

    #[test]
    fn one_tenant_cannot_fill_the_queue_and_abandoned_jobs_do_not_count() {
        let queue = FairQueue::new();
        for job in 0..64 {
            queue.push(tenant("busy"), job - 32).unwrap();
        }
        for job in 32..64 {
            queue.push(tenant("busy"), job).unwrap();
        }
        assert!(matches!(
            queue.push(tenant("busy"), 64),
            Err(Error::QueueFull)
        ));
        queue.push(tenant("other"), 100).unwrap();
        let mut others = 0;
        while queue
            .push(tenant(&format!("w{}", others / 64)), others)
            .is_ok()
        {
            others += 1;
        }
        assert_eq!(others, 1024 - 65);
        queue.close();
        let mut taken = 0;
        while let Some((_, job)) = queue.next() {
            assert!(job >= 0);
            taken += 1;
        }
        assert_eq!(taken, 1024);
    }
}
