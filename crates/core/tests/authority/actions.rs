//! The actions that callers request.

use std::time::Duration;

use keywright_core::{Environment, Permissions, Reach};
use proptest::{
    collection::{SizeRange, vec},
    option,
    prelude::{any, prop_oneof},
    sample::{Index, select, subsequence},
    strategy::{Just, Strategy},
};

use crate::permissions::GRANTABLE;

/// A step of a sequence. The indexes select one of the existing callers and keys.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Create {
        caller: Index,
        permissions: Option<Permissions>,
        environment: Option<Environment>,
        expiry: RequestedExpiry,
    },
    Rotate {
        caller: Index,
        key: Index,
        overlap: Duration,
        expiry: RequestedExpiry,
    },
    Rename {
        caller: Index,
        key: Index,
    },
    Revoke {
        caller: Index,
        key: Index,
        reach: Reach,
    },
    AdvanceTime(Duration),
}

/// The expiry that a request names for the new key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RequestedExpiry {
    Omitted,
    Now,
    /// This many milliseconds from now.
    In(i64),
}

pub(crate) fn actions(count: impl Into<SizeRange>) -> impl Strategy<Value = Vec<Action>> {
    vec(
        prop_oneof![
            8 => create(),
            5 => rotate(),
            1 => (any::<Index>(), any::<Index>()).prop_map(|(caller, key)| Action::Rename { caller, key }),
            2 => revoke(),
            3 => (0..3_000_u64).prop_map(|millis| Action::AdvanceTime(Duration::from_millis(millis))),
        ],
        count,
    )
}

fn create() -> impl Strategy<Value = Action> {
    let permissions = option::of(subsequence(&GRANTABLE[..], 0..=4))
        .prop_map(|set| set.map(|set| set.join(",").parse().unwrap()));
    let environment = option::weighted(0.3, select(vec![Environment::Live, Environment::Test]));
    let expiry = prop_oneof![
        6 => Just(RequestedExpiry::Omitted),
        1 => Just(RequestedExpiry::Now),
        5 => later(),
    ];
    (any::<Index>(), permissions, environment, expiry).prop_map(
        |(caller, permissions, environment, expiry)| Action::Create {
            caller,
            permissions,
            environment,
            expiry,
        },
    )
}

fn rotate() -> impl Strategy<Value = Action> {
    let overlap = prop_oneof![1 => Just(0), 3 => 1..6_000_u64].prop_map(Duration::from_millis);
    let expiry = prop_oneof![3 => Just(RequestedExpiry::Omitted), 2 => later()];
    (any::<Index>(), any::<Index>(), overlap, expiry).prop_map(|(caller, key, overlap, expiry)| {
        Action::Rotate {
            caller,
            key,
            overlap,
            expiry,
        }
    })
}

fn revoke() -> impl Strategy<Value = Action> {
    let reach = select(vec![Reach::Key, Reach::Descendants]);
    (any::<Index>(), any::<Index>(), reach).prop_map(|(caller, key, reach)| Action::Revoke {
        caller,
        key,
        reach,
    })
}

fn later() -> impl Strategy<Value = RequestedExpiry> {
    (-1_000..12_000_i64).prop_map(RequestedExpiry::In)
}
