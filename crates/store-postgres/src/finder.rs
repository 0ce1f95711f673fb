//! Finds records, many in one statement.

use std::{collections::HashMap, time::Duration};

use keywright_core::{KeyId, store::Record};
use sqlx::{AssertSqlSafe, Postgres, pool::PoolConnection};
use tokio::time::timeout;

use crate::{
    database::Database,
    error::{Error, Result},
    queue::{Capacity, Job, Jobs, Queue},
    record::{self, id_text},
    statements::Statements,
};

/// The number of workers. Each takes a connection of the pool while it works.
const WORKERS: usize = 2;

/// The maximum number of finds in a statement.
const BATCH: usize = 128;

/// A find has no tenant: the verifier does not know it yet.
const CAPACITY: Capacity = Capacity {
    all: 1024,
    tenant: 1024,
};

/// How long a statement may take.
const DEADLINE: Duration = Duration::from_secs(5);

type Find = Job<KeyId, Option<Record>>;

/// Finds records. Concurrent finds share a statement, so under load a find costs little more than
/// its share of one. A verification waits for a find, so finds have their own workers, and never
/// wait for lists or changes.
#[derive(Debug)]
pub(crate) struct Finder(Queue<Find>);

impl Finder {
    /// Starts the workers on the current runtime. They end when this is dropped.
    pub(crate) fn start(database: &Database) -> Self {
        let (queue, jobs) = Queue::new(CAPACITY);
        for _ in 0..WORKERS {
            tokio::spawn(work(database.clone(), jobs.clone()));
        }
        Self(queue)
    }

    /// Returns the record with this id, even if its key is revoked.
    pub(crate) async fn find(&self, id: KeyId) -> Result<Option<Record>> {
        self.0.run(None, id).await
    }
}

async fn work(database: Database, jobs: Jobs<Find>) {
    while jobs.wait().await {
        let connection = database.acquire().await;
        let limit = if connection.is_ok() {
            BATCH
        } else {
            usize::MAX
        };
        let finds: Vec<Find> = jobs.take(limit).into_iter().map(|(_, find)| find).collect();
        if finds.is_empty() {
            continue;
        }
        let statements = database.statements.clone();
        let found = async move {
            let ids: Vec<KeyId> = finds.iter().map(|find| find.work).collect();
            let found = match connection {
                Ok(connection) => find(connection, &statements, &ids).await,
                Err(error) => Err(error),
            };
            for Job { work: id, caller } in finds {
                caller.finish(match &found {
                    Ok(records) => records.get(&id).cloned().transpose(),
                    Err(error) => Err(error.clone()),
                });
            }
        };
        // A panic ends these finds, not the worker. Their callers get `Stopped`.
        let _ = tokio::spawn(found).await;
    }
}

async fn find(
    mut connection: PoolConnection<Postgres>,
    statements: &Statements,
    ids: &[KeyId],
) -> Result<HashMap<KeyId, Result<Record>>> {
    // One round trip, outside a transaction and without a prepared statement, so that a pooler may
    // use any connection for it. An id has only letters and digits.
    let ids: Vec<String> = ids.iter().map(id_text).collect();
    let list = ids.join(",");
    let sql = format!("{}('{{{list}}}')", statements.find);
    let found = timeout(
        DEADLINE,
        sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection),
    );
    let Ok(found) = found.await else {
        connection.close_on_drop();
        return Err(Error::Timeout);
    };
    found?
        .iter()
        .map(|row| Ok((record::id(row)?, record::record(row))))
        .collect()
}
