//! What is set once for all programs that share the store.

use std::sync::Arc;

use keywright_core::Prefix;
use redis::Value;

use crate::{
    error::{Error, Result},
    record::FORMAT,
    request::{Effect, Request},
    script::{self, Call},
    servers::Servers,
};

/// The prefix that was claimed first: this one, if there was none.
pub(crate) async fn claim_prefix(servers: &Arc<Servers>, prefix: &Prefix) -> Result<Prefix> {
    let claimed = claim(servers, "prefix", prefix.as_str()).await?;
    Prefix::parse(&claimed).map_err(|_| Error::Unexpected("prefix"))
}

/// The format of the store, which is this program's if there was none.
pub(crate) async fn format(servers: &Arc<Servers>) -> Result<String> {
    claim(servers, "format", &FORMAT.to_string()).await
}

async fn claim(servers: &Arc<Servers>, setting: &str, value: &str) -> Result<String> {
    let call = Call {
        script: &script::CLAIM,
        keys: vec![servers.names().setting(setting)],
        arguments: vec![value.into()],
    };
    let request = Request::script(call, Effect::Repeatable);
    match servers.run(request).await?.value {
        Value::BulkString(bytes) => {
            String::from_utf8(bytes).map_err(|_| Error::Unexpected("setting"))
        }
        _ => Err(Error::Unexpected("setting")),
    }
}
