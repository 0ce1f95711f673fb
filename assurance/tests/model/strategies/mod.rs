//! The strategies that generate sequences of actions.

mod events;
mod update;

use keywright_assurance::{
    action::{
        Action, Actor, Idempotency, KeyRequest, Page, PresentedToken, RequestedExpiry, Slot, Step,
    },
    model::{Key, Model, Number},
    vocabulary::{
        ADDRESSES, ALLOWED_IPS, ATTRIBUTES, DAY, HOSTS, HOUR, METADATA, NAMES, OWNERS, PERMISSIONS,
        PROCESSES, REQUIRED, SEARCHES, SLOTS, WORKSPACES,
    },
};
use keywright_core::{Environment, Reach, Status};
use proptest::{
    option,
    prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof},
    sample::select,
};

use self::{
    events::{events, events_of_a_deleted_key, purge_events},
    update::{move_expiry, pause, resume, rotated, update},
};

/// Generates a step that follows these steps.
///
/// Most steps happen in the first process, because the other process first has to catch up with its
/// changes. Most refer to a key that exists. Some repeat an earlier request.
pub(crate) fn step(model: &Model, before: &[Step]) -> BoxedStrategy<Step> {
    let repeatable = before.iter().filter(|step| is_repeatable(&step.action));
    let repeatable: Vec<Step> = repeatable.cloned().collect();
    if repeatable.is_empty() {
        return new_step(model);
    }
    let repeated = (select(repeatable), prop_oneof![3 => Just(0), 1 => Just(1)]);
    let repeated = repeated.prop_map(|(step, request)| repeat(step, request));
    prop_oneof![9 => new_step(model), 1 => repeated].boxed()
}

fn is_repeatable(action: &Action) -> bool {
    matches!(
        action,
        Action::Create {
            idempotency: Some(_),
            ..
        } | Action::Rotate {
            idempotency: Some(_),
            ..
        }
    )
}

/// Repeats a step, possibly with the body of another request.
fn repeat(mut step: Step, request: u8) -> Step {
    if let Action::Create { idempotency, .. } | Action::Rotate { idempotency, .. } =
        &mut step.action
    {
        *idempotency = idempotency.map(|idempotency| Idempotency {
            request,
            ..idempotency
        });
    }
    step
}

fn new_step(model: &Model) -> BoxedStrategy<Step> {
    let slots = Slots {
        taken: model.slots().collect(),
        active: with_status(model, Status::Active),
        paused: with_status(model, Status::Disabled),
        deleted: deleted(model),
    };
    let process = prop_oneof![14 => Just(0), 1 => 1..PROCESSES];
    // Without a key, most other actions do nothing.
    let creations = if slots.taken.is_empty() { 80 } else { 8 };
    let (purges, days) = purge_weights(model);
    let receivers = receivers(model);
    let cascades = if receivers.is_empty() { 1 } else { 150 };
    let parents = parents(model);
    let revocations = if parents.is_empty() { 1 } else { 6 };
    let rotated = rotated(model);
    let moves = if rotated.is_empty() { 1 } else { 3 };
    let resumes = if slots.paused.is_empty() { 1 } else { 3 };
    let deleted = if slots.deleted.is_empty() { 1 } else { 6 };
    let action = prop_oneof![
        creations => create(&slots),
        7 => rotate(&slots),
        5 => rotate_by_key(&slots),
        4 => rotate_itself(&slots),
        10 => update(&slots),
        2 => pause(&slots),
        resumes => resume(&slots),
        moves => move_expiry(rotated),
        1 => set_attributes(&slots),
        2 => revoke(&slots),
        2 => revoke_all(&slots),
        revocations => revoke_parent(parents),
        cascades => revoke_receiver(receivers),
        3 => find(&slots),
        5 => list(&slots),
        9 => verify(&slots),
        6 => introspect(&slots),
        3 => wait().prop_map(Action::Wait),
        days => Just(Action::Wait(DAY + 1)),
        1 => Just(Action::Flush),
        purges => purge(),
        4 => reopen(),
        5 => events(&slots),
        deleted => events_of_a_deleted_key(&slots),
        1 => purge_events(),
    ];
    // Rarely, because the outcome is always the same.
    let action = prop_oneof![60 => action, 1 => Just(Action::First)];
    (process, action)
        .prop_map(|(process, action)| Step { process, action })
        .boxed()
}

