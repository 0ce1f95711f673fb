//! Opening the library over the store of a URL.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use keywright_core::{Config, KeyStore, Keywright, MemoryStore, OpenError};
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::SqliteStore;

use crate::{cli::LibraryOptions, peppers};

/// A store as a URL names it.
pub(crate) enum StoreUrl<'a> {
    Sqlite(&'a str),
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
            Some(("sqlite", path)) if path.contains('?') => {
                bail!("a store URL takes no parameters: use sqlite:PATH")
            }
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path)),
            Some(("redis" | "rediss" | "redis+unix", _)) => Ok(Self::Redis(url)),
            Some(("memory", "")) => Ok(Self::Memory),
            // What follows the scheme may hold a password.
            _ => bail!("the store URL is not known: use sqlite:PATH, redis://HOST:PORT or memory:"),
        }
    }

    async fn open(&self) -> Result<Arc<dyn KeyStore>> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteStore::open(path)?),
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
    let mut config = Config::new(options.prefix.clone()).with_scheme(options.hash.into());
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
