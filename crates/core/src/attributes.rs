//! Attributes: the host's data about a key, which clients can neither read nor change.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::json_object::{self, ObjectError};

/// A JSON object that the host attaches to a key and reads when the key is verified, such as a plan
/// or a customer number. At most 4 KiB when serialised.
///
/// Only the host sets attributes, with [`Caller::with_attributes`](crate::Caller::with_attributes)
/// and [`Issuer::set_attributes`](crate::Issuer::set_attributes). Keys that a key creates, and its
/// successor in a rotation, inherit them. The HTTP API neither accepts nor returns them, so a host
/// can trust them, unlike [`Metadata`](crate::Metadata), which clients write.
///
/// ```
/// use keywright_core::Attributes;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Plan {
///     plan: String,
///     requests_per_minute: u32,
/// }
///
/// let plan = Plan { plan: "pro".into(), requests_per_minute: 600 };
/// let attributes = Attributes::new(&plan)?;
/// assert_eq!(attributes.get::<Plan>()?, plan);
/// # Ok::<(), keywright_core::error::AttributesError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
// Not `Arc<str>`, because one word is enough in each cached key.
pub struct Attributes(Arc<String>);

impl Attributes {
    /// The maximum length of the serialised object, in bytes.
    pub const MAX_LENGTH: usize = json_object::MAX_LENGTH;

    /// Serialises a value that becomes a JSON object, such as a struct or a map.
    ///
    /// # Errors
    ///
    /// [`AttributesError`] if the value does not become an object or is too long.
    pub fn new(value: &impl Serialize) -> Result<Self, AttributesError> {
        Self::parse(&serde_json::to_string(value).map_err(|_| AttributesError::NotAnObject)?)
    }

    /// Checks that a text is a JSON object. Keeps the text unchanged.
    ///
    /// # Errors
    ///
    /// [`AttributesError`] if the text is not a JSON object or is too long.
    pub fn parse(json: &str) -> Result<Self, AttributesError> {
        match json_object::check(json) {
            Ok(()) => Ok(Self(Arc::new(json.into()))),
            Err(ObjectError::NotAnObject) => Err(AttributesError::NotAnObject),
            Err(ObjectError::TooLarge) => Err(AttributesError::TooLarge),
        }
    }

    /// Returns the serialised object.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Deserialises the object. Each call parses the JSON again.
    ///
    /// # Errors
    ///
    /// [`AttributesError::Mismatch`] if the object does not match `T`.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T, AttributesError> {
        // The error of serde_json may quote a value, and hosts log errors.
        serde_json::from_str(&self.0).map_err(|_| AttributesError::Mismatch)
    }
}

/// An error from the functions of [`Attributes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributesError {
    /// The text or the value is not a JSON object.
    #[error("attributes must be a JSON object")]
    NotAnObject,
    /// The JSON is longer than [`Attributes::MAX_LENGTH`] bytes.
    #[error("attributes must be at most 4096 bytes of JSON")]
    TooLarge,
    /// The object does not match the requested type.
    #[error("the attributes do not match the type that the program expects")]
    Mismatch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_an_object_of_at_most_4_kib() {
        let fits = format!(r#"{{"a":"{}"}}"#, "x".repeat(4096 - 8));
        assert_eq!(Attributes::parse(&fits).unwrap().as_json(), fits);
        let over = format!(r#"{{"a":"{}"}}"#, "x".repeat(4096 - 7));
        assert_eq!(Attributes::parse(&over), Err(AttributesError::TooLarge));
        for bad in ["", "[]", "1", "{", "null"] {
            let error = Attributes::parse(bad);
            assert_eq!(error, Err(AttributesError::NotAnObject), "{bad}");
        }
        assert_eq!(Attributes::new(&1), Err(AttributesError::NotAnObject));
    }

    #[test]
    fn attributes_of_another_form_are_an_error_without_their_values() {
        let attributes = Attributes::parse(r#"{"plan":"secret"}"#).unwrap();
        let error = attributes.get::<std::collections::BTreeMap<String, u32>>();
        assert_eq!(error, Err(AttributesError::Mismatch));
        assert!(!AttributesError::Mismatch.to_string().contains("secret"));
    }
}
