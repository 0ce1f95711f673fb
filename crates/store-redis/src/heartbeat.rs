//! Heartbeats: writes that prove that a server is still the primary and still has the same data.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use redis::{Value, aio::MultiplexedConnection, cmd};

use crate::{
    connection::{ok, within},
    error::{Error, Result},
};

/// How long the lease holds after a heartbeat was sent. A reply that takes longer is useless.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// Replaces a nonce and returns the previous one.
///
/// A server that is no longer a primary rejects these writes. A server whose memory is full accepts
/// a `SET` from a script that has run another write command before it.
const REPLACE: &str = "redis.call('PERSIST', KEYS[1]) \
    local before = redis.call('GET', KEYS[1]) \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) \
    return before";

/// How long a server keeps a nonce that is no longer replaced, in milliseconds.
const TIME_TO_LIVE: u32 = 60_000;

/// The nonce that a tracking connection keeps on its server.
///
/// Each heartbeat writes the next nonce and reads the previous one. If the server has a different
/// nonce or none, its data was replaced: by `SWAPDB`, a flush or a restored backup. Redis does not
/// report such a replacement as a change of each record.
pub(crate) struct Heartbeat {
    /// A random name, so that no other connection uses it.
    name: Vec<u8>,
    /// The last nonce that was written. An older copy of the data has a smaller nonce or none.
    nonce: u64,
}

impl Heartbeat {
    /// Writes the first nonce, under a name that begins with `prefix` and is in the same slot.
    pub(crate) async fn start(
        connection: &mut MultiplexedConnection,
        prefix: &[u8],
    ) -> Result<Self> {
        let random = RandomState::new().hash_one(());
        let name = [prefix, format!(":{random:016x}").as_bytes()].concat();
        let heartbeat = Self { name, nonce: 0 };
        heartbeat.replace(connection).await?;
        Ok(heartbeat)
    }

    /// Writes the next nonce.
    ///
    /// # Errors
    ///
    /// `DataReplaced` if the server does not return the previous nonce.
    pub(crate) async fn send(&mut self, connection: &mut MultiplexedConnection) -> Result<()> {
        let last = self.nonce.to_string().into_bytes();
        self.nonce += 1;
        match self.replace(connection).await? {
            Value::BulkString(before) if before == last => Ok(()),
            _ => Err(Error::DataReplaced),
        }
    }

    async fn replace(&self, connection: &mut MultiplexedConnection) -> Result<Value> {
        let mut replace = cmd("EVAL");
        replace
            .arg(REPLACE)
            .arg(1)
            .arg(&self.name)
            .arg(self.nonce)
            .arg(TIME_TO_LIVE);
        ok(within(LEASE, connection.send_packed_command(&replace)).await??)
    }
}
