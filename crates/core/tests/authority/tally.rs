//! How often each act was done and refused, so that sequences that mean nothing are noticed.

use std::{cell::RefCell, collections::BTreeMap};

#[derive(Default)]
pub(crate) struct Tally(RefCell<BTreeMap<(&'static str, bool), u32>>);

impl Tally {
    pub(crate) fn note(&self, act: &'static str, done: bool) {
        *self.0.borrow_mut().entry((act, done)).or_default() += 1;
    }

    pub(crate) fn assert_each_was_done_and_refused(&self) {
        let counts = self.0.borrow();
        for act in ["create", "rotate", "rename", "revoke"] {
            for done in [true, false] {
                let count = counts.get(&(act, done)).copied().unwrap_or_default();
                assert!(count >= 20, "{act} with the outcome {done}: {count} times");
            }
        }
    }
}
