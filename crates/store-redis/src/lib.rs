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
//! # Servers
//!
//! The store needs Redis 6.2 or later: a single server, a primary with replicas, or a cluster. It
//! connects over TCP, TLS (feature `tls`) or a Unix socket. If you give the URLs of several single
//! servers, it uses the one that is the primary.
//!
//! A cluster reports the TLS ports of its servers only if they use TLS among themselves
//! (`tls-cluster yes`).
//!
//! # Settings
//!
//! The store checks these settings on each new connection, and every second while it is connected.
//! While a server is unsuitable, each call fails with `Unavailable`, and the store uses no cached
//! copy of a record. The source of the error names the setting. The store reads `appendfsync` only
//! when it connects.
//!
//! * **`appendonly yes`.** A server without an append-only file is rejected.
//! * **`appendfsync always`** lets an acknowledged write survive a crash of the host
//!   ([`Durability::HostCrash`](keywright_core::store::Durability::HostCrash)). With another value,
//!   or if the user may not read this setting with `CONFIG GET`, the store promises only that a
//!   write survives a crash of the process.
//! * **`maxmemory-policy noeviction`**, or one of the `volatile-` policies. A server that evicts
//!   keys is rejected. A server whose memory is full still accepts revocations, and updates that do
//!   not make the record longer, such as disabling a key. It also stores their events.
//! * **`min-replicas-to-write` and `min-replicas-max-lag`**, if replicas can take over. They limit
//!   how long a primary that was cut off still accepts writes. On a cluster, `cluster-node-timeout`
//!   does. With [`RedisConfig::with_min_replicas`], the store waits until replicas have confirmed
//!   each change.
//! * **A user** who may access `~kw:*` and run these commands: `get getex mget set setnx exists del
//!   persist sadd srem smembers zadd zrem zcard zrange zrangebyscore zscore hget hset hdel eval
//!   evalsha scan info client|tracking`. Add `wait` for replicas, `asking cluster|slots` for a
//!   cluster, `select` if a URL names a database, and `config|get` to read `appendfsync`.
//!
//! # Revocations and updates
//!
//! The store tracks changes on a separate connection to each primary. The handle that revokes or
//! updates a key applies the change at once. Other handles apply it when Redis has notified them,
//! which takes milliseconds. A handle that is cut off without noticing stops using its copy when
//! its lease ends, within a second. If a replica takes over, a primary that was cut off adds the
//! time until it stops accepting writes.
//!
//! If the data is replaced, by `SWAPDB`, `FLUSHALL` or a restored backup, all copies become stale
//! within a second. Each heartbeat writes a number under a name that begins with `kw:h:`, and
//! checks that the server still has the previous number. The names expire after a minute.
//!
//! Some managed servers reject `CLIENT TRACKING`. With such a server, the store uses no copies, and
//! each verification reads Redis. The store logs one warning, and the library's metric
//! `keywright_lease_holds` stays at 0.
//!
//! The client-side cache of the driver is not used: it serves cached values even after its
//! connection is lost.
//!
//! # Atomicity
//!
//! All data of a key is in one hash slot, and each change is one command or script in that slot.
//! The store behaves the same on a single server and on a cluster. Some operations take several
//! steps:
//!
//! * **Insert.** On a single server, one script stores the record and its event and adds both to
//!   the indexes. On a cluster, the key is added to the indexes of its workspace and its owner
//!   before its record and its event are stored. If the insert is interrupted between the two,
//!   listings skip the entries, and remove each a minute after they first saw it. Until then, it
//!   counts in the total of a listing without `status` and `search`.
//! * **Rotation.** If a key requests a rotation, the store checks that key right before the step
//!   instead of in it, since the two keys may be on different servers. The check also registers the
//!   successor with that key, so that a cascade from it revokes the successor or prevents its
//!   insert.
//! * **Cascade.** Each key is revoked in a separate step, because its descendants may be on other
//!   servers. The key of the call is first, and its script also stores the event, without a count.
//!   The count follows at the end. If the cascade is interrupted, the event stays without one, and
//!   a repeat revokes the rest. If the repeat revokes any key, it has a second event. That event
//!   is stored right before the first of them, and a crash between the two leaves it without a
//!   change.
//! * **Purge.** Each record is deleted in a separate step, after all its descendants. A record
//!   whose header is damaged is kept, and so are its ancestors. If a registered key has no record,
//!   a tombstone of one byte prevents its insert for a day.
//!
//! # Events
//!
//! An event is stored in the slot of its key, by the script that makes the change. So a crash
//! leaves both or none of the two:
//!
//! | name | type | content |
//! | --- | --- | --- |
//! | `kw:l:{tag}:EVENT` | string | an event, as JSON |
//! | `kw:k:{tag}:KEY` | sorted set | the events of a key |
//! | `kw:w:{WORKSPACE}` | sorted set | the events of a workspace |
//! | `kw:x:{WORKSPACE}` | sorted set | the events of its `test` keys |
//! | `kw:y:{WORKSPACE}:OWNER` | sorted set | the events of an owner's keys |
//! | `kw:z:{WORKSPACE}:OWNER` | sorted set | the events of an owner's `test` keys |
//!
//! The entries in the sets of the workspace and the owner are written before the change, except by
//! an insert on a single server. So a change needs the server of its workspace as well as that of
//! its key. If a change is not made, its entries are removed. After a crash, lists skip them, and
//! remove each a minute after they first saw it. If the server of the workspace fails over before a
//! replica has an entry, the event is listed by its key only. `with_min_replicas` prevents that.
//!
//! The creation of a key with an owner takes about 530 bytes, and its event another 600. A creation
//! and a rotation take as many round trips as without events, and an update and a revocation take
//! one more.
//!
//! While the slot of a key is being migrated, a script cannot write to the record on one server and
//! to the event on the other. A change then waits for up to a second. If the slot is still partly
//! migrated, as after an interrupted migration, the store writes the event first, then makes the
//! change, and deletes the event if there was no change. A crash in between leaves an event without
//! a change. A rotation waits for the end of the migration.
//!
//! A purge of the events of all workspaces scans the names on each server, 1,000 at a time. It
//! continues where the last call has reached its limit. The library calls it once an hour.
//!
//! # Deadlines and executors
//!
//! Each call has a deadline. If a reply is lost, the call fails with `Unavailable`, and the change
//! may have been made. Repeat the call to find out: an insert that was made is `AlreadyExists`, and
//! an update that was made is `Conflict`, because the record no longer has the version that was
//! read. The store reconnects with exponential backoff and jitter.
//!
//! Any executor may poll the futures: the store has a separate thread (`kw-redis`). A change runs
//! to its end even if its future is dropped. If the future of a read or purge is dropped, the read
//! ends, and the purge deletes no further records. Dropping the store does not wait for operations.
//!
//! # Large workspaces
//!
//! Lists, cascades and purges read many keys. They use a separate connection to each server, so
//! that no verification waits behind them. At most 8 of each kind run at a time, and at most 2 of
//! these for one workspace. Up to 32 more of a workspace wait, and further ones fail with
//! `Unavailable`. A cascade first revokes the key itself, without waiting.
//!
//! A list of the keys of an owner reads only those. A list with `status` or `search` reads at most
//! 100,000 keys ([`RedisConfig::with_list_limit`]). If there are more, it has no total, and a page
//! that is not full has a cursor to continue.

// Enables the cryptography provider that the TLS support of `redis` uses.
#[cfg(feature = "tls")]
use rustls as _;

mod backoff;
mod batch;
mod config;
mod connection;
mod error;
mod heartbeat;
mod names;
mod node;
mod operations;
mod record;
mod request;
mod script;
mod server_info;
mod servers;
mod slot;
mod slot_map;
mod store;
mod tracking;
mod transfer;
mod walk_limit;

// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// The public interface is:
pub use crate::{
    config::RedisConfig,
    error::{OpenError, Unfit},
    store::RedisStore,
};