/// The weights of a purge, and of a day's wait before a purge. They are high while a parent can be
/// purged, because a key that is kept only for its child is rare.
fn purge_weights(model: &Model) -> (u32, u32) {
    let is_revoked = |key: &Key| key.revoked_at.is_some();
    let is_past = |time: Option<i64>| time.is_some_and(|time| time < model.now() - DAY);
    let is_old = |key: &Key| is_past(key.revoked_at) || is_past(key.expires_at);
    let parents = || model.keys().filter_map(|key| model.key(key.parent?));
    let purges = match (parents().any(is_old), model.keys().any(is_old)) {
        (true, _) => 200,
        (false, true) => 10,
        (false, false) => 1,
    };
    let is_soon_old = parents().any(|key| is_revoked(key) && !is_old(key));
    (purges, if is_soon_old { 90 } else { 1 })
}

/// The slots that hold keys.
struct Slots {
    taken: Vec<Slot>,
    /// Those of active keys.
    active: Vec<Slot>,
    /// Those of paused keys. Keys are paused for a short time, so calls on them are rare otherwise.
    paused: Vec<Slot>,
    /// Those of keys whose records were deleted.
    deleted: Vec<Slot>,
}

/// Returns the slots of keys with this status.
fn with_status(model: &Model, status: Status) -> Vec<Slot> {
    let has_status = |slot: &Slot| {
        let key = model.number(*slot).and_then(|number| model.key(number));
        key.is_some_and(|key| key.status(model.now()) == status)
    };
    model.slots().filter(has_status).collect()
}

/// Returns the slots of keys whose records were deleted.
fn deleted(model: &Model) -> Vec<Slot> {
    let is_deleted = |slot: &Slot| {
        let number = model.number(*slot);
        number.is_some_and(|number| model.key(number).is_none())
    };
    model.slots().filter(is_deleted).collect()
}

impl Slots {
    fn key(&self) -> BoxedStrategy<Slot> {
        if self.taken.is_empty() {
            return any_slot().boxed();
        }
        let any = prop_oneof![14 => select(self.taken.clone()), 1 => any_slot()];
        prop_oneof![4 => any, 1 => one_of(&self.paused)].boxed()
    }

    fn actor(&self) -> BoxedStrategy<Actor> {
        let host = prop_oneof![
            4 => Just(Actor::Host(0)),
            3 => (1..HOSTS.len()).prop_map(Actor::Host),
            3 => select(members()).prop_map(Actor::Host),
        ];
        if self.taken.is_empty() {
            return host.boxed();
        }
        // Calls by inactive keys are all rejected in the same way.
        let key = prop_oneof![1 => self.key(), 3 => one_of(&self.active)];
        prop_oneof![1 => host, 1 => key.prop_map(Actor::Key)].boxed()
    }

    fn presented(&self) -> impl Strategy<Value = PresentedToken> + use<> {
        let kind = select(vec![0; 7].into_iter().chain(1..4).collect::<Vec<_>>());
        (self.key(), kind).prop_map(|(slot, kind)| match kind {
            0 => PresentedToken::Token(slot),
            1 => PresentedToken::OtherSecret(slot),
            2 => PresentedToken::OtherEnvironment(slot),
            _ => PresentedToken::Damaged(slot),
        })
    }
}

/// Returns the users who can manage their own keys.
fn members() -> Vec<usize> {
    let is_member = |host: &usize| HOSTS[*host].permissions.contains("api_keys.own:");
    (0..HOSTS.len()).filter(is_member).collect()
}

fn create(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let new = (
        select(&NAMES[..]),
        option::weighted(0.3, environment()),
        option::weighted(0.5, select(&PERMISSIONS[..])),
        expiry(),
        option::weighted(0.3, select(&METADATA[..])),
        option::weighted(0.3, select(&ALLOWED_IPS[..])),
    );
    let new = new.prop_map(
        |(name, environment, permissions, expiry, metadata, allowed_ips)| KeyRequest {
            name,
            environment,
            permissions,
            expiry,
            metadata,
            allowed_ips,
        },
    );
    (slots.actor(), any_slot(), new, idempotency()).prop_map(|(by, into, new, idempotency)| {
        Action::Create {
            by,
            into,
            new,
            idempotency,
        }
    })
}

