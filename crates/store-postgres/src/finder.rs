//! Finds records, many in one statement.

use std::{collections::HashMap, time::Duration};

use keywright_core::{KeyId, store::Record};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tokio::time::timeout;

use crate::{
    database::Database,
    error::{Error, Result},
    heartbeat::BEGIN_HEARTBEAT,
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
    let mut confirm = false;
    while let Some(batch) = batches.next().await {
        match Held::acquire(&database.pool, DEADLINE).await {
            Ok(held) => {
                work_with(held, &database.statements, &batches, batch, &mut confirm).await;
            }
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
    confirm: &mut bool,
) {
    let mut next = Some(batch);
    while let Some((ids, callers)) = next {
        let found = find(&mut held, statements, &ids, confirm).await;
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

/// Finds records. `confirm` is whether the server had synchronous standbys when it was last asked.
///
/// A primary that is cut off from its standbys does not know that one of them may have been
/// promoted, and that keys may have been revoked there. So if commits wait for a standby, one must
/// confirm, after the records were read, that it still follows this primary.
async fn find(
    held: &mut Held,
    statements: &Statements,
    ids: &[KeyId],
    confirm: &mut bool,
) -> Result<HashMap<KeyId, Result<Record>>> {
    // An id has only letters and digits.
    let ids: Vec<String> = ids.iter().map(id_text).collect();
    let sql = format!("{}('{{{}}}')", statements.find, ids.join(","));
    let connection = held.begin();
    let read = async {
        loop {
            let found = read(&mut *connection, &sql, *confirm).await?;
            let is_confirmed = *confirm || !found.synchronous;
            *confirm = found.synchronous;
            if is_confirmed {
                return Ok::<_, Error>(found.records);
            }
        }
    };
    let found = timeout(DEADLINE, read)
        .await
        .map_err(|_| Error::Timeout)??;
    held.done();
    Ok(found)
}

/// The reply to a statement that finds records.
struct Found {
    /// Whether a commit waits for a standby.
    synchronous: bool,
    records: HashMap<KeyId, Result<Record>>,
}

/// Reads records in one round trip, without a prepared statement, so that a pooler may use any
/// connection for it.
async fn read(connection: &mut PgConnection, sql: &str, confirm: bool) -> Result<Found> {
    let rows = if confirm {
        let sql = format!("{BEGIN_HEARTBEAT}; {sql}; COMMIT");
        let mut rows = sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?;
        // The row of the heartbeat.
        rows.remove(0);
        rows
    } else {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_all(connection)
            .await?
    };
    let mut found = Found {
        synchronous: false,
        records: HashMap::new(),
    };
    for row in &rows {
        if row.try_get("recovery")? {
            return Err(Error::ReadOnly);
        }
        found.synchronous = row.try_get("synchronous")?;
        // If no record is found, there is one row without one.
        if row.try_get::<Option<&str>, _>("id")?.is_some() {
            found.records.insert(record::id(row)?, record::record(row));
        }
    }
    Ok(found)
}
