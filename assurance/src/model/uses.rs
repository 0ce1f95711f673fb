//! When keys were last used, as far as each process knows.

use std::collections::BTreeMap;

use super::{Millis, Number};
use crate::words::HANDLES;

type Times = BTreeMap<Number, Millis>;

/// Uses are noted in the process where they happen, and written some time later, at the latest when it is
/// told to write them or ends.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    noted: [Times; HANDLES],
    written: Times,
}

impl Uses {
    /// The earliest and the latest time that this process may show for a key.
    #[must_use]
    pub fn shown(&self, at: usize, number: Number) -> (Option<Millis>, Option<Millis>) {
        let here = self.noted[at].get(&number).max(self.written.get(&number));
        let anywhere = self.noted.iter().map(|noted| noted.get(&number)).max();
        (here.copied(), here.max(anywhere.flatten()).copied())
    }

    pub(super) fn note(&mut self, at: usize, number: Number, now: Millis) {
        self.noted[at].insert(number, now);
    }

    pub(super) fn write(&mut self, at: usize) {
        for (number, time) in &self.noted[at] {
            let written = self.written.entry(*number).or_insert(*time);
            *written = (*written).max(*time);
        }
    }

    /// What becomes of them when a process ends.
    pub(super) fn forget(&mut self, at: usize) {
        self.write(at);
        self.noted[at].clear();
    }
}
