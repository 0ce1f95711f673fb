//! The tables, their versions, and their migrations.

use crate::schema_name::SchemaName;

/// The migrations. The first `n` of them make a schema of version `n`. A released migration never
/// changes. `{schema}` stands for the name of the schema.
pub(crate) const MIGRATIONS: [&str; 1] = [V1];

/// The newest version that this program supports.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The setting `id` names the store, and is 16 characters of base62. All times are Unix
/// milliseconds. An id is its 16 characters, which begin with the time of
/// creation. They sort by byte.
///
/// A list reads the entries of one index in their order: the columns before the id have one value,
/// and the id comes last. Each list has a separate index, and the statement orders by all columns
/// of this index. So the planner cannot choose another one, whatever the statistics are: for
/// example, not the primary key, in which it would skip the keys of all other workspaces.
///
/// The indexes are partial. A `live` key has an entry for its id, its workspace, its owner and its
/// parent, if it has them. Only `test` keys have more. With 200,000 keys of 251 bytes, a key takes
/// 48 bytes in the index of the ids, 50 in that of the workspaces, 74 in that of the owners if it
/// has one, and 7 in that of the parents.
const V1: &str = r#"
CREATE TABLE {schema}.settings (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

INSERT INTO {schema}.settings (name, value)
VALUES ('id', right(replace(gen_random_uuid()::text, '-', ''), 16));

CREATE TABLE {schema}.keys (
    id text COLLATE "C" PRIMARY KEY,
    workspace text COLLATE "C" NOT NULL,
    test boolean NOT NULL,
    owner text COLLATE "C",
    name text NOT NULL,
    folded_name text COLLATE "C" NOT NULL,
    permissions text NOT NULL,
    enabled boolean NOT NULL,
    allowed_ips text,
    parent text COLLATE "C",
    successor text COLLATE "C",
    predecessor text COLLATE "C",
    rotated_by text COLLATE "C",
    expires_at bigint,
    revoked_at bigint,
    last_used_at bigint,
    alias bytea,
    hash text NOT NULL,
    tag bytea NOT NULL,
    version bigint NOT NULL,
    metadata text,
    attributes text
) WITH (fillfactor = 85);

CREATE INDEX keys_workspace ON {schema}.keys (workspace, id);
CREATE INDEX keys_test ON {schema}.keys (test, workspace, id) WHERE test;
CREATE INDEX keys_owner ON {schema}.keys (workspace, owner, id) WHERE owner IS NOT NULL;
CREATE INDEX keys_owner_test ON {schema}.keys (test, workspace, owner, id)
    WHERE test AND owner IS NOT NULL;
CREATE UNIQUE INDEX keys_alias ON {schema}.keys (alias) WHERE alias IS NOT NULL;
CREATE INDEX keys_parent ON {schema}.keys (parent) WHERE parent IS NOT NULL;
CREATE INDEX keys_rotated_by ON {schema}.keys (rotated_by) WHERE rotated_by IS NOT NULL;

CREATE TABLE {schema}.events (
    id text COLLATE "C" PRIMARY KEY,
    workspace text COLLATE "C" NOT NULL,
    test boolean NOT NULL,
    owner text COLLATE "C",
    key text COLLATE "C" NOT NULL,
    event text NOT NULL
);

CREATE INDEX events_workspace ON {schema}.events (workspace, id);
CREATE INDEX events_test ON {schema}.events (test, workspace, id) WHERE test;
CREATE INDEX events_owner ON {schema}.events (workspace, owner, id) WHERE owner IS NOT NULL;
CREATE INDEX events_owner_test ON {schema}.events (test, workspace, owner, id)
    WHERE test AND owner IS NOT NULL;
CREATE INDEX events_key ON {schema}.events (key, id);

CREATE TABLE {schema}.reservations (
    key bytea PRIMARY KEY,
    fingerprint bytea NOT NULL,
    id text COLLATE "C" NOT NULL,
    until bigint NOT NULL
);

CREATE INDEX reservations_until ON {schema}.reservations (until);

CREATE TABLE {schema}.changes (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id text COLLATE "C" NOT NULL
);

CREATE INDEX changes_xid ON {schema}.changes (xid);
"#;

/// Sets the version, as the last statement of a migration. The version of a sealed store is
/// negative, and stays so.
const SET_VERSION: &str = "
INSERT INTO {schema}.settings AS old (name, value) VALUES ('version', '{version}')
ON CONFLICT (name) DO UPDATE
SET value = CASE WHEN old.value LIKE '-%' THEN '-' ELSE '' END || excluded.value;
";

/// Returns the statement that creates the schema. It requires the privilege `CREATE` on the
/// database, even if the schema exists.
pub(crate) fn create(schema: &SchemaName) -> String {
    in_schema(schema, "CREATE SCHEMA IF NOT EXISTS {schema};\n")
}

/// Locks the table `settings`, and so waits for the end of all transactions that make changes,
/// which read this table first. Meanwhile those that begin and the polls of all feeds wait in turn,
/// so this gives up soon and must be repeated. It waits for a part of the smallest staleness bound,
/// so that the servers keep their leases.
pub(crate) const LOCK_SETTINGS: &str = "SET LOCAL lock_timeout = '50ms'; \
     LOCK TABLE {schema}.settings IN ACCESS EXCLUSIVE MODE";

/// Returns the statements that migrate from version `from`, 0 for none, to the last of these
/// migrations.
pub(crate) fn migration(schema: &SchemaName, migrations: &[&str], from: usize) -> String {
    let mut sql = String::new();
    if from > 0 {
        sql.push_str(LOCK_SETTINGS);
        sql.push_str(";\n");
    }
    for migration in migrations.iter().skip(from) {
        sql.push_str(migration);
    }
    sql.push_str(&SET_VERSION.replace("{version}", &migrations.len().to_string()));
    in_schema(schema, &sql)
}

/// Writes the name of the schema into a statement.
pub(crate) fn in_schema(schema: &SchemaName, sql: &str) -> String {
    sql.replace("{schema}", &schema.quoted())
}
