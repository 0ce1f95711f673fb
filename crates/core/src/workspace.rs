//! The workspace that a key belongs to.

use std::{fmt, sync::Arc};

/// The tenant that a key belongs to: 1 to 64 of `A-Za-z0-9` and `._:@/-`, the host's own name for it.
/// A key never leaves its workspace, and nobody outside it learns that the key exists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workspace(Arc<str>);

impl Workspace {
    /// Longest name, in bytes.
    pub const MAX_LENGTH: usize = 64;

    /// Reads the name of a workspace.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError`] if it is empty, too long, or holds another character.
    pub fn parse(text: &str) -> Result<Self, WorkspaceError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@/-".contains(&byte);
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(WorkspaceError)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::parsed_text!(Workspace, WorkspaceError);

/// The text is not the name of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a workspace must be 1 to 64 ASCII letters, digits and . _ : @ / -")]
#[non_exhaustive]
pub struct WorkspaceError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_1_to_64_of_the_characters_that_are_allowed() {
        let longest = "w".repeat(64);
        for good in ["a", "acme:eu-1/team_a@b.c", &longest] {
            assert_eq!(Workspace::parse(good).unwrap().to_string(), good);
        }
        let too_long = "w".repeat(65);
        for bad in ["", "a b", "é", "a\n", &too_long] {
            assert_eq!(Workspace::parse(bad), Err(WorkspaceError), "{bad:?}");
        }
    }
}
