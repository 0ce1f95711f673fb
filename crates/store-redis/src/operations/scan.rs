//! Scanning the names of one server in steps.

use std::sync::Arc;

use redis::{Value, cmd};

use crate::{
    error::{Error, Result},
    node::Node,
    servers::Servers,
};

/// The number of names that the server visits in one step.
const STEP: usize = 1000;

/// A scan of all names of a server, including those of other applications, for those with a prefix.
pub(super) struct Scan {
    node: Arc<Node>,
    prefix: String,
    /// `None` once the scan has finished.
    cursor: Option<Vec<u8>>,
}

impl Scan {
    pub(super) fn new(node: Arc<Node>, prefix: String) -> Self {
        Self {
            node,
            prefix,
            cursor: Some(b"0".into()),
        }
    }

    /// Returns the names that one step has found, or `None` at the end. A name may be returned more
    /// than once.
    pub(super) async fn next(&mut self, servers: &Servers) -> Result<Option<Vec<Vec<u8>>>> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let mut scan = cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(format!("{}*", self.prefix))
            .arg("COUNT")
            .arg(STEP);
        let Value::Array(parts) = servers.run_at(&self.node, &scan).await? else {
            return Err(Error::Malformed("reply to SCAN"));
        };
        let [Value::BulkString(next), Value::Array(names)] = &*parts else {
            return Err(Error::Malformed("reply to SCAN"));
        };
        self.cursor = (next != b"0").then(|| next.clone());
        let names = names.iter().filter_map(|name| match name {
            Value::BulkString(name) => Some(name.clone()),
            _ => None,
        });
        Ok(Some(names.collect()))
    }
}
