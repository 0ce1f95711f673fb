//! Times that the store promises.

use std::time::Duration;

/// The store's lease.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// How long a revoked key may be accepted: a lease, and what the coarse clock may be behind.
pub(crate) const BOUND: Duration = Duration::from_millis(1100);

/// The default deadline of a call.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// The deadline of a call where replicas confirm changes. They get a quarter of it, and a test in
/// which none can confirm waits that long for each change.
pub(crate) const REPLICATED_DEADLINE: Duration = Duration::from_secs(8);
