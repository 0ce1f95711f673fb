//! Opens the library over the store that a URL names.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use keywright_core::{
    Config, Keywright, MemoryStore, OpenError,
    store::{KeyStore, Transfer},
};
use keywright_store_postgres::PostgresConfig;
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::{Sharing, SqliteStore};

use crate::{
    foreign,
    options::{LibraryOptions, PostgresOptions},
    pepper_file, postgres,
    serve_options::ServeOptions,
};

/// A parsed store URL.
pub(crate) enum StoreUrl<'a> {
    Sqlite(&'a str, Sharing),
    /// The whole URL, or several URLs separated by commas.
    Redis(&'a str),
    /// The whole URL.
    Postgres(&'a str),
    Memory,
}

/// Names the store without its URL, which may contain a password.
impl fmt::Display for StoreUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path, _) => write!(f, "the SQLite store {path}"),
            Self::Redis(_) => f.write_str("the Redis store"),
            Self::Postgres(_) => f.write_str("the PostgreSQL store"),
            Self::Memory => f.write_str("a store in memory, which is lost when the server stops"),
        }
    }
}

impl<'a> StoreUrl<'a> {
    pub(crate) fn parse(url: &'a str) -> Result<Self> {
        match url.split_once(':') {
            Some(("sqlite", path)) if path.starts_with("//") => {
                bail!("a SQLite store URL has no //: use sqlite:PATH")
            }
            Some(("sqlite", path)) => {
                let (path, sharing) = match path.split_once('?') {
                    None => (path, Sharing::Shared),
                    Some((path, "sharing=shared")) => (path, Sharing::Shared),
                    Some((path, "sharing=strict")) => (path, Sharing::Strict),
                    Some((path, "sharing=exclusive")) => (path, Sharing::Exclusive),
                    Some(_) => bail!(
                        "unknown parameter in the store URL: use sqlite:PATH, sqlite:PATH?sharing=strict or sqlite:PATH?sharing=exclusive"
                    ),
                };
                if path.is_empty() {
                    bail!("the store URL has no path: use sqlite:PATH");
                }
                Ok(Self::Sqlite(path, sharing))
            }
            Some(("redis" | "rediss" | "redis+unix", _)) => Ok(Self::Redis(url)),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(url)),
            Some(("memory", "")) => Ok(Self::Memory),
            // Do not repeat the URL: it may contain a password.
            _ => bail!(
                "unknown store URL: use sqlite:PATH, postgres://HOST/DATABASE, redis://HOST:PORT \
                 or memory:"
            ),
        }
    }

    /// Returns an error if the store does not exist yet.
    pub(crate) fn require_existing(&self) -> Result<()> {
        match self {
            Self::Sqlite(path, _) if Path::new(path).try_exists().is_ok_and(|exists| !exists) => {
                bail!("the file {path} does not exist; name the store with --store sqlite:PATH")
            }
            // If the check itself fails, opening the store reports why.
            Self::Sqlite(..) | Self::Redis(_) | Self::Postgres(_) => Ok(()),
            Self::Memory => {
                bail!("the store memory: is always empty here; use --store sqlite:PATH")
            }
        }
    }

    /// Returns the time within which every server rejects a revoked key.
    pub(crate) fn revocation_bound(&self, postgres: &PostgresOptions) -> Duration {
        match self {
            Self::Sqlite(_, Sharing::Shared) => Duration::from_millis(100),
            Self::Redis(_) => Duration::from_secs(1),
            Self::Postgres(_) => {
                let default = PostgresConfig::DEFAULT_STALENESS_BOUND;
                postgres.staleness.unwrap_or(default)
            }
            Self::Sqlite(..) | Self::Memory => Duration::ZERO,
        }
    }

    /// Returns an error if an option is set that has no effect on this store.
    pub(crate) fn check_options(&self, postgres: &PostgresOptions) -> Result<()> {
        if matches!(self, Self::Postgres(_)) {
            return Ok(());
        }
        if postgres.schema.is_some() {
            bail!("--schema (KEYWRIGHT_SCHEMA) applies only to a PostgreSQL store");
        }
        if postgres.staleness.is_some() {
            bail!("--staleness (KEYWRIGHT_STALENESS) applies only to a PostgreSQL store");
        }
        Ok(())
    }

    async fn open(&self, postgres: &PostgresOptions) -> Result<Arc<dyn KeyStore>> {
        Ok(self.open_for_transfer(postgres).await?)
    }

    /// Opens the store as the source or the target of a copy.
    pub(crate) async fn open_for_transfer(
        &self,
        postgres: &PostgresOptions,
    ) -> Result<Arc<dyn Transfer>> {
        Ok(match self {
            Self::Sqlite(path, sharing) => Arc::new(SqliteStore::open_with(path, *sharing)?),
            Self::Redis(urls) => Arc::new(RedisStore::connect(RedisConfig::new(*urls)).await?),
            Self::Postgres(url) => Arc::new(postgres::open(url, postgres).await?),
            Self::Memory => Arc::new(MemoryStore::new()),
        })
    }
}

