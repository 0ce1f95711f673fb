//! How many requests a caller may make.

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
use http::{HeaderMap, HeaderName, StatusCode, header};
use keywright_core::{Caller, KeyId, Workspace};

use crate::error::ApiError;

/// Most callers that are remembered at a time, a few megabytes.
const MAX_CALLERS: usize = 1 << 16;

/// How many requests a minute each caller may make to the management endpoints; see
/// [`ApiKeys::with_rate_limit`](crate::ApiKeys::with_rate_limit).
///
/// A caller is a key, by its id, or, where the host has put a [`Caller`] that is no key into the
/// request, its workspace. Each has a budget of its own: the whole limit at once, which fills again
/// evenly, by one request each `60 / limit` seconds (GCRA). A request that is refused costs nothing.
///
/// Budgets are kept in this process, so a fleet of servers lets through as many times the limit;
/// clones share theirs. At most 65,536 callers are remembered: those with a whole budget are
/// forgotten first, and where that is not half of them, all budgets begin anew. Nobody is refused
/// for others. It holds back loops and accidents and is no quota: whoever may create keys creates
/// budgets with them.
#[derive(Clone)]
pub struct RateLimit(Arc<Limiter<MonotonicClock>>);

impl RateLimit {
    /// This many requests a minute.
    #[must_use]
    pub fn per_minute(requests: NonZeroU32) -> Self {
        Self(Arc::new(Limiter::new(requests, MonotonicClock)))
    }

    /// Takes a request out of the caller's budget, if it holds one.
    pub(crate) fn spend(&self, caller: &Caller) -> Budget {
        self.0.spend(caller)
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimit").field(&self.0.limit).finish()
    }
}

/// What a caller's budget is after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    limit: u32,
    remaining: u32,
    /// Seconds until it is whole.
    reset: u64,
    /// Seconds until it holds a request, where this one found none.
    retry_after: Option<u64>,
}

impl Budget {
    /// 429 where there was nothing left.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        self.retry_after.map_or(Ok(()), |seconds| {
            let message = "too many requests; try again later";
            Err(
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
                    .with_header(header::RETRY_AFTER, seconds.into()),
            )
        })
    }

    /// Tells the client.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        for (name, value) in [
            ("x-ratelimit-limit", self.limit.into()),
            ("x-ratelimit-remaining", self.remaining.into()),
            ("x-ratelimit-reset", self.reset),
        ] {
            headers.insert(HeaderName::from_static(name), u64::into(value));
        }
    }
}

/// Whose budget it is.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    Key(KeyId),
    Workspace(Workspace),
}

impl From<&Caller> for Subject {
    fn from(caller: &Caller) -> Self {
        caller.key().map_or_else(
            || Self::Workspace(caller.workspace().clone()),
            |id| Self::Key(*id),
        )
    }
}

type Budgets<C> = RateLimiter<Subject, HashMapStateStore<Subject>, C, StateInformationMiddleware>;

struct Limiter<C: Clock> {
    limit: NonZeroU32,
    clock: C,
    budgets: Mutex<Budgets<C>>,
}

impl<C: Clock + Clone> Limiter<C> {
    fn new(limit: NonZeroU32, clock: C) -> Self {
        Self {
            limit,
            budgets: Mutex::new(budgets(limit, clock.clone())),
            clock,
        }
    }

    fn spend(&self, caller: &Caller) -> Budget {
        let subject = Subject::from(caller);
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() >= MAX_CALLERS {
            budgets.retain_recent();
            // Else the next requests would go through all of them again. Whoever has so many keys
            // that this helps them has as many budgets anyway.
            if budgets.len() > MAX_CALLERS / 2 {
                *budgets = self::budgets(self.limit, self.clock.clone());
            }
        }
        let (remaining, retry_after) = match budgets.check_key(&subject) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(refused) => {
                let wait = refused.wait_time_from(self.clock.now());
                (0, Some(seconds(wait).max(1)))
            }
        };
        let used = self.limit.get().saturating_sub(remaining);
        let interval = Quota::per_minute(self.limit).replenish_interval();
        Budget {
            limit: self.limit.get(),
            remaining,
            reset: seconds(interval.saturating_mul(used)),
            retry_after,
        }
    }
}

fn budgets<C: Clock>(limit: NonZeroU32, clock: C) -> Budgets<C> {
    let none = HashMapStateStore::default();
    RateLimiter::new(Quota::per_minute(limit), none, clock)
}

/// Whole seconds, rounded up: whoever waits that long does not come too early.
fn seconds(span: Duration) -> u64 {
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

    /// A caller that is no key.
    fn of(workspace: &str) -> Caller {
        Caller::new(Workspace::parse(workspace).unwrap(), "*".parse().unwrap())
    }

    /// Limit, remaining, reset and when to come again.
    fn spend(limiter: &Limiter<FakeRelativeClock>, workspace: &str) -> (u32, u64, Option<u64>) {
        let budget = limiter.spend(&of(workspace));
        assert_eq!(budget.limit, limiter.limit.get());
        assert_eq!(budget.check().is_err(), budget.retry_after.is_some());
        (budget.remaining, budget.reset, budget.retry_after)
    }

    #[test]
    fn the_whole_limit_is_there_at_once_and_fills_again_evenly() {
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
    fn it_is_whole_again_when_reset_says_and_no_request_has_come() {
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
    fn a_refused_caller_that_waits_as_told_is_let_through() {
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
    fn nobody_pays_for_others() {
        let (limiter, _) = limiter(1);
        assert_eq!(spend(&limiter, "a").2, None);
        for _ in 0..9 {
            assert_eq!(spend(&limiter, "a").2, Some(60));
        }
        assert_eq!(spend(&limiter, "b").2, None);
    }

    #[test]
    fn callers_whose_budget_is_whole_are_forgotten_and_others_are_not() {
        let (limiter, clock) = limiter(1);
        let known = || limiter.budgets.lock().unwrap().len();
        for n in 0..MAX_CALLERS - 1 {
            spend(&limiter, &n.to_string());
        }
        // They are kept for the time of one more request.
        clock.advance(Duration::from_secs(120));
        spend(&limiter, "late");
        assert_eq!(known(), MAX_CALLERS);
        spend(&limiter, "last");
        assert_eq!(known(), 2);
        assert_eq!(spend(&limiter, "late").2, Some(60));
    }

    #[test]
    fn more_callers_than_are_remembered_are_let_through() {
        let (limiter, _) = limiter(1);
        for n in 0..3 * MAX_CALLERS {
            assert_eq!(spend(&limiter, &n.to_string()).2, None);
            assert!(limiter.budgets.lock().unwrap().len() <= MAX_CALLERS);
        }
    }

    #[test]
    fn debug_shows_the_limit_and_no_caller() {
        let limit = RateLimit::per_minute(NonZeroU32::new(5).unwrap());
        limit.spend(&of("a"));
        assert_eq!(format!("{limit:?}"), "RateLimit(5)");
    }
}
