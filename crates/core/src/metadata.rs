//! Metadata: a JSON object that clients store with a key.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, value::RawValue};

use crate::json_object::{self, ObjectError};

/// A JSON object that a client stores with a key, as its own notes. At most 4 KiB when serialised.
///
/// Every client that may write keys can change it, so a host must not trust it. A host attaches
/// its own data as [`Attributes`](crate::Attributes).
///
/// The library stores the text of the object and does not interpret it. [`parse`](Self::parse)
/// keeps the text as it is. [`new`](Self::new) takes an object that was already parsed, with
/// numbers as 64-bit integers or IEEE 754 doubles and members in no particular order. To keep every
/// number exactly, parse it with the feature `float_roundtrip` of `serde_json`.
///
/// `Metadata` can be serialised and deserialised only with `serde_json`.
#[derive(Clone, PartialEq, Eq, Debug)]
// Not `Arc<str>`, because one word is enough in each cached key.
pub struct Metadata(Arc<String>);

impl Metadata {
    /// The maximum length of the serialised object, in bytes.
    pub const MAX_LENGTH: usize = json_object::MAX_LENGTH;

    /// Serialises an object.
    ///
    /// # Errors
    ///
    /// [`MetadataError::TooLarge`] if the JSON is too long.
    pub fn new(object: &Map<String, Value>) -> Result<Self, MetadataError> {
        Self::parse(&serde_json::to_string(object).map_err(|_| MetadataError::NotAnObject)?)
    }

    /// Checks that a text is a JSON object and keeps it unchanged.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] if the text is not a JSON object or is too long.
    pub fn parse(json: &str) -> Result<Self, MetadataError> {
        match json_object::check(json) {
            Ok(()) => Ok(Self(Arc::new(json.into()))),
            Err(ObjectError::NotAnObject) => Err(MetadataError::NotAnObject),
            Err(ObjectError::TooLarge) => Err(MetadataError::TooLarge),
        }
    }

    /// Returns the serialised object.
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
        Self::parse(Box::<RawValue>::deserialize(deserializer)?.get()).map_err(de::Error::custom)
    }
}

/// An error from [`Metadata::new`] or [`Metadata::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The text is not a JSON object.
    #[error("metadata must be a JSON object")]
    NotAnObject,
    /// The JSON is longer than [`Metadata::MAX_LENGTH`] bytes.
    #[error("metadata must be at most 4096 bytes of JSON")]
    TooLarge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_an_object_of_at_most_4_kib() {
        let fits = format!(r#"{{"a":"{}"}}"#, "x".repeat(4096 - 8));
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
    fn an_object_is_read_back_whatever_its_depth_and_its_member_names() {
        let mut value = Value::from(1.5);
        for _ in 0..300 {
            value = Value::Object(Map::from_iter([("a".to_owned(), value)]));
        }
        let Value::Object(deep) = value else {
            unreachable!()
        };
        let magic = "$serde_json::private::RawValue".to_owned();
        let inner = Value::Object(Map::from_iter([(magic, Value::from("{"))]));
        let odd = Map::from_iter([("a".to_owned(), inner)]);
        for object in [deep, odd] {
            let metadata = Metadata::new(&object).unwrap();
            assert_eq!(Metadata::parse(metadata.as_json()).unwrap(), metadata);
            assert_eq!(
                serde_json::to_string(&metadata).unwrap(),
                metadata.as_json()
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn numbers_do_not_change_when_they_are_read_and_written_again(number: f64) {
            let object = Map::from_iter([("n".to_owned(), Value::from(number))]);
            let metadata = Metadata::new(&object).unwrap();
            let again: Map<String, Value> = serde_json::from_str(metadata.as_json()).unwrap();
            assert_eq!(again, object);
            assert_eq!(Metadata::parse(metadata.as_json()).unwrap(), metadata);
        }
    }

    #[test]
    fn metadata_serialises_as_the_object_itself() {
        let metadata = Metadata::parse(r#"{"team":"a","n":[1,{"b":null}]}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&metadata).unwrap(),
            metadata.as_json()
        );
    }
}