/// The library over an open store.
pub(crate) struct Library {
    pub(crate) keys: Keywright,
    pub(crate) store: Arc<dyn KeyStore>,
}

/// The program that opens the library.
#[derive(Clone, Copy)]
pub(crate) enum Opener<'a> {
    Server(&'a ServeOptions),
    /// A command, which may run without the `--keep-events` of the server, and ends before it could
    /// check a hash that it has accepted by its tag.
    Command,
}

impl Opener<'_> {
    /// Returns how long the library keeps events. With zero, it writes none.
    const fn event_retention(self, keep_events: Duration) -> Duration {
        match self {
            Self::Command if !keep_events.is_zero() => Duration::MAX,
            Self::Server(_) | Self::Command => keep_events,
        }
    }

    const fn verifies_by_tag(self) -> bool {
        match self {
            Self::Server(options) => options.verify_by_tag,
            Self::Command => false,
        }
    }
}

/// Opens the store and the library over it.
pub(crate) async fn open(
    url: &StoreUrl<'_>,
    options: &LibraryOptions,
    opener: Opener<'_>,
) -> Result<Library> {
    url.check_options(&options.postgres)?;
    foreign::check(&options.foreign_format)?;
    let mut config = Config::new(options.prefix.clone())
        .with_scheme(options.hash.into())
        .with_cache(options.cache)
        .with_cache_bytes(options.cache_bytes)
        .with_event_retention(opener.event_retention(options.keep_events))
        .with_verification_by_tag(opener.verifies_by_tag());
    if let Some(lifetime) = options.max_lifetime {
        config = config.with_max_lifetime(lifetime);
    }
    for foreign in &options.foreign_format {
        config = config.with_foreign(foreign.format.clone());
    }
    if let Some(path) = &options.pepper_file {
        let ring = pepper_file::read(path)
            .with_context(|| format!("cannot use the pepper file {}", path.display()))?;
        config = config.with_peppers(ring);
    }
    let store = url.open(&options.postgres).await?;
    match Keywright::open(config, Arc::clone(&store)).await {
        Ok(keys) => Ok(Library { keys, store }),
        Err(error) => match &error {
            OpenError::Prefix { store, .. } => {
                bail!("{error}; start with --prefix {store}, or choose another store")
            }
            OpenError::TagWithoutPepper => {
                bail!("--verify-by-tag (KEYWRIGHT_VERIFY_BY_TAG) needs --pepper-file")
            }
            _ => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_command_writes_events_like_the_server_but_never_deletes_them() {
        let day = Duration::from_secs(86_400);
        let options = Options::parse_from(["serve"]).serve;
        let server = Opener::Server(&options);
        assert_eq!(server.event_retention(day), day);
        assert_eq!(Opener::Command.event_retention(day), Duration::MAX);
        for opener in [server, Opener::Command] {
            assert_eq!(opener.event_retention(Duration::ZERO), Duration::ZERO);
        }
    }

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        serve: ServeOptions,
    }
}
