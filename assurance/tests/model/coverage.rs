//! Checks that the sequences cover the calls: each call often succeeds, and is often rejected for
//! each reason.

use std::{collections::BTreeMap, fmt::Debug};

use keywright_assurance::{
    action::{Action, Actor, RequestedExpiry, RequiredVersion, Slot, Step},
    model::{CallOutcome, Model, Verdict},
    vocabulary::{DAY, HOSTS, MAX_LIFETIME},
};
use keywright_core::{Change, Environment, EventOrder, Reach, Status};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use proptest_state_machine::ReferenceStateMachine;

use crate::{Reference, STEPS};

/// The minimum number of occurrences of each outcome in 300 sequences.
const MINIMUM: u32 = 5;

/// The outcomes of each call, and details of successful calls that [`details`] names.
const CALLS: [(&str, &[&str]); 14] = [
    (
        "Create",
        &[
            "Issued",
            "Replayed",
            "CallerInactive",
            "NotPermitted",
            "Environment",
            "AddressesBeyondCaller",
            "ExpiryPast",
            "ExpiryBeyondCaller",
            "ExpiryBeyondPolicy",
            "IdempotencyMismatch",
            "inherited owner",
            "inherited attributes",
            "inherited addresses",
            "latest expiry",
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
            "AddressesBeyondCaller",
            "ExpiryBeyondCaller",
            "ExpiryBeyondPolicy",
            "IdempotencyMismatch",
            "itself without a right to write",
            "a key of the owner",
        ],
    ),
    (
        "Update",
        &[
            "Key",
            "CallerInactive",
            "NotPermitted",
            "NotFound",
            "Expired",
            "VersionMismatch",
            "AddressesBeyondCaller",
            "ExpiryPast",
            "ExpiryBeyondCaller",
            "ExpiryBeyondPolicy",
            "ExpiryAfterRotation",
            "name",
            "permissions",
            "metadata set",
            "metadata cleared",
            "paused",
            "resumed",
            "expiry set",
            "expiry cleared",
            "addresses set",
            "addresses cleared",
            "as read",
            "a key of the owner",
        ],
    ),
    ("SetAttributes", &["Key", "NotFound", "set", "cleared"]),
    (
        "Revoke",
        &[
            "One",
            "Several",
            "CallerInactive",
            "NotPermitted",
            "NotFound",
            "received by rotation",
            "itself without a right to write",
            "a key of the owner",
        ],
    ),
    (
        "RevokeAll",
        &["None", "Some", "CallerInactive", "NotPermitted", "own keys"],
    ),
    (
        "Find",
        &[
            "Key",
            "CallerInactive",
            "NotPermitted",
            "NotFound",
            "itself without a right to read",
        ],
    ),
    (
        "List",
        &[
            "Listed",
            "CallerInactive",
            "NotPermitted",
            "disabled keys",
            "keys of an owner",
            "own keys",
            "nothing of another owner",
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
            "Disabled",
            "AddressNotAllowed",
            "Gone",
            "allowed address",
        ],
    ),
    (
        "Introspect",
        &[
            "Accepted",
            "Unknown",
            "Revoked",
            "Expired",
            "Disabled",
            "AddressNotAllowed",
            "InsufficientPermission",
            "CallerInactive",
            "NotPermitted",
        ],
    ),
    (
        "Purge",
        &["None", "Some", "kept for a child", "not revoked"],
    ),
    (
        "Events",
        &[
            "Events",
            "CallerInactive",
            "NotPermitted",
            "created",
            "updated",
            "rotated",
            "revoked",
            "events of a key",
            "events of a deleted key",
            "events of an owner",
            "events of own keys",
            "nothing of another owner",
            "only events of test keys",
            "oldest first",
            "a later page",
        ],
    ),
    (
        "PurgeEvents",
        &["None", "Some", "some of a workspace", "recent events stay"],
    ),
    ("Reopen", &["Nothing"]),
];

