//! Counts how often each kind of action succeeded and failed, to detect useless sequences.

use std::{cell::RefCell, collections::BTreeMap};

/// The number of actions by kind and by whether they succeeded.
#[derive(Default)]
pub(crate) struct Tally(RefCell<BTreeMap<(&'static str, bool), u32>>);

impl Tally {
    pub(crate) fn record(&self, action: &'static str, succeeded: bool) {
        *self.0.borrow_mut().entry((action, succeeded)).or_default() += 1;
    }

    pub(crate) fn assert_each_action_succeeded_and_failed(&self) {
        let counts = self.0.borrow();
        for action in ["create", "rotate", "update", "revoke", "revoke_all"] {
            for succeeded in [true, false] {
                let count = counts
                    .get(&(action, succeeded))
                    .copied()
                    .unwrap_or_default();
                assert!(
                    count >= 20,
                    "`{action}` ended with success = {succeeded} only {count} times"
                );
            }
        }
    }
}
