//! Lists of the keys of one owner.

use super::walk::{everything, ids, walk, walk_as};
use crate::{
    Environment, Key, KeyId, ListStart, Owner, Reach, Status, Workspace,
    conformance::{
        fixture::{
            at, child_of, disabled, expiring, name, now, owned, record_in, successor_of, unused_id,
            workspace,
        },
        handle::Handle,
        harness::Harness,
    },
    store::{Record, Retire},
};

/// Tests lists of the keys of one owner, alone and with the other filters.
pub(super) fn owner<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    similar_owners_are_different(store);
    owner_in_another_workspace_is_another_owner(store);
    pages_of_an_owner(store);
    pages_of_an_owner_are_stable_during_changes(store, other);
    changed_keys_stay_with_their_owner(store, other);
    owner_with_other_filters(store);
}

fn parsed(owner: &str) -> Owner {
    Owner::parse(owner).unwrap()
}

/// Inserts keys of this owner, and returns them newest first.
fn add_keys<H: Harness>(
    store: &Handle<'_, H>,
    tenant: &str,
    owner: &str,
    count: usize,
) -> Vec<Key> {
    let add = |_| store.add(owned(record_in(tenant, "key"), owner)).key;
    let mut keys: Vec<Key> = (0..count).map(add).collect();
    keys.reverse();
    keys
}

/// Fails unless the keys of the owner are these, newest first, on pages of all sizes.
#[track_caller]
fn assert_listed<H: Harness>(
    store: &Handle<'_, H>,
    tenant: &Workspace,
    owner: &str,
    expected: &[KeyId],
) {
    for limit in [1, 2, 100] {
        let list = everything().with_owner(parsed(owner)).with_limit(limit);
        let walked = walk(store, tenant, &list, |_| ());
        assert_eq!(
            ids(&walked),
            expected,
            "listed the wrong keys of the owner {owner}, on pages of {limit}"
        );
        let total = store.list(tenant, &list).total;
        assert_eq!(
            total,
            Some(expected.len() as u64),
            "returned the wrong total of the keys of the owner {owner}"
        );
    }
}

fn similar_owners_are_different<H: Harness>(store: &Handle<'_, H>) {
    let longest = ["1", "2"].map(|last| format!("{}{last}", "o".repeat(Owner::MAX_LENGTH - 1)));
    let owners = [
        "user:1",
        "user:12",
        "USER:1",
        "user:",
        "user",
        "user:1:live",
        "user:_",
        "user:%",
        "user:*",
        "user:\\",
        "'",
        "[u]ser:1",
        "null",
        &longest[0],
    ];
    let tenant = workspace("owners");
    let mut expected: Vec<(&str, Vec<KeyId>)> =
        owners.iter().map(|owner| (*owner, Vec::new())).collect();
    for _ in 0..3 {
        // A key without an owner belongs to none.
        store.add(record_in("owners", "without an owner"));
        for (owner, keys) in &mut expected {
            let key = store.add(owned(record_in("owners", "key"), owner));
            keys.insert(0, key.key.id);
        }
    }
    for (owner, keys) in &expected {
        assert_listed(store, &tenant, owner, keys);
    }
    for unknown in ["user:2", "u", "1", "%", "User:1", &longest[1]] {
        assert_listed(store, &tenant, unknown, &[]);
    }
    let all = walk(store, &tenant, &everything(), |_| ());
    assert_eq!(
        all.len(),
        3 * (owners.len() + 1),
        "a list without a filter does not show the keys of all owners and those without one"
    );
}

fn owner_in_another_workspace_is_another_owner<H: Harness>(store: &Handle<'_, H>) {
    let tenants = ["owners/a", "owners/b", "owners/a:b"];
    let owner = "b:user";
    let keys = tenants.map(|tenant| add_keys(store, tenant, owner, 3));
    for (tenant, keys) in tenants.iter().zip(&keys) {
        assert_listed(store, &workspace(tenant), owner, &ids(keys));
        // The workspace and the owner together have the same text as another pair.
        assert_listed(store, &workspace(tenant), "user", &[]);
    }
    assert_listed(store, &workspace("owners/empty"), owner, &[]);
}

fn pages_of_an_owner<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("owners/pages");
    let mut keys: Vec<Key> = Vec::new();
    for _ in 0..7 {
        add_keys(store, "owners/pages", "user:2", 2);
        keys.extend(add_keys(store, "owners/pages", "user:1", 1));
        store.add(record_in("owners/pages", "without an owner"));
    }
    keys.reverse();
    let all = walk(store, &tenant, &everything(), |_| ());
    let list = everything().with_owner(parsed("user:1"));
    for offset in 0..=keys.len() {
        for limit in [1, 3, 7] {
            let list = list
                .clone()
                .with_start(ListStart::Offset(offset as u64))
                .with_limit(limit);
            let page = store.list(&tenant, &list);
            let rest = &keys[offset..];
            let cut = rest.len().min(limit as usize);
            assert_eq!(
                page.keys,
                rest[..cut],
                "listed the wrong keys of an owner at offset {offset}, on pages of {limit}"
            );
            assert_eq!(
                page.total,
                Some(keys.len() as u64),
                "returned the wrong total of an owner at offset {offset}"
            );
            assert_eq!(
                page.next,
                (cut < rest.len()).then(|| rest[cut - 1].id),
                "returned the wrong cursor of an owner at offset {offset}, on pages of {limit}"
            );
        }
    }
    // The cursor may be any id: a key of the owner or of another, or no key.
    let cursors = ids(&all).into_iter().chain([unused_id()]);
    for cursor in cursors {
        let list = list
            .clone()
            .with_start(ListStart::After(cursor))
            .with_limit(3);
        let page = store.list(&tenant, &list);
        let expected: Vec<Key> = keys
            .iter()
            .filter(|key| key.id < cursor)
            .take(3)
            .cloned()
            .collect();
        assert_eq!(
            page.keys, expected,
            "listed the wrong keys of an owner after the cursor {cursor}"
        );
    }
}

