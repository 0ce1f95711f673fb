//! What the store promises in time, and what a test allows for its own steps.

use std::time::Duration;

/// The store's lease.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// How long a copy may be trusted: a lease, and a test's own steps.
pub(crate) const BOUND: Duration = Duration::from_millis(1100);

/// How long a call may take, unless it is configured.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// What a test's own steps may add to that.
pub(crate) const SLACK: Duration = Duration::from_millis(1500);

/// What a call may take where a test is not about time, and many calls wait for one another.
pub(crate) const PATIENT: Duration = Duration::from_secs(30);