#[test]
fn the_sequences_reach_every_outcome_of_every_call() {
    let mut runner = TestRunner::deterministic();
    let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
    for _ in 0..300 {
        let sequence = Reference::sequential_strategy(STEPS).new_tree(&mut runner);
        let ((mut model, _), steps, _) = sequence.unwrap().current();
        for step in &steps {
            let before = model.clone();
            model.apply(step);
            let (call, outcome) = kind(step, model.expected());
            for detail in details(&before, step, &model).into_iter().chain([outcome]) {
                *counts.entry((call.clone(), detail)).or_default() += 1;
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

/// Names the rules that decided the outcome of a successful call.
fn details(before: &Model, step: &Step, model: &Model) -> Vec<String> {
    let mut details = Vec::new();
    let mut note = |applies: bool, detail: &str| {
        if applies {
            details.push(detail.to_owned());
        }
    };
    let key_of = |slot: Slot| model.number(slot).and_then(|number| model.key(number));
    match (&step.action, model.expected()) {
        (Action::Create { new, .. }, CallOutcome::Issued(number)) => {
            let created = model.key(*number).expect("the key was created");
            note(created.owner.is_some(), "inherited owner");
            note(created.attributes.is_some(), "inherited attributes");
            note(
                new.allowed_ips.is_none() && created.allowed_ips.is_some(),
                "inherited addresses",
            );
            let is_latest = created.expires_at == Some(model.now() + MAX_LIFETIME);
            note(
                is_latest && matches!(new.expiry, RequestedExpiry::Inherited),
                "latest expiry",
            );
        }
        (Action::Rotate { by, key, .. }, CallOutcome::Issued(_)) => {
            note(
                is_itself(before, *by, *key) && !may(before, *by, "write"),
                "itself without a right to write",
            );
            note(only_own(before, *by, "write"), "a key of the owner");
        }
        (Action::Update { by, update, .. }, CallOutcome::Key(_)) => {
            note(update.name.is_some(), "name");
            note(update.permissions.is_some(), "permissions");
            note(matches!(update.metadata, Change::Set(_)), "metadata set");
            note(matches!(update.metadata, Change::Clear), "metadata cleared");
            note(update.enabled == Some(false), "paused");
            note(update.enabled == Some(true), "resumed");
            note(matches!(update.expires_in, Change::Set(_)), "expiry set");
            note(matches!(update.expires_in, Change::Clear), "expiry cleared");
            note(
                matches!(update.allowed_ips, Change::Set(_)),
                "addresses set",
            );
            note(
                matches!(update.allowed_ips, Change::Clear),
                "addresses cleared",
            );
            note(matches!(update.version, RequiredVersion::AsRead), "as read");
            note(only_own(before, *by, "write"), "a key of the owner");
        }
        (Action::SetAttributes { attributes, .. }, CallOutcome::Key(_)) => {
            note(attributes.is_some(), "set");
            note(attributes.is_none(), "cleared");
        }
        (Action::Revoke { by, key, .. }, CallOutcome::Revoked { .. }) => {
            note(
                reaches_a_key_received_by_rotation(model, step),
                "received by rotation",
            );
            note(
                is_itself(before, *by, *key) && !may(before, *by, "write"),
                "itself without a right to write",
            );
            note(only_own(before, *by, "write"), "a key of the owner");
        }
        (Action::RevokeAll { by, .. }, CallOutcome::RevokedAll(1..)) => {
            note(only_own(before, *by, "write"), "own keys");
        }
        (Action::Find { by, key }, CallOutcome::Key(_)) => {
            note(
                is_itself(before, *by, *key) && !may(before, *by, "read"),
                "itself without a right to read",
            );
        }
        (
            Action::List {
                by, owner, status, ..
            },
            CallOutcome::Listed(_, shown),
        ) => {
            let some = !shown.is_empty();
            let own = only_own(before, *by, "read");
            note(some && *status == Some(Status::Disabled), "disabled keys");
            note(some && owner.is_some(), "keys of an owner");
            note(some && own, "own keys");
            note(
                own && owner.is_some_and(|owner| owner_of(before, *by) != Some(owner)),
                "nothing of another owner",
            );
        }
        (Action::Events { by, cursor, .. }, CallOutcome::Events(query, shown)) => {
            let events: Vec<_> = shown
                .iter()
                .filter_map(|number| model.event(*number))
                .collect();
            let some = !events.is_empty();
            let own = only_own(before, *by, "read");
            let has = |kind: &str| events.iter().any(|event| variant_name(&event.kind) == kind);
            note(has("Created"), "created");
            note(has("Updated"), "updated");
            note(has("Rotated"), "rotated");
            note(has("Revoked"), "revoked");
            note(some && query.key.is_some(), "events of a key");
            let is_deleted =
                |number: Option<usize>| number.is_some_and(|number| model.key(number).is_none());
            note(
                some && query.key.is_some_and(is_deleted),
                "events of a deleted key",
            );
            note(some && query.owner.is_some(), "events of an owner");
            note(some && own, "events of own keys");
            note(
                own && owner_of(before, *by) != query.owner,
                "nothing of another owner",
            );
            note(
                some && query.environment == Environment::Test,
                "only events of test keys",
            );
            note(
                some && query.order == EventOrder::OldestFirst,
                "oldest first",
            );
            note(some && cursor.is_some(), "a later page");
        }
        (Action::PurgeEvents { workspace, .. }, CallOutcome::PurgedEvents(1..)) => {
            note(workspace.is_some(), "some of a workspace");
            note(model.events().next().is_some(), "recent events stay");
        }
        (Action::Verify { token, .. }, CallOutcome::Verified(Verdict::Accepted(_))) => {
            let key = key_of(token.slot()).expect("the token was accepted");
            note(key.allowed_ips.is_some(), "allowed address");
        }
        (Action::Purge { .. }, _) => {
            note(is_kept_for_a_child(model, step), "kept for a child");
            let was_purged = |number: usize| {
                let key = before.key(number).filter(|_| model.key(number).is_none());
                key.is_some_and(|key| key.revoked_at.is_none())
            };
            note((0..before.created()).any(was_purged), "not revoked");
        }
        _ => {}
    }
    details
}

/// Whether a key makes a call on itself.
fn is_itself(model: &Model, by: Actor, slot: Slot) -> bool {
    matches!(by, Actor::Key(own) if model.number(own) == model.number(slot))
}

/// Returns the permissions and the owner of a caller.
fn caller(model: &Model, by: Actor) -> (Vec<&'static str>, Option<&'static str>) {
    match by {
        Actor::Host(number) => {
            let host = &HOSTS[number];
            (host.permissions.split(',').collect(), host.owner)
        }
        Actor::Key(slot) => {
            let key = model.number(slot).and_then(|number| model.key(number));
            let key = key.expect("the call was made");
            (key.permissions.iter().copied().collect(), key.owner)
        }
    }
}

fn owner_of(model: &Model, by: Actor) -> Option<&'static str> {
    caller(model, by).1
}

/// Whether a caller has a right on all keys of the workspace.
fn may_on_all(model: &Model, by: Actor, right: &str) -> bool {
    let (permissions, _) = caller(model, by);
    permissions.contains(&"*") || grant(&permissions, "api_keys", right)
}

/// Whether a caller has a right on the keys of its owner and on no others.
fn only_own(model: &Model, by: Actor, right: &str) -> bool {
    let (permissions, owner) = caller(model, by);
    owner.is_some() && !may_on_all(model, by, right) && grant(&permissions, "api_keys.own", right)
}

/// Whether permissions contain this right, or all rights of its kind.
fn grant(permissions: &[&str], kind: &str, right: &str) -> bool {
    let granting = [format!("{kind}:{right}"), format!("{kind}:*")];
    permissions
        .iter()
        .any(|permission| granting.iter().any(|text| text == permission))
}

/// Whether a caller has a right on any key.
fn may(model: &Model, by: Actor, right: &str) -> bool {
    may_on_all(model, by, right) || only_own(model, by, right)
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
    let Action::Purge {
        workspace,
        revoked,
        expired,
    } = step.action
    else {
        return false;
    };
    let is_old = |time: Option<i64>, age: Option<i64>| {
        let age = age.map(|age| age.max(DAY));
        time.zip(age)
            .is_some_and(|(time, age)| time < model.now() - age)
    };
    let left = |number| model.key(number).is_some();
    let mut parents = model.keys().filter_map(|child| model.key(child.parent?));
    parents.any(|key| {
        (is_old(key.revoked_at, revoked) || is_old(key.expires_at, expired))
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
        CallOutcome::Purged(count)
        | CallOutcome::PurgedEvents(count)
        | CallOutcome::RevokedAll(count) => if *count > 0 { "Some" } else { "None" }.to_owned(),
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
