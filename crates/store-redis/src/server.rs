//! Whether a server keeps what it is given.

use std::{collections::HashMap, error, fmt};

use keywright_core::Durability;
use redis::{RedisResult, aio::MultiplexedConnection, cmd};

use crate::{
    config::Tolerance,
    error::{Error, Result},
};

/// Why a server is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfit {
    /// It evicts keys when its memory is full, and a revoked key that was evicted is unknown, but so
    /// is one that was not.
    Evicts {
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// It keeps no append-only file: a restart brings back an older state, with keys that were revoked.
    NoAppendOnlyFile,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicts { policy } => write!(
                f,
                "the Redis server evicts keys when its memory is full: set maxmemory-policy to noeviction, it is {policy}"
            ),
            Self::NoAppendOnlyFile => f.write_str(
                "the Redis server loses writes when it restarts: set appendonly to yes, and appendfsync to always where no acknowledged write may be lost",
            ),
        }
    }
}

impl error::Error for Unfit {}

/// What `INFO` tells of a server.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) clustered: bool,
    pub(crate) primary: bool,
    /// What this run of the server calls itself.
    pub(crate) run: String,
    policy: String,
    append_only: bool,
    loading: bool,
}

impl Facts {
    pub(crate) async fn ask(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
        let info: String = cmd("INFO").query_async(connection).await?;
        let field = |name: &str| {
            info.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value.trim())
        };
        Ok(Self {
            clustered: field("cluster_enabled") == Some("1"),
            primary: field("role") == Some("master"),
            run: field("run_id").unwrap_or_default().into(),
            policy: field("maxmemory_policy").unwrap_or("unknown").into(),
            append_only: field("aof_enabled") == Some("1"),
            loading: ["loading", "async_loading"].map(field).contains(&Some("1")),
        })
    }

    /// Refuses a server that loses what it was given, unless that is tolerated.
    pub(crate) fn check(&self, tolerance: Tolerance) -> Result<()> {
        // Nothing here has a time to live, so that the volatile policies evict nothing of it.
        let evicts = self.policy != "noeviction" && !self.policy.starts_with("volatile-");
        if evicts && !tolerance.eviction {
            return Err(Unfit::Evicts {
                policy: self.policy.clone(),
            }
            .into());
        }
        // As long as it loads, it says that it has no append-only file.
        if self.loading {
            return Err(Error::Loading);
        }
        if !self.append_only && !tolerance.no_append_only_file {
            return Err(Unfit::NoAppendOnlyFile.into());
        }
        Ok(())
    }

    /// What an acknowledged write survives on this server. How often it syncs its file is not in
    /// `INFO`, and only who may read the configuration is told.
    pub(crate) async fn durability(&self, connection: &mut MultiplexedConnection) -> Durability {
        if !self.append_only {
            return Durability::Process;
        }
        let mut ask = cmd("CONFIG");
        ask.arg("GET").arg("appendfsync");
        let settings: RedisResult<HashMap<String, String>> = ask.query_async(connection).await;
        match settings {
            Ok(settings) if settings.values().any(|value| value == "always") => {
                Durability::HostCrash
            }
            _ => Durability::ProcessCrash,
        }
    }
}
