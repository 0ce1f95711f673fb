//! Settings that the first program sets for all programs that share the store.

use std::sync::Arc;

use keywright_core::Prefix;
use redis::Value;

use crate::{
    error::{Error, Result},
    record::layout::FORMAT_VERSION,
    request::{Effect, Request},
    script::{self, Call},
    servers::Servers,
};

/// Sets the token prefix unless one is set, and returns the prefix of the store.
pub(crate) async fn claim_prefix(servers: &Arc<Servers>, prefix: &Prefix) -> Result<Prefix> {
    let claimed = claim(servers, "prefix", prefix.as_str()).await?;
    Prefix::parse(&claimed).map_err(|_| Error::Malformed("prefix"))
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
    match servers.run(request).await?.value {
        Value::BulkString(bytes) => {
            String::from_utf8(bytes).map_err(|_| Error::Malformed("setting"))
        }
        _ => Err(Error::Malformed("setting")),
    }
}
