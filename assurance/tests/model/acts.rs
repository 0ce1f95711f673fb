//! Which sequences of calls are tried.

use keywright_assurance::{
    act::{Act, End, New, Once, Page, Presented, Step, Who},
    words::{DAY, HANDLES, HOSTS, HOUR, METADATA, NAMES, PERMISSIONS, SEARCHES, SLOTS, WORKSPACES},
};
use keywright_core::{Environment, Reach, Status};
use proptest::{
    option,
    prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof},
    sample::select,
};

/// One step. Most are taken in the first process, since the other one has to hear of what was changed.
pub(crate) fn step() -> BoxedStrategy<Step> {
    let at = prop_oneof![9 => Just(0), 1 => 1..HANDLES];
    let act = prop_oneof![
        7 => create(),
        4 => rotate(),
        2 => rename(),
        3 => revoke(),
        2 => (who(), slot()).prop_map(|(by, key)| Act::Find { by, key }),
        4 => list(),
        6 => presented().prop_map(Act::Verify),
        3 => (who(), presented()).prop_map(|(by, token)| Act::Introspect { by, token }),
        4 => span().prop_map(Act::Wait),
        1 => Just(Act::Flush),
        1 => purge(),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(all, argon2)| Act::Reopen { all, argon2 }),
    ];
    // Seldom, since there is nothing to find but that it answers.
    let act = prop_oneof![60 => act, 1 => Just(Act::First)];
    (at, act).prop_map(|(at, act)| Step { at, act }).boxed()
}

fn create() -> impl Strategy<Value = Act> {
    let new = (
        select(&NAMES[..]),
        option::weighted(0.3, environment()),
        option::weighted(0.5, select(&PERMISSIONS[..])),
        end(),
        option::weighted(0.3, select(&METADATA[..])),
    );
    let new = new.prop_map(|(name, environment, permissions, end, metadata)| New {
        name,
        environment,
        permissions,
        end,
        metadata,
    });
    (who(), slot(), new, once()).prop_map(|(by, into, new, once)| Act::Create {
        by,
        into,
        new,
        once,
    })
}

fn rotate() -> impl Strategy<Value = Act> {
    let overlap = prop_oneof![1 => Just(0), 3 => span()];
    let end = option::weighted(0.3, span());
    (who(), slot(), slot(), overlap, end, once()).prop_map(|(by, key, into, overlap, end, once)| {
        Act::Rotate {
            by,
            key,
            into,
            overlap,
            end,
            once,
        }
    })
}

fn rename() -> impl Strategy<Value = Act> {
    let name = option::weighted(0.8, select(&NAMES[..]));
    let metadata = option::weighted(0.5, select(&METADATA[..]));
    (who(), slot(), name, metadata).prop_map(|(by, key, name, metadata)| Act::Rename {
        by,
        key,
        name,
        metadata,
    })
}

fn revoke() -> impl Strategy<Value = Act> {
    let reach = select(&[Reach::Key, Reach::Descendants][..]);
    (who(), slot(), reach).prop_map(|(by, key, reach)| Act::Revoke { by, key, reach })
}

fn list() -> impl Strategy<Value = Act> {
    let statuses = [Status::Active, Status::Expired, Status::Revoked];
    let status = option::weighted(0.4, select(statuses.to_vec()));
    let search = option::weighted(0.3, select(&SEARCHES[..]));
    let limit = prop_oneof![1..4_u32, Just(100)];
    let page = prop_oneof![
        2 => (1..4_u32).prop_map(Page::Number),
        3 => any::<usize>().prop_map(Page::Cursor),
    ];
    (who(), status, search, limit, page).prop_map(|(by, status, search, limit, page)| Act::List {
        by,
        status,
        search,
        limit,
        page,
    })
}

fn purge() -> impl Strategy<Value = Act> {
    let workspace = option::of(select(&WORKSPACES[..]));
    (workspace, span()).prop_map(|(workspace, age)| Act::Purge { workspace, age })
}

fn presented() -> impl Strategy<Value = Presented> {
    prop_oneof![
        7 => slot().prop_map(Presented::Token),
        1 => slot().prop_map(Presented::OtherSecret),
        1 => slot().prop_map(Presented::OtherEnvironment),
        1 => slot().prop_map(Presented::Damaged),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => Just(Who::Host(0)),
        3 => (1..HOSTS.len()).prop_map(Who::Host),
        6 => slot().prop_map(Who::Key),
    ]
}

fn slot() -> impl Strategy<Value = usize> {
    0..SLOTS
}

fn environment() -> impl Strategy<Value = Environment> {
    select(&[Environment::Live, Environment::Test][..])
}

fn once() -> impl Strategy<Value = Option<Once>> {
    let once = (0..3_u8, prop_oneof![4 => Just(0), 1 => Just(1_u8)]);
    option::weighted(0.3, once.prop_map(|(key, request)| Once { key, request }))
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        6 => Just(End::Inherited),
        1 => Just(End::Now),
        1 => Just(End::In(0)),
        1 => Just(End::In(-HOUR)),
        4 => span().prop_map(End::In),
    ]
}

/// Few, so that what begins at different times ends at the same, and whole days pass.
fn span() -> impl Strategy<Value = i64> {
    select(&[1, HOUR, 2 * HOUR, 3 * HOUR, DAY - 1, DAY, DAY + 1, 40 * DAY][..])
}
