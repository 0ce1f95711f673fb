//! Whether there is no key at all.

use std::sync::Arc;

use redis::{Value, cmd};

use crate::{
    error::{Error, Result},
    node::{Node, answer},
    servers::Servers,
};

/// How many names a server looks at in one step.
const STEP: usize = 1000;

/// Whether no server has a record. That is asked when a server starts: it looks at all names until it
/// meets a record, and with the databases of others beside ours, at theirs too.
pub(crate) async fn is_empty(servers: &Arc<Servers>) -> Result<bool> {
    for node in servers.primaries() {
        if has_record(servers, &node).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn has_record(servers: &Arc<Servers>, node: &Node) -> Result<bool> {
    let pattern = format!("{}*", servers.names().records());
    let mut cursor = b"0".to_vec();
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(&cursor)
            .arg("MATCH")
            .arg(&pattern)
            .arg("COUNT")
            .arg(STEP);
        let Value::Array(parts) = answer(servers.run_at(node, &scan).await?)? else {
            return Err(Error::Unexpected("answer to SCAN"));
        };
        let [Value::BulkString(next), Value::Array(names)] = &*parts else {
            return Err(Error::Unexpected("answer to SCAN"));
        };
        if !names.is_empty() {
            return Ok(true);
        }
        if next == b"0" {
            return Ok(false);
        }
        cursor.clone_from(next);
    }
}
