//! The statements of the store, with the name of the schema.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::{
    record::COLUMNS,
    schema::{VERSION, in_schema},
    schema_name::SchemaName,
};

/// Makes the commit wait until the changes are durable, whatever the default of the database is. It
/// may also wait for replicas to apply them, if the host has chosen that.
const DURABLE: &str = "SELECT set_config('synchronous_commit', \
     CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' \
     ELSE 'on' END, true)";

/// The condition that the tables have the version of this program. A program must not write where a
/// newer one has migrated. A migration locks the table `settings`, and so waits for the end of the
/// transaction.
const IS_VERSION: &str = "EXISTS (SELECT FROM {schema}.settings \
     WHERE name = 'version' AND value = '{version}')";

/// The settings of each transaction of the store, because the role or the database may have other
/// defaults. The planner must use the index that a statement is written for, even if the statistics
/// are old or missing.
const SETTINGS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off";

/// A reader must also not sort instead of reading an index in its order.
const READ_SETTINGS: &str = "SET LOCAL enable_sort = off; \
     SET LOCAL enable_incremental_sort = off; SET LOCAL enable_bitmapscan = off";

/// A transaction that waits for a lock ends soon, and its connection is free for other tenants. Its
/// caller tries again. The server must not end a transaction that waits for a synchronous standby.
const WRITE_SETTINGS: &str = "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = 0";

/// The class of the advisory locks: `KWRG` in ASCII.
///
/// A key that admits a new key is locked in shared mode, both its row and the advisory lock of its
/// id. Row locks are not fair: while one insert follows another, a revocation would never lock the
/// row. An advisory lock is fair: while a revocation waits for it, no insert gets it.
const LOCK_CLASS: i32 = 0x4b57_5247;

/// The statements that contain no text of a caller.
///
/// Each is sent as an unnamed statement inside a transaction, because a pooler such as PgBouncer
/// may give each transaction another connection.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) schema: SchemaName,
    pub(crate) begin_read: SqlStr,
    pub(crate) begin_write: SqlStr,
    /// Precedes a change in a transaction of the host.
    pub(crate) prepare_in_host: SqlStr,
    /// A prefix: the ids follow as an array.
    pub(crate) find: String,
    /// Wait for the advisory locks of ids. They precede the locks of rows.
    pub(crate) reserve_for_change: SqlStr,
    pub(crate) reserve_for_share: SqlStr,
    /// Wait for rows that are locked. The order prevents deadlocks.
    pub(crate) lock_for_change: SqlStr,
    pub(crate) lock_for_share: SqlStr,
    /// Also return the rows that are locked, with the column `locked` false.
    pub(crate) try_lock_for_change: SqlStr,
    pub(crate) try_lock_for_share: SqlStr,
    pub(crate) insert_keys: SqlStr,
    pub(crate) update_keys: SqlStr,
    pub(crate) insert_events: SqlStr,
    pub(crate) insert_changes: SqlStr,
    /// One level of a cascade. A single recursive query would miss children that other
    /// transactions insert meanwhile.
    pub(crate) descendants: SqlStr,
    /// Skips rows that are locked.
    pub(crate) touch: SqlStr,
    pub(crate) not_touched: SqlStr,
}

impl Statements {
    pub(crate) fn new(schema: SchemaName) -> Self {
        // The error of a different version is a division by zero.
        let check_version = format!("SELECT 1 / ({IS_VERSION})::int");
        let lock = |strength: &str| {
            format!(
                "SELECT {{columns}}, true AS locked FROM {{schema}}.keys WHERE id = ANY($1) \
                 ORDER BY id {strength}"
            )
        };
        let reserve = |function: &str| {
            format!(
                "SELECT {function}({LOCK_CLASS}, hashtext(id)) FROM unnest($1::text[]) AS u (id)"
            )
        };
        let try_lock = |strength: &str| {
            format!(
                "WITH taken AS (SELECT {{columns}} FROM {{schema}}.keys WHERE id = ANY($1) \
                 {strength} SKIP LOCKED) SELECT *, true AS locked FROM taken \
                 UNION ALL SELECT {{columns}}, false FROM {{schema}}.keys \
                 WHERE id = ANY($1) AND id NOT IN (SELECT id FROM taken)"
            )
        };
        let text = |text: &str| {
            let text = text.replace("{columns}", COLUMNS);
            in_schema(&schema, &text.replace("{version}", &VERSION.to_string()))
        };
        let sql = |sql: &str| AssertSqlSafe(Arc::<str>::from(text(sql))).into_sql_str();
        Self {
            begin_read: sql(&format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {SETTINGS}; {READ_SETTINGS}"
            )),
            begin_write: sql(&format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {SETTINGS}; {WRITE_SETTINGS}; \
                 {DURABLE}; {check_version}"
            )),
            prepare_in_host: sql(&format!(
                "{DURABLE}, {IS_VERSION} AS is_version, \
                 current_setting('transaction_isolation') = 'read committed' AS is_read_committed"
            )),
            find: text("SELECT {columns} FROM {schema}.keys WHERE id = ANY "),
            reserve_for_change: sql(&reserve("pg_advisory_xact_lock")),
            reserve_for_share: sql(&reserve("pg_advisory_xact_lock_shared")),
            lock_for_change: sql(&lock("FOR NO KEY UPDATE")),
            lock_for_share: sql(&lock("FOR SHARE")),
            try_lock_for_change: sql(&try_lock("FOR NO KEY UPDATE")),
            try_lock_for_share: sql(&try_lock(&format!(
                "AND pg_try_advisory_xact_lock_shared({LOCK_CLASS}, hashtext(id)) FOR SHARE"
            ))),
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
            descendants: sql("SELECT id FROM {schema}.keys WHERE parent = ANY($1) \
                 OR rotated_by = ANY($1) OR id = ANY($2)"),
            touch: sql("WITH used AS (SELECT k.id, u.time FROM {schema}.keys AS k \
                 JOIN unnest($1::text[], $2::bigint[]) AS u (id, time) USING (id) \
                 WHERE k.last_used_at IS NULL OR k.last_used_at < u.time \
                 FOR NO KEY UPDATE OF k SKIP LOCKED) \
                 UPDATE {schema}.keys AS k SET last_used_at = used.time FROM used \
                 WHERE k.id = used.id"),
            not_touched: sql("SELECT EXISTS (SELECT FROM {schema}.keys AS k \
                 JOIN unnest($1::text[], $2::bigint[]) AS u (id, time) USING (id) \
                 WHERE k.last_used_at IS NULL OR k.last_used_at < u.time)"),
            schema,
        }
    }

    /// Writes the name of the schema into a statement.
    pub(crate) fn sql(&self, text: &str) -> SqlStr {
        let text = in_schema(&self.schema, &text.replace("{columns}", COLUMNS));
        AssertSqlSafe(text).into_sql_str()
    }
}
