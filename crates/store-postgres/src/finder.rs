//! Finds records, many in one statement.

use std::{collections::HashMap, time::Duration};

use keywright_core::{KeyId, store::Record};
use sqlx::AssertSqlSafe;
use tokio::time::timeout;

use crate::{
    database::Database,
    error::{Error, Result},
    queue::{Batches, Queue},
    record::{self, id_text},
};

/// The number of workers. Each takes a connection of the pool while it works.
const WORKERS: usize = 2;

/// How long a statement may take, and the wait for a connection before it.
const DEADLINE: Duration = Duration::from_secs(5);

/// Finds records. Concurrent finds share a statement.
#[derive(Debug)]
pub(crate) struct Finder(Queue<KeyId, Option<Record>>);

impl Finder {
    /// Starts the workers on the current runtime. They end when this is dropped.
    pub(crate) fn start(database: &Database) -> Self {
        let (queue, batches) = Queue::new();
        for _ in 0..WORKERS {
            tokio::spawn(work(database.clone(), batches.clone()));
        }
        Self(queue)
    }

    /// Returns the record with this id, even if its key is revoked.
    pub(crate) async fn find(&self, id: KeyId) -> Result<Option<Record>> {
        self.0.run(id).await
    }
}

async fn work(database: Database, batches: Batches<KeyId, Option<Record>>) {
    while let Some((ids, callers)) = batches.next().await {
        let found = find(&database, &ids).await;
        for (id, caller) in ids.iter().zip(callers) {
            caller.finish(match &found {
                Ok(records) => records.get(id).cloned().transpose(),
                Err(error) => Err(error.clone()),
            });
        }
    }
}

async fn find(database: &Database, ids: &[KeyId]) -> Result<HashMap<KeyId, Result<Record>>> {
    let acquired = timeout(DEADLINE, database.pool.acquire()).await;
    let mut connection = acquired.map_err(|_| Error::Timeout)??;
    // One round trip, outside a transaction and without a prepared statement, so that a pooler may
    // use any connection for it. An id has only letters and digits.
    let ids: Vec<String> = ids.iter().map(id_text).collect();
    let list = ids.join(",");
    let sql = format!("{}('{{{list}}}')", database.statements.find);
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
