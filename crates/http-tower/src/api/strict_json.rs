//! JSON without duplicate fields. Parsers differ in which of two `expires_at` they use, so a body
//! with both is rejected.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// A JSON value in which no object, at any depth, has two fields of the same name.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(DUPLICATE));
            }
            let Strict(value) = fields.next_value()?;
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

const DUPLICATE: &str = "duplicate field";

/// The message of serde_json for a nesting deeper than [`MAX_DEPTH`].
const TOO_DEEP: &str = "recursion limit exceeded";

/// The maximum nesting depth of arrays and objects in a body, which is the limit of serde_json.
const MAX_DEPTH: usize = 127;

/// The byte order marks of UTF-8, UTF-16BE and UTF-16LE.
const BYTE_ORDER_MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe"];

/// Parses a JSON object. Returns `None` for `null`. The error message contains no byte of the text.
pub(super) fn object(text: &[u8]) -> Result<Option<Map<String, Value>>, String> {
    if BYTE_ORDER_MARKS.iter().any(|mark| text.starts_with(mark)) {
        return Err("the body must be UTF-8 without a byte order mark".into());
    }
    match serde_json::from_slice(text) {
        Ok(Strict(Value::Object(object))) => Ok(Some(object)),
        Ok(Strict(Value::Null)) => Ok(None),
        Ok(Strict(_)) => Err("the body must be a JSON object".into()),
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            let reason = error.to_string();
            if error.is_data() && reason.starts_with(DUPLICATE) {
                Err(format!("{DUPLICATE} ({place})"))
            } else if reason.starts_with(TOO_DEEP) {
                Err(format!(
                    "the body is nested more than {MAX_DEPTH} levels deep ({place})"
                ))
            } else {
                Err(format!("the body is not valid JSON ({place})"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_fields_are_rejected_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"m":{"x":[{"y":1,"y":2}]}}"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert!(
                object(text.as_bytes()).unwrap_err().starts_with(DUPLICATE),
                "{text}"
            );
        }
    }

    #[test]
    fn any_other_object_is_parsed_as_serde_json_parses_it() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,1.5,"x"],"b":{"c":{}}}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        let parsed = object(text.as_bytes()).unwrap().unwrap();
        assert_eq!(Value::Object(parsed), value);
    }

    #[test]
    fn errors_name_the_position_and_repeat_no_text() {
        assert_eq!(object(b"[]").unwrap_err(), "the body must be a JSON object");
        let error = object(b"{\"secret\": hunter2}").unwrap_err();
        assert_eq!(error, "the body is not valid JSON (line 1, column 12)");
    }

    #[test]
    fn the_error_of_a_body_that_is_nested_too_deeply_says_so() {
        for (depth, is_accepted) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false), (100_000, false)] {
            // The body itself is the first level.
            let nested = [b"[".repeat(depth - 1), b"]".repeat(depth - 1)].concat();
            let text = [b"{\"m\":", &nested[..], b"}"].concat();
            match object(&text) {
                Ok(object) => assert!(is_accepted && object.is_some(), "{depth}"),
                Err(error) => {
                    assert!(!is_accepted, "{depth}");
                    let message = "the body is nested more than 127 levels deep (line 1, column ";
                    assert!(error.starts_with(message), "{error}");
                }
            }
        }
    }

    #[test]
    fn the_error_of_a_body_with_a_byte_order_mark_says_so() {
        let message = "the body must be UTF-8 without a byte order mark";
        let utf_16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}{}".encode_utf16().flat_map(bytes).collect()
        };
        for text in [
            "\u{feff}{}".into(),
            utf_16(u16::to_be_bytes),
            utf_16(u16::to_le_bytes),
        ] {
            assert_eq!(object(&text).unwrap_err(), message, "{text:?}");
        }
    }
}
