//! `POST /`: create a key.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use keywright_core::{
    Environment, Expiry, Issued, Metadata, Name, NameError, NewKey, Permission, Permissions,
    Timestamp,
};
use serde_json::{Map, Value};

use super::issued_json::IssuedJson;
use crate::error::{ApiError, FieldError};

/// 201 with the whole token, which is seen nowhere else. `base` is where the service is mounted.
pub(super) fn response(issued: &Issued, base: &str) -> Result<Response<Full<Bytes>>, ApiError> {
    let body = IssuedJson::new(issued).map_err(|_| ApiError::internal())?;
    let mut response = Response::new(Full::new(body.into_bytes()));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(location) = HeaderValue::try_from(format!("{base}/{}", issued.key.id)) {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Reads the body's members into the key that is asked for; all that is wrong with them is told at
/// once.
pub(super) fn new_key(mut body: Map<String, Value>) -> Result<NewKey, ApiError> {
    let mut fields = Fields::default();
    let name = body.remove("name");
    let name = fields.read("name", name, |name| match name {
        None => Err(NameError::Empty.to_string()),
        Some(Value::String(text)) => Name::parse(&text).map_err(|error| error.to_string()),
        Some(_) => Err("name must be a string".into()),
    });
    let expire_now = body.remove("expire_now");
    let expire_now = fields.read("expire_now", expire_now, |value| match value {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(value),
        Some(_) => Err("expire_now must be a boolean".into()),
    });
    let expires_at = body.remove("expires_at");
    let expires_at = fields.optional("expires_at", expires_at, |value| {
        let text = value.as_str();
        text.and_then(|text| Timestamp::parse(text).ok())
            .ok_or_else(|| "expires_at must be a time as in RFC 3339".into())
    });
    let permissions = body.remove("permissions");
    let permissions = fields.optional("permissions", permissions, permission_set);
    let environment = body.remove("environment");
    let environment = fields.optional("environment", environment, |value| {
        let text = value.as_str();
        text.and_then(|text| Environment::parse(text).ok())
            .ok_or_else(|| "environment must be live or test".into())
    });
    let metadata = body.remove("metadata");
    let metadata = fields.optional("metadata", metadata, |value| match value {
        Value::Object(object) => Metadata::new(&object).map_err(|error| error.to_string()),
        _ => Err("metadata must be a JSON object".into()),
    });
    let expiry = match (expire_now, expires_at.flatten()) {
        (Some(true), Some(_)) => {
            fields.wrong(
                "expires_at",
                "expires_at cannot be given with expire_now".into(),
            );
            None
        }
        (Some(true), None) => Some(Expiry::Now),
        (_, Some(end)) => Some(Expiry::At(end)),
        (_, None) => Some(Expiry::Inherited),
    };
    fields.unknown(body.keys());
    if let (true, Some(name), Some(expiry)) = (fields.0.is_empty(), name, expiry) {
        let mut new = NewKey::named(name);
        new.expiry = expiry;
        new.permissions = permissions.flatten();
        new.environment = environment.flatten();
        new.metadata = metadata.flatten();
        return Ok(new);
    }
    Err(ApiError::validation(fields.0))
}

fn permission_set(value: Value) -> Result<Permissions, String> {
    let Value::Array(items) = value else {
        return Err("permissions must be a list of strings".into());
    };
    let permissions: Option<Result<Vec<_>, _>> = items
        .iter()
        .map(|item| item.as_str().map(Permission::parse))
        .collect();
    permissions
        .ok_or("permissions must be a list of strings")?
        .and_then(Permissions::new)
        .map_err(|error| error.to_string())
}

/// What is wrong with the members of a body.
#[derive(Default)]
struct Fields(Vec<FieldError>);

impl Fields {
    fn wrong(&mut self, field: impl Into<Cow<'static, str>>, message: String) {
        self.0.push(FieldError {
            field: field.into(),
            message,
        });
    }

    /// Reads one member, or notes why it cannot be read.
    fn read<T>(
        &mut self,
        field: &'static str,
        value: Option<Value>,
        read: impl FnOnce(Option<Value>) -> Result<T, String>,
    ) -> Option<T> {
        read(value)
            .map_err(|message| self.wrong(field, message))
            .ok()
    }

    /// Reads a member that may be left out; `null` is not the same as left out.
    fn optional<T>(
        &mut self,
        field: &'static str,
        value: Option<Value>,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<Option<T>> {
        self.read(field, value, |value| value.map(read).transpose())
    }

    /// Members that the contract does not know. Their names are the client's text: only what looks
    /// like a name, and is too short for a token, is sent back.
    fn unknown<'a>(&mut self, names: impl Iterator<Item = &'a String>) {
        for name in names {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if name.len() <= 32 && name.bytes().all(plain) {
                self.wrong(name.clone(), format!("property {name} should not exist"));
            } else {
                self.wrong("", "a property that is not known should not exist".into());
            }
        }
    }
}
