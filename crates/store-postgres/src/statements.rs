//! The statements of the store, with the name of the schema.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::{
    identity::StoreIdentity,
    record::COLUMNS,
    schema::{LOCK_SETTINGS, VERSION, in_schema},
    schema_name::SchemaName,
};

/// Makes the commit wait until the changes are durable, whatever the default of the database is. It
/// may also wait for replicas to apply them, if the host has chosen that.
const DURABLE: &str = "SELECT set_config('synchronous_commit', \
     CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' \
     ELSE 'on' END, true)";

/// Checks the version of the tables: a program must not write where a newer one has migrated. A
/// migration locks the table `settings`, and so waits for the end of the transaction. The error of
/// a different version is a division by zero. The version of a sealed store is negative, and its
/// error is a square root of a negative number. The error of another store is a logarithm of zero.
const CHECK_VERSION: &str = "SELECT CASE \
     WHEN NOT {is_this_store} THEN ln((0 * length(value))::float8) \
     WHEN value LIKE '-%' THEN sqrt(value::float8) \
     ELSE 1 / (value = '{version}')::int END FROM (SELECT coalesce((SELECT value \
     FROM {schema}.settings WHERE name = 'version'), '') AS value) AS version";

/// Reads the version of the tables. An error would end the transaction of the host.
const READ_VERSION: &str = "{is_this_store} AS is_this_store, EXISTS (SELECT FROM {schema}.settings \
     WHERE name = 'version' AND value = '{version}') AS is_version, \
     EXISTS (SELECT FROM {schema}.settings \
     WHERE name = 'version' AND value LIKE '-%') AS is_sealed";

/// Finds records. The condition follows. If no record is found, there is one row without one.
const FIND: &str = "SELECT recovery, is_this_store, synchronous, {columns} FROM \
     (SELECT pg_is_in_recovery() AS recovery, {is_this_store} AS is_this_store, \
     current_setting('synchronous_standby_names') <> '' AS synchronous) AS server \
     LEFT JOIN {schema}.keys ON ";

/// The settings of each transaction of the store, because the role or the database may have other
/// defaults. The planner must use the index that a statement is written for, even if the statistics
/// are old or missing.
const SETTINGS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off";

/// A reader must also not sort instead of reading an index in its order.
const READ_SETTINGS: &str = "SET LOCAL enable_sort = off; \
     SET LOCAL enable_incremental_sort = off; SET LOCAL enable_bitmapscan = off";

/// A transaction that waits for a lock ends soon, and its connection is free for other tenants. Its
/// caller tries again. The store has its own deadline, so the role's limit for a statement does not
/// apply.
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
    /// The condition that a statement runs in this store.
    pub(crate) is_this_store: String,
    pub(crate) begin_read: SqlStr,
    pub(crate) begin_write: SqlStr,
    pub(crate) begin_stage: SqlStr,
    /// Precedes a change in a transaction of the host.
    pub(crate) prepare_in_host: SqlStr,
    /// A prefix: the ids follow as an array.
    pub(crate) find: String,
    /// A prefix: the aliases follow as an array.
    pub(crate) find_by_alias: String,
    /// A prefix: the aliases follow as an array.
    pub(crate) taken_aliases: String,
    /// With `{ids}` for the ids, as an array. Waits for the advisory locks of the ids, then for
    /// rows that are locked. The order prevents deadlocks.
    pub(crate) lock_for_change: String,
    /// With `{ids}`.
    pub(crate) lock_for_share: String,
    /// With `{ids}`. Also returns the rows that are locked, with the column `locked` false.
    pub(crate) try_lock_for_change: String,
    /// With `{ids}`.
    pub(crate) try_lock_for_share: String,
    /// A prefix: the columns and rows follow.
    pub(crate) insert_keys: String,
    /// With `{rows}` for a table of rows.
    pub(crate) update_keys: String,
    /// A prefix.
    pub(crate) insert_events: String,
    /// A prefix.
    pub(crate) insert_changes: String,
    /// The descendants of keys at any depth, as they are before they are locked.
    pub(crate) descendants: SqlStr,
    /// Skips rows that are locked.
    pub(crate) touch: SqlStr,
    pub(crate) not_touched: SqlStr,
}

