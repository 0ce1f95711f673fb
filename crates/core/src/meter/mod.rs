//! Metrics for the recorder of the crate `metrics`. Without the feature `metrics`, all of it
//! compiles to nothing.

#[cfg(feature = "metrics")]
mod counters;
#[cfg(not(feature = "metrics"))]
mod disabled;
mod event;
#[cfg(feature = "metrics")]
mod publish;
#[cfg(feature = "metrics")]
mod striped;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::disabled::{
    Instance, argon2_started, cache_missed, evicted, publish, rehashed, tag_refuted, verified,
    verified_in_memory,
};
pub(crate) use self::event::{CacheMiss, InstanceState, VerificationOutcome};
#[cfg(feature = "metrics")]
pub(crate) use self::{
    counters::{
        argon2_started, cache_missed, evicted, rehashed, tag_refuted, verified, verified_in_memory,
    },
    publish::{Instance, publish},
};
