//! Parses times: dates, spans and ages.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use keywright_core::{Clock, NewRotation, SystemClock, Timestamp};

use crate::clean_value::clean;

/// When a key expires: after a span, or at a time.
#[derive(Args)]
pub(crate) struct ExpiryOptions {
    /// Lifetime of the key from now, such as 90d or 12h
    #[arg(long, value_name = "SPAN", value_parser = clean(humantime::parse_duration))]
    expires_in: Option<Duration>,

    /// When the key expires: 2027-01-31, 2027-01-31T18:00, or RFC 3339
    ///
    /// A time without a zone is in UTC, and a date is its first moment: a key that
    /// expires at 2027-01-31 is last valid on 30 January.
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with = "expires_in",
        value_parser = clean(date)
    )]
    expires_at: Option<Timestamp>,
}

impl ExpiryOptions {
    /// Returns when the key expires, if an option says so. Call this before opening the store: an
    /// invalid lifetime must not create a new file.
    ///
    /// # Errors
    ///
    /// The time is not in the future, or after the year 9999.
    pub(crate) fn expires_at(&self) -> Result<Option<Timestamp>> {
        let now = SystemClock::default().now();
        if let Some(lifetime) = self.expires_in {
            let expires_at = now.saturating_add(lifetime);
            if lifetime.is_zero() || expires_at == Timestamp::MAX {
                bail!("--expires-in must be longer than 0s, and must end before the year 10000");
            }
            return Ok(Some(expires_at));
        }
        if let Some(past) = self.expires_at.filter(|expires_at| *expires_at <= now) {
            bail!("--expires-at must be in the future, and {past} is not");
        }
        Ok(self.expires_at)
    }
}

/// Parses `now`, or a span of at most 30 days.
pub(crate) fn overlap(text: &str) -> Result<Duration, String> {
    if text == "now" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text)
        .ok()
        .filter(|span| *span <= NewRotation::MAX_OVERLAP)
        .ok_or_else(|| "expected now, or a span such as 24h, at most 30d".into())
}

/// Parses an RFC 3339 time, a time without a zone, which is in UTC, or a date, which is midnight in
/// UTC. The seconds may be left out, and a space may stand for the `T`.
pub(crate) fn date(text: &str) -> Result<Timestamp, String> {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00"));
    // The time before its zone.
    let (clock, zone) = match time.find(['Z', 'z', '+', '-']) {
        Some(zone) => time.split_at(zone),
        None => (time, "Z"),
    };
    let seconds = if clock.len() == "00:00".len() {
        ":00"
    } else {
        ""
    };
    Timestamp::parse(&format!("{date}T{clock}{seconds}{zone}"))
        .map_err(|_| "expected a date such as 2026-01-31, or an RFC 3339 time".into())
}

/// Parses a date or time, or an age, which is the time that long ago.
pub(crate) fn date_or_age(text: &str) -> Result<Timestamp, String> {
    let age = |age| SystemClock::default().now().saturating_sub(age);
    date(text).or_else(|_| {
        humantime::parse_duration(text).map(age).map_err(|_| {
            "expected a date such as 2026-01-31, an RFC 3339 time, or an age such as 90d".into()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_now_or_a_span_of_at_most_30_days() {
        assert_eq!(overlap("now"), Ok(Duration::ZERO));
        assert_eq!(overlap("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(overlap("30d"), Ok(NewRotation::MAX_OVERLAP));
        for bad in ["30d 1s", "", "-1h", "tomorrow", "24"] {
            assert!(overlap(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_age_is_a_time_in_the_past() {
        let now = SystemClock::default().now();
        let day = Duration::from_secs(86_400);
        let yesterday = date_or_age("1d").unwrap();
        assert!(yesterday >= now.saturating_sub(day), "{yesterday}");
        assert!(yesterday <= now, "{yesterday}");
        assert_eq!(date_or_age("2026-01-31"), date("2026-01-31"));
        for bad in ["", "yesterday", "90", "-1d", "2026-02-30"] {
            assert!(date_or_age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_begins_at_midnight_and_without_a_zone_a_time_is_in_utc() {
        let midnight = Timestamp::parse("2026-01-31T00:00:00Z").unwrap();
        assert_eq!(date("2026-01-31"), Ok(midnight));
        for same in [
            "2026-01-31T00:00",
            "2026-01-31 00:00:00",
            "2026-01-31T00:00Z",
            "2026-01-31T01:00:00+01:00",
            "2026-01-30T19:00-05:00",
        ] {
            assert_eq!(date(same), Ok(midnight), "{same}");
        }
        for bad in [
            "",
            "2026-02-30",
            "2026-1-1",
            "yesterday",
            "1970",
            "2026-01-31T",
            "2026-01-31T24:00",
            "2026-01-31T1:00",
            "2026-01-31Z",
            "2026-01-31T00:00 CET",
        ] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }
}