impl Statements {
    pub(crate) fn new(schema: SchemaName, identity: &StoreIdentity) -> Self {
        let is_this_store = in_schema(&schema, &identity.condition());
        let lock = |advisory: &str, strength: &str| {
            format!(
                "SELECT {advisory}({LOCK_CLASS}, hashtext(id)) \
                 FROM unnest('{{{{ids}}}}'::text[]) AS u (id); \
                 SELECT {{columns}}, true AS locked FROM {{schema}}.keys \
                 WHERE id = ANY('{{{{ids}}}}') ORDER BY id {strength}"
            )
        };
        let try_lock = |strength: &str| {
            format!(
                "WITH taken AS (SELECT {{columns}} FROM {{schema}}.keys \
                 WHERE id = ANY('{{{{ids}}}}') {strength} SKIP LOCKED) \
                 SELECT *, true AS locked FROM taken \
                 UNION ALL SELECT {{columns}}, false FROM {{schema}}.keys \
                 WHERE id = ANY('{{{{ids}}}}') AND id NOT IN (SELECT id FROM taken)"
            )
        };
        let text = |text: &str| {
            let text = text
                .replace("{columns}", COLUMNS)
                .replace("{is_this_store}", &is_this_store);
            in_schema(&schema, &text.replace("{version}", &VERSION.to_string()))
        };
        let sql = |sql: &str| AssertSqlSafe(Arc::<str>::from(text(sql))).into_sql_str();
        Self {
            begin_read: sql(&format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {SETTINGS}; {READ_SETTINGS}"
            )),
            begin_write: sql(&format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {SETTINGS}; {WRITE_SETTINGS}; \
                 {DURABLE}; {CHECK_VERSION}"
            )),
            begin_stage: sql(&format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {SETTINGS}; {WRITE_SETTINGS}; \
                 {DURABLE}; {LOCK_SETTINGS}"
            )),
            prepare_in_host: sql(&format!(
                "{DURABLE}, {READ_VERSION}, \
                 current_setting('transaction_isolation') = 'read committed' AS is_read_committed"
            )),
            find: text(&format!("{FIND}id = ANY ")),
            find_by_alias: text(&format!("{FIND}alias = ANY ")),
            taken_aliases: text(
                "SELECT encode(alias, 'hex') AS taken FROM {schema}.keys WHERE alias = ANY ",
            ),
            lock_for_change: text(&lock("pg_advisory_xact_lock", "FOR NO KEY UPDATE")),
            lock_for_share: text(&lock("pg_advisory_xact_lock_shared", "FOR SHARE")),
            try_lock_for_change: text(&try_lock("FOR NO KEY UPDATE")),
            try_lock_for_share: text(&try_lock(&format!(
                "AND pg_try_advisory_xact_lock_shared({LOCK_CLASS}, hashtext(id)) FOR SHARE"
            ))),
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
            // Each part reads one index.
            descendants: sql("WITH RECURSIVE found (id, successor) AS (\
                 SELECT id, successor FROM {schema}.keys WHERE parent = ANY($1) \
                 OR rotated_by = ANY($1) OR id = ANY($2) \
                 UNION SELECT k.id, k.successor FROM found AS f CROSS JOIN LATERAL (\
                 SELECT id, successor FROM {schema}.keys WHERE parent = f.id \
                 UNION ALL SELECT id, successor FROM {schema}.keys WHERE rotated_by = f.id \
                 UNION ALL SELECT id, successor FROM {schema}.keys WHERE id = f.successor) AS k) \
                 SELECT id FROM found"),
            touch: sql("WITH used AS (SELECT k.id, u.time FROM {schema}.keys AS k \
                 JOIN unnest($1::text[], $2::bigint[]) AS u (id, time) USING (id) \
                 WHERE k.last_used_at IS NULL OR k.last_used_at < u.time \
                 FOR NO KEY UPDATE OF k SKIP LOCKED) \
                 UPDATE {schema}.keys AS k SET last_used_at = used.time FROM used \
                 WHERE k.id = used.id"),
            not_touched: sql("SELECT EXISTS (SELECT FROM {schema}.keys AS k \
                 JOIN unnest($1::text[], $2::bigint[]) AS u (id, time) USING (id) \
                 WHERE k.last_used_at IS NULL OR k.last_used_at < u.time)"),
            is_this_store,
            schema,
        }
    }

    /// Writes the name of the schema into a statement.
    pub(crate) fn sql(&self, text: &str) -> SqlStr {
        let text = in_schema(&self.schema, &text.replace("{columns}", COLUMNS));
        AssertSqlSafe(text).into_sql_str()
    }
}
