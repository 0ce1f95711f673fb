//! The checks before a store is opened.

use std::{borrow::Cow, time::Duration};

use keywright_core::store::Durability;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _, postgres::PgConnectOptions,
};
use tokio::time::timeout;

use crate::{
    identity::StoreIdentity,
    open_error::OpenError,
    schema::{self, in_schema},
    schema_name::SchemaName,
};

/// How long to wait for the connection of the feed.
const DEADLINE: Duration = Duration::from_secs(10);

/// The oldest supported version of the server, as `server_version_num` has it.
const MIN_SERVER_VERSION: i32 = 140_000;

/// A server that is suitable as a store.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) durability: Durability,
    pub(crate) identity: StoreIdentity,
}

/// Checks that the server and its tables can be used.
pub(crate) async fn check(pool: &PgPool, schema: &SchemaName) -> Result<Opened, OpenError> {
    let mut connection = pool.acquire().await.map_err(OpenError::Connect)?;
    let row = sqlx::raw_sql(SERVER)
        .fetch_one(&mut *connection)
        .await
        .map_err(OpenError::Statement)?;
    let server = Server::read(&row).map_err(OpenError::Statement)?;
    server.check()?;
    check_version(&mut connection, schema).await?;
    check_privileges(&mut connection, schema).await?;
    let identity = StoreIdentity::read(&mut connection, schema).await?;
    let durability = if server.fsync {
        Durability::HostCrash
    } else {
        Durability::ProcessCrash
    };
    Ok(Opened {
        durability,
        identity,
    })
}

/// Checks that the options of the feed lead to the store that the pool leads to. If they lead to no
/// server, the feed tries again later.
pub(crate) async fn check_feed(
    options: &PgConnectOptions,
    schema: &SchemaName,
    identity: &StoreIdentity,
) -> Result<(), OpenError> {
    let read = async {
        let connected = PgConnection::connect_with(options).await;
        let mut connection = connected.map_err(OpenError::Connect)?;
        StoreIdentity::read(&mut connection, schema).await
    };
    match timeout(DEADLINE, read).await {
        Ok(Ok(found)) if found == *identity => Ok(()),
        Err(_) | Ok(Err(OpenError::Connect(_))) => Ok(()),
        Ok(Err(OpenError::Statement(error))) if code(&error).is_none() => {
            Err(OpenError::Statement(error))
        }
        Ok(_) => Err(OpenError::OtherFeed),
    }
}

const SERVER: &str = "SELECT current_setting('server_version_num')::int AS version_number, \
     current_setting('server_version') AS version, \
     current_setting('server_encoding') AS encoding, \
     pg_is_in_recovery() AS recovery, \
     current_setting('fsync')::bool AND current_setting('full_page_writes')::bool AS fsync";

struct Server {
    version_number: i32,
    version: String,
    encoding: String,
    recovery: bool,
    fsync: bool,
}

impl Server {
    fn read(row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            version_number: row.try_get("version_number")?,
            version: row.try_get("version")?,
            encoding: row.try_get("encoding")?,
            recovery: row.try_get("recovery")?,
            fsync: row.try_get("fsync")?,
        })
    }

    fn check(&self) -> Result<(), OpenError> {
        if self.version_number < MIN_SERVER_VERSION {
            return Err(OpenError::ServerVersion {
                found: self.version.clone(),
            });
        }
        if self.encoding != "UTF8" {
            return Err(OpenError::Encoding {
                found: self.encoding.clone(),
            });
        }
        if self.recovery {
            return Err(OpenError::ReadOnly);
        }
        Ok(())
    }
}

