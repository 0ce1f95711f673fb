//! Settings that the first program sets for all programs that share the store.

use std::sync::Arc;

use keywright_core::Prefix;
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
    let name = servers.names().setting("prefix");
    let mut get = cmd("GET");
    get.arg(&name);
    let response = servers.run(Request::new(&name, Effect::Read, get)).await?;
    match response.value {
        Value::Nil => Ok(None),
        value => parse_prefix(&text(value)?).map(Some),
    }
}

/// Sets the token prefix unless one is set, and returns the prefix of the store.
pub(crate) async fn claim_prefix(servers: &Arc<Servers>, prefix: &Prefix) -> Result<Prefix> {
    let claimed = claim(servers, "prefix", prefix.as_str()).await?;
    parse_prefix(&claimed)
}

fn parse_prefix(text: &str) -> Result<Prefix> {
    Prefix::parse(text).map_err(|_| Error::Malformed("prefix"))
}

/// Sets the format to this program's unless one is set, and returns the format of the store.
pub(crate) async fn format(servers: &Arc<Servers>) -> Result<String> {
    claim(servers, "format", &FORMAT_VERSION.to_string()).await
}

async fn claim(servers: &Arc<Servers>, setting: &str, value: &str) -> Result<String> {
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