fn rotate(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let overlap = prop_oneof![1 => Just(0), 3 => duration()];
    let lifetime = option::weighted(0.5, duration());
    (
        slots.actor(),
        slots.key(),
        any_slot(),
        overlap,
        lifetime,
        idempotency(),
    )
        .prop_map(
            |(by, key, into, overlap, lifetime, idempotency)| Action::Rotate {
                by,
                key,
                into,
                overlap,
                lifetime,
                idempotency,
            },
        )
}

/// Rotates an active key on behalf of another one, which receives the secret of the successor.
fn rotate_by_key(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let keys = (one_of(&slots.active), one_of(&slots.active));
    (rotate(slots), keys).prop_map(|(mut action, (receiver, rotated))| {
        if let Action::Rotate { by, key, .. } = &mut action {
            (*by, *key) = (Actor::Key(receiver), rotated);
        }
        action
    })
}

/// Rotates a key on its own behalf. Few keys have the permission to do so.
fn rotate_itself(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    (rotate(slots), slots.key()).prop_map(|(mut action, itself)| {
        if let Action::Rotate { by, key, .. } = &mut action {
            (*by, *key) = (Actor::Key(itself), itself);
        }
        action
    })
}

fn set_attributes(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let by = prop_oneof![4 => Just(0), 1 => 1..HOSTS.len()];
    let attributes = option::weighted(0.7, select(&ATTRIBUTES[..]));
    (by, slots.key(), attributes).prop_map(|(by, key, attributes)| Action::SetAttributes {
        by,
        key,
        attributes,
    })
}

fn revoke_all(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let owner = option::weighted(0.7, select(&OWNERS[..]));
    (slots.actor(), owner).prop_map(|(by, owner)| Action::RevokeAll { by, owner })
}

/// Reads a key, sometimes on its own behalf.
fn find(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let itself = slots.key().prop_map(|key| (Actor::Key(key), key));
    prop_oneof![3 => (slots.actor(), slots.key()), 1 => itself]
        .prop_map(|(by, key)| Action::Find { by, key })
}

fn verify(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    (slots.presented(), client_address()).prop_map(|(token, from)| Action::Verify { token, from })
}

fn introspect(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let permission = option::weighted(0.4, select(&REQUIRED[..]));
    (
        slots.actor(),
        slots.presented(),
        client_address(),
        permission,
    )
        .prop_map(|(by, token, from, permission)| Action::Introspect {
            by,
            token,
            from,
            permission,
        })
}

fn client_address() -> impl Strategy<Value = Option<&'static str>> {
    option::weighted(0.6, select(&ADDRESSES[..]))
}

fn reopen() -> impl Strategy<Value = Action> {
    let limited = prop_oneof![3 => Just(true), 1 => Just(false)];
    (any::<bool>(), any::<bool>(), limited).prop_map(|(all, argon2, limited)| Action::Reopen {
        all,
        argon2,
        limited,
    })
}

/// Revokes a key, sometimes on its own behalf.
fn revoke(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let reach = select(&[Reach::Key, Reach::Key, Reach::Descendants][..]);
    let itself = slots.key().prop_map(|key| (Actor::Key(key), key));
    let call = prop_oneof![4 => (slots.actor(), slots.key()), 1 => itself];
    (call, reach).prop_map(|((by, key), reach)| Action::Revoke { by, key, reach })
}

/// Revokes one of these keys alone, or any key if there are none.
fn revoke_parent(parents: Vec<Slot>) -> impl Strategy<Value = Action> + use<> {
    one_of(&parents).prop_map(|key| Action::Revoke {
        by: Actor::Host(0),
        key,
        reach: Reach::Key,
    })
}

/// Returns the slots of keys that have created others and are not revoked. Without this, few purges
/// would keep a key only because it has a child.
fn parents(model: &Model) -> Vec<Slot> {
    let is_parent = |number: Number| {
        let created = |key: &Key| key.parent == Some(number) && key.revoked_at.is_none();
        model
            .key(number)
            .is_some_and(|key| key.revoked_at.is_none())
            && model.keys().any(created)
    };
    let slots = model.slots();
    slots
        .filter(|slot| model.number(*slot).is_some_and(is_parent))
        .collect()
}

