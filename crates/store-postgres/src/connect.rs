//! Connects to the server that a URL names.

use std::{io, time::Duration};

use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{runtime::Handle, time::timeout};

use crate::open_error::OpenError;

/// The maximum number of connections of a pool.
const MAX_CONNECTIONS: u32 = 10;

/// How long to wait for the first connection.
const DEADLINE: Duration = Duration::from_secs(10);

/// The parameters that a URL may have. The driver ignores any other, and logs its value, which may
/// be a password under a misspelt name.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Connects to a server, and returns a pool of up to 10 connections.
///
/// The URL is `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE`, with the parameters `sslmode`,
/// `sslrootcert`, `sslcert`, `sslkey`, `application_name` and `options` of libpq. The driver reads
/// missing parts from the variables of libpq, such as `PGPASSWORD`, and a password from `.pgpass`.
///
/// # Errors
///
/// [`OpenError::Url`], [`OpenError::Parameter`], [`OpenError::NoRuntime`], and
/// [`OpenError::Connect`]. The latter also if the server does not respond within 10 seconds.
pub async fn connect(url: &str) -> Result<PgPool, OpenError> {
    if Handle::try_current().is_err() {
        return Err(OpenError::NoRuntime);
    }
    let options = parse(url)?;
    // The pool would try again and again for 30 s before it returned the error.
    let connected = timeout(DEADLINE, async {
        PgConnection::connect_with(&options).await?.close().await
    });
    let timed_out = |_| Err(io::Error::from(io::ErrorKind::TimedOut).into());
    let connected = connected.await.unwrap_or_else(timed_out);
    connected.map_err(OpenError::Connect)?;
    Ok(PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .connect_lazy_with(options))
}

/// Parses a URL. No error contains a part of it, except for the value of a parameter.
fn parse(url: &str) -> Result<PgConnectOptions, OpenError> {
    let (scheme, rest) = url.split_once("://").ok_or(OpenError::Url(None))?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err(OpenError::Url(None));
    }
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let mut names = query.split('&').filter(|parameter| !parameter.is_empty());
    let is_known = |parameter: &str| {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        PARAMETERS.contains(&name)
    };
    if !names.all(is_known) {
        return Err(OpenError::Parameter);
    }
    url.parse().map_err(|error| OpenError::Url(Some(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_only_known_parameters() {
        for url in [
            "postgres://keywright@db.example.com/keys?sslmode=verify-full",
            "postgresql:///keys?host=/run/postgresql&user=keywright&password=p%26q#fragment?x=1",
            "postgres://db?",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in [
            "postgres://db/keys?pasword=hunter2",
            "postgres://db/keys?sslmode=require&pgbouncer=true",
            "postgres://u:12?hunter2@db/keys",
            "postgres://db/keys?%70assword=hunter2",
        ] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, OpenError::Parameter), "{url}: {error:?}");
        }
        for url in ["mysql://db", "postgres:db", "db", "postgres://db:port"] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, OpenError::Url(_)), "{url}: {error:?}");
        }
    }
}
