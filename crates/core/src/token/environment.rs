//! The environment of a key.

use std::fmt;

/// The environment of a key. A `test` caller sees and manages only `test` keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the token format has these two and no other"
)]
pub enum Environment {
    /// Production data.
    Live,
    /// Test data.
    Test,
}

impl Environment {
    /// Parses `live` or `test`.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, EnvironmentError> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(EnvironmentError),
        }
    }

    /// Returns `live` or `test`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Whether a caller of this environment sees and manages keys of the environment `other`:
    /// `live` covers both, `test` only `test`.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        matches!((self, other), (Self::Live, _) | (Self::Test, Self::Test))
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

crate::text::parsed_text!(Environment, EnvironmentError);

/// An error from [`Environment::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an environment must be live or test")]
#[non_exhaustive]
pub struct EnvironmentError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_live_and_test_are_parsed() {
        for (environment, text) in [(Environment::Live, "live"), (Environment::Test, "test")] {
            assert_eq!(Environment::parse(text), Ok(environment));
            assert_eq!(environment.to_string(), text);
        }
        for bad in ["", "Live", "live ", "prod"] {
            assert_eq!(Environment::parse(bad), Err(EnvironmentError), "{bad:?}");
        }
    }
}
