//! The members of a body, read one by one; all that is wrong with them is told at once.

use std::borrow::Cow;

use keywright_core::{Metadata, Name, NameError, Timestamp};
use serde_json::{Map, Value};

use crate::error::{ApiError, FieldError};

#[cfg(test)]
thread_local! {
    /// The members that were asked for, so that a test can hold the OpenAPI document against them.
    pub(super) static ASKED_FOR: std::cell::RefCell<std::collections::BTreeSet<&'static str>> =
        std::cell::RefCell::default();
}

pub(super) struct Fields {
    members: Map<String, Value>,
    wrong: Vec<FieldError>,
}

impl Fields {
    pub(super) const fn of(members: Map<String, Value>) -> Self {
        Self {
            members,
            wrong: Vec::new(),
        }
    }

    /// Whether there is such a member.
    pub(super) fn has(&self, field: &str) -> bool {
        self.members.contains_key(field)
    }

    /// Reads one member, or notes why it cannot be read.
    pub(super) fn read<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Option<Value>) -> Result<T, String>,
    ) -> Option<T> {
        #[cfg(test)]
        ASKED_FOR.with_borrow_mut(|fields| fields.insert(field));
        read(self.members.remove(field))
            .map_err(|message| self.wrong(field, message))
            .ok()
    }

    /// Reads a member that may be left out; `null` is not the same as left out.
    pub(super) fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        self.read(field, |value| value.map(read).transpose())
            .flatten()
    }

    /// `name`, which must be there.
    pub(super) fn name(&mut self) -> Option<Name> {
        self.read("name", |value| {
            value.map_or(Err(NameError::Empty.to_string()), name)
        })
    }

    /// `name`, which may be left out.
    pub(super) fn optional_name(&mut self) -> Option<Name> {
        self.optional("name", name)
    }

    pub(super) fn metadata(&mut self) -> Option<Metadata> {
        self.optional("metadata", |value| match value {
            Value::Object(object) => Metadata::new(&object).map_err(|error| error.to_string()),
            _ => Err("metadata must be a JSON object".into()),
        })
    }

    pub(super) fn expires_at(&mut self) -> Option<Timestamp> {
        self.optional("expires_at", |value| {
            let text = value.as_str();
            text.and_then(|text| Timestamp::parse(text).ok())
                .ok_or_else(|| "expires_at must be a time as in RFC 3339".into())
        })
    }

    pub(super) fn wrong(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) {
        self.wrong.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
    }

    /// What was read, unless something is wrong, and a member that nobody has read is. The names of
    /// such members are the client's text: only what looks like a name, and is too short for a token,
    /// is sent back.
    pub(super) fn finish<T>(mut self, read: Option<T>) -> Result<T, ApiError> {
        for name in std::mem::take(&mut self.members)
            .into_iter()
            .map(|(name, _)| name)
        {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if name.len() <= 32 && name.bytes().all(plain) {
                let message = format!("property {name} should not exist");
                self.wrong(name, message);
            } else {
                self.wrong("", "a property that is not known should not exist");
            }
        }
        match read {
            Some(read) if self.wrong.is_empty() => Ok(read),
            _ => Err(ApiError::validation(self.wrong)),
        }
    }
}

fn name(value: Value) -> Result<Name, String> {
    match value {
        Value::String(text) => Name::parse(&text).map_err(|error| error.to_string()),
        _ => Err("name must be a string".into()),
    }
}
