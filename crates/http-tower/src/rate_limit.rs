//! The limit on the requests of each caller.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use http::{HeaderMap, HeaderName, header};
use keywright_core::{Caller, KeyId, Owner, Workspace};

use crate::error::ApiError;

/// The maximum number of budgets. Together they take a few megabytes.
const MAX_BUDGETS: usize = 1 << 16;

/// A limit on the requests that each caller may make to the management endpoints, for
/// [`ApiKeys::with_rate_limit`](crate::ApiKeys::with_rate_limit).
///
/// A caller is a key, by its id. If the host has put a [`Caller`] that is not a key into the
/// request, it is the workspace and the owner. Each caller has a separate budget, which allows the
/// whole limit at once and refills evenly, one request every `60 / limit` seconds (GCRA). A
/// rejected request costs nothing.
///
/// The budgets are kept in this process, so a fleet of servers accepts the limit once per server.
/// Clones share their budgets. At most 65,536 budgets are kept. When there are more, full budgets
/// are evicted first. If more than half of them are not full, all are reset. No caller is rejected
/// because of another caller.
///
/// The limit stops loops and accidents. It is not a quota: a caller that may create keys creates a
/// budget with each of them.
#[derive(Clone)]
pub struct RateLimit(Arc<Limiter<MonotonicClock>>);

impl RateLimit {
    /// Creates a limit of this many requests a minute.
    #[must_use]
    pub fn per_minute(requests: NonZeroU32) -> Self {
        Self(Arc::new(Limiter::new(requests, MonotonicClock)))
    }

    /// Takes one request from the caller's budget, if it has one left.
    pub(crate) fn spend(&self, caller: &Caller) -> Budget {
        self.0.spend(caller)
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimit").field(&self.0.limit).finish()
    }
}

/// The state of a caller's budget after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    limit: u32,
    remaining: u32,
    /// Seconds until the budget is full.
    reset: u64,
    /// Seconds until the next request is accepted, if this request was rejected.
    retry_after: Option<u64>,
}

impl Budget {
    /// Returns 429 if the budget had no request left.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        self.retry_after.map_or(Ok(()), |seconds| {
            Err(ApiError::rate_limited().with_header(header::RETRY_AFTER, seconds.into()))
        })
    }

    /// Adds the state of the budget to the headers of a response.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in [
            ("x-ratelimit-limit", self.limit.into()),
            ("x-ratelimit-remaining", self.remaining.into()),
            ("x-ratelimit-reset", self.reset),
        ] {
            headers.insert(HeaderName::from_static(name), u64::into(value));
        }
    }
}

/// The caller that a budget belongs to.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Holder {
    Key(KeyId),
    /// A caller that the host authenticated.
    Host(Workspace, Option<Owner>),
}

impl From<&Caller> for Holder {
    fn from(caller: &Caller) -> Self {
        caller.key().map_or_else(
            || Self::Host(caller.workspace().clone(), caller.owner().cloned()),
            |id| Self::Key(*id),
        )
    }
}

type Budgets<C> = RateLimiter<Holder, HashMapStateStore<Holder>, C, StateInformationMiddleware>;

struct Limiter<C: Clock> {
    limit: NonZeroU32,
    clock: C,
    budgets: Mutex<Budgets<C>>,
}

impl<C: Clock + Clone> Limiter<C> {
    fn new(limit: NonZeroU32, clock: C) -> Self {
        Self {
            limit,
            budgets: Mutex::new(empty(limit, clock.clone())),
            clock,
        }
    }

    fn spend(&self, caller: &Caller) -> Budget {
        let holder = Holder::from(caller);
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() >= MAX_BUDGETS {
            budgets.retain_recent();
            // With few evictions, the next requests would soon scan all budgets again, so this
            // resets them. A caller with enough keys to cause that has as many budgets anyway.
            if budgets.len() > MAX_BUDGETS / 2 {
                *budgets = empty(self.limit, self.clock.clone());
            }
        }
        let (remaining, retry_after) = match budgets.check_key(&holder) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(rejected) => {
                let wait = rejected.wait_time_from(self.clock.now());
                (0, Some(whole_seconds(wait).max(1)))
            }
        };
        let used = self.limit.get().saturating_sub(remaining);
        let interval = Quota::per_minute(self.limit).replenish_interval();
        Budget {
            limit: self.limit.get(),
            remaining,
            reset: whole_seconds(interval.saturating_mul(used)),
            retry_after,
        }
    }
}

fn empty<C: Clock>(limit: NonZeroU32, clock: C) -> Budgets<C> {
    let state = HashMapStateStore::default();
    RateLimiter::new(Quota::per_minute(limit), state, clock)
}

