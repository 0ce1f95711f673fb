//! Connections of the pool that workers keep while work keeps coming.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keywright_core::store::Lease;
use sqlx::{PgConnection, Postgres, pool::PoolConnection};

use crate::{database::Database, error::Result};

/// How long a worker waits for more work before it returns its connection to the pool.
pub(crate) const LINGER: Duration = Duration::from_millis(5);

/// How long a worker keeps a connection. Then others that wait for one come first.
const MAX_HELD: Duration = Duration::from_millis(50);

/// A connection of the pool, which tests each connection in a round trip before and after a use.
/// Under load, a worker keeps its connection for several batches, so that a batch does not pay for
/// these.
pub(crate) struct Held {
    connection: PoolConnection<Postgres>,
    since: Instant,
    /// Its clock measures time.
    lease: Arc<Lease>,
    /// Whether the connection is in a state in which others can use it.
    is_clean: bool,
}

impl Held {
    pub(crate) async fn acquire(database: &Database) -> Result<Self> {
        Ok(Self {
            connection: database.acquire().await?,
            since: database.lease.now(),
            lease: Arc::clone(&database.lease),
            is_clean: true,
        })
    }

    /// Uses the connection. Unless [`done`](Self::done) follows, it is closed when this is dropped.
    pub(crate) fn begin(&mut self) -> &mut PgConnection {
        self.is_clean = false;
        &mut self.connection
    }

    /// Ends a use that has left no transaction open.
    pub(crate) const fn done(&mut self) {
        self.is_clean = true;
    }

    /// Whether the last use has left no transaction open.
    pub(crate) const fn is_clean(&self) -> bool {
        self.is_clean
    }

    /// Whether the worker may keep the connection for more work.
    pub(crate) fn may_continue(&self) -> bool {
        self.is_clean && self.lease.now().saturating_duration_since(self.since) < MAX_HELD
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_clean {
            self.connection.close_on_drop();
        }
    }
}
