//! The state and settings that a server reports about itself.

use std::collections::HashMap;

use keywright_core::store::Durability;
use redis::{RedisResult, aio::MultiplexedConnection, cmd};

use crate::{
    config::Tolerance,
    error::{Error, Result, Unfit},
};

/// The fields of a reply to `INFO` that the store uses.
#[derive(Debug, Clone)]
pub(crate) struct ServerInfo {
    pub(crate) clustered: bool,
    pub(crate) primary: bool,
    /// A random id that the server generates when it starts.
    pub(crate) run_id: String,
    policy: String,
    append_only: bool,
    loading: bool,
}

impl ServerInfo {
    pub(crate) async fn query(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
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
            run_id: field("run_id").unwrap_or_default().into(),
            policy: field("maxmemory_policy").unwrap_or("unknown").into(),
            append_only: field("aof_enabled") == Some("1"),
            loading: ["loading", "async_loading"].map(field).contains(&Some("1")),
        })
    }

    /// Rejects a server whose settings lose writes, unless `tolerance` accepts them.
    pub(crate) fn check(&self, tolerance: Tolerance) -> Result<()> {
        // The `volatile-` policies evict only names with a time to live. No record has one.
        let evicts = self.policy != "noeviction" && !self.policy.starts_with("volatile-");
        if evicts && !tolerance.eviction {
            return Err(Unfit::Evicts {
                policy: self.policy.clone(),
            }
            .into());
        }
        // A server that is loading reports `aof_enabled:0`, so check this first.
        if self.loading {
            return Err(Error::Loading);
        }
        if !self.append_only && !tolerance.no_append_only_file {
            return Err(Unfit::NoAppendOnlyFile.into());
        }
        Ok(())
    }

    /// Returns which failures an acknowledged write survives on this server.
    ///
    /// `INFO` does not report `appendfsync`, and `CONFIG GET` needs a permission that the user may
    /// lack. Without it, the weaker durability is returned.
    pub(crate) async fn durability(&self, connection: &mut MultiplexedConnection) -> Durability {
        if !self.append_only {
            return Durability::Process;
        }
        let mut config_get = cmd("CONFIG");
        config_get.arg("GET").arg("appendfsync");
        let settings: RedisResult<HashMap<String, String>> =
            config_get.query_async(connection).await;
        match settings {
            Ok(settings) if settings.values().any(|value| value == "always") => {
                Durability::HostCrash
            }
            _ => Durability::ProcessCrash,
        }
    }
}
