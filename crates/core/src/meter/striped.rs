//! Counters that no two threads contend for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Number of stripes. Threads beyond it share some: that costs time, and loses no count.
const STRIPES: usize = 64;

/// The counts of some threads, on cache lines that hold no other's. Processors fetch them in pairs.
#[repr(align(128))]
struct Stripe<const N: usize>([AtomicU64; N]);

/// `N` counters.
pub(super) struct Striped<const N: usize>([Stripe<N>; STRIPES]);

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
}

impl<const N: usize> Striped<N> {
    pub(super) const fn new() -> Self {
        Self([const { Stripe([const { AtomicU64::new(0) }; N]) }; STRIPES])
    }

    /// Adds one to a counter below `N`.
    pub(super) fn add(&self, counter: usize) {
        let stripe = STRIPE.with(|stripe| self.0.get(*stripe));
        if let Some(count) = stripe.and_then(|stripe| stripe.0.get(counter)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What a counter has come to.
    pub(super) fn sum(&self, counter: usize) -> u64 {
        let counts = self.0.iter().filter_map(|stripe| stripe.0.get(counter));
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn no_count_is_lost_where_threads_share_a_stripe() {
        static COUNTS: Striped<2> = Striped::new();
        thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| (0..1000).for_each(|_| COUNTS.add(1)));
            }
        });
        assert_eq!((COUNTS.sum(0), COUNTS.sum(1)), (0, 128_000));
    }
}
