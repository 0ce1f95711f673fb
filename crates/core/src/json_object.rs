//! The text of a JSON object.

use serde_json::value::RawValue;

/// The maximum length of the objects that are stored with a key, in bytes.
pub(crate) const MAX_LENGTH: usize = 4096;

/// The reason why a text is not a JSON object that can be stored with a key.
pub(crate) enum ObjectError {
    NotAnObject,
    TooLarge,
}

/// Checks that a text is a JSON object of at most [`MAX_LENGTH`] bytes.
pub(crate) fn check(json: &str) -> Result<(), ObjectError> {
    if json.len() > MAX_LENGTH {
        return Err(ObjectError::TooLarge);
    }
    // Only the syntax is checked. A parsed value would not be printed as it was written, and
    // serde_json gives a special meaning to some member names.
    match serde_json::from_str::<&RawValue>(json) {
        Ok(text) if text.get().starts_with('{') => Ok(()),
        _ => Err(ObjectError::NotAnObject),
    }
}
