//! Which sequences of calls are tried.

use keywright_assurance::{
    act::{Act, End, New, Once, Page, Presented, Slot, Step, Who},
    model::{Key, Model},
    words::{DAY, HANDLES, HOSTS, HOUR, METADATA, NAMES, PERMISSIONS, SEARCHES, SLOTS, WORKSPACES},
};
use keywright_core::{Environment, Reach, Status};
use proptest::{
    option,
    prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof},
    sample::select,
};

/// One step after these. Most are taken in the first process, since the other one has to hear of what was
/// changed; most name a key that there is; some are repeats.
pub(crate) fn step(model: &Model, before: &[Step]) -> BoxedStrategy<Step> {
    let repeatable = before.iter().filter(|step| is_once(&step.act));
    let repeatable: Vec<Step> = repeatable.cloned().collect();
    if repeatable.is_empty() {
        return new_step(model);
    }
    let repeated = (select(repeatable), prop_oneof![3 => Just(0), 1 => Just(1)]);
    let repeated = repeated.prop_map(|(step, request)| repeat(step, request));
    prop_oneof![12 => new_step(model), 1 => repeated].boxed()
}

fn is_once(act: &Act) -> bool {
    matches!(
        act,
        Act::Create { once: Some(_), .. } | Act::Rotate { once: Some(_), .. }
    )
}

/// The same again, perhaps with the body of another request.
fn repeat(mut step: Step, request: u8) -> Step {
    if let Act::Create { once, .. } | Act::Rotate { once, .. } = &mut step.act {
        *once = once.map(|once| Once { request, ..once });
    }
    step
}

fn new_step(model: &Model) -> BoxedStrategy<Step> {
    let names = Names {
        taken: model.slots().collect(),
    };
    let at = prop_oneof![14 => Just(0), 1 => 1..HANDLES];
    // Without any there is little to do.
    let creations = if names.taken.is_empty() { 80 } else { 8 };
    let (purges, days) = weights_of_purges(model);
    let act = prop_oneof![
        creations => create(&names),
        5 => rotate(&names),
        2 => rename(&names),
        3 => revoke(&names),
        2 => (names.who(), names.key()).prop_map(|(by, key)| Act::Find { by, key }),
        5 => list(&names),
        8 => names.presented().prop_map(Act::Verify),
        4 => (names.who(), names.presented()).prop_map(|(by, token)| Act::Introspect { by, token }),
        3 => passing().prop_map(Act::Wait),
        days => Just(Act::Wait(DAY + 1)),
        1 => Just(Act::Flush),
        purges => purge(),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(all, argon2)| Act::Reopen { all, argon2 }),
    ];
    // Seldom, since there is nothing to find but that it answers.
    let act = prop_oneof![60 => act, 1 => Just(Act::First)];
    (at, act).prop_map(|(at, act)| Step { at, act }).boxed()
}

/// How often a purge, and how often a day's wait before one. A key that is kept for its child alone is rare.
fn weights_of_purges(model: &Model) -> (u32, u32) {
    let is_revoked = |key: &Key| key.revoked_at.is_some();
    let is_old = |key: &Key| key.revoked_at.is_some_and(|time| time < model.now() - DAY);
    let parents = || model.keys().filter_map(|key| model.key(key.parent?));
    let purges = match (parents().any(is_old), model.keys().any(is_old)) {
        (true, _) => 30,
        (false, true) => 10,
        (false, false) => 1,
    };
    let is_soon_old = parents().any(|key| is_revoked(key) && !is_old(key));
    (purges, if is_soon_old { 20 } else { 1 })
}

/// The names that keys have.
struct Names {
    taken: Vec<Slot>,
}

impl Names {
    fn key(&self) -> BoxedStrategy<Slot> {
        if self.taken.is_empty() {
            return any_slot().boxed();
        }
        prop_oneof![14 => select(self.taken.clone()), 1 => any_slot()].boxed()
    }

    fn who(&self) -> BoxedStrategy<Who> {
        let host = prop_oneof![
            4 => Just(Who::Host(0)),
            2 => (1..HOSTS.len()).prop_map(Who::Host),
        ];
        if self.taken.is_empty() {
            return host.boxed();
        }
        prop_oneof![1 => host, 1 => self.key().prop_map(Who::Key)].boxed()
    }

