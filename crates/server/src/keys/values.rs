//! Parses the values of the options of `keywright keys`.

use std::time::Duration;

use keywright_core::{Clock, NewRotation, SystemClock, Timestamp};

/// Parses `now`, or a span of at most 30 days.
pub(super) fn overlap(text: &str) -> Result<Duration, String> {
    if text == "now" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text)
        .ok()
        .filter(|span| *span <= NewRotation::MAX_OVERLAP)
        .ok_or_else(|| "expected now, or a span such as 24h, at most 30d".into())
}

/// Parses a date, which begins at midnight in UTC, or an RFC 3339 time.
pub(super) fn date(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(&format!("{text}T00:00:00Z"))
        .or_else(|_| Timestamp::parse(text))
        .map_err(|_| "expected a date such as 2026-01-31, or an RFC 3339 time".into())
}

/// Parses a date or time, or an age, which is the time that long ago.
pub(super) fn date_or_age(text: &str) -> Result<Timestamp, String> {
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
    fn a_date_begins_at_midnight_in_utc() {
        let midnight = Timestamp::parse("2026-01-31T00:00:00Z").unwrap();
        assert_eq!(date("2026-01-31"), Ok(midnight));
        assert_eq!(date("2026-01-31T01:00:00+01:00"), Ok(midnight));
        for bad in ["", "2026-02-30", "2026-1-1", "yesterday", "1970"] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }
}
