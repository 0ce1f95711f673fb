//! What callers ask for.

use std::time::Duration;

use keywright_core::{Environment, Permissions, Reach};
use proptest::{
    collection::{SizeRange, vec},
    option,
    prelude::{any, prop_oneof},
    sample::{Index, select, subsequence},
    strategy::{Just, Strategy},
};

use crate::permissions::GIVEN;

/// One step. Callers and keys are numbers, of which as many mean something as there are.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Create {
        caller: Index,
        permissions: Option<Permissions>,
        environment: Option<Environment>,
        end: End,
    },
    Rotate {
        caller: Index,
        key: Index,
        overlap: Duration,
        end: End,
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
    TimePasses(Duration),
}

/// When the new key is to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    LeftOut,
    Now,
    /// So many milliseconds from now.
    In(i64),
}

pub(crate) fn acts(count: impl Into<SizeRange>) -> impl Strategy<Value = Vec<Act>> {
    vec(
        prop_oneof![
            8 => create(),
            5 => rotate(),
            1 => (any::<Index>(), any::<Index>()).prop_map(|(caller, key)| Act::Rename { caller, key }),
            2 => revoke(),
            3 => (0..3_000_u64).prop_map(|millis| Act::TimePasses(Duration::from_millis(millis))),
        ],
        count,
    )
}

fn create() -> impl Strategy<Value = Act> {
    let permissions = option::of(subsequence(&GIVEN[..], 0..=4))
        .prop_map(|set| set.map(|set| set.join(",").parse().unwrap()));
    let environment = option::weighted(0.3, select(vec![Environment::Live, Environment::Test]));
    let end = prop_oneof![
        6 => Just(End::LeftOut),
        1 => Just(End::Now),
        5 => later(),
    ];
    (any::<Index>(), permissions, environment, end).prop_map(
        |(caller, permissions, environment, end)| Act::Create {
            caller,
            permissions,
            environment,
            end,
        },
    )
}

fn rotate() -> impl Strategy<Value = Act> {
    let overlap = prop_oneof![1 => Just(0), 3 => 1..6_000_u64].prop_map(Duration::from_millis);
    let end = prop_oneof![3 => Just(End::LeftOut), 2 => later()];
    (any::<Index>(), any::<Index>(), overlap, end).prop_map(|(caller, key, overlap, end)| {
        Act::Rotate {
            caller,
            key,
            overlap,
            end,
        }
    })
}

fn revoke() -> impl Strategy<Value = Act> {
    let reach = select(vec![Reach::Key, Reach::Descendants]);
    (any::<Index>(), any::<Index>(), reach).prop_map(|(caller, key, reach)| Act::Revoke {
        caller,
        key,
        reach,
    })
}

fn later() -> impl Strategy<Value = End> {
    (-1_000..12_000_i64).prop_map(End::In)
}
