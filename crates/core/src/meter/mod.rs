//! What is counted for the facade of the crate `metrics`; nothing, and at no cost, without the feature.

#[cfg(feature = "metrics")]
mod count;
#[cfg(feature = "metrics")]
mod facade;
#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod striped;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::off::{
    Instance, argon2_ran, evicted, in_memory, in_store, malformed, missed, publish, rehashed,
};
#[cfg(feature = "metrics")]
pub(crate) use self::{
    count::{argon2_ran, evicted, in_memory, in_store, malformed, missed, rehashed},
    facade::{Instance, publish},
};
