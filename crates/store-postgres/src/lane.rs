//! Tasks that run operations step by step. Tenants take turns.

use async_trait::async_trait;
use keywright_core::store::Tenant;
use sqlx::{Postgres, pool::PoolConnection};

use crate::{
    database::{DEADLINE, Database, Operation},
    error::{Error, Result},
    queue::{Abandonable, Capacity, Jobs, Queue, Waiting},
};

/// A few tasks that run operations.
///
/// A task takes a connection of the pool for one step, which is one short transaction. After each
/// step, it continues with the next workspace. So no operation keeps a connection, and no workspace
/// keeps a task. An operation ends when its caller drops its future.
#[derive(Debug)]
pub(crate) struct Lane {
    jobs: Queue<Box<dyn Steps>>,
    database: Database,
}

impl Lane {
    /// Starts the tasks on the current runtime. They end when this is dropped.
    pub(crate) fn start(database: &Database, workers: u32, capacity: Capacity) -> Self {
        let (queue, jobs) = Queue::new(capacity);
        for _ in 0..workers {
            tokio::spawn(work(database.clone(), jobs.clone()));
        }
        Self {
            jobs: queue,
            database: database.clone(),
        }
    }

    /// Runs an operation to its end.
    pub(crate) async fn run<O: Operation>(
        &self,
        tenant: Tenant,
        operation: O,
    ) -> Result<O::Output> {
        let (caller, done) = Waiting::new();
        self.jobs
            .push(tenant, Box::new(Pending { operation, caller }))?;
        done.wait().await
    }

    /// Runs an operation to its end. While another transaction locks a record of it, repeats it.
    pub(crate) async fn run_when_unlocked<O: Operation + Clone>(
        &self,
        tenant: Tenant,
        operation: O,
    ) -> Result<O::Output> {
        let mut patience = self.database.patience(DEADLINE);
        loop {
            match self.run(tenant.clone(), operation.clone()).await {
                Err(Error::Locked) if patience.pause().await => {}
                result => return result,
            }
        }
    }
}

/// An operation, and the caller that waits for it.
#[async_trait]
trait Steps: Send {
    fn is_abandoned(&self) -> bool;

    /// Runs the next step. Returns the operation if there are more.
    async fn step(
        self: Box<Self>,
        database: &Database,
        connection: PoolConnection<Postgres>,
    ) -> Option<Box<dyn Steps>>;

    fn fail(self: Box<Self>, error: Error);
}

struct Pending<O: Operation> {
    operation: O,
    caller: Waiting<O::Output>,
}

#[async_trait]
impl<O: Operation> Steps for Pending<O> {
    fn is_abandoned(&self) -> bool {
        self.caller.has_left()
    }

    async fn step(
        mut self: Box<Self>,
        database: &Database,
        connection: PoolConnection<Postgres>,
    ) -> Option<Box<dyn Steps>> {
        let step = database.step(connection, &mut self.operation).await;
        let Some(result) = step.transpose() else {
            return Some(self);
        };
        self.caller.finish(result);
        None
    }

    fn fail(self: Box<Self>, error: Error) {
        self.caller.finish(Err(error));
    }
}

impl Abandonable for Box<dyn Steps> {
    fn is_abandoned(&self) -> bool {
        (**self).is_abandoned()
    }
}

async fn work(database: Database, jobs: Jobs<Box<dyn Steps>>) {
    while jobs.wait().await {
        let connection = match database.acquire().await {
            Ok(connection) => connection,
            Err(error) => {
                // The others would each wait just as long for the same failure.
                for (_, job) in jobs.take(usize::MAX) {
                    job.fail(error.clone());
                }
                continue;
            }
        };
        let Some((tenant, job)) = jobs.take(1).pop() else {
            continue;
        };
        let database = database.clone();
        let step = async move { job.step(&database, connection).await };
        // A panic ends this operation, not the task. Its caller gets `Stopped`.
        if let Ok(Some(job)) = tokio::spawn(step).await {
            jobs.resume(tenant, job);
        }
    }
}
