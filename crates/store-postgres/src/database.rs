//! Transactions on the pool, with a deadline and retries.

use std::{pin::Pin, sync::Arc, time::Duration};

use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::{sleep, timeout};

use crate::{
    error::{Error, Result},
    statements::Statements,
};

/// How long to wait for a connection of the pool, and then for a transaction.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The maximum number of attempts at a transaction that conflicts with others.
pub(crate) const ATTEMPTS: u32 = 6;

/// The pool, and the statements of the store.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) statements: Arc<Statements>,
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

/// An operation inside a transaction, with its input.
pub(crate) type Operation<I, T> =
    for<'c> fn(
        &'c mut PgConnection,
        &'c Statements,
        &'c I,
    ) -> Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

impl Database {
    /// Runs an operation in a transaction, and repeats it if it conflicts with another transaction.
    ///
    /// If the deadline passes, the connection is closed, and the transaction may or may not be
    /// committed. The server is not asked to cancel it: it would commit without the synchronous
    /// standby that it waits for.
    pub(crate) async fn run<I, T>(
        &self,
        access: Access,
        input: &I,
        operation: Operation<I, T>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            match self.attempt(access, input, operation).await {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => {
                    sleep(pause(attempt)).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn attempt<I, T>(
        &self,
        access: Access,
        input: &I,
        operation: Operation<I, T>,
    ) -> Result<T> {
        let acquired = timeout(DEADLINE, self.pool.acquire()).await;
        let mut connection = acquired.map_err(|_| Error::Timeout)??;
        let begin = match access {
            Access::Read => &self.statements.begin_read,
            Access::Write => &self.statements.begin_write,
            Access::Stage => &self.statements.begin_stage,
        };
        let mut ended = false;
        let work = async {
            let mut transaction = connection.begin_with(begin.clone()).await?;
            match operation(&mut transaction, &self.statements, input).await {
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
        if !ended {
            // The transaction may be open or failed. In the pool, the connection would carry it to
            // the next user, even after an error of `begin_with`.
            connection.close_on_drop();
        }
        result.unwrap_or(Err(Error::Timeout))
    }
}

/// Returns how long to wait before the next attempt: up to 4 ms after the first, and up to 64 ms
/// after the fifth. The part of it differs between tasks, so that they do not conflict again.
pub(crate) fn pause(attempt: u32) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};

    let micros = 2_000_u64 << attempt.min(5);
    Duration::from_micros(RandomState::new().hash_one(attempt) % micros)
}