    fn presented(&self) -> impl Strategy<Value = Presented> + use<> {
        let kind = select(vec![0; 7].into_iter().chain(1..4).collect::<Vec<_>>());
        (self.key(), kind).prop_map(|(slot, kind)| match kind {
            0 => Presented::Token(slot),
            1 => Presented::OtherSecret(slot),
            2 => Presented::OtherEnvironment(slot),
            _ => Presented::Damaged(slot),
        })
    }
}

fn create(names: &Names) -> impl Strategy<Value = Act> + use<> {
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
    (names.who(), any_slot(), new, once()).prop_map(|(by, into, new, once)| Act::Create {
        by,
        into,
        new,
        once,
    })
}

fn rotate(names: &Names) -> impl Strategy<Value = Act> + use<> {
    let overlap = prop_oneof![1 => Just(0), 3 => span()];
    let end = option::weighted(0.3, span());
    (names.who(), names.key(), any_slot(), overlap, end, once()).prop_map(
        |(by, key, into, overlap, end, once)| Act::Rotate {
            by,
            key,
            into,
            overlap,
            end,
            once,
        },
    )
}

fn rename(names: &Names) -> impl Strategy<Value = Act> + use<> {
    let name = option::weighted(0.8, select(&NAMES[..]));
    let metadata = option::weighted(0.5, select(&METADATA[..]));
    (names.who(), names.key(), name, metadata).prop_map(|(by, key, name, metadata)| Act::Rename {
        by,
        key,
        name,
        metadata,
    })
}

fn revoke(names: &Names) -> impl Strategy<Value = Act> + use<> {
    let reach = select(&[Reach::Key, Reach::Descendants, Reach::Descendants][..]);
    (names.who(), names.key(), reach).prop_map(|(by, key, reach)| Act::Revoke { by, key, reach })
}

fn list(names: &Names) -> impl Strategy<Value = Act> + use<> {
    let statuses = [Status::Active, Status::Expired, Status::Revoked];
    let status = option::weighted(0.4, select(statuses.to_vec()));
    let search = option::weighted(0.3, select(&SEARCHES[..]));
    let limit = prop_oneof![1..4_u32, Just(100)];
    let page = prop_oneof![
        2 => (1..4_u32).prop_map(Page::Number),
        3 => any::<usize>().prop_map(Page::Cursor),
    ];
    (names.who(), status, search, limit, page).prop_map(|(by, status, search, limit, page)| {
        Act::List {
            by,
            status,
            search,
            limit,
            page,
        }
    })
}

fn purge() -> impl Strategy<Value = Act> {
    let workspace = option::of(select(&WORKSPACES[..]));
    let age = select(&[0, DAY + 1, 2 * DAY][..]);
    (workspace, age).prop_map(|(workspace, age)| Act::Purge { workspace, age })
}

fn any_slot() -> impl Strategy<Value = Slot> {
    0..SLOTS
}

fn environment() -> impl Strategy<Value = Environment> {
    select(&[Environment::Live, Environment::Test][..])
}

fn once() -> impl Strategy<Value = Option<Once>> {
    let once = (0..2_u8, prop_oneof![3 => Just(0), 1 => Just(1_u8)]);
    option::weighted(0.4, once.prop_map(|(key, request)| Once { key, request }))
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        8 => Just(End::Inherited),
        1 => Just(End::Now),
        1 => select(&[0, -HOUR][..]).prop_map(End::In),
        5 => span().prop_map(End::In),
    ]
}

/// Few, so that what begins at different times ends at the same.
fn span() -> impl Strategy<Value = i64> {
    select(&[1, HOUR, 2 * HOUR, 3 * HOUR, DAY, 40 * DAY][..])
}

/// Mostly so little that keys live on.
fn passing() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => select(&[1, HOUR, 2 * HOUR][..]),
        2 => select(&[DAY - 1, DAY][..]),
        1 => Just(40 * DAY),
    ]
}
