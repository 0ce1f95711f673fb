//! The same without the feature.

use std::sync::Arc;

use crate::{
    Denied, Lease, Verified, VerifyError,
    hash::HashQueue,
    verifier::{Cache, Miss, Uses},
};

pub(crate) const fn malformed() {}

pub(crate) const fn in_memory(_: &Result<Verified, Denied>) {}

pub(crate) const fn in_store(_: &Result<Verified, VerifyError>) {}

pub(crate) fn missed(_: impl FnOnce() -> Miss) {}

pub(crate) const fn evicted() {}

pub(crate) const fn argon2_ran() {}

pub(crate) const fn rehashed() {}

pub(crate) const fn publish() {}

pub(crate) struct Instance;

impl Instance {
    pub(crate) fn open(_: &Arc<Cache>, _: &Arc<Uses>, _: &Arc<Lease>, _: HashQueue) -> Self {
        Self
    }

    pub(crate) fn close(self) {}
}
