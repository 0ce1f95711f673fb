//! The ids of all records of one server, a step at a time.

use std::sync::Arc;

use keywright_core::KeyId;
use redis::{Value, cmd};

use crate::{
    error::{Error, Result},
    names::Names,
    node::{Node, answer},
    servers::Servers,
};

/// How many names a server looks at in one step.
const STEP: usize = 1000;

/// A walk over all names of a server: with the databases of others beside ours, over theirs too.
pub(super) struct Scan {
    node: Arc<Node>,
    /// `None` once all names were looked at.
    cursor: Option<Vec<u8>>,
}

impl Scan {
    pub(super) fn of(node: Arc<Node>) -> Self {
        Self {
            node,
            cursor: Some(b"0".into()),
        }
    }

    /// The ids that one step has met, some of them met before; `None` at the end.
    pub(super) async fn next(&mut self, servers: &Servers) -> Result<Option<Vec<KeyId>>> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let mut scan = cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(format!("{}*", servers.names().records()))
            .arg("COUNT")
            .arg(STEP);
        let Value::Array(parts) = answer(servers.run_at(&self.node, &scan).await?)? else {
            return Err(Error::Unexpected("answer to SCAN"));
        };
        let [Value::BulkString(next), Value::Array(names)] = &*parts else {
            return Err(Error::Unexpected("answer to SCAN"));
        };
        self.cursor = (next != b"0").then(|| next.clone());
        let ids = names.iter().filter_map(|name| match name {
            Value::BulkString(name) => Names::id_of_record(name),
            _ => None,
        });
        Ok(Some(ids.collect()))
    }
}
