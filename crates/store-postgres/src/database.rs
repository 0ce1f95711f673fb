//! Transactions on the pool, with a deadline and retries.

use std::{
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use keywright_core::store::Lease;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::{
    error::{Error, Result},
    statements::Statements,
};

/// How long to wait for a connection of the pool, then for a transaction, and for records that
/// another transaction locks.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The maximum number of attempts at a transaction that conflicts with others.
pub(crate) const ATTEMPTS: u32 = 6;

/// The pool, and the statements of the store.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) statements: Arc<Statements>,
    /// Whether a commit waited for a standby when the server was last asked.
    pub(crate) has_standby: Arc<AtomicBool>,
    /// The lease of the store, whose clock measures time.
    pub(crate) lease: Arc<Lease>,
    /// The runtime of the pool.
    pub(crate) runtime: Handle,
}

/// How a transaction uses the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// All statements see one state of the tables.
    Read,
    /// Each statement sees what was committed before it. The commit waits until the changes are
    /// durable, whatever the default of the database is.
    Write,
    /// No other transaction makes changes or reads the settings. Works even if the store is sealed.
    Stage,
}

/// Work in one or more transactions.
#[async_trait]
pub(crate) trait Operation: Send + 'static {
    /// The result of the last step.
    type Output: Send + 'static;

    /// How each step uses the tables.
    fn access(&self) -> Access;

    /// Does the next step in a transaction. Returns `None` if there are more steps. A step that
    /// fails leaves the operation as it was, because it may be repeated.
    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<Self::Output>>;
}

/// An operation of one transaction, as a function of its input.
#[derive(Clone)]
pub(crate) struct Single<I, T> {
    access: Access,
    input: I,
    run: Run<I, T>,
}

impl<I, T> Single<I, T> {
    pub(crate) const fn new(access: Access, input: I, run: Run<I, T>) -> Self {
        Self { access, input, run }
    }

    pub(crate) const fn read(input: I, run: Run<I, T>) -> Self {
        Self::new(Access::Read, input, run)
    }

    pub(crate) const fn write(input: I, run: Run<I, T>) -> Self {
        Self::new(Access::Write, input, run)
    }
}

/// A function that runs inside a transaction.
pub(crate) type Run<I, T> = for<'c> fn(
    &'c mut PgConnection,
    &'c Statements,
    &'c I,
) -> Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

#[async_trait]
impl<I: Send + Sync + 'static, T: Send + 'static> Operation for Single<I, T> {
    type Output = T;

    fn access(&self) -> Access {
        self.access
    }

    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<T>> {
        (self.run)(connection, statements, &self.input)
            .await
            .map(Some)
    }
}

impl Database {
    /// Waits for a connection of the pool.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>> {
        let acquired = timeout(DEADLINE, self.pool.acquire()).await;
        Ok(acquired.map_err(|_| Error::Timeout)??)
    }

    /// Runs a step of an operation in a transaction, and repeats it if it conflicts with another
    /// transaction.
    ///
    /// If the deadline passes, the connection is closed, and the transaction may or may not be
    /// committed. The server is not asked to cancel it: it would commit without the synchronous
    /// standby that it waits for.
    pub(crate) async fn step<O: Operation>(
        &self,
        mut connection: PoolConnection<Postgres>,
        operation: &mut O,
    ) -> Result<Option<O::Output>> {
        let mut attempt = 1;
        loop {
            match self.attempt(connection, operation).await {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => {
                    pause_before_attempt(attempt).await;
                    attempt += 1;
                    connection = self.acquire().await?;
                }
                done => return done,
            }
        }
    }

    async fn attempt<O: Operation>(
        &self,
        mut connection: PoolConnection<Postgres>,
        operation: &mut O,
    ) -> Result<Option<O::Output>> {
        let begin = match operation.access() {
            Access::Read => &self.statements.begin_read,
            Access::Write => &self.statements.begin_write,
            Access::Stage => &self.statements.begin_stage,
        };
        let (mut begun, mut ended) = (false, false);
        let work = async {
            let mut transaction = connection.begin_with(begin.clone()).await?;
            begun = true;
            match operation.step(&mut transaction, &self.statements).await {
                Ok(value) => {
                    transaction.commit().await?;
                    ended = true;
                    Ok(value)
                }
                Err(error) => {
                    ended = transaction.rollback().await.is_ok();
                    Err(error)
                }
            }
        };
        let result = timeout(DEADLINE, work).await;
        if !begun && result.is_ok() {
            // For example, the store is sealed. The driver does not end a transaction whose first
            // statements fail.
            let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
            ended = matches!(timeout(DEADLINE, rollback).await, Ok(Ok(_)));
        }
        if !ended {
            // The transaction may be open or failed. In the pool, the connection would carry it to
            // the next user.
            connection.close_on_drop();
        }
        result.unwrap_or(Err(Error::Timeout))
    }

    /// Starts to wait for records that another transaction locks.
    pub(crate) fn patience(&self, limit: Duration) -> Patience {
        Patience {
            lease: Arc::clone(&self.lease),
            runtime: self.runtime.clone(),
            ends_at: self.lease.now() + limit,
            longest: Duration::from_millis(5),
        }
    }
}

/// The pauses of a caller that waits until another transaction, for example one of the host, has
/// released a record. Meanwhile it uses no connection and delays no other caller.
#[derive(Debug)]
pub(crate) struct Patience {
    lease: Arc<Lease>,
    runtime: Handle,
    ends_at: Instant,
    /// The upper limit of the next pause.
    longest: Duration,
}

impl Patience {
    const LONGEST: Duration = Duration::from_millis(100);

    /// Pauses, and returns whether to try again. Any executor may poll the future.
    pub(crate) async fn pause(&mut self) -> bool {
        if self.lease.now() >= self.ends_at {
            return false;
        }
        let pause = random_part(self.longest);
        self.longest = (self.longest * 2).min(Self::LONGEST);
        // A timer belongs to the runtime, which may not be that of the caller.
        let paused = self.runtime.spawn(async move { sleep(pause).await });
        paused.await.is_ok()
    }
}

/// Waits for up to 4 ms after the first attempt, and up to 64 ms after the fifth.
pub(crate) async fn pause_before_attempt(attempt: u32) {
    sleep(random_part(Duration::from_millis(2_u64 << attempt.min(5)))).await;
}

/// Returns a random part of a duration, so that tasks that have met do not meet again.
fn random_part(longest: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};

    let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(RandomState::new().hash_one(()) % longest.max(1))
}
