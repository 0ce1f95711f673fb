//! The fields of a JSON body, read one by one, with all their errors collected.

use std::borrow::Cow;

use keywright_core::{
    AllowedIps, Change, Metadata, Name, Permission, Permissions, Timestamp, error::NameError,
};
use serde_json::{Map, Value};

use crate::{
    bounds::MAX_REPEATED_NAME,
    error::{ApiError, FieldError},
};

#[cfg(test)]
thread_local! {
    /// The fields that this thread has read. A test compares them with the OpenAPI document.
    pub(super) static FIELDS_READ: std::cell::RefCell<std::collections::BTreeSet<&'static str>> =
        std::cell::RefCell::default();
}

/// The fields of a body that have not been read yet, and the errors of those that have.
pub(super) struct Fields {
    unread: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(super) const fn new(body: Map<String, Value>) -> Self {
        Self {
            unread: body,
            errors: Vec::new(),
        }
    }

    /// Reads a field, and records the error if it is not valid. A field with the value `null`
    /// counts as missing: responses contain nulls, and many JSON libraries send `null` for a
    /// missing value.
    pub(super) fn read<T>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(Option<Value>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.remove(field).filter(|value| !value.is_null());
        self.accept(field, parse(value))
    }

    /// Reads the change of an optional setting. A missing field keeps the current value, and `null`
    /// removes it.
    fn change<T>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(Value) -> Result<T, String>,
    ) -> Change<T> {
        match self.remove(field) {
            None => Change::Keep,
            Some(Value::Null) => Change::Clear,
            Some(value) => self
                .accept(field, parse(value))
                .map_or(Change::Keep, Change::Set),
        }
    }

    /// Reads the change of a required setting. A missing field keeps the current value, and `null`
    /// is an error.
    fn replacement<T>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.remove(field)?;
        let parsed = if value.is_null() {
            Err(format!("{field} cannot be null; leave it out to keep it"))
        } else {
            parse(value)
        };
        self.accept(field, parsed)
    }

    fn remove(&mut self, field: &'static str) -> Option<Value> {
        #[cfg(test)]
        FIELDS_READ.with_borrow_mut(|fields| fields.insert(field));
        self.unread.remove(field)
    }

    /// Returns the value of a field, or records its error.
    fn accept<T>(&mut self, field: &'static str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|message| self.reject(field, message)).ok()
    }

    /// Reads an optional field.
    pub(super) fn optional<T>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        self.read(field, |value| value.map(parse).transpose())
            .flatten()
    }

    /// Reads `name`, which is required.
    pub(super) fn name(&mut self) -> Option<Name> {
        self.read("name", |value| {
            value.map_or(Err(NameError::Empty.to_string()), name)
        })
    }

    /// Reads the new `name` of a key.
    pub(super) fn new_name(&mut self) -> Option<Name> {
        self.replacement("name", name)
    }

    /// Reads `permissions`, which may be left out.
    pub(super) fn permissions(&mut self) -> Option<Permissions> {
        self.optional("permissions", permissions)
    }

    /// Reads the new `permissions` of a key.
    pub(super) fn new_permissions(&mut self) -> Option<Permissions> {
        self.replacement("permissions", permissions)
    }

    /// Reads `enabled` of a key.
    pub(super) fn enabled(&mut self) -> Option<bool> {
        self.replacement("enabled", |value| {
            value
                .as_bool()
                .ok_or_else(|| "enabled must be a boolean".into())
        })
    }

    /// Reads `metadata`, which may be left out.
    pub(super) fn metadata(&mut self) -> Option<Metadata> {
        self.optional("metadata", metadata)
    }

    /// Reads the change of `metadata`.
    pub(super) fn metadata_change(&mut self) -> Change<Metadata> {
        self.change("metadata", metadata)
    }

    /// Reads `expires_at`, which may be left out.
    pub(super) fn expires_at(&mut self) -> Option<Timestamp> {
        self.optional("expires_at", expires_at)
    }

    /// Reads the change of `expires_at`.
    pub(super) fn expiry_change(&mut self) -> Change<Timestamp> {
        self.change("expires_at", expires_at)
    }

    /// Reads `allowed_ips`, which may be left out.
    pub(super) fn allowed_ips(&mut self) -> Option<AllowedIps> {
        self.optional("allowed_ips", allowed_ips)
    }

    /// Reads the change of `allowed_ips`.
    pub(super) fn allowed_ips_change(&mut self) -> Change<AllowedIps> {
        self.change("allowed_ips", allowed_ips)
    }

    /// Records the error of a field.
    pub(super) fn reject(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) {
        self.errors.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
    }

    /// Removes a field without reading it. Returns whether the body contained the field.
    pub(super) fn take(&mut self, field: &str) -> bool {
        self.unread.remove(field).is_some()
    }

    /// Records the error of a missing field, unless the body has an unknown or invalid field. That
    /// error is then the more likely cause.
    pub(super) fn reject_if_valid(&mut self, field: &'static str, message: impl Into<String>) {
        if self.unread.is_empty() && self.errors.is_empty() {
            self.reject(field, message);
        }
    }

    /// Returns `parsed` if every field of the body was read and is valid.
    ///
    /// The names of unknown fields are the client's text. The error repeats a name only if it is
    /// short and plain: it could be a token that was sent in the wrong place.
    pub(super) fn finish<T>(mut self, parsed: Option<T>) -> Result<T, ApiError> {
        for (name, _) in std::mem::take(&mut self.unread) {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if name.len() <= MAX_REPEATED_NAME && name.bytes().all(is_plain) {
                let message = format!(r#"unknown field "{name}""#);
                self.reject(name, message);
            } else {
                self.reject("", "unknown field");
            }
        }
        match parsed {
            Some(parsed) if self.errors.is_empty() => Ok(parsed),
            _ => Err(ApiError::validation(self.errors)),
        }
    }
}

fn name(value: Value) -> Result<Name, String> {
    match value {
        Value::String(text) => Name::parse(&text).map_err(|error| error.to_string()),
        _ => Err("name must be a string".into()),
    }
}

fn metadata(value: Value) -> Result<Metadata, String> {
    match value {
        Value::Object(object) => Metadata::new(&object).map_err(|error| error.to_string()),
        _ => Err("metadata must be a JSON object".into()),
    }
}

fn expires_at(value: Value) -> Result<Timestamp, String> {
    let text = value.as_str();
    text.and_then(|text| Timestamp::parse(text).ok())
        .ok_or_else(|| "expires_at must be an RFC 3339 timestamp".into())
}

fn permissions(value: Value) -> Result<Permissions, String> {
    strings(&value)
        .ok_or("permissions must be a list of strings")?
        .into_iter()
        .map(Permission::parse)
        .collect::<Result<Vec<_>, _>>()
        .and_then(Permissions::new)
        .map_err(|error| error.to_string())
}

fn allowed_ips(value: Value) -> Result<AllowedIps, String> {
    let texts = strings(&value).ok_or("allowed_ips must be a list of strings")?;
    AllowedIps::parse(texts).map_err(|error| error.to_string())
}

/// Returns the items of a list of strings.
fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}
