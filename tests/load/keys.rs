//! The keys of a caller, in their expected state.

use std::collections::VecDeque;

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) name: String,
    /// Whether the key has a successor.
    pub(crate) rotated: bool,
}

/// The number of inactive keys that are kept, to be checked again.
const MAX_INACTIVE: usize = 32;

/// The active keys, and the latest inactive keys with the code that `verify` returns for them.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) active: Vec<Key>,
    pub(crate) inactive: VecDeque<(Key, &'static str)>,
}

impl Keys {
    pub(crate) fn add_inactive(&mut self, key: Key, code: &'static str) {
        if self.inactive.len() == MAX_INACTIVE {
            self.inactive.pop_front();
        }
        self.inactive.push_back((key, code));
    }
}
