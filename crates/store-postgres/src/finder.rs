//! Finds records, many in one statement.

use std::{
    collections::HashMap, fmt, hash::Hash, marker::PhantomData, sync::atomic::Ordering,
    time::Duration,
};

use async_trait::async_trait;
use keywright_core::{
    KeyId,
    store::{Alias, Record},
};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};
use tokio::time::timeout;

use crate::{
    batch::{self, Worker},
    database::Database,
    error::{Error, Result},
    heartbeat::confirmed,
    held::Held,
    queue::{Capacity, Job, Queue},
    record::{self, id_text},
    statements::Statements,
    values::bytes,
};

/// A find has no tenant: the verifier does not know it yet. After a restart, each connection of a
/// host may present another key at the same time.
const CAPACITY: Capacity = Capacity {
    all: 16_384,
    tenant: 16_384,
};

/// How long a statement may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// A name by which a record is found: its id, or its alias.
pub(crate) trait Wanted: Copy + Eq + Hash + fmt::Debug + Send + Sync + 'static {
    /// Returns the statement that finds records, up to the array.
    fn statement(statements: &Statements) -> &str;

    /// Returns the array.
    fn array(wanted: &[Self]) -> String;

    /// Reads this from the row of a record.
    fn of(row: &PgRow) -> Result<Option<Self>>;
}

impl Wanted for KeyId {
    fn statement(statements: &Statements) -> &str {
        &statements.find
    }

    fn array(wanted: &[Self]) -> String {
        // An id has only letters and digits.
        let ids: Vec<String> = wanted.iter().map(id_text).collect();
        format!("('{{{}}}')", ids.join(","))
    }

    fn of(row: &PgRow) -> Result<Option<Self>> {
        record::id(row).map(Some)
    }
}

impl Wanted for Alias {
    fn statement(statements: &Statements) -> &str {
        &statements.find_by_alias
    }

    fn array(wanted: &[Self]) -> String {
        let aliases: Vec<String> = wanted.iter().map(|alias| bytes(alias.as_bytes())).collect();
        format!("(ARRAY[{}])", aliases.join(","))
    }

    fn of(row: &PgRow) -> Result<Option<Self>> {
        record::alias(row)
    }
}

type Find<W> = Job<W, Option<Record>>;

/// Finds records. Concurrent finds share a statement, so under load a find costs little more than
/// its share of one. A verification waits for a find, so finds have their own workers, and never
/// wait for lists or changes.
#[derive(Debug)]
pub(crate) struct Finder<W: Wanted>(Queue<Find<W>>);

impl<W: Wanted> Finder<W> {
    /// Starts the workers on the current runtime. They end when this is dropped.
    pub(crate) fn start(database: &Database) -> Self {
        let (queue, jobs) = Queue::new(CAPACITY);
        batch::start(&FindWorker(database.clone(), PhantomData), &jobs);
        Self(queue)
    }

    /// Returns the record with this id or alias, even if its key is revoked.
    pub(crate) async fn find(&self, wanted: W) -> Result<Option<Record>> {
        self.0.run(None, wanted).await
    }
}

#[derive(Clone)]
struct FindWorker<W>(Database, PhantomData<W>);

#[async_trait]
impl<W: Wanted> Worker for FindWorker<W> {
    type Work = W;
    type Output = Option<Record>;

    fn database(&self) -> &Database {
        &self.0
    }

    async fn work(&self, held: &mut Held, finds: Vec<Find<W>>) {
        let wanted: Vec<W> = finds.iter().map(|find| find.work).collect();
        let found = find(held, &self.0, &wanted).await;
        for Job {
            work: wanted,
            caller,
        } in finds
        {
            caller.finish(match &found {
                Ok(records) => records.get(&wanted).cloned().transpose(),
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
async fn find<W: Wanted>(
    held: &mut Held,
    database: &Database,
    wanted: &[W],
) -> Result<HashMap<W, Result<Record>>> {
    let statement = W::statement(&database.statements);
    let sql = format!("{statement}{}", W::array(wanted));
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
struct Found<W> {
    /// Whether a commit waits for a standby.
    synchronous: bool,
    records: HashMap<W, Result<Record>>,
}

/// Reads records in one round trip, without a prepared statement, so that a pooler may use any
/// connection for it.
async fn read<W: Wanted>(
    connection: &mut PgConnection,
    sql: &str,
    confirm: bool,
) -> Result<Found<W>> {
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
        if row.try_get::<Option<&str>, _>("id")?.is_some()
            && let Some(wanted) = W::of(row)?
        {
            found.records.insert(wanted, record::record(row));
        }
    }
    Ok(found)
}