/// Revokes one of these keys with its descendants, or any key if there are none.
fn revoke_receiver(receivers: Vec<Slot>) -> impl Strategy<Value = Action> + use<> {
    let key = one_of(&receivers);
    let host = prop_oneof![3 => Just(0), 1 => 1..HOSTS.len()];
    (host, key).prop_map(|(host, key)| Action::Revoke {
        by: Actor::Host(host),
        key,
        reach: Reach::Descendants,
    })
}

/// Returns the slots of keys that received a key by rotating another. Without this, few cascades
/// would reach a key only through such a receiver.
fn receivers(model: &Model) -> Vec<Slot> {
    let has_received = |number: Number| {
        let successor = model.key(number).and_then(|key| key.successor);
        (0..model.created()).any(|other| {
            model.key(other).is_some_and(|key| {
                key.rotated_by == Some(number)
                    && key.parent != Some(number)
                    && key.revoked_at.is_none()
                    && successor != Some(other)
            })
        })
    };
    let slots = model.slots();
    slots
        .filter(|slot| model.number(*slot).is_some_and(has_received))
        .collect()
}

fn list(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let owner = option::weighted(0.3, select(&OWNERS[..]));
    let mut statuses = Status::ALL.to_vec();
    if !slots.paused.is_empty() {
        statuses.extend([Status::Disabled; 12]);
    }
    let status = option::weighted(0.5, select(statuses));
    let search = option::weighted(0.3, select(&SEARCHES[..]));
    let limit = prop_oneof![1..4_u32, Just(100)];
    let page = prop_oneof![
        2 => (1..4_u32).prop_map(Page::Number),
        3 => any::<usize>().prop_map(Page::Cursor),
    ];
    (slots.actor(), owner, status, search, limit, page).prop_map(
        |(by, owner, status, search, limit, page)| Action::List {
            by,
            owner,
            status,
            search,
            limit,
            page,
        },
    )
}

fn purge() -> impl Strategy<Value = Action> {
    let workspace = option::of(select(&WORKSPACES[..]));
    let age = |probability| option::weighted(probability, select(&[0, DAY + 1, 2 * DAY][..]));
    (workspace, age(0.9), age(0.6)).prop_map(|(workspace, revoked, expired)| Action::Purge {
        workspace,
        revoked,
        expired,
    })
}

/// Generates one of these slots, or any slot if there are none.
fn one_of(slots: &[Slot]) -> BoxedStrategy<Slot> {
    if slots.is_empty() {
        any_slot().boxed()
    } else {
        select(slots.to_vec()).boxed()
    }
}

fn any_slot() -> impl Strategy<Value = Slot> {
    0..SLOTS
}

fn environment() -> impl Strategy<Value = Environment> {
    select(&[Environment::Live, Environment::Test][..])
}

fn idempotency() -> impl Strategy<Value = Option<Idempotency>> {
    let idempotency = (0..2_u8, prop_oneof![3 => Just(0), 1 => Just(1_u8)]);
    option::weighted(
        0.4,
        idempotency.prop_map(|(key, request)| Idempotency { key, request }),
    )
}

fn expiry() -> impl Strategy<Value = RequestedExpiry> {
    prop_oneof![
        8 => Just(RequestedExpiry::Inherited),
        1 => Just(RequestedExpiry::Now),
        1 => select(&[0, -HOUR][..]).prop_map(RequestedExpiry::In),
        5 => duration().prop_map(RequestedExpiry::In),
    ]
}

/// Generates one of a few durations, so that keys created at different times expire at the same
/// time. One of them exceeds the maximum lifetime.
fn duration() -> impl Strategy<Value = i64> {
    prop_oneof![
        5 => select(&[1, HOUR, 2 * HOUR, 3 * HOUR, DAY][..]),
        2 => Just(40 * DAY),
    ]
}

/// Generates a wait, usually so short that keys stay valid.
fn wait() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => select(&[1, HOUR, 2 * HOUR][..]),
        2 => select(&[DAY - 1, DAY][..]),
        1 => Just(40 * DAY),
    ]
}
