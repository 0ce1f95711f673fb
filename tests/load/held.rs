//! The keys of one caller, as it knows them to be.

use std::collections::VecDeque;

/// A key.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) name: String,
    /// Whether it has a successor already.
    pub(crate) rotated: bool,
}

/// How many keys that are worth nothing any more are looked at again.
const REMEMBERED: usize = 32;

/// Those that open something, and the latest of those that do not, each with the code of its verdict.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) live: Vec<Held>,
    pub(crate) dead: VecDeque<(Held, &'static str)>,
}

impl Keys {
    pub(crate) fn bury(&mut self, key: Held, verdict: &'static str) {
        if self.dead.len() == REMEMBERED {
            self.dead.pop_front();
        }
        self.dead.push_back((key, verdict));
    }
}

/// Numbers that look random and are the same in each run: Marsaglia's xorshift64.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ (seed + 1))
    }

    /// One of `0..below`.
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.0 ^= if left {
                self.0 << shift
            } else {
                self.0 >> shift
            };
        }
        // The upper bits are the better ones.
        (self.0 >> 33) as usize % below
    }
}
