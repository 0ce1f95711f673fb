//! The actions that callers request.

use std::time::Duration;

use keywright_core::{AllowedIps, Environment, Permissions, Reach};
use proptest::{
    collection::{SizeRange, vec},
    option,
    prelude::{any, prop_oneof},
    sample::{Index, select, subsequence},
    strategy::{Just, Strategy},
};

use crate::{addresses, permissions::GRANTABLE, world::OWNERS};

/// A step of a sequence. The indexes select one of the existing callers and keys.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Create {
        caller: Index,
        permissions: Option<Permissions>,
        environment: Option<Environment>,
        expiry: RequestedExpiry,
        allowed_ips: Option<AllowedIps>,
    },
    Rotate {
        caller: Index,
        key: Target,
        overlap: Duration,
        expiry: RequestedExpiry,
    },
    Update {
        caller: Index,
        key: Target,
        update: RequestedUpdate,
    },
    Revoke {
        caller: Index,
        key: Target,
        reach: Reach,
    },
    RevokeAll {
        caller: Index,
        owner: Option<&'static str>,
    },
    SetAttributes {
        key: Index,
        attributes: Option<&'static str>,
    },
    AdvanceTime(Duration),
}

/// The key on which a caller acts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// The caller's own key.
    Itself,
    Any(Index),
}

/// The expiry that a request names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RequestedExpiry {
    Omitted,
    /// Immediately, or without an end, if the request changes a key.
    Now,
    /// This many milliseconds from now.
    In(i64),
}

/// The changes that a request names.
#[derive(Debug, Clone)]
pub(crate) struct RequestedUpdate {
    pub(crate) rename: bool,
    pub(crate) permissions: Option<Permissions>,
    pub(crate) enabled: Option<bool>,
    pub(crate) expiry: RequestedExpiry,
    /// `Some(None)` removes the restriction.
    pub(crate) allowed_ips: Option<Option<AllowedIps>>,
    /// The difference between the required version and the current one.
    pub(crate) version: Option<u64>,
}

pub(crate) fn actions(count: impl Into<SizeRange>) -> impl Strategy<Value = Vec<Action>> {
    let owner = option::of(select(&OWNERS[..]));
    let revoke_all =
        (any::<Index>(), owner).prop_map(|(caller, owner)| Action::RevokeAll { caller, owner });
    let attributes = option::of(select(vec![r#"{"plan":"free"}"#, r#"{"plan":"pro"}"#]));
    let set_attributes = (any::<Index>(), attributes)
        .prop_map(|(key, attributes)| Action::SetAttributes { key, attributes });
    let advance =
        (0..3_000_u64).prop_map(|millis| Action::AdvanceTime(Duration::from_millis(millis)));
    vec(
        prop_oneof![
            16 => create(),
            10 => rotate(),
            10 => update(),
            4 => revoke(),
            1 => revoke_all,
            1 => set_attributes,
            6 => advance,
        ],
        count,
    )
}

fn permissions() -> impl Strategy<Value = Permissions> {
    subsequence(&GRANTABLE[..], 0..=4).prop_map(|set| set.join(",").parse().unwrap())
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![1 => Just(Target::Itself), 3 => any::<Index>().prop_map(Target::Any)]
}

fn create() -> impl Strategy<Value = Action> {
    let environment = option::weighted(0.3, select(vec![Environment::Live, Environment::Test]));
    let expiry = prop_oneof![
        6 => Just(RequestedExpiry::Omitted),
        1 => Just(RequestedExpiry::Now),
        5 => later(),
    ];
    let allowed_ips = option::weighted(0.3, select(addresses::sets()));
    (
        any::<Index>(),
        option::of(permissions()),
        environment,
        expiry,
        allowed_ips,
    )
        .prop_map(
            |(caller, permissions, environment, expiry, allowed_ips)| Action::Create {
                caller,
                permissions,
                environment,
                expiry,
                allowed_ips,
            },
        )
}

fn rotate() -> impl Strategy<Value = Action> {
    let overlap = prop_oneof![1 => Just(0), 3 => 1..6_000_u64].prop_map(Duration::from_millis);
    let expiry = prop_oneof![3 => Just(RequestedExpiry::Omitted), 2 => later()];
    (any::<Index>(), target(), overlap, expiry).prop_map(|(caller, key, overlap, expiry)| {
        Action::Rotate {
            caller,
            key,
            overlap,
            expiry,
        }
    })
}

fn update() -> impl Strategy<Value = Action> {
    let expiry = prop_oneof![
        4 => Just(RequestedExpiry::Omitted),
        1 => Just(RequestedExpiry::Now),
        2 => later(),
    ];
    let allowed_ips = option::weighted(0.3, option::of(select(addresses::sets())));
    let update = (
        any::<bool>(),
        option::weighted(0.3, permissions()),
        option::weighted(0.3, any::<bool>()),
        expiry,
        allowed_ips,
        option::weighted(0.2, 0..=1_u64),
    );
    let update = update.prop_map(
        |(rename, permissions, enabled, expiry, allowed_ips, version)| RequestedUpdate {
            rename,
            permissions,
            enabled,
            expiry,
            allowed_ips,
            version,
        },
    );
    (any::<Index>(), target(), update).prop_map(|(caller, key, update)| Action::Update {
        caller,
        key,
        update,
    })
}

fn revoke() -> impl Strategy<Value = Action> {
    let reach = select(vec![Reach::Key, Reach::Descendants]);
    (any::<Index>(), target(), reach).prop_map(|(caller, key, reach)| Action::Revoke {
        caller,
        key,
        reach,
    })
}

fn later() -> impl Strategy<Value = RequestedExpiry> {
    (-1_000..12_000_i64).prop_map(RequestedExpiry::In)
}
