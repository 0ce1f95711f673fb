//! The strategies that generate updates.

use keywright_assurance::{
    action::{Action, Actor, KeyChange, RequiredVersion, Slot},
    model::Model,
    vocabulary::{ALLOWED_IPS, HOSTS, HOUR, METADATA, NAMES, PERMISSIONS},
};
use keywright_core::{Change, Status};
use proptest::{
    option,
    prelude::{BoxedStrategy, Just, Strategy, prop_oneof},
    sample::select,
};

use super::{Slots, duration, one_of, with_status};

/// Changes any settings of a key, or only one of them. A change of many settings is often rejected
/// for more than one reason, of which only the first shows.
pub(super) fn update(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let update = prop_oneof![settings(0.3), one_setting()];
    let version = prop_oneof![
        6 => Just(RequiredVersion::Any),
        3 => Just(RequiredVersion::AsRead),
        1 => Just(RequiredVersion::Older),
    ];
    let restricted = select(restricted_hosts()).prop_map(Actor::Host);
    let actor = prop_oneof![6 => slots.actor(), 1 => restricted];
    (actor, slots.key(), update, version).prop_map(|(by, key, update, version)| Action::Update {
        by,
        key,
        update: KeyChange { version, ..update },
    })
}

/// Generates a change of each setting with this probability.
fn settings(probability: f64) -> BoxedStrategy<KeyChange> {
    let settings = (
        option::weighted(probability, select(&NAMES[..])),
        option::weighted(probability, select(&PERMISSIONS[..])),
        change(probability, select(&METADATA[..])),
        option::weighted(probability, prop_oneof![2 => Just(false), 1 => Just(true)]),
        change(
            probability,
            prop_oneof![1 => select(&[0, -HOUR][..]), 4 => duration()],
        ),
        change(probability, select(&ALLOWED_IPS[..])),
    );
    settings
        .prop_map(
            |(name, permissions, metadata, enabled, expires_in, allowed_ips)| KeyChange {
                name,
                permissions,
                metadata,
                enabled,
                expires_in,
                allowed_ips,
                version: RequiredVersion::Any,
            },
        )
        .boxed()
}

/// Generates a change of one setting, more often one whose change can be rejected.
fn one_setting() -> BoxedStrategy<KeyChange> {
    let all = settings(1.0 - f64::EPSILON);
    let setting = select(vec![0, 1, 1, 2, 3, 3, 4, 4, 4, 5, 5, 5]);
    (all, setting)
        .prop_map(|(all, setting)| match setting {
            0 => KeyChange {
                name: all.name,
                ..NO_CHANGE
            },
            1 => KeyChange {
                permissions: all.permissions,
                ..NO_CHANGE
            },
            2 => KeyChange {
                metadata: all.metadata,
                ..NO_CHANGE
            },
            3 => KeyChange {
                enabled: all.enabled,
                ..NO_CHANGE
            },
            4 => KeyChange {
                expires_in: all.expires_in,
                ..NO_CHANGE
            },
            _ => KeyChange {
                allowed_ips: all.allowed_ips,
                ..NO_CHANGE
            },
        })
        .boxed()
}

const NO_CHANGE: KeyChange = KeyChange {
    name: None,
    permissions: None,
    metadata: Change::Keep,
    enabled: None,
    expires_in: Change::Keep,
    allowed_ips: Change::Keep,
    version: RequiredVersion::Any,
};

/// Pauses a key, usually an active one.
pub(super) fn pause(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    one_of(&slots.active).prop_map(|key| Action::Update {
        by: Actor::Host(0),
        key,
        update: KeyChange {
            enabled: Some(false),
            ..NO_CHANGE
        },
    })
}

/// Moves the expiry of a key that was rotated, or of any key if there is none.
pub(super) fn move_expiry(rotated: Vec<Slot>) -> impl Strategy<Value = Action> + use<> {
    let expiry = prop_oneof![
        3 => duration().prop_map(Change::Set),
        1 => Just(Change::Clear),
    ];
    (one_of(&rotated), expiry).prop_map(|(key, expires_in)| Action::Update {
        by: Actor::Host(0),
        key,
        update: KeyChange {
            expires_in,
            ..NO_CHANGE
        },
    })
}

/// Returns the slots of keys that were rotated and have not expired.
pub(super) fn rotated(model: &Model) -> Vec<Slot> {
    let mut active = with_status(model, Status::Active);
    active.retain(|slot| {
        let key = model.number(*slot).and_then(|number| model.key(number));
        key.is_some_and(|key| key.successor.is_some())
    });
    active
}

/// Resumes a paused key, or changes any key if there is none.
pub(super) fn resume(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    one_of(&slots.paused).prop_map(|key| Action::Update {
        by: Actor::Host(0),
        key,
        update: KeyChange {
            enabled: Some(true),
            ..NO_CHANGE
        },
    })
}

/// Returns the users whose keys can be used from some addresses only.
fn restricted_hosts() -> Vec<usize> {
    let is_restricted = |host: &usize| HOSTS[*host].allowed_ips.is_some();
    (0..HOSTS.len()).filter(is_restricted).collect()
}

/// Generates a change that keeps the value with the rest of the probability.
fn change<T: Clone + std::fmt::Debug + 'static>(
    probability: f64,
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Change<T>> {
    let change = prop_oneof![
        3 => value.prop_map(Change::Set),
        1 => Just(Change::Clear),
    ];
    option::weighted(probability, change).prop_map(Option::unwrap_or_default)
}
