//! Slices of a scan, which bound how long a list occupies its thread.

use rusqlite::{Connection, OptionalExtension, params_from_iter, types::Value};

use crate::error::Result;

/// The number of keys or events in a slice.
pub(super) const LENGTH: u32 = 5_000;

/// Sorts after every id.
pub(super) const ABOVE_ALL_IDS: &[u8] = &[0xff];

/// The ids that remain to be scanned, from the newest to the oldest.
#[derive(Debug)]
pub(super) struct Slices {
    /// The upper end of the next slice, exclusive.
    before: Vec<u8>,
    length: u32,
}

/// A range of ids.
#[derive(Debug)]
pub(super) struct Slice {
    before: Vec<u8>,
    /// The lowest id of the range, or an empty string, which sorts before every id.
    first: Vec<u8>,
}

impl Slices {
    pub(super) fn new(length: u32) -> Self {
        Self {
            before: ABOVE_ALL_IDS.into(),
            length,
        }
    }

    /// Starts the scan after the key with this id.
    pub(super) fn after(mut self, id: &[u8]) -> Self {
        self.before = id.into();
        self
    }

    /// Returns the next slice of the keys that meet these conditions. An index must cover the
    /// conditions.
    pub(super) fn next(
        &mut self,
        connection: &Connection,
        conditions: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Slice> {
        let sql = format!(
            "SELECT id FROM keywright_keys WHERE {conditions} AND id < ? \
             ORDER BY id DESC LIMIT 1 OFFSET ?"
        );
        let offset = Value::Integer(i64::from(self.length) - 1);
        let parameters = parameters
            .into_iter()
            .chain([Value::Blob(self.before.clone()), offset]);
        let first = connection
            .prepare_cached(&sql)?
            .query_row(params_from_iter(parameters), |row| row.get(0))
            .optional()?
            .unwrap_or_default();
        let before = std::mem::replace(&mut self.before, first);
        Ok(Slice {
            before,
            first: self.before.clone(),
        })
    }

    /// Returns the whole rest as one slice.
    pub(super) fn rest(&mut self) -> Slice {
        Slice {
            before: std::mem::take(&mut self.before),
            first: Vec::new(),
        }
    }
}

impl Slice {
    /// The condition for the ids of the slice, with two parameters.
    pub(super) const CONDITION: &str = "id < ? AND id >= ?";

    pub(super) fn parameters(&self) -> [Value; 2] {
        [
            Value::Blob(self.before.clone()),
            Value::Blob(self.first.clone()),
        ]
    }

    pub(super) fn is_last(&self) -> bool {
        self.first.is_empty()
    }
}
