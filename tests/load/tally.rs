//! What was asked, what was answered, and how long it took, in a memory that does not grow.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::client::{Answer, now};

/// What one client has seen, or all of them.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<&'static str, Kind>);

#[derive(Default)]
struct Kind {
    /// By status; 0 is a connection that was closed without one.
    answers: BTreeMap<u16, u64>,
    times: Times,
}

impl Tally {
    /// Asks, and notes the answer.
    pub(crate) fn time(&mut self, what: &'static str, ask: impl FnOnce() -> Answer) -> Answer {
        let start = now();
        let answer = ask();
        self.note(what, answer.status, start.elapsed());
        answer
    }

    pub(crate) fn note(&mut self, what: &'static str, status: u16, time: Duration) {
        let kind = self.0.entry(what).or_default();
        *kind.answers.entry(status).or_default() += 1;
        kind.times.note(time);
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (what, Kind { answers, times }) in other.0 {
            let kind = self.0.entry(what).or_default();
            for (status, count) in answers {
                *kind.answers.entry(status).or_default() += count;
            }
            kind.times.add(&times);
        }
    }

    /// How often something was answered.
    pub(crate) fn count(&self, what: &str) -> u64 {
        self.0
            .get(what)
            .map_or(0, |kind| kind.answers.values().sum())
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.keys().map(|what| self.count(what)).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, Kind { answers, times }) in &self.0 {
            let [middle, late] = [0.5, 0.99].map(|part| times.quantile(part));
            writeln!(
                f,
                "{what:<44} p50 {middle:>9.1?}  p99 {late:>9.1?}  {answers:?}"
            )?;
        }
        Ok(())
    }
}

/// How many parts each power of two has: a quantile is at most an eighth too high.
const PARTS: u32 = 8;

/// Times in microseconds, counted by powers of two and their parts.
struct Times([u64; 64 * PARTS as usize]);

impl Default for Times {
    fn default() -> Self {
        Self([0; 64 * PARTS as usize])
    }
}

impl Times {
    fn note(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros())
            .unwrap()
            .max(u64::from(PARTS));
        let power = micros.ilog2();
        let part = (micros >> (power - PARTS.ilog2())) % u64::from(PARTS);
        let place = u64::from(power * PARTS) + part;
        self.0[usize::try_from(place).unwrap()] += 1;
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// The upper end of the part in which so many of all times lie below.
    fn quantile(&self, part: f64) -> Duration {
        let mut left = (self.0.iter().sum::<u64>() as f64 * part).ceil();
        let place = self.0.iter().position(|&count| {
            left -= count as f64;
            left <= 0.0
        });
        let place = place.unwrap_or_default() as u64;
        let (power, part) = (place / u64::from(PARTS), place % u64::from(PARTS));
        Duration::from_micros((1 << power) + ((part + 1) << power) / u64::from(PARTS))
    }
}