async fn check_version(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<(), OpenError> {
    match version(connection, schema).await? {
        None => Err(OpenError::not_migrated(schema)),
        Some(found) if found < schema::VERSION => Err(OpenError::OlderSchema {
            schema: schema.to_string(),
            found,
            required: schema::VERSION,
        }),
        Some(found) if found > schema::VERSION => Err(OpenError::NewerSchema {
            schema: schema.to_string(),
            found,
            supported: schema::VERSION,
        }),
        Some(_) => Ok(()),
    }
}

/// Returns the version of the tables, or `None` if there are none.
pub(crate) async fn version(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<Option<i64>, OpenError> {
    if !check_schema(connection, schema).await? {
        return Ok(None);
    }
    let exists = in_schema(
        schema,
        "SELECT to_regclass('{schema}.settings') IS NOT NULL AS found",
    );
    let exists: bool = sqlx::raw_sql(AssertSqlSafe(exists))
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get("found"))
        .map_err(OpenError::Statement)?;
    if !exists {
        return Ok(None);
    }
    // The version of a sealed store is negative.
    let sql = "SELECT abs((SELECT value FROM {schema}.settings WHERE name = 'version')::bigint) \
         AS version";
    sqlx::raw_sql(AssertSqlSafe(in_schema(schema, sql)))
        .fetch_one(connection)
        .await
        .and_then(|row| row.try_get("version"))
        .map_err(|error| missing_privilege(error, "SELECT", format!("{schema}.settings")))
}

/// Returns whether the schema exists, and checks that the role may use it.
pub(crate) async fn check_schema(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<bool, OpenError> {
    let sql = format!(
        "SELECT has_schema_privilege(oid, 'USAGE') AS has FROM pg_namespace \
         WHERE nspname = '{schema}'"
    );
    let found = sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_optional(connection)
        .await
        .and_then(|row| row.map(|row| row.try_get("has")).transpose())
        .map_err(OpenError::Statement)?;
    match found {
        Some(false) => Err(OpenError::Privilege {
            privilege: "USAGE",
            object: schema.to_string(),
        }),
        Some(true) => Ok(true),
        None => Ok(false),
    }
}

/// Returns the SQLSTATE of an error of the server.
pub(crate) fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}

/// Names the privilege without which a statement fails, if it is missing.
pub(crate) fn missing_privilege(
    error: sqlx::Error,
    privilege: &'static str,
    object: String,
) -> OpenError {
    if code(&error).as_deref() == Some("42501") {
        OpenError::Privilege { privilege, object }
    } else {
        OpenError::Statement(error)
    }
}

/// The tables, and the privileges that the store needs on each.
const PRIVILEGES: [(&str, &[&str]); 5] = [
    ("keys", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("events", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("reservations", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("changes", &["SELECT", "INSERT", "DELETE"]),
    ("settings", &["SELECT", "INSERT"]),
];

async fn check_privileges(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<(), OpenError> {
    for (table, privileges) in PRIVILEGES {
        for privilege in privileges {
            let quoted = schema.quoted();
            let sql =
                format!("SELECT has_table_privilege('{quoted}.{table}', '{privilege}') AS has");
            let has: bool = sqlx::raw_sql(AssertSqlSafe(sql))
                .fetch_one(&mut *connection)
                .await
                .and_then(|row| row.try_get("has"))
                .map_err(OpenError::Statement)?;
            if !has {
                return Err(OpenError::Privilege {
                    privilege,
                    object: format!("{schema}.{table}"),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests run one version of PostgreSQL, so this one simulates the others.
    #[test]
    fn a_server_before_version_14_is_rejected_with_its_version() {
        let check = |version_number, version: &str| {
            let server = Server {
                version_number,
                version: version.into(),
                encoding: "UTF8".into(),
                recovery: false,
                fsync: true,
            };
            server.check()
        };
        for (number, version) in [
            (130_022, "13.22 (Debian 13.22-0+deb11u1)"),
            (90_624, "9.6.24"),
        ] {
            let error = check(number, version).unwrap_err().to_string();
            let expected = format!("PostgreSQL {version} is too old: 14 or later is required");
            assert_eq!(error, expected);
        }
        for (number, version) in [(140_000, "14.0"), (150_018, "15.18"), (180_001, "18.1")] {
            check(number, version).unwrap();
        }
    }
}
