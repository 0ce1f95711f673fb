//! Which server has which slot.

use std::{collections::HashMap, sync::Arc};

use redis::Value;

use crate::{node::Node, slot};

/// The primaries, and what they have.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    primaries: Vec<Arc<Node>>,
    /// The place among the primaries of each slot's server; `None` where one server has all.
    slots: Option<Vec<Option<u16>>>,
}

/// A range of slots, and the address of its primary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Map {
    /// One server has everything.
    pub(crate) fn single(node: Arc<Node>) -> Self {
        Self {
            primaries: vec![node],
            slots: None,
        }
    }

    /// As a cluster tells. The nodes are made, or found again, by their addresses.
    pub(crate) fn clustered(
        ranges: &[Range],
        mut node_at: impl FnMut(&str, u16) -> Option<Arc<Node>>,
    ) -> Self {
        let mut primaries = Vec::new();
        let mut places = HashMap::new();
        let mut slots = vec![None; usize::from(slot::SLOTS)];
        for range in ranges {
            let place = *places
                .entry((range.host.clone(), range.port))
                .or_insert_with(|| {
                    let place = u16::try_from(primaries.len()).ok()?;
                    primaries.push(node_at(&range.host, range.port)?);
                    Some(place)
                });
            let span = usize::from(range.first)..=usize::from(range.last);
            if let Some(slots) = slots.get_mut(span) {
                slots.fill(place);
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

    /// The server that has this slot.
    pub(crate) fn primary(&self, slot: u16) -> Option<&Arc<Node>> {
        match &self.slots {
            None => self.primaries.first(),
            Some(slots) => {
                let place = (*slots.get(usize::from(slot))?)?;
                self.primaries.get(usize::from(place))
            }
        }
    }

    /// The same after a slot was told to be on this server.
    pub(crate) fn moved(&self, slot: u16, node: &Arc<Node>) -> Self {
        let mut map = self.clone();
        let known = map.primaries.iter().position(|it| Arc::ptr_eq(it, node));
        let place = known.unwrap_or_else(|| {
            map.primaries.push(Arc::clone(node));
            map.primaries.len() - 1
        });
        if let Some(own) = map
            .slots
            .as_mut()
            .and_then(|slots| slots.get_mut(usize::from(slot)))
        {
            *own = u16::try_from(place).ok();
        }
        map
    }
}

/// Reads the answer to `CLUSTER SLOTS`. A node that does not know its own address leaves it out, and
/// means the one that it was asked at.
pub(crate) fn read_ranges(answer: &Value, asked: &str) -> Option<Vec<Range>> {
    let Value::Array(ranges) = answer else {
        return None;
    };
    ranges
        .iter()
        .map(|range| read_range(range, asked))
        .collect()
}

fn read_range(range: &Value, asked: &str) -> Option<Range> {
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
        _ => asked,
    };
    Some(Range {
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

    /// A range as `CLUSTER SLOTS` tells it: its primary, and one replica.
    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("its id")]);
        let (primary, replica) = (node(host, port), node(text("10.0.0.9"), 9));
        Value::Array(vec![Value::Int(first), Value::Int(last), primary, replica])
    }

    fn read(ranges: Vec<Value>) -> Option<Vec<Range>> {
        read_ranges(&Value::Array(ranges), "asked")
    }

    #[test]
    fn each_range_is_of_the_primary_that_is_named_or_of_the_one_that_was_asked() {
        let ranges = read(vec![
            range(0, 99, text("10.0.0.1"), 1),
            range(100, 199, Value::SimpleString("10.0.0.2".into()), 2),
            range(200, 299, text(""), 3),
            range(300, 399, Value::SimpleString(String::new()), 4),
            range(400, 16383, Value::Nil, 5),
        ]);
        let own = |first, last, host: &str, port| Range {
            first,
            last,
            host: host.into(),
            port,
        };
        let wanted = vec![
            own(0, 99, "10.0.0.1", 1),
            own(100, 199, "10.0.0.2", 2),
            own(200, 299, "asked", 3),
            own(300, 399, "asked", 4),
            own(400, 16383, "asked", 5),
        ];
        assert_eq!(ranges, Some(wanted));
    }

    #[test]
    fn what_is_no_map_is_none() {
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
            let told = format!("{broken:?}");
            let whole = range(2, 3, text("10.0.0.1"), 1);
            assert_eq!(read(vec![whole, broken]), None, "{told}");
        }
        assert_eq!(read_ranges(&Value::Nil, "asked"), None);
    }
}
