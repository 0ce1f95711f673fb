//! Finds records, many in one statement.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use keywright_core::{KeyId, store::Record};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tokio::time::timeout;

use crate::{
    batch::{self, Worker},
    database::Database,
    error::{Error, Result},
    heartbeat::confirmed,
    held::Held,
    queue::{Capacity, Job, Queue},
    record::{self, id_text},
};

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
        batch::start(&FindWorker(database.clone()), &jobs);
        Self(queue)
    }

    /// Returns the record with this id, even if its key is revoked.
    pub(crate) async fn find(&self, id: KeyId) -> Result<Option<Record>> {
        self.0.run(None, id).await
    }
}

#[derive(Clone)]
struct FindWorker(Database);

#[async_trait]
impl Worker for FindWorker {
    type Work = KeyId;
    type Output = Option<Record>;

    fn database(&self) -> &Database {
        &self.0
    }

    async fn work(&self, held: &mut Held, finds: Vec<Find>) {
        let ids: Vec<KeyId> = finds.iter().map(|find| find.work).collect();
        let found = find(held, &self.0, &ids).await;
        for Job { work: id, caller } in finds {
            caller.finish(match &found {
                Ok(records) => records.get(&id).cloned().transpose(),
                Err(error) => Err(error.clone()),
            });
        }
    }
}

/// Finds records.
///
/// A primary that is cut off from its standbys does not know that one of them may have been
/// promoted, and that keys may have been revoked there. So if commits wait for a standby, one must
/// confirm, after the records were read, that it still follows this primary.
async fn find(
    held: &mut Held,
    database: &Database,
    ids: &[KeyId],
) -> Result<HashMap<KeyId, Result<Record>>> {
    // An id has only letters and digits.
    let ids: Vec<String> = ids.iter().map(id_text).collect();
    let sql = format!("{}('{{{}}}')", database.statements.find, ids.join(","));
    let connection = held.begin();
    let read = async {
        loop {
            let confirm = database.has_standby.load(Ordering::Relaxed);
            let found = read(&mut *connection, &sql, confirm).await?;
            database
                .has_standby
                .store(found.synchronous, Ordering::Relaxed);
            if confirm || !found.synchronous {
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
        confirmed(connection, sql).await?
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
        if !row.try_get::<bool, _>("is_this_store")? {
            return Err(Error::OtherStore);
        }
        found.synchronous = row.try_get("synchronous")?;
        // If no record is found, there is one row without one.
        if row.try_get::<Option<&str>, _>("id")?.is_some() {
            found.records.insert(record::id(row)?, record::record(row));
        }
    }
    Ok(found)
}
