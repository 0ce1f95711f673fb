//! The statements of the store, with the name of the schema.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::{
    record::COLUMNS,
    schema::{VERSION, in_schema},
    schema_name::SchemaName,
};

/// Makes the commit wait until the changes are durable, whatever the default of the database is.
/// Then checks the version of the tables: a program must not write where a newer one has migrated.
/// A migration locks the table `settings` and so waits for the end of the transaction. The error of
/// a different version is a division by zero. The version of a sealed store is negative, and its
/// error is a square root of a negative number.
const PREPARE_CHANGE: &str = "SET LOCAL synchronous_commit = on; \
     SELECT CASE WHEN value LIKE '-%' THEN sqrt(value::float8) \
     ELSE 1 / (value = '{version}')::int END \
     FROM {schema}.settings WHERE name = 'version'";

/// Locks the table `settings`, and so waits for the end of all transactions that make changes. They
/// wait in turn, so this gives up after some seconds.
const PREPARE_STAGE: &str = "SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '5s'; \
     LOCK TABLE {schema}.settings IN ACCESS EXCLUSIVE MODE";

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
    pub(crate) lock_for_change: SqlStr,
    pub(crate) lock_for_share: SqlStr,
    pub(crate) insert_keys: SqlStr,
    pub(crate) update_keys: SqlStr,
    pub(crate) insert_events: SqlStr,
    pub(crate) insert_changes: SqlStr,
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
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {PREPARE_CHANGE}"
            )),
            begin_stage: sql(&format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {PREPARE_STAGE}"
            )),
            prepare_change: sql(PREPARE_CHANGE),
            find: text("SELECT {columns} FROM {schema}.keys WHERE id = ANY "),
            // In the order of the ids, so that two transactions do not wait for each other.
            lock_for_change: sql("SELECT {columns} FROM {schema}.keys WHERE id = ANY($1) \
                 ORDER BY id FOR NO KEY UPDATE"),
            lock_for_share: sql("SELECT {columns} FROM {schema}.keys WHERE id = ANY($1) \
                 ORDER BY id FOR SHARE"),
            insert_keys: sql(
                "INSERT INTO {schema}.keys (id, workspace, test, owner, name, \
                 folded_name, permissions, enabled, allowed_ips, parent, successor, predecessor, \
                 rotated_by, expires_at, revoked_at, hash, tag, version, metadata, attributes) \
                 SELECT * FROM unnest($1::text[], $2::text[], $3::bool[], $4::text[], $5::text[], \
                 $6::text[], $7::text[], $8::bool[], $9::text[], $10::text[], $11::text[], \
                 $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::text[], \
                 $17::bytea[], $18::bigint[], $19::text[], $20::text[])",
            ),
            update_keys: sql("UPDATE {schema}.keys AS k SET name = n.name, \
                 folded_name = n.folded_name, permissions = n.permissions, enabled = n.enabled, \
                 allowed_ips = n.allowed_ips, successor = n.successor, \
                 expires_at = n.expires_at, revoked_at = n.revoked_at, hash = n.hash, \
                 tag = n.tag, version = n.version, metadata = n.metadata, \
                 attributes = n.attributes \
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], \
                 $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::bytea[], \
                 $12::bigint[], $13::text[], $14::text[]) \
                 AS n (id, name, folded_name, permissions, enabled, allowed_ips, successor, \
                 expires_at, revoked_at, hash, tag, version, metadata, attributes) \
                 WHERE k.id = n.id"),
            insert_events: sql(
                "INSERT INTO {schema}.events (id, workspace, test, owner, key, \
                 event) SELECT * FROM unnest($1::text[], $2::text[], $3::bool[], $4::text[], \
                 $5::text[], $6::text[])",
            ),
            insert_changes: sql(
                "INSERT INTO {schema}.changes (id) SELECT * FROM unnest($1::text[])",
            ),
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
