//! `POST /`: create a key.

use keywright_core::{Environment, Expiry, NewKey, Permission, Permissions};
use serde_json::{Map, Value};

use super::fields::Fields;
use crate::error::ApiError;

/// The key that a body asks for.
pub(super) fn new_key(body: Map<String, Value>) -> Result<NewKey, ApiError> {
    let mut fields = Fields::of(body);
    let name = fields.name();
    let expire_now = fields.optional("expire_now", |value| {
        value
            .as_bool()
            .ok_or_else(|| "expire_now must be a boolean".into())
    });
    let expires_at = fields.expires_at();
    let permissions = fields.optional("permissions", permission_set);
    let environment = fields.optional("environment", |value| {
        let text = value.as_str();
        text.and_then(|text| Environment::parse(text).ok())
            .ok_or_else(|| "environment must be live or test".into())
    });
    let metadata = fields.metadata();
    let expiry = match (expire_now, expires_at) {
        (Some(true), Some(_)) => {
            fields.wrong("expires_at", "expires_at cannot be given with expire_now");
            Expiry::Now
        }
        (Some(true), None) => Expiry::Now,
        (_, Some(end)) => Expiry::At(end),
        (_, None) => Expiry::Inherited,
    };
    let mut new = NewKey::new(fields.finish(name)?);
    new.expiry = expiry;
    new.permissions = permissions;
    new.environment = environment;
    new.metadata = metadata;
    Ok(new)
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
