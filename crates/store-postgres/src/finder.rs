//! Finds records, many in one statement.

use std::{collections::HashMap, time::Duration};

use keywright_core::{KeyId, store::Record};
use sqlx::AssertSqlSafe;
use tokio::time::timeout;

use crate::{
    database::Database,
    error::{Error, Result},
    held::{Held, LINGER},
    queue::{Batch, Batches, Queue},
    record::{self, id_text},
    statements::Statements,
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
    while let Some(batch) = batches.next().await {
        match Held::acquire(&database.pool, DEADLINE).await {
            Ok(held) => work_with(held, &database.statements, &batches, batch).await,
            Err(error) => {
                for caller in batch.1 {
                    caller.finish(Err(error.clone()));
                }
            }
        }
    }
}

/// Finds the records of this batch, and of further batches that follow soon.
async fn work_with(
    mut held: Held,
    statements: &Statements,
    batches: &Batches<KeyId, Option<Record>>,
    batch: Batch<KeyId, Option<Record>>,
) {
    let mut next = Some(batch);
    while let Some((ids, callers)) = next {
        let found = find(&mut held, statements, &ids).await;
        for (id, caller) in ids.iter().zip(callers) {
            caller.finish(match &found {
                Ok(records) => records.get(id).cloned().transpose(),
                Err(error) => Err(error.clone()),
            });
        }
        if !held.may_continue() {
            return;
        }
        next = batches.next_within(LINGER).await;
    }
}

async fn find(
    held: &mut Held,
    statements: &Statements,
    ids: &[KeyId],
) -> Result<HashMap<KeyId, Result<Record>>> {
    // One round trip, outside a transaction and without a prepared statement, so that a pooler may
    // use any connection for it. An id has only letters and digits.
    let ids: Vec<String> = ids.iter().map(id_text).collect();
    let list = ids.join(",");
    let sql = format!("{}('{{{list}}}')", statements.find);
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(held.begin());
    let rows = timeout(DEADLINE, rows)
        .await
        .map_err(|_| Error::Timeout)??;
    held.done();
    rows.iter()
        .map(|row| Ok((record::id(row)?, record::record(row))))
        .collect()
}
