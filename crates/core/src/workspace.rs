//! The workspace of a key.

use std::{fmt, sync::Arc};

/// The tenant that a key belongs to: a name that the host chooses, 1 to 64 characters of
/// `A-Za-z0-9` and `._:@/-`. A key never changes its workspace, and callers in other workspaces
/// cannot find out that it exists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
// Not `Arc<str>`, because one word is enough in each cached key.
pub struct Workspace(Arc<String>);

impl Workspace {
    /// The maximum length, in bytes.
    pub const MAX_LENGTH: usize = 64;

    /// Parses the name of a workspace.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError`] if the text is empty, too long, or contains another character.
    pub fn parse(text: &str) -> Result<Self, WorkspaceError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@/-".contains(&byte);
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(Arc::new(text.into())))
        } else {
            Err(WorkspaceError)
        }
    }

    /// Returns the name as text.
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

/// An error from [`Workspace::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a workspace must be 1 to 64 ASCII letters, digits and . _ : @ / -")]
#[non_exhaustive]
pub struct WorkspaceError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_1_to_64_allowed_characters() {
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
