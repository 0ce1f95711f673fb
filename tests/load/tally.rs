//! Counts of requests by kind and status, and their durations, in constant memory.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::client::{Response, now};

/// The requests of one client, or of all.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<&'static str, Kind>);

#[derive(Default)]
struct Kind {
    /// The number of responses by status. The status is 0 if there was no response.
    responses: BTreeMap<u16, u64>,
    times: Times,
}

impl Tally {
    /// Sends a request, and adds its status and duration.
    pub(crate) fn time(&mut self, what: &'static str, send: impl FnOnce() -> Response) -> Response {
        let start = now();
        let response = send();
        self.add(what, response.status, start.elapsed());
        response
    }

    pub(crate) fn add(&mut self, what: &'static str, status: u16, time: Duration) {
        let kind = self.0.entry(what).or_default();
        *kind.responses.entry(status).or_default() += 1;
        kind.times.add(time);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (what, Kind { responses, times }) in other.0 {
            let kind = self.0.entry(what).or_default();
            for (status, count) in responses {
                *kind.responses.entry(status).or_default() += count;
            }
            kind.times.merge(&times);
        }
    }

    /// Returns the number of requests of a kind.
    pub(crate) fn count(&self, what: &str) -> u64 {
        self.0
            .get(what)
            .map_or(0, |kind| kind.responses.values().sum())
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.keys().map(|what| self.count(what)).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, Kind { responses, times }) in &self.0 {
            let [median, p99] = [0.5, 0.99].map(|quantile| times.quantile(quantile));
            writeln!(
                f,
                "{what:<44} p50 {median:>9.1?}  p99 {p99:>9.1?}  {responses:?}"
            )?;
        }
        Ok(())
    }
}

/// The number of buckets for each power of two. A quantile is at most an eighth too high.
const BUCKETS: u32 = 8;

/// A histogram of durations in microseconds.
struct Times([u64; 64 * BUCKETS as usize]);

impl Default for Times {
    fn default() -> Self {
        Self([0; 64 * BUCKETS as usize])
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros())
            .unwrap()
            .max(u64::from(BUCKETS));
        let power = micros.ilog2();
        let bucket = (micros >> (power - BUCKETS.ilog2())) % u64::from(BUCKETS);
        let index = u64::from(power * BUCKETS) + bucket;
        self.0[usize::try_from(index).unwrap()] += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// Returns the upper bound of the bucket that contains a quantile.
    fn quantile(&self, quantile: f64) -> Duration {
        let mut left = (self.0.iter().sum::<u64>() as f64 * quantile).ceil();
        let index = self.0.iter().position(|&count| {
            left -= count as f64;
            left <= 0.0
        });
        let index = index.unwrap_or_default() as u64;
        let (power, bucket) = (index / u64::from(BUCKETS), index % u64::from(BUCKETS));
        Duration::from_micros((1 << power) + ((bucket + 1) << power) / u64::from(BUCKETS))
    }
}
