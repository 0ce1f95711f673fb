//! The errors of opening a store.

use crate::schema_name::SchemaName;

/// An error from opening a [`PostgresStore`](crate::PostgresStore).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configured schema has no valid name.
    #[error("a schema must have 1 to 63 characters of a-z, 0-9 and _, and begin with no digit")]
    Schema,
    /// The URL is malformed.
    #[error("invalid URL: expected postgres://user:password@host:port/database")]
    Url(#[source] Option<sqlx::Error>),
    /// The URL has an unknown parameter.
    #[error(
        "the URL has an unknown parameter: use sslmode, sslrootcert, sslcert, sslkey, application_name or options"
    )]
    Parameter,
    /// The store was opened outside a tokio runtime.
    #[error("no tokio runtime is running: open the store in the runtime of its pool")]
    NoRuntime,
    /// No connection could be made.
    #[error("could not connect to PostgreSQL")]
    Connect(#[source] sqlx::Error),
    /// The server is too old.
    #[error("PostgreSQL {found} is too old: 14 or later is required")]
    ServerVersion {
        /// The version of the server.
        found: String,
    },
    /// The server is a read-only replica.
    #[error("the server is a read-only replica: connect to the primary")]
    ReadOnly,
    /// The encoding of the database is not UTF-8.
    #[error("the encoding of the database is {found}: UTF8 is required")]
    Encoding {
        /// The encoding of the database.
        found: String,
    },
    /// The tables do not exist.
    #[error(
        "the schema {schema} has no tables of Keywright: run its migrations, or `keywright migrate`"
    )]
    NotMigrated {
        /// The configured schema.
        schema: String,
    },
    /// The tables have an older version.
    #[error(
        "the schema {schema} has version {found}, but this program requires {required}: run its migrations, or `keywright migrate`"
    )]
    OlderSchema {
        /// The configured schema.
        schema: String,
        /// The version of the tables.
        found: i64,
        /// The version that this program requires.
        required: i64,
    },
    /// A newer program has migrated the tables.
    #[error(
        "a newer program has migrated the schema {schema} to version {found}, but this one supports up to {supported}"
    )]
    NewerSchema {
        /// The configured schema.
        schema: String,
        /// The version of the tables.
        found: i64,
        /// The newest version that this program supports.
        supported: i64,
    },
    /// The options of the feed lead to another store than the pool.
    #[error(
        "the options of the feed lead to another store than the pool: both must name the same database"
    )]
    OtherFeed,
    /// Transactions keep the tables locked.
    #[error(
        "a transaction keeps the tables of the schema {schema} locked: end it, and migrate again"
    )]
    Locked {
        /// The configured schema.
        schema: String,
    },
    /// The role lacks a privilege.
    #[error(
        "the role lacks the privilege {privilege} on {object}: see the GRANT statements in the docs"
    )]
    Privilege {
        /// The privilege.
        privilege: &'static str,
        /// The table or schema.
        object: String,
    },
    /// A statement failed.
    #[error("a statement failed")]
    Statement(#[source] sqlx::Error),
}

impl OpenError {
    pub(crate) fn not_migrated(schema: &SchemaName) -> Self {
        Self::NotMigrated {
            schema: schema.to_string(),
        }
    }
}
