//! A bounded queue whose tenants take turns.

use std::collections::{HashMap, VecDeque};

use crate::Workspace;

/// The tenant of a job: a workspace, or `None` for the operator of the whole store.
pub type Tenant = Option<Workspace>;

/// A bounded round-robin queue: a tenant waits for at most one job of each other tenant, however
/// many jobs they have.
///
/// A store that works for many workspaces with few threads or tasks queues their jobs here. It
/// divides a long job into short ones with [`resume`](Self::resume).
///
/// ```
/// use keywright_core::{Workspace, store::FairQueue};
///
/// let (busy, other) = (Some(Workspace::parse("busy")?), Some(Workspace::parse("other")?));
/// let mut queue = FairQueue::new(1024, 64);
/// for job in 1..=50 {
///     queue.push(busy.clone(), job).unwrap();
/// }
/// queue.push(other.clone(), 100).unwrap();
/// assert_eq!(queue.pop(), Some((busy, 1)));
/// assert_eq!(queue.pop(), Some((other, 100)));
/// # Ok::<(), keywright_core::error::WorkspaceError>(())
/// ```
#[derive(Debug)]
pub struct FairQueue<J> {
    /// The waiting jobs of each tenant. No tenant has an empty queue.
    jobs: HashMap<Tenant, VecDeque<J>>,
    /// The tenants with waiting jobs, in the order of their turns.
    turns: VecDeque<Tenant>,
    /// The number of waiting jobs.
    waiting: usize,
    capacity: usize,
    capacity_of_tenant: usize,
}

impl<J> FairQueue<J> {
    /// Creates a queue for a number of jobs of all tenants together, and of each tenant.
    #[must_use]
    pub fn new(capacity: usize, capacity_of_tenant: usize) -> Self {
        Self {
            jobs: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            capacity,
            capacity_of_tenant,
        }
    }

    /// Appends a job to the queue of its tenant.
    ///
    /// # Errors
    ///
    /// Returns the job if the tenant or all tenants together have too many.
    pub fn push(&mut self, tenant: Tenant, job: J) -> Result<(), J> {
        let of_tenant = self.jobs.get(&tenant).map_or(0, VecDeque::len);
        if self.waiting >= self.capacity || of_tenant >= self.capacity_of_tenant {
            return Err(job);
        }
        self.insert(tenant, job, VecDeque::push_back);
        Ok(())
    }

    /// Puts back a job that is not finished. It comes before the other jobs of its tenant, but
    /// after the next turn of each other tenant. It may exceed the capacity.
    pub fn resume(&mut self, tenant: Tenant, job: J) {
        self.insert(tenant, job, VecDeque::push_front);
    }

    /// Removes the next job.
    pub fn pop(&mut self) -> Option<(Tenant, J)> {
        let tenant = self.turns.pop_front()?;
        let jobs = self.jobs.get_mut(&tenant)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            self.jobs.remove(&tenant);
        } else {
            self.turns.push_back(tenant.clone());
        }
        self.waiting -= 1;
        Some((tenant, job))
    }

    /// Removes the newest job of the tenant with the most jobs, so that a job of `tenant` gets its
    /// place. Returns `None` if `tenant` would then have more than the other.
    pub(crate) fn displace(&mut self, tenant: &Tenant) -> Option<J> {
        let own = self.jobs.get(tenant).map_or(0, VecDeque::len);
        let most = self.jobs.values_mut().max_by_key(|jobs| jobs.len())?;
        // That tenant has at least two jobs, so its queue does not become empty.
        if most.len() < own + 2 {
            return None;
        }
        self.waiting -= 1;
        most.pop_back()
    }

    /// Drops the jobs that do not meet a condition, for example because their callers have stopped
    /// waiting.
    pub fn retain(&mut self, condition: impl Fn(&J) -> bool) {
        for jobs in self.jobs.values_mut() {
            jobs.retain(&condition);
        }
        self.jobs.retain(|_, jobs| !jobs.is_empty());
        self.turns.retain(|tenant| self.jobs.contains_key(tenant));
        self.waiting = self.jobs.values().map(VecDeque::len).sum();
    }

    /// Whether no job is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Returns the number of waiting jobs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting
    }

    fn insert(&mut self, tenant: Tenant, job: J, insert: fn(&mut VecDeque<J>, J)) {
        if !self.jobs.contains_key(&tenant) {
            self.turns.push_back(tenant.clone());
        }
        insert(self.jobs.entry(tenant).or_default(), job);
        self.waiting += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        Some(Workspace::parse(name).unwrap())
    }

    #[test]
    fn bug_a_tenant_waited_for_all_jobs_of_another() {
        let mut queue = FairQueue::new(1024, 64);
        for job in 0..50 {
            queue.push(tenant("busy"), job).unwrap();
        }
        queue.push(tenant("other"), 100).unwrap();
        queue.push(None, 200).unwrap();
        let mut order = Vec::new();
        for _ in 0..6 {
            let (tenant, job) = queue.pop().unwrap();
            order.push(job);
            // The first job takes three turns.
            if order.iter().filter(|done| **done == 0).count() < 3 && job == 0 {
                queue.resume(tenant, job);
            }
        }
        assert_eq!(order, [0, 100, 200, 0, 0, 1]);
    }

    #[test]
    fn one_tenant_cannot_fill_the_queue_and_dropped_jobs_do_not_count() {
        let mut queue = FairQueue::new(1024, 64);
        for job in 0..64 {
            queue.push(tenant("busy"), job - 32).unwrap();
        }
        assert_eq!(queue.push(tenant("busy"), 64), Err(64));
        queue.retain(|job| *job >= 0);
        for job in 32..64 {
            queue.push(tenant("busy"), job).unwrap();
        }
        assert_eq!(queue.push(tenant("busy"), 64), Err(64));
        queue.push(tenant("other"), 100).unwrap();
        let mut others = 0;
        while queue
            .push(tenant(&format!("w{}", others / 64)), others)
            .is_ok()
        {
            others += 1;
        }
        assert_eq!(others, 1024 - 65);
        assert_eq!(queue.len(), 1024);
        let mut taken = 0;
        while let Some((_, job)) = queue.pop() {
            assert!(job >= 0);
            taken += 1;
        }
        assert_eq!(taken, 1024);
        assert!(queue.is_empty());
    }
}
