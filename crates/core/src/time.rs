//! Timestamps and clocks.

use std::{
    fmt,
    num::NonZero,
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
/// Its text is RFC 3339 in UTC with milliseconds.
// The milliseconds plus 1, so that `Option<Timestamp>` takes no more memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZero<i64>);

impl Timestamp {
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self::clamped(Self::MAX_MILLIS);

    const MAX_MILLIS: i64 = 253_402_300_799_999;

    /// Returns the nearest valid time.
    const fn clamped(millis: i64) -> Self {
        let number = if millis < 0 {
            NonZero::new(1)
        } else if millis > Self::MAX_MILLIS {
            NonZero::new(Self::MAX_MILLIS + 1)
        } else {
            NonZero::new(millis + 1)
        };
        #[expect(clippy::expect_used, reason = "each is 1 or more")]
        Self(number.expect("a number from 1"))
    }

    /// Creates a timestamp from Unix milliseconds.
    ///
    /// # Errors
    ///
    /// [`TimestampError`] if the time is before 1970 or after 9999.
    pub const fn from_millis(millis: i64) -> Result<Self, TimestampError> {
        if millis >= 0 && millis <= Self::MAX_MILLIS {
            Ok(Self::clamped(millis))
        } else {
            Err(TimestampError)
        }
    }

    /// Returns the Unix milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.get() - 1
    }

    /// Parses an RFC 3339 time (section 5.6) with any offset. Truncates it to milliseconds.
    ///
    /// # Errors
    ///
    /// [`TimestampError`] if the text is not such a time, or is before 1970 or after 9999.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        // The parser accepts any character between date and time.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
            return Err(TimestampError);
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError)?;
        let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
        i64::try_from(millis)
            .map_err(|_| TimestampError)
            .and_then(Self::from_millis)
    }

    /// Adds a duration, up to [`MAX`](Self::MAX).
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::clamped(self.as_millis().saturating_add(millis))
    }

    /// Subtracts a duration, down to the beginning of 1970.
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::clamped(self.as_millis().saturating_sub(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.as_millis()) * 1_000_000)
                .map_err(|_| fmt::Error)?;
        let text = time
            .to_offset(UtcOffset::UTC)
            .format(FORMAT)
            .map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

crate::text::parsed_text!(Timestamp, TimestampError);

/// An error from parsing or creating a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time must be RFC 3339 and lie between the years 1970 and 9999")]
#[non_exhaustive]
pub struct TimestampError;

/// A source of the current time: [`SystemClock`] in a program, a manual clock in a test.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Returns the current time, or a time up to 25 milliseconds earlier if that is faster. Each
    /// verification uses it for the time of last use.
    fn coarse(&self) -> Timestamp {
        self.now()
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "all other code takes the time from a Clock"
    )]
    fn now(&self) -> Timestamp {
        // A clock that is set before 1970 reads as 1970, and a clock that is set after 9999 reads
        // as 9999.
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::clamped(0).saturating_add(since)
    }

    #[cfg(target_os = "linux")]
    fn coarse(&self) -> Timestamp {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let millis = time.tv_sec.saturating_mul(1000) + time.tv_nsec / 1_000_000;
        Timestamp::clamped(millis)
    }
}

/// Returns the current time of the monotonic clock, which cannot be set.
#[expect(
    clippy::disallowed_methods,
    reason = "all other code calls this function"
)]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// The maximum lag of [`coarse`] that leases allow for: two and a half of the longest kernel ticks.
///
/// The clock lags by up to one tick, which is 1 to 10 milliseconds long, and by more if a tick is
/// late. On a virtual machine under load with ticks of 4 milliseconds, the measured lag was 8.3
/// milliseconds. Kernels guarantee no maximum, but a kernel that missed ticks catches up within a
/// few of them. Only if the hypervisor stops the core that keeps the time, but not the others, does
/// the clock lag for longer.
pub(crate) const MAX_COARSE_LAG: Duration = Duration::from_millis(25);

/// Returns the nanoseconds of the monotonic clock since an arbitrary origin, with a lag of at most
/// [`MAX_COARSE_LAG`]. Each verification reads it, and it takes a tenth of the time of
/// [`monotonic`].
#[cfg(target_os = "linux")]
pub(crate) fn coarse() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    let nanos = time.tv_sec.saturating_mul(1_000_000_000) + time.tv_nsec;
    nanos.unsigned_abs()
}

/// Returns the nanoseconds of the monotonic clock since its first use, on systems without a coarse
/// clock.
#[cfg(not(target_os = "linux"))]
pub(crate) fn coarse() -> u64 {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let since = monotonic().saturating_duration_since(*ORIGIN.get_or_init(monotonic));
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_in_utc_with_milliseconds() {
        let time = Timestamp::from_millis(1_709_287_200_000).unwrap();
        assert_eq!(time.to_string(), "2024-03-01T10:00:00.000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(
            Timestamp::from_millis(0).unwrap().to_string(),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn only_rfc_3339_is_parsed() {
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
    fn the_coarse_clocks_follow_the_exact_ones() {
        // Far more than the lag of any clock.
        let span = Duration::from_secs(10);
        let before = SystemClock.now();
        let coarse = SystemClock.coarse();
        assert!(coarse >= before.saturating_sub(span), "{coarse} {before}");
        assert!(coarse <= before.saturating_add(span), "{coarse} {before}");

        let (begin, first) = (monotonic(), coarse_span());
        std::thread::sleep(4 * MAX_COARSE_LAG);
        let (passed, coarse) = (begin.elapsed(), coarse_span().checked_sub(first));
        let coarse = coarse.expect("a clock that never goes back");
        assert!(!coarse.is_zero(), "it stood still for {passed:?}");
        assert!(coarse <= passed + span, "{coarse:?} {passed:?}");
    }

    fn coarse_span() -> Duration {
        Duration::from_nanos(coarse())
    }

    #[test]
    fn addition_and_subtraction_saturate() {
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        let start = Timestamp::from_millis(0).unwrap();
        assert_eq!(Timestamp::MAX.saturating_sub(Duration::MAX), start);
        let span = Duration::from_secs(1);
        assert_eq!(start.saturating_add(span).saturating_sub(span), start);
    }
}
