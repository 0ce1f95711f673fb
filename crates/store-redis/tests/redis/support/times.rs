//! Times that the store promises, and the deadline of a store with replicas.

use std::time::Duration;

/// The store's lease.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// The longest that a revoked key may be accepted: a lease, and the lag of the coarse clock.
pub(crate) const BOUND: Duration = Duration::from_millis(1100);

/// The default deadline of a call.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// The deadline of a store that waits for replicas. They have a quarter of it to confirm a change,
/// so that is how long each change takes while no replica can confirm it.
pub(crate) const REPLICATED_DEADLINE: Duration = Duration::from_secs(8);
