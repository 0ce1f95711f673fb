//! The metrics that the library's sources count. The simulation counts its own.

#[derive(Clone, Copy)]
pub(crate) enum CacheMiss {
    Absent,
    Stale,
    Lapsed,
}

pub(crate) const fn evicted() {}

pub(crate) const fn rehashed() {}
