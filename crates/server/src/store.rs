//! Opening the library over the store of a URL.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use keywright_core::{Config, KeyStore, Keywright, MemoryStore, OpenError};
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::{Sharing, SqliteStore};

use crate::{cli::LibraryOptions, peppers};

/// A store as a URL names it.
pub(crate) enum StoreUrl<'a> {
    Sqlite(&'a str, Sharing),
    /// The whole URL, or several with commas between.
    Redis(&'a str),
    Memory,
}

impl<'a> StoreUrl<'a> {
    pub(crate) fn parse(url: &'a str) -> Result<Self> {
        match url.split_once(':') {
            Some(("sqlite", path)) if path.starts_with("//") => {
                bail!("the path of a store URL follows at once: sqlite:PATH, without //")
            }
            Some(("sqlite", path)) => {
                let (path, sharing) = match path.split_once('?') {
                    None => (path, Sharing::Shared),
                    Some((path, "sharing=shared")) => (path, Sharing::Shared),
                    Some((path, "sharing=strict")) => (path, Sharing::Strict),
                    Some((path, "sharing=exclusive")) => (path, Sharing::Exclusive),
                    Some(_) => bail!(
                        "the parameter of a store URL is not known: use sqlite:PATH, sqlite:PATH?sharing=strict or sqlite:PATH?sharing=exclusive"
                    ),
                };
                if path.is_empty() {
                    bail!("the store URL names no file: use sqlite:PATH");
                }
                Ok(Self::Sqlite(path, sharing))
            }
            Some(("redis" | "rediss" | "redis+unix", _)) => Ok(Self::Redis(url)),
            Some(("memory", "")) => Ok(Self::Memory),
            // What follows the scheme may hold a password.
            _ => bail!("the store URL is not known: use sqlite:PATH, redis://HOST:PORT or memory:"),
        }
    }

    /// Fails unless there is a store already.
    pub(crate) fn require_existing(&self) -> Result<()> {
        match self {
            Self::Sqlite(path, _) if Path::new(path).try_exists().is_ok_and(|exists| !exists) => {
                bail!("there is no file {path}; name the store with --store sqlite:PATH")
            }
            // What cannot be looked at is told when it is opened.
            Self::Sqlite(..) | Self::Redis(_) => Ok(()),
            Self::Memory => {
                bail!(
                    "the store memory: has no keys when a command starts; use --store sqlite:PATH"
                )
            }
        }
    }

    async fn open(&self) -> Result<Arc<dyn KeyStore>> {
        Ok(match self {
            Self::Sqlite(path, sharing) => Arc::new(SqliteStore::open_with(path, *sharing)?),
            Self::Redis(urls) => Arc::new(RedisStore::connect(RedisConfig::new(*urls)).await?),
            Self::Memory => Arc::new(MemoryStore::new()),
        })
    }
}

/// The library, and the store that it was opened over.
pub(crate) struct Opened {
    pub(crate) keys: Keywright,
    pub(crate) store: Arc<dyn KeyStore>,
}

pub(crate) async fn open(url: &StoreUrl<'_>, options: &LibraryOptions) -> Result<Opened> {
    let mut config = Config::new(options.prefix.clone())
        .with_scheme(options.hash.into())
        .with_cache(options.cache);
    if let Some(path) = &options.pepper_file {
        let ring = peppers::read(path)
            .with_context(|| format!("cannot use the pepper file {}", path.display()))?;
        config = config.with_peppers(ring);
    }
    let store = url.open().await?;
    match Keywright::open(config, Arc::clone(&store)).await {
        Ok(keys) => Ok(Opened { keys, store }),
        Err(error) => match &error {
            OpenError::Prefix { store, .. } => {
                bail!("{error}; start with --prefix {store}, or choose another store")
            }
            _ => Err(error.into()),
        },
    }
}
