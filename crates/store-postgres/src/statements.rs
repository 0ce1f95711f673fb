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
/// different version is a division by zero.
const PREPARE_CHANGE: &str = "SET LOCAL synchronous_commit = on; \
     SELECT 1 / (value = '{version}')::int FROM {schema}.settings WHERE name = 'version'";

/// Limits the wait for a row that another transaction has locked, so that the transaction ends on the
/// server before the store stops waiting for it. Removes the time limit of statements, which would
/// end the wait of a commit for a standby, and the commit would succeed without it.
const LIMIT_WAITS: &str = "SET LOCAL lock_timeout = '8s'; SET LOCAL statement_timeout = 0";

const INSERT_KEYS: &str = "INSERT INTO {schema}.keys (id, workspace, test, owner, name, \
     folded_name, permissions, enabled, allowed_ips, parent, successor, predecessor, rotated_by, \
     expires_at, revoked_at, hash, tag, version, metadata, attributes) \
     SELECT * FROM json_to_recordset({rows}) AS n (id text, workspace text, test boolean, \
     owner text, name text, folded_name text, permissions text, enabled boolean, \
     allowed_ips text, parent text, successor text, predecessor text, rotated_by text, \
     expires_at bigint, revoked_at bigint, hash text, tag bytea, version bigint, metadata text, \
     attributes text)";

const INSERT_EVENTS: &str = "INSERT INTO {schema}.events (id, workspace, test, owner, key, event) \
     SELECT e.* FROM json_to_recordset({events}) AS e (id text, workspace text, test boolean, \
     owner text, key text, event text)";

/// The statements that contain no text of a caller.
///
/// Each is sent as an unnamed statement inside a transaction, because a pooler such as PgBouncer
/// may give each transaction another connection.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) schema: SchemaName,
    pub(crate) begin_read: SqlStr,
    pub(crate) begin_write: SqlStr,
    /// The statements that precede a change in a transaction of the host.
    pub(crate) prepare_change: SqlStr,
    /// A prefix: the ids follow as an array.
    pub(crate) find: String,
    /// With `{ids}` for the ids, as an array.
    pub(crate) lock_for_change: String,
    /// With `{ids}`.
    pub(crate) lock_for_share: String,
    /// With `{rows}` for the rows, as JSON.
    pub(crate) insert_keys: String,
    /// With `{rows}` and `{events}`. Inserts the keys whose ids are not in use, and the events of
    /// these keys. Returns their ids.
    pub(crate) insert_new_keys: String,
    /// With `{rows}`. Also appends to the feed.
    pub(crate) update_keys: String,
    /// With `{events}`.
    pub(crate) insert_events: String,
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
            insert_keys: text(INSERT_KEYS),
            insert_new_keys: text(&format!(
                "WITH inserted AS ({INSERT_KEYS} ON CONFLICT (id) DO NOTHING RETURNING id), \
                 appended AS ({INSERT_EVENTS} JOIN inserted ON inserted.id = e.key) \
                 SELECT id FROM inserted"
            )),
            update_keys: text(
                "WITH updated AS (UPDATE {schema}.keys AS k SET name = n.name, \
                 folded_name = n.folded_name, permissions = n.permissions, enabled = n.enabled, \
                 allowed_ips = n.allowed_ips, successor = n.successor, \
                 expires_at = n.expires_at, revoked_at = n.revoked_at, hash = n.hash, \
                 tag = n.tag, version = n.version, metadata = n.metadata, \
                 attributes = n.attributes \
                 FROM json_to_recordset({rows}) AS n (id text, name text, folded_name text, \
                 permissions text, enabled boolean, allowed_ips text, successor text, \
                 expires_at bigint, revoked_at bigint, hash text, tag bytea, version bigint, \
                 metadata text, attributes text) \
                 WHERE k.id = n.id RETURNING k.id) \
                 INSERT INTO {schema}.changes (id) SELECT id FROM updated",
            ),
            insert_events: text(INSERT_EVENTS),
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
