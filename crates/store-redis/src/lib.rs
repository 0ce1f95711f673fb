//! API keys in Redis or Redis Cluster, for a fleet of servers.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use keywright_core::{Caller, Config, Keywright, Name, NewKey, Permissions, Prefix, Workspace};
//! use keywright_store_redis::{RedisConfig, RedisStore};
//!
//! # futures_executor::block_on(async {
//! let store = RedisStore::connect(RedisConfig::new("redis://127.0.0.1:6379")).await?;
//! let keys = Keywright::open(Config::new(Prefix::parse("acme")?), Arc::new(store)).await?;
//!
//! let operator = Caller::new(Workspace::parse("default")?, Permissions::all());
//! let issued = keys.issuer().create(&operator, NewKey::new(Name::parse("CI")?)).await?;
//! assert!(keys.verifier().verify(issued.token.expose().as_bytes()).await.is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! * **Servers.** Redis 6.2 or later, alone, with replicas, or as a cluster; over TCP, TLS (feature `tls`)
//!   or a Unix socket. Where several URLs of single servers are given, the one that is the primary is used.
//!   A cluster tells of its TLS ports only where its servers talk TLS among themselves (`tls-cluster yes`).
//! * **One script, one slot.** What belongs to one key lies in one hash slot, and each change is one
//!   command or script on it, the same on one server as on a cluster. What takes several leaves
//!   nothing that opens anything when it is interrupted: an entry of a list without a record is passed
//!   over and, a minute after it was first met, taken away; until then a total without a filter counts it.
//! * **A rotation** looks whether the key that asks for it is active, and ends no earlier than the successor,
//!   just before it is done, not in the same step: the two may lie on different servers.
//! * **Purging** deletes each record by itself, after all that descends from it, and walks through all
//!   records, or with a workspace through its own. A damaged record stays where its beginning cannot be
//!   read, and what it descends from stays with it. In the place of a child that was noted and never made a
//!   mark of one byte refuses it for a day.
//! * **Changes** are heard on a connection of their own to each primary. A key that was revoked is refused
//!   by the handle that revoked it at once, by others when they are told, which takes milliseconds; by
//!   one that is cut off without noticing within a second, its lease. Where replicas may take over, an old
//!   primary that is cut off adds the time in which it gives up writing: set `min-replicas-to-write` and
//!   `min-replicas-max-lag`, or on a cluster `cluster-node-timeout`.
//! * **Durable** as the server is. One without an append-only file is refused, and so is one that evicts
//!   keys. With `appendfsync always` an acknowledged write survives a crash of the host
//!   ([`Durability::HostCrash`](keywright_core::Durability::HostCrash)), provided that the user may read
//!   that setting (`CONFIG GET`); else only one of the process is promised. What replicas have is told
//!   with [`RedisConfig::with_min_replicas`].
//! * **Bounded.** Each call has a deadline. One whose answer was lost is `Unavailable`, and may have been
//!   done. Connections are made again with pauses that grow and differ.
//! * **Any executor** may poll the futures: the store has a thread of its own (`kw-redis`), and no call
//!   is given up halfway when its future is dropped. Dropping the store does not wait.
//! * **Rights.** A user needs `~kw:*` and the commands `get getex mget set setnx exists del persist sadd srem smembers zadd zrem
//!   zcard zrange zrangebyscore zscore hget hset hdel eval evalsha scan info client|tracking`, with
//!   replicas `wait`, on a cluster `asking cluster|slots`, where a URL names a database `select`, and to
//!   know how durable it is `config|get`.
//!
//! Client-side caching of the driver is not used: it goes on serving what it has when its connection is lost.

// Not used by name: it gives the TLS of redis its cryptography.
#[cfg(feature = "tls")]
use rustls as _;

mod backoff;
mod batch;
mod config;
mod error;
mod hearing;
mod map;
mod names;
mod node;
mod open_error;
mod operations;
mod record;
mod request;
mod script;
mod server;
mod servers;
mod slot;
mod store;

// The public interface is:
pub use crate::{config::RedisConfig, open_error::OpenError, server::Unfit, store::RedisStore};
