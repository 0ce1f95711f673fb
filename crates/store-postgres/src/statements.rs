//! The statements of the store, with the name of the schema.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::{
    record::COLUMNS,
    schema::{VERSION, in_schema},
    schema_name::SchemaName,
};

/// Makes the commit wait until the changes are durable, whatever the default of the database is. Then
/// checks the version of the tables: a program must not write where a newer one has migrated. A
/// migration locks the table `settings` and so waits for the end of the transaction. The error of a
/// different version is a division by zero. The version of a sealed store is negative, and its error
/// is a square root of a negative number.
const PREPARE_CHANGE: &str = "SET LOCAL synchronous_commit = on; \
     SELECT CASE WHEN value LIKE '-%' THEN sqrt(value::float8) \
     ELSE 1 / (value = '{version}')::int END \
     FROM {schema}.settings WHERE name = 'version'";

/// Locks the table `settings`, and so waits for the end of all transactions that make changes. They
/// wait in turn, so this gives up after some seconds.
const PREPARE_STAGE: &str = "SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '5s'; \
     LOCK TABLE {schema}.settings IN ACCESS EXCLUSIVE MODE";

/// Limits the wait for a row that another transaction has locked, so that the transaction ends on
/// the server before the store stops waiting for it. Removes the time limit of statements, which
/// would end the wait of a commit for a standby, and the commit would succeed without it.
const LIMIT_WAITS: &str = "SET LOCAL lock_timeout = '8s'; SET LOCAL statement_timeout = 0";

/// The statements that contain no text of a caller.
///
/// Each is sent as an unnamed statement inside a transaction, because a pooler such as PgBouncer
/// may give each transaction another connection.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) schema: SchemaName,
    pub(crate) begin_read: SqlStr,
    pub(crate) begin_write: SqlStr,
    pub(crate) begin_stage: SqlStr,
    /// The statements that precede a change in a transaction of the host.
    pub(crate) prepare_change: SqlStr,
    /// A prefix: the ids follow as an array.
    pub(crate) find: String,
    /// With `{ids}` for the ids, as an array.
    pub(crate) lock_for_change: String,
    /// With `{ids}`.
    pub(crate) lock_for_share: String,
    /// A prefix: the columns and rows follow.
    pub(crate) insert_keys: String,
    /// With `{rows}` for a table of rows.
    pub(crate) update_keys: String,
    /// A prefix.
    pub(crate) insert_events: String,
    /// A prefix.
    pub(crate) insert_changes: String,
    pub(crate) descendants: SqlStr,
    pub(crate) touch: SqlStr,
}

impl Statements {
    pub(crate) fn new(schema: SchemaName) -> Self {
        let text = |text: &str| {
            let text = text.replace("{columns}", COLUMNS);
            in_schema(&schema, &text.replace("{version}", &VERSION.to_string()))
        };
        let sql = |sql: &str| AssertSqlSafe(Arc::<str>::from(text(sql))).into_sql_str();
        Self {
            begin_read: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".into_sql_str(),
            begin_write: sql(&format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {LIMIT_WAITS}; {PREPARE_CHANGE}"
            )),
            begin_stage: sql(&format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {PREPARE_STAGE}"
            )),
            prepare_change: sql(PREPARE_CHANGE),
            find: text(
                "SELECT recovery, synchronous, {columns} FROM \
                 (SELECT pg_is_in_recovery() AS recovery, \
                 current_setting('synchronous_standby_names') <> '' AS synchronous) AS server \
                 LEFT JOIN {schema}.keys ON id = ANY ",
            ),
            // In the order of the ids, so that two transactions do not wait for each other.
            lock_for_change: text(
                "SELECT {columns} FROM {schema}.keys WHERE id = ANY('{{ids}}') \
                 ORDER BY id FOR NO KEY UPDATE",
            ),
            lock_for_share: text(
                "SELECT {columns} FROM {schema}.keys WHERE id = ANY('{{ids}}') \
                 ORDER BY id FOR SHARE",
            ),
            insert_keys: text("INSERT INTO {schema}.keys "),
            // A column that is null in all rows has the type text.
            update_keys: text(
                "UPDATE {schema}.keys AS k SET name = n.name, folded_name = n.folded_name, \
                 permissions = n.permissions, enabled = n.enabled, allowed_ips = n.allowed_ips, \
                 successor = n.successor, expires_at = n.expires_at::bigint, \
                 revoked_at = n.revoked_at::bigint, hash = n.hash, tag = n.tag, \
                 version = n.version, metadata = n.metadata, attributes = n.attributes \
                 FROM {rows} WHERE k.id = n.id",
            ),
            insert_events: text("INSERT INTO {schema}.events "),
            insert_changes: text("INSERT INTO {schema}.changes "),
            // One level of a cascade. A single recursive query would miss children that other
            // transactions insert meanwhile.
            descendants: sql(
                "SELECT {columns} FROM {schema}.keys WHERE parent = ANY($1) \
                 OR rotated_by = ANY($1) OR id = ANY($2) ORDER BY id FOR NO KEY UPDATE",
            ),
            touch: sql("WITH used AS (SELECT k.id, u.time FROM {schema}.keys AS k \
                 JOIN unnest($1::text[], $2::bigint[]) AS u (id, time) USING (id) \
                 WHERE k.last_used_at IS NULL OR k.last_used_at < u.time \
                 ORDER BY k.id FOR NO KEY UPDATE OF k) \
                 UPDATE {schema}.keys AS k SET last_used_at = used.time FROM used \
                 WHERE k.id = used.id"),
            schema,
        }
    }

    /// Writes the name of the schema into a statement.
    pub(crate) fn sql(&self, text: &str) -> SqlStr {
        let text = in_schema(&self.schema, &text.replace("{columns}", COLUMNS));
        AssertSqlSafe(text).into_sql_str()
    }
}
