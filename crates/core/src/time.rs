//! Points in time, and the one clock.

use std::{
    fmt,
    time::{Duration, Instant},
};

use ::time::{
    OffsetDateTime, UtcOffset,
    format_description::{StaticFormatDescription, well_known::Rfc3339},
    macros::format_description,
};

const FORMAT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A point in time: whole milliseconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
/// Its text is RFC 3339 in UTC with three digits of a second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From Unix milliseconds.
    ///
    /// # Errors
    ///
    /// [`TimestampError`] before 1970 or after 9999.
    pub const fn from_millis(millis: i64) -> Result<Self, TimestampError> {
        if millis >= 0 && millis <= Self::MAX.0 {
            Ok(Self(millis))
        } else {
            Err(TimestampError)
        }
    }

    /// Unix milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Reads an RFC 3339 time (section 5.6) of any offset. What is finer than a millisecond is cut
    /// off.
    ///
    /// # Errors
    ///
    /// [`TimestampError`] on anything else, before 1970, or after 9999.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        // The parser takes any character between date and time.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
            return Err(TimestampError);
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError)?;
        let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
        i64::try_from(millis)
            .map_err(|_| TimestampError)
            .and_then(Self::from_millis)
    }

    /// This time and a span after it, at most [`MAX`](Self::MAX).
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// A span before this time, at least 1970.
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis).max(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .map_err(|_| fmt::Error)?;
        let text = time
            .to_offset(UtcOffset::UTC)
            .format(FORMAT)
            .map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

crate::text::parsed_text!(Timestamp, TimestampError);

/// No RFC 3339 time from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimestampError;

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time is written as in RFC 3339, from 1970 to 9999")
    }
}

impl std::error::Error for TimestampError {}

/// What time it is. [`SystemClock`] in a program, a clock that stands still in a test.
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    fn now(&self) -> Timestamp {
        // A clock set before 1970 reads 1970, one after 9999 reads 9999.
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(0).saturating_add(since)
    }
}

/// The clock for spans, which nobody can set.
#[expect(clippy::disallowed_methods, reason = "this is the one clock for spans")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_milliseconds_and_utc() {
        let time = Timestamp::from_millis(1_709_287_200_000).unwrap();
        assert_eq!(time.to_string(), "2024-03-01T10:00:00.000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(
            Timestamp::from_millis(0).unwrap().to_string(),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn reads_rfc_3339_and_nothing_else() {
        for (text, millis) in [
            ("2024-03-01T10:00:00Z", 1_709_287_200_000),
            ("2024-03-01T11:00:00.0019+01:00", 1_709_287_200_001),
            ("2024-03-01t10:00:00z", 1_709_287_200_000),
        ] {
            assert_eq!(
                Timestamp::parse(text).map(Timestamp::as_millis),
                Ok(millis),
                "{text}"
            );
        }
        for bad in [
            "",
            "tomorrow",
            "2024-03-01",
            "2024-03-01T10:00:00",
            "2024-02-30T10:00:00Z",
            "1969-12-31T23:59:59Z",
            "1709287200000",
            "2024-03-01T10:00:00Z ",
            "+2024-03-01T10:00:00Z",
            "2024-03-01_10:00:00Z",
            "2024-03-01 10:00:00Z",
        ] {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn adding_and_subtracting_stop_at_the_ends() {
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        let start = Timestamp::from_millis(0).unwrap();
        assert_eq!(Timestamp::MAX.saturating_sub(Duration::MAX), start);
        let span = Duration::from_secs(1);
        assert_eq!(start.saturating_add(span).saturating_sub(span), start);
    }
}
