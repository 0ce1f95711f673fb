//! Calls of scripts that return a code.

use std::sync::Arc;

use redis::Value;

use super::confirmation::Confirmation;
use crate::{
    error::{Error, Result},
    request::{Effect, Request},
    script::{Call, Script},
    servers::Servers,
};

/// Runs a script and returns one of the [codes](crate::script::code).
pub(super) async fn run_script(
    servers: &Arc<Servers>,
    script: &'static Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    effect: Effect,
) -> Result<(i64, Confirmation)> {
    let call = Call {
        script,
        keys,
        arguments,
    };
    let response = servers.run(Request::script(call, effect)).await?;
    match response.value {
        Value::Int(code) => Ok((code, Confirmation::of(&response))),
        _ => Err(Error::Malformed("script reply")),
    }
}
