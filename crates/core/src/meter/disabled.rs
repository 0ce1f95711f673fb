//! Stand-ins for the functions of this module without the feature `metrics`. They do nothing.

use super::event::{CacheMiss, InstanceState, VerificationOutcome};

pub(crate) fn verified_in_memory(_: impl FnOnce() -> VerificationOutcome) {}

pub(crate) fn verified(_: impl FnOnce() -> VerificationOutcome) {}

pub(crate) fn cache_missed(_: impl FnOnce() -> CacheMiss) {}

pub(crate) const fn evicted() {}

pub(crate) const fn argon2_started() {}

pub(crate) const fn rehashed() {}

pub(crate) const fn tag_refuted() {}

pub(crate) const fn publish() {}

pub(crate) struct Instance;

impl Instance {
    pub(crate) fn open(_: impl Fn() -> InstanceState + Send + Sync + 'static) -> Self {
        Self
    }

    pub(crate) fn close(self) {}
}
