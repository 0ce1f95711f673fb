//! The times of last use that each process may report.

use std::collections::BTreeMap;

use super::key::{Millis, Number};
use crate::vocabulary::PROCESSES;

type Times = BTreeMap<Number, Millis>;

/// When keys were last used.
///
/// A process buffers the uses that it has seen. It writes them to the store some time later, at the
/// latest when it is flushed or closed.
#[derive(Clone, Debug, Default)]
pub struct LastUsed {
    buffered: [Times; PROCESSES],
    written: Times,
}

impl LastUsed {
    /// The earliest and the latest time of last use that the process may report for a key.
    #[must_use]
    pub fn range(&self, process: usize, number: Number) -> (Option<Millis>, Option<Millis>) {
        let here = self.buffered[process]
            .get(&number)
            .max(self.written.get(&number));
        let anywhere = self.buffered.iter().map(|times| times.get(&number)).max();
        (here.copied(), here.max(anywhere.flatten()).copied())
    }

    pub(super) fn record(&mut self, process: usize, number: Number, now: Millis) {
        self.buffered[process].insert(number, now);
    }

    pub(super) fn flush(&mut self, process: usize) {
        for (number, time) in &self.buffered[process] {
            let written = self.written.entry(*number).or_insert(*time);
            *written = (*written).max(*time);
        }
    }

    /// Flushes the buffer of a process that ends, and empties it.
    pub(super) fn close(&mut self, process: usize) {
        self.flush(process);
        self.buffered[process].clear();
    }
}
