//! Checks that the sequences cover the calls: each call often succeeds, and is often rejected for
//! each reason.

use std::{collections::BTreeMap, fmt::Debug};

use keywright_assurance::{
    action::{Action, Step},
    model::{CallOutcome, Model},
    vocabulary::DAY,
};
use keywright_core::Reach;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use proptest_state_machine::ReferenceStateMachine;

use crate::{Reference, STEPS};

/// The minimum number of occurrences of each outcome in 300 sequences.
const MINIMUM: u32 = 5;

const CALLS: [(&str, &[&str]); 7] = [
    (
        "Create",
        &[
            "Issued",
            "Replayed",
            "CallerInactive",
            "NotPermitted",
            "Environment",
            "ExpiryPast",
            "ExpiryBeyondCaller",
            "IdempotencyMismatch",
        ],
    ),
    (
        "Rotate",
        &[
            "Issued",
            "Replayed",
            "CallerInactive",
            "NotPermitted",
            "NotFound",
            "NotRotatable",
            "ExpiryBeyondCaller",
            "IdempotencyMismatch",
        ],
    ),
    (
        "Rename",
        &["Key", "CallerInactive", "NotPermitted", "NotFound"],
    ),
    (
        "Revoke",
        &[
            "One",
            "Several",
            "Received",
            "CallerInactive",
            "NotPermitted",
            "NotFound",
        ],
    ),
    (
        "Verify",
        &[
            "Accepted",
            "Malformed",
            "Unknown",
            "WrongSecret",
            "Revoked",
            "Expired",
            "Gone",
        ],
    ),
    (
        "Introspect",
        &["Accepted", "Unknown", "Revoked", "Expired", "NotPermitted"],
    ),
    ("Purge", &["None", "Some", "Parent"]),
];

#[test]
fn the_sequences_reach_every_outcome_of_every_call() {
    let mut runner = TestRunner::deterministic();
    let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
    for _ in 0..300 {
        let sequence = Reference::sequential_strategy(STEPS).new_tree(&mut runner);
        let ((mut model, _), steps, _) = sequence.unwrap().current();
        for step in &steps {
            model.apply(step);
            *counts.entry(kind(step, model.expected())).or_default() += 1;
            if reaches_a_key_received_by_rotation(&model, step) {
                *counts
                    .entry(("Revoke".into(), "Received".into()))
                    .or_default() += 1;
            }
            if is_kept_for_a_child(&model, step) {
                *counts.entry(("Purge".into(), "Parent".into())).or_default() += 1;
            }
        }
    }
    for (call, outcomes) in CALLS {
        for outcome in outcomes {
            let kind = (call.to_owned(), (*outcome).to_owned());
            let count = counts.get(&kind).copied().unwrap_or_default();
            assert!(count >= MINIMUM, "{kind:?}: {count} times of {counts:#?}");
        }
    }
}

/// Whether a cascade revoked a key only because another revoked key had received it by rotating its
/// predecessor.
fn reaches_a_key_received_by_rotation(model: &Model, step: &Step) -> bool {
    let reach = match (&step.action, model.expected()) {
        (Action::Revoke { reach, .. }, CallOutcome::Revoked { .. }) => *reach,
        _ => return false,
    };
    let is_revoked = |number| {
        model
            .key(number)
            .is_some_and(|key| key.revoked_at.is_some())
    };
    let predecessor = |successor| {
        (0..model.created()).find(|number| {
            model
                .key(*number)
                .is_some_and(|key| key.successor == Some(successor))
        })
    };
    reach == Reach::Descendants
        && (0..model.created()).any(|number| {
            model.key(number).is_some_and(|key| {
                key.revoked_at == Some(model.now())
                    && key.rotated_by.is_some_and(is_revoked)
                    && !key.parent.is_some_and(is_revoked)
                    && !predecessor(number).is_some_and(is_revoked)
            })
        })
}

/// Whether a purge kept a key only because it has a child.
fn is_kept_for_a_child(model: &Model, step: &Step) -> bool {
    let Action::Purge { workspace, age } = step.action else {
        return false;
    };
    let before = model.now() - age.max(DAY);
    let left = |number| model.key(number).is_some();
    let mut parents = model.keys().filter_map(|child| model.key(child.parent?));
    parents.any(|key| {
        key.revoked_at.is_some_and(|time| time < before)
            && workspace.is_none_or(|workspace| key.workspace == workspace)
            && !key.successor.is_some_and(left)
    })
}

fn kind(step: &Step, outcome: &CallOutcome) -> (String, String) {
    let name = match outcome {
        CallOutcome::Rejected(rejection) => variant_name(rejection),
        CallOutcome::Verified(verdict) | CallOutcome::Introspected(verdict) => {
            variant_name(verdict)
        }
        CallOutcome::Purged(count) => if *count > 0 { "Some" } else { "None" }.to_owned(),
        CallOutcome::Revoked { count, .. } => if *count > 1 { "Several" } else { "One" }.to_owned(),
        other => variant_name(other),
    };
    (variant_name(&step.action), name)
}

/// The name of an enum variant.
fn variant_name(variant: &impl Debug) -> String {
    let text = format!("{variant:?}");
    let end = text.find(|character: char| !character.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
