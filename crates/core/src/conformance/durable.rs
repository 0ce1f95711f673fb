//! Clause 3: the store keeps every write that it acknowledged.

use super::{
    fixture::{at, child_of, credential, name, now, record, successor_of},
    handle::Handle,
    harness::Harness,
};
use crate::{
    Key, KeyId, ListKeys, Metadata, Page, Reach,
    store::{Record, Retire},
};

/// Tests clause 3, durable. After each kind of write this function drops all handles, and a new
/// handle must show the same records. If the store lives only as long as its process, the suite
/// opens the new handle first.
pub fn durable(harness: &impl Harness) {
    let store = Handle::open(harness);
    let durability = store.store().durability();

    let keys =
        ["renamed", "rehashed", "rotated", "revoked", "parent"].map(|name| store.add(record(name)));
    let [renamed, rehashed, rotated, revoked, parent] = &keys;
    let child = store.add(child_of(parent));
    let successor = successor_of(rotated);
    let mut ids: Vec<KeyId> = keys
        .iter()
        .chain([&child])
        .map(|record| record.key.id)
        .collect();
    let store = assert_unchanged_after_reopening(store, &ids);

    let changed = Key {
        name: name("new"),
        metadata: Some(Metadata::parse(r#"{"a":1}"#).unwrap()),
        enabled: false,
        ..renamed.key.clone()
    };
    store
        .update(renamed, &changed)
        .expect("the store failed to update a key");
    let store = assert_unchanged_after_reopening(store, &ids);

    store
        .rehash(rehashed, &credential(9))
        .expect("the store failed to rehash a key");
    let store = assert_unchanged_after_reopening(store, &ids);

    store
        .rotate(rotated, Retire::At(at(500)), &successor, now())
        .expect("the store failed to rotate a key");
    ids.push(successor.key.id);
    let store = assert_unchanged_after_reopening(store, &ids);

    store
        .revoke(revoked, Reach::Key, now())
        .expect("the store failed to revoke a key");
    let store = assert_unchanged_after_reopening(store, &ids);

    store
        .revoke(parent, Reach::Descendants, now())
        .expect("the store failed to revoke a key and its child");
    let store = assert_unchanged_after_reopening(store, &ids);

    store.touch(&[(renamed.key.id, at(1)), (revoked.key.id, at(2))]);
    let store = assert_unchanged_after_reopening(store, &ids);

    assert_eq!(
        store.store().durability(),
        durability,
        "changed the durability that it promises"
    );
}

/// Returns each record, and a list of the workspace.
fn read_all<H: Harness>(store: &Handle<'_, H>, ids: &[KeyId]) -> (Vec<Record>, Page<KeyId>) {
    let records: Vec<Record> = ids.iter().map(|id| store.read(id)).collect();
    let page = store.list(&records[0].key.workspace, &ListKeys::new().with_limit(100));
    (records, page)
}

fn assert_unchanged_after_reopening<'h, H: Harness>(
    store: Handle<'h, H>,
    ids: &[KeyId],
) -> Handle<'h, H> {
    let before = read_all(&store, ids);
    let store = store.reopened();
    assert_eq!(
        read_all(&store, ids),
        before,
        "a handle that was opened later returns other records"
    );
    store
}
