//! The name of the schema that contains the tables.

use std::fmt;

/// The name of a PostgreSQL schema: 1 to 63 characters of `a-z0-9_`, not beginning with a digit. It
/// may be a reserved word, so statements [quote](Self::quoted) it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SchemaName(Box<str>);

impl SchemaName {
    /// The maximum length of a name in PostgreSQL, in bytes.
    const MAX_LENGTH: usize = 63;

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let well_formed = (1..=Self::MAX_LENGTH).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with(|first: char| first.is_ascii_digit())
            // The names of the system's schemas.
            && !text.starts_with("pg_")
            && text != "information_schema";
        well_formed.then(|| Self(text.into()))
    }

    /// Returns the name as a statement contains it.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{self}\"")
    }
}

impl Default for SchemaName {
    fn default() -> Self {
        Self("keywright".into())
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
