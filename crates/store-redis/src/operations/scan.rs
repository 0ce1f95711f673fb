//! Scanning the records of one server in steps.

use std::sync::Arc;

use keywright_core::KeyId;
use redis::{Value, cmd};

use crate::{
    error::{Error, Result},
    names::Names,
    node::Node,
    servers::Servers,
};

/// The number of names that the server visits in one step.
const STEP: usize = 1000;

/// A scan of all names of a server, including those of other applications.
pub(super) struct Scan {
    node: Arc<Node>,
    /// `None` once the scan has finished.
    cursor: Option<Vec<u8>>,
}

impl Scan {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            cursor: Some(b"0".into()),
        }
    }

    /// Returns the ids of the records that one step has found, or `None` at the end. An id may be
    /// returned more than once.
    pub(super) async fn next(&mut self, servers: &Servers) -> Result<Option<Vec<KeyId>>> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let mut scan = cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(format!("{}*", servers.names().record_prefix()))
            .arg("COUNT")
            .arg(STEP);
        let Value::Array(parts) = servers.run_at(&self.node, &scan).await? else {
            return Err(Error::Malformed("reply to SCAN"));
        };
        let [Value::BulkString(next), Value::Array(names)] = &*parts else {
            return Err(Error::Malformed("reply to SCAN"));
        };
        self.cursor = (next != b"0").then(|| next.clone());
        let ids = names.iter().filter_map(|name| match name {
            Value::BulkString(name) => Names::id_of_record(name),
            _ => None,
        });
        Ok(Some(ids.collect()))
    }
}
