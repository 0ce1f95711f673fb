//! What a host notes beside a key.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, value::RawValue};

/// A JSON object of the host's own, at most 4 KiB when serialised. The library keeps it and reads
/// nothing out of it. Numbers are kept as 64-bit integers or IEEE 754 doubles, members in no
/// particular order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metadata(Box<str>);

impl Metadata {
    /// Largest serialised object, in bytes.
    pub const MAX_LENGTH: usize = 4096;

    /// Serialises an object.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] if that is too large.
    pub fn new(object: &Map<String, Value>) -> Result<Self, MetadataError> {
        let text = serde_json::to_string(object).map_err(|_| MetadataError::NotAnObject)?;
        if text.len() > Self::MAX_LENGTH {
            return Err(MetadataError::TooLarge);
        }
        Ok(Self(text.into()))
    }

    /// Reads a JSON object.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] if it is none, or too large.
    pub fn parse(json: &str) -> Result<Self, MetadataError> {
        let object = serde_json::from_str(json).map_err(|_| MetadataError::NotAnObject)?;
        Self::new(&object)
    }

    /// The serialised object.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0)
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&Map::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Why something is no metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// Not a JSON object.
    NotAnObject,
    /// More than [`Metadata::MAX_LENGTH`] bytes.
    TooLarge,
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "metadata must be a JSON object",
            Self::TooLarge => "metadata must be at most 4096 bytes of JSON",
        })
    }
}

impl std::error::Error for MetadataError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_an_object_of_at_most_4_kib() {
        let fits = format!(r#"{{ "a" : "{}" }}"#, "x".repeat(4096 - 8));
        assert_eq!(Metadata::parse(&fits).unwrap().as_json().len(), 4096);
        let over = format!(r#"{{"a":"{}"}}"#, "x".repeat(4096 - 7));
        assert_eq!(Metadata::parse(&over), Err(MetadataError::TooLarge));
        for bad in ["", "[]", "1", "{", "null", "{} {}"] {
            assert_eq!(
                Metadata::parse(bad),
                Err(MetadataError::NotAnObject),
                "{bad}"
            );
        }
    }

    #[test]
    fn serialises_as_the_object_itself() {
        let metadata = Metadata::parse(r#"{"team":"a","n":[1,{"b":null}]}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&metadata).unwrap(),
            metadata.as_json()
        );
    }
}