/// Rounds up to whole seconds, so that a client that waits for that long is not early.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(limit: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limit = NonZeroU32::new(limit).unwrap();
        (Limiter::new(limit, clock.clone()), clock)
    }

    /// A caller that is not a key.
    fn caller(workspace: &str) -> Caller {
        Caller::new(Workspace::parse(workspace).unwrap(), "*".parse().unwrap())
    }

    /// Spends a request. Returns the remaining requests, and the seconds until the budget is full
    /// and until the next request is accepted.
    fn spend(limiter: &Limiter<FakeRelativeClock>, workspace: &str) -> (u32, u64, Option<u64>) {
        let budget = limiter.spend(&caller(workspace));
        assert_eq!(budget.limit, limiter.limit.get());
        assert_eq!(budget.check().is_err(), budget.retry_after.is_some());
        (budget.remaining, budget.reset, budget.retry_after)
    }

    #[test]
    fn the_whole_limit_is_available_at_once_and_refills_evenly() {
        let (limiter, clock) = limiter(3);
        assert_eq!(spend(&limiter, "a"), (2, 20, None));
        assert_eq!(spend(&limiter, "a"), (1, 40, None));
        assert_eq!(spend(&limiter, "a"), (0, 60, None));
        assert_eq!(spend(&limiter, "a"), (0, 60, Some(20)));
        clock.advance(Duration::from_millis(18_500));
        assert_eq!(spend(&limiter, "a"), (0, 60, Some(2)));
        clock.advance(Duration::from_millis(1_499));
        assert_eq!(spend(&limiter, "a"), (0, 60, Some(1)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(spend(&limiter, "a"), (0, 60, None));
        clock.advance(Duration::from_secs(60));
        assert_eq!(spend(&limiter, "a"), (2, 20, None));
    }

    #[test]
    fn the_budget_is_full_after_the_reset_time_without_a_request() {
        for limit in [1, 2, 7, 600, u32::MAX] {
            let (limiter, clock) = limiter(limit);
            let mut reset = 0;
            for _ in 0..limit.min(5) {
                reset = spend(&limiter, "a").1;
                assert!((1..=60).contains(&reset), "{limit}: {reset}");
            }
            clock.advance(Duration::from_secs(reset));
            assert_eq!(spend(&limiter, "a").0, limit - 1, "{limit}");
        }
    }

    #[test]
    fn a_rejected_caller_is_accepted_after_the_retry_time() {
        let (limiter, clock) = limiter(7);
        for _ in 0..7 {
            assert_eq!(spend(&limiter, "a").2, None);
        }
        for _ in 0..20 {
            let wait = spend(&limiter, "a").2.unwrap();
            clock.advance(Duration::from_secs(wait));
            assert_eq!(spend(&limiter, "a").2, None);
        }
    }

    #[test]
    fn a_caller_that_exceeds_its_limit_does_not_affect_others() {
        let (limiter, _) = limiter(1);
        assert_eq!(spend(&limiter, "a").2, None);
        for _ in 0..9 {
            assert_eq!(spend(&limiter, "a").2, Some(60));
        }
        assert_eq!(spend(&limiter, "b").2, None);
        // Another member of the same workspace, whom the host authenticated.
        let member = caller("a").with_owner(Owner::parse("user:42").unwrap());
        assert!(limiter.spend(&member).check().is_ok());
    }

    #[test]
    fn full_budgets_are_evicted_and_others_are_kept() {
        let (limiter, clock) = limiter(1);
        let kept = || limiter.budgets.lock().unwrap().len();
        for n in 0..MAX_BUDGETS - 1 {
            spend(&limiter, &n.to_string());
        }
        // governor counts a budget as full only one interval after it has refilled.
        clock.advance(Duration::from_secs(120));
        spend(&limiter, "late");
        assert_eq!(kept(), MAX_BUDGETS);
        spend(&limiter, "last");
        assert_eq!(kept(), 2);
        assert_eq!(spend(&limiter, "late").2, Some(60));
    }

    #[test]
    fn more_callers_than_budgets_are_all_accepted() {
        let (limiter, _) = limiter(1);
        for n in 0..3 * MAX_BUDGETS {
            assert_eq!(spend(&limiter, &n.to_string()).2, None);
            assert!(limiter.budgets.lock().unwrap().len() <= MAX_BUDGETS);
        }
    }

    #[test]
    fn debug_prints_the_limit_and_no_caller() {
        let limit = RateLimit::per_minute(NonZeroU32::new(5).unwrap());
        limit.spend(&caller("a"));
        assert_eq!(format!("{limit:?}"), "RateLimit(5)");
    }
}
