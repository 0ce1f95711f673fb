//! The environment of a key.

use std::fmt;

/// Which of a host's two worlds a key opens. A `test` caller sees and manages `test` keys only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the token format has these two and no other"
)]
pub enum Environment {
    /// Real data.
    Live,
    /// Trial data.
    Test,
}

impl Environment {
    /// Reads `live` or `test`.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] on anything else.
    pub fn parse(text: &str) -> Result<Self, EnvironmentError> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(EnvironmentError),
        }
    }

    /// `live` or `test`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Whether a caller of this environment sees and manages keys of the other one: `live` sees
    /// both, `test` only `test`.
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

/// The text is not an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an environment must be live or test")]
#[non_exhaustive]
pub struct EnvironmentError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written_and_nothing_else_is_read() {
        for (environment, text) in [(Environment::Live, "live"), (Environment::Test, "test")] {
            assert_eq!(Environment::parse(text), Ok(environment));
            assert_eq!(environment.to_string(), text);
        }
        for bad in ["", "Live", "live ", "prod"] {
            assert_eq!(Environment::parse(bad), Err(EnvironmentError), "{bad:?}");
        }
    }
}
