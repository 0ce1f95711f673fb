//! Clause 3: what was acknowledged is still there.

use super::{
    Harness,
    fixture::{at, child_of, credential, name, now, record, successor_of},
    handle::Handle,
};
use crate::{KeyId, ListKeys, Metadata, Page, Reach, Record, Rename, Retire};

/// Clause 3, durable. After each kind of write all handles are dropped, and a new one must show the
/// same; a store that ends with its process must show it to a second handle.
pub fn durable(harness: &impl Harness) {
    let store = Handle::open(harness);
    let promised = store.store().durability();

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
    let store = check_reopening(store, &ids);

    let rename = Rename::new(
        Some(name("new")),
        Some(Metadata::parse(r#"{"a":1}"#).unwrap()),
    );
    store.rename(renamed, &rename).expect("a key is renamed");
    let store = check_reopening(store, &ids);

    store
        .rehash(rehashed, &credential(9))
        .expect("a key is rehashed");
    let store = check_reopening(store, &ids);

    store
        .rotate(rotated, Retire::At(at(500)), &successor, now())
        .expect("a key is rotated");
    ids.push(successor.key.id);
    let store = check_reopening(store, &ids);

    store
        .revoke(revoked, Reach::Key, now())
        .expect("a key is revoked");
    let store = check_reopening(store, &ids);

    store
        .revoke(parent, Reach::Descendants, now())
        .expect("a key and its child are revoked");
    let store = check_reopening(store, &ids);

    store.touch(&[(renamed.key.id, at(1)), (revoked.key.id, at(2))]);
    let store = check_reopening(store, &ids);

    assert_eq!(
        store.store().durability(),
        promised,
        "a store's durability does not change"
    );
}

/// All that can be read of the records.
fn read_all<H: Harness>(store: &Handle<'_, H>, ids: &[KeyId]) -> (Vec<Record>, Page<KeyId>) {
    let records: Vec<Record> = ids.iter().map(|id| store.read(id)).collect();
    let page = store.list(&records[0].key.workspace, &ListKeys::new().with_limit(100));
    (records, page)
}

fn check_reopening<'h, H: Harness>(store: Handle<'h, H>, ids: &[KeyId]) -> Handle<'h, H> {
    let before = read_all(&store, ids);
    let store = store.reopened();
    assert_eq!(
        read_all(&store, ids),
        before,
        "another handle, opened later, shows something else"
    );
    store
}