fn pages_of_an_owner_are_stable_during_changes<H: Harness>(
    store: &Handle<'_, H>,
    other: &Handle<'_, H>,
) {
    let tenant = workspace("owners/changing");
    let keys = ids(&add_keys(store, "owners/changing", "user:1", 10));
    let list = everything().with_owner(parsed("user:1")).with_limit(3);
    let mut shown = 0;
    let walked = walk(store, &tenant, &list, |page| {
        add_keys(other, "owners/changing", "user:1", 1);
        add_keys(other, "owners/changing", "user:2", 1);
        shown += page.keys.len();
        // Revoke the cursor, and pause a key on the next page.
        if let Some(cursor) = page.keys.last() {
            other.revoke_key(&other.read(&cursor.id));
        }
        if let Some(id) = keys.get(shown + 1) {
            other.change(&other.read(id), |key| key.enabled = false);
        }
    });
    assert_eq!(
        ids(&walked),
        keys,
        "changes between pages changed which older keys of an owner a walk shows"
    );
    let walked = walk(store, &tenant, &list, |_| ());
    assert_eq!(
        walked.len(),
        14,
        "a second walk does not show the keys of the owner that were inserted during the first"
    );
}

/// Updates, rotations and revocations keep the owner.
fn changed_keys_stay_with_their_owner<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let tenant = workspace("owners/changed");
    let add = |text: &str| store.add(owned(record_in("owners/changed", text), "user:1"));
    let updated = add("updated");
    let rotated = add("rotated");
    let revoked = add("revoked");
    let root = add("root");
    let child = store.add(owned(child_of(&root), "user:1"));
    let foreign = store.add(owned(child_of(&root), "user:2"));
    store.change(&updated, |key| {
        key.name = name("new");
        key.enabled = false;
        key.expires_at = Some(at(-1));
    });
    let successor = successor_of(&rotated);
    other
        .rotate(&rotated, Retire::Now, &successor, now())
        .expect("the store failed to rotate a key");
    let mut expected = [&successor, &child, &root, &revoked, &rotated, &updated]
        .map(|record| record.key.id)
        .to_vec();
    expected.sort();
    expected.reverse();
    assert_listed(other, &tenant, "user:1", &expected);

    store.revoke_key(&revoked);
    store
        .revoke(&root, Reach::Descendants, now())
        .expect("the store failed to revoke a key and its descendants");
    assert_listed(other, &tenant, "user:1", &expected);
    assert_listed(other, &tenant, "user:2", &[foreign.key.id]);
}

fn owner_with_other_filters<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("owners/filters");
    let add = |number: usize| {
        let mut record = record_in("owners/filters", "Übung");
        if number.is_multiple_of(2) {
            record.key.environment = Environment::Test;
        }
        if number.is_multiple_of(3) {
            record.key.name = name("other");
        }
        record = match number % 4 {
            1 => disabled(record),
            2 => expiring(record, at(-1)),
            _ => record,
        };
        let owner = ["user:1", "user:11", "user:2"].get(number % 5);
        if let Some(owner) = owner {
            record = owned(record, owner);
        }
        let record = store.add(record);
        if number % 4 == 3 {
            store.revoke_key(&record);
        }
        store.read(&record.key.id)
    };
    let mut all: Vec<Record> = (0..120).map(add).collect();
    all.reverse();
    for environment in [Environment::Live, Environment::Test] {
        for status in Status::ALL.map(Some).into_iter().chain([None]) {
            for search in [Some("ÜBUNG"), None] {
                let mut list = everything().with_owner(parsed("user:1"));
                list.status = status;
                list.search = search.map(Into::into);
                let expected: Vec<Key> = all
                    .iter()
                    .map(|record| &record.key)
                    .filter(|key| {
                        environment.covers(key.environment)
                            && key.owner == list.owner
                            && status.is_none_or(|status| key.status(now()) == status)
                            && (search.is_none() || key.name == name("Übung"))
                    })
                    .cloned()
                    .collect();
                for limit in [1, 3, 100] {
                    let list = list.clone().with_limit(limit);
                    let walked = walk_as(store, &tenant, environment, &list, now(), |_| ());
                    assert_eq!(
                        walked, expected,
                        "listed the wrong keys of an owner for a {environment} caller: {list:?}"
                    );
                    let total = store.list_as(&tenant, environment, &list, now()).total;
                    assert_eq!(
                        total,
                        Some(expected.len() as u64),
                        "returned the wrong total of an owner for a {environment} caller: {list:?}"
                    );
                }
            }
        }
    }
}
