//! The slot map: which primary has which hash slot.

use std::{collections::HashMap, sync::Arc};

use redis::Value;

use crate::{node::Node, slot};

/// The primaries and their slots.
#[derive(Debug, Clone)]
pub(crate) struct SlotMap {
    primaries: Vec<Arc<Node>>,
    /// For each slot, the index of its server in `primaries`. `None` if a single server has all
    /// slots.
    slots: Option<Vec<Option<u16>>>,
}

/// A range of slots, and the address of its primary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SlotRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl SlotMap {
    /// The map of a single server, which has all slots.
    pub(crate) fn single(node: Arc<Node>) -> Self {
        Self {
            primaries: vec![node],
            slots: None,
        }
    }

    /// The map that a cluster reports. `node_at` returns the node at an address.
    pub(crate) fn clustered(
        ranges: &[SlotRange],
        mut node_at: impl FnMut(&str, u16) -> Option<Arc<Node>>,
    ) -> Self {
        let mut primaries = Vec::new();
        let mut indexes = HashMap::new();
        let mut slots = vec![None; usize::from(slot::SLOTS)];
        for range in ranges {
            let index = *indexes
                .entry((range.host.clone(), range.port))
                .or_insert_with(|| {
                    let index = u16::try_from(primaries.len()).ok()?;
                    primaries.push(node_at(&range.host, range.port)?);
                    Some(index)
                });
            let span = usize::from(range.first)..=usize::from(range.last);
            if let Some(slots) = slots.get_mut(span) {
                slots.fill(index);
            }
        }
        Self {
            primaries,
            slots: Some(slots),
        }
    }

    pub(crate) fn primaries(&self) -> &[Arc<Node>] {
        &self.primaries
    }

    /// Returns the server that has this slot.
    pub(crate) fn primary(&self, slot: u16) -> Option<&Arc<Node>> {
        match &self.slots {
            None => self.primaries.first(),
            Some(slots) => {
                let index = (*slots.get(usize::from(slot))?)?;
                self.primaries.get(usize::from(index))
            }
        }
    }

    /// Returns a copy in which the slot has moved to this server.
    pub(crate) fn with_moved_slot(&self, slot: u16, node: &Arc<Node>) -> Self {
        let mut map = self.clone();
        let known = map.primaries.iter().position(|it| Arc::ptr_eq(it, node));
        let index = known.unwrap_or_else(|| {
            map.primaries.push(Arc::clone(node));
            map.primaries.len() - 1
        });
        if let Some(entry) = map
            .slots
            .as_mut()
            .and_then(|slots| slots.get_mut(usize::from(slot)))
        {
            *entry = u16::try_from(index).ok();
        }
        map
    }
}

/// Parses the reply to `CLUSTER SLOTS`. A node that does not know its own address leaves it out, so
/// the host `queried`, to which the command was sent, takes its place.
pub(crate) fn parse_ranges(reply: &Value, queried: &str) -> Option<Vec<SlotRange>> {
    let Value::Array(ranges) = reply else {
        return None;
    };
    ranges
        .iter()
        .map(|range| parse_range(range, queried))
        .collect()
}

fn parse_range(range: &Value, queried: &str) -> Option<SlotRange> {
    let Value::Array(parts) = range else {
        return None;
    };
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(primary),
        ..,
    ] = parts.as_slice()
    else {
        return None;
    };
    let [host, Value::Int(port), ..] = primary.as_slice() else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) if !host.is_empty() => str::from_utf8(host).ok()?,
        Value::SimpleString(host) if !host.is_empty() => host,
        _ => queried,
    };
    Some(SlotRange {
        first: u16::try_from(*first).ok()?,
        last: u16::try_from(*last).ok()?,
        host: host.into(),
        port: u16::try_from(*port).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    /// A range in a reply to `CLUSTER SLOTS`: its primary, and one replica.
    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("node id")]);
        let (primary, replica) = (node(host, port), node(text("10.0.0.9"), 9));
        Value::Array(vec![Value::Int(first), Value::Int(last), primary, replica])
    }

    fn parse(ranges: Vec<Value>) -> Option<Vec<SlotRange>> {
        parse_ranges(&Value::Array(ranges), "queried")
    }

    #[test]
    fn a_range_without_a_host_is_that_of_the_server_that_was_queried() {
        let ranges = parse(vec![
            range(0, 99, text("10.0.0.1"), 1),
            range(100, 199, Value::SimpleString("10.0.0.2".into()), 2),
            range(200, 299, text(""), 3),
            range(300, 399, Value::SimpleString(String::new()), 4),
            range(400, 16383, Value::Nil, 5),
        ]);
        let slots = |first, last, host: &str, port| SlotRange {
            first,
            last,
            host: host.into(),
            port,
        };
        let expected = vec![
            slots(0, 99, "10.0.0.1", 1),
            slots(100, 199, "10.0.0.2", 2),
            slots(200, 299, "queried", 3),
            slots(300, 399, "queried", 4),
            slots(400, 16383, "queried", 5),
        ];
        assert_eq!(ranges, Some(expected));
    }

    #[test]
    fn a_malformed_reply_is_rejected_as_a_whole() {
        let node = || Value::Array(vec![text("10.0.0.1"), Value::Int(1)]);
        for broken in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(0), Value::Int(1)]),
            Value::Array(vec![Value::Int(0), Value::Int(1), Value::Nil]),
            Value::Array(vec![Value::Int(0), Value::Int(1), Value::Array(vec![])]),
            Value::Array(vec![Value::Int(-1), Value::Int(1), node()]),
            Value::Array(vec![Value::Int(0), Value::Int(65_536), node()]),
            range(0, 1, text("10.0.0.1"), 65_536),
            range(0, 1, Value::BulkString(vec![0xff]), 1),
        ] {
            let shown = format!("{broken:?}");
            let whole = range(2, 3, text("10.0.0.1"), 1);
            assert_eq!(parse(vec![whole, broken]), None, "{shown}");
        }
        assert_eq!(parse_ranges(&Value::Nil, "queried"), None);
    }
}
