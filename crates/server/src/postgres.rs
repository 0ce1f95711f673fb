//! Opens and migrates a PostgreSQL store, and explains why it cannot be used.

use anyhow::{Error, Result, anyhow};
use keywright_store_postgres::{OpenError, PostgresConfig, PostgresStore};

use crate::{exit_code::Undetermined, options::PostgresOptions};

impl PostgresOptions {
    /// Returns the configuration of the store.
    pub(crate) fn config(&self) -> Result<PostgresConfig, OpenError> {
        let mut config = PostgresConfig::new();
        if let Some(schema) = &self.schema {
            config = config.with_schema(schema)?;
        }
        Ok(match self.staleness {
            None => config,
            Some(bound) if bound.is_zero() => config.with_strict(),
            Some(bound) => config.with_staleness_bound(bound),
        })
    }

    /// Returns the name of the schema.
    pub(crate) fn schema_name(&self) -> &str {
        self.schema.as_deref().unwrap_or("keywright")
    }
}

pub(crate) async fn open(url: &str, options: &PostgresOptions) -> Result<PostgresStore> {
    let opened = PostgresStore::connect(url, options.config()?).await;
    opened.map_err(|error| explain(error, options))
}

/// Creates or migrates the tables.
pub(crate) async fn migrate(url: &str, options: &PostgresOptions) -> Result<()> {
    let migrated = async {
        let pool = keywright_store_postgres::connect(url).await?;
        keywright_store_postgres::migrate(&pool, &options.config()?).await
    };
    migrated.await.map_err(|error| explain(error, options))
}

/// The classes of SQLSTATE that say nothing about the request: connection exception, insufficient
/// resources, and operator intervention, such as a server that is starting up.
const TEMPORARY: [&str; 3] = ["08", "53", "57"];

/// Adds the cause to an error, or the command to run. The driver's texts repeat each other.
fn explain(error: OpenError, options: &PostgresOptions) -> Error {
    match &error {
        OpenError::Url(Some(cause)) | OpenError::Connect(cause) | OpenError::Statement(cause) => {
            let rejection = cause.as_database_error();
            let text = rejection.map_or_else(|| cause.to_string(), |it| it.message().to_owned());
            let text = format!("{error}: {text}");
            let is_temporary = |code: &str| TEMPORARY.iter().any(|class| code.starts_with(class));
            let is_final =
                rejection.is_some_and(|it| !it.code().is_some_and(|it| is_temporary(&it)));
            if is_final || matches!(error, OpenError::Url(_)) {
                anyhow!(text)
            } else {
                Undetermined(text).into()
            }
        }
        OpenError::NotMigrated { schema } => anyhow!(
            "the schema {schema} has no tables of Keywright: run `{}`",
            migrate_command(options)
        ),
        OpenError::OlderSchema {
            schema,
            found,
            required,
        } => anyhow!(
            "the schema {schema} has version {found}, but this program requires {required}: run `{}`",
            migrate_command(options)
        ),
        _ => error.into(),
    }
}

/// Returns the command that migrates the tables, without the URL, which may contain a password.
fn migrate_command(options: &PostgresOptions) -> String {
    let schema = options.schema.as_ref();
    let schema = schema.map_or_else(String::new, |name| format!(" --schema {name}"));
    format!("keywright migrate{schema} --store postgres://…")
}
