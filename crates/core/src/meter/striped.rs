//! Counters that threads increment without contention.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The number of stripes. If there are more threads, some share a stripe, which costs time and
/// loses no count.
const STRIPES: usize = 64;

/// The counters of some threads. Processors fetch cache lines in pairs, so a stripe has a pair to
/// itself.
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

    /// Adds 1 to the counter at `index`, which is below `N`.
    pub(super) fn increment(&self, index: usize) {
        let stripe = STRIPE.with(|stripe| self.0.get(*stripe));
        if let Some(count) = stripe.and_then(|stripe| stripe.0.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the value of the counter at `index`.
    pub(super) fn sum(&self, index: usize) -> u64 {
        let counts = self.0.iter().filter_map(|stripe| stripe.0.get(index));
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_share_a_stripe_lose_no_count() {
        static COUNTERS: Striped<2> = Striped::new();
        thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| (0..1000).for_each(|_| COUNTERS.increment(1)));
            }
        });
        assert_eq!((COUNTERS.sum(0), COUNTERS.sum(1)), (0, 128_000));
    }
}
