//! Settings that the first program sets for all programs that share the store.

use std::sync::Arc;

use keywright_core::{
    Prefix,
    store::{Stage, StoreErrorKind},
};
use redis::{Value, cmd};

use crate::{
    error::{Error, Result},
    record::layout::FORMAT_VERSION,
    request::{Effect, Request},
    script::{self, Call},
    servers::Servers,
};

/// Returns the token prefix, if one is set.
pub(crate) async fn prefix(servers: &Arc<Servers>) -> Result<Option<Prefix>> {
    let claim = setting(servers, "prefix").await?;
    claim.as_deref().map(parse_prefix).transpose()
}

/// Returns a setting, if it is set.
pub(super) async fn setting(servers: &Arc<Servers>, setting: &str) -> Result<Option<String>> {
    let name = servers.names().setting(setting);
    let mut get = cmd("GET");
    get.arg(&name);
    let response = servers.run(Request::new(&name, Effect::Read, get)).await?;
    match response.value {
        Value::Nil => Ok(None),
        value => text(value).map(Some),
    }
}

/// Sets the token prefix unless one is set, and returns the prefix of the store.
pub(crate) async fn claim_prefix(servers: &Arc<Servers>, prefix: &Prefix) -> Result<Prefix> {
    let claimed = claim(servers, "prefix", prefix.as_str()).await?;
    parse_prefix(&claimed)
}

fn parse_prefix(text: &str) -> Result<Prefix> {
    Stage::claimed_prefix(text).map_err(|kind| match kind {
        StoreErrorKind::Corrupt => Error::Malformed("prefix"),
        kind => kind.into(),
    })
}

/// Sets the format to this program's unless one is set, and returns the format of the store.
pub(crate) async fn format(servers: &Arc<Servers>) -> Result<String> {
    claim(servers, "format", &FORMAT_VERSION.to_string()).await
}

/// Sets a setting unless it is set, and returns its value.
pub(super) async fn claim(servers: &Arc<Servers>, setting: &str, value: &str) -> Result<String> {
    let call = Call {
        script: &script::CLAIM,
        keys: vec![servers.names().setting(setting)],
        arguments: vec![value.into()],
    };
    let request = Request::script(call, Effect::Idempotent);
    text(servers.run(request).await?.value)
}

fn text(value: Value) -> Result<String> {
    match value {
        Value::BulkString(bytes) => {
            String::from_utf8(bytes).map_err(|_| Error::Malformed("setting"))
        }
        _ => Err(Error::Malformed("setting")),
    }
}
