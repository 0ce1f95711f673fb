//! Clause 10: lists of keys, page by page.

mod filters;
mod owner;
mod walk;

use self::walk::{everything, ids, walk};
use super::{
    fixture::{record_in, unused_id, workspace},
    handle::Handle,
    harness::Harness,
};
use crate::{Key, KeyId, ListStart, Status, store::Record};

/// Tests clause 10, listing. Benchmarks measure the cost of a page.
pub fn listing(harness: &impl Harness) {
    let [store, other, _] = &Handle::open_three(harness);
    keys_are_listed_newest_first(store);
    ids_are_ordered_as_bytes(store);
    pages_by_cursor(store);
    pages_by_cursor_are_stable_during_changes(store, other);
    cursor_need_not_be_an_existing_key(store);
    pages_by_offset(store);
    filters::filters(store);
    owner::owner(store, other);
}

/// Inserts keys into a workspace that the rest of the suite does not use, and returns them newest
/// first.
fn add_keys<H: Harness>(store: &Handle<'_, H>, tenant: &str, count: usize) -> Vec<Key> {
    let mut records: Vec<Record> = (0..count).map(|_| record_in(tenant, "key")).collect();
    // The order of the inserts differs from the order of the ids.
    for start in 0..3 {
        for record in records.iter().skip(start).step_by(3) {
            store.add(record.clone());
        }
    }
    records.reverse();
    records.into_iter().map(|record| record.key).collect()
}

fn keys_are_listed_newest_first<H: Harness>(store: &Handle<'_, H>) {
    let keys = add_keys(store, "order", 7);
    let page = store.list(&workspace("order"), &everything());
    assert_eq!(
        page.keys, keys,
        "did not list all keys as they were inserted, newest first"
    );
    assert_eq!(
        (page.next, page.total),
        (None, Some(7)),
        "returned a cursor or the wrong total for a list on one page"
    );
}

fn ids_are_ordered_as_bytes<H: Harness>(store: &Handle<'_, H>) {
    // All ids are from one millisecond. In ASCII, digits sort before upper case, and upper case
    // before lower case.
    let newest_first = [
        b"0U5lKtf6aaa0000b",
        b"0U5lKtf6aaa0000a",
        b"0U5lKtf6aaa0000B",
        b"0U5lKtf6aaa00009",
        b"0U5lKtf6AAA0000z",
        b"0U5lKtf60000000z",
    ]
    .map(|id| KeyId::from_bytes(id).unwrap());
    for index in [3, 0, 5, 2, 4, 1] {
        let mut record = record_in("bytes", "key");
        record.key.id = newest_first[index];
        store.add(record);
    }
    for limit in [1, 100] {
        let listing = everything().with_limit(limit);
        let keys = walk(store, &workspace("bytes"), &listing, |_| ());
        assert_eq!(
            ids(&keys),
            newest_first,
            "did not order ids as bytes, on pages of {limit}"
        );
    }
}

fn pages_by_cursor<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("cursor");
    let keys = add_keys(store, "cursor", 12);
    // With a limit of 1, 3, 6 or 12, the last page is full.
    for limit in [1, 3, 5, 6, 11, 12, 13, u32::MAX] {
        let listing = everything().with_limit(limit);
        let mut pages = 0;
        let walked = walk(store, &tenant, &listing, |_| pages += 1);
        assert_eq!(
            walked, keys,
            "pages of {limit} do not show each key exactly once"
        );
        assert_eq!(
            pages,
            12u32.div_ceil(limit),
            "returned the wrong number of pages of {limit}"
        );
    }
    for (index, key) in keys.iter().enumerate() {
        let listing = everything()
            .with_start(ListStart::After(key.id))
            .with_limit(3);
        let page = store.list(&tenant, &listing);
        let expected: Vec<Key> = keys.iter().skip(index + 1).take(3).cloned().collect();
        assert_eq!(
            page.keys, expected,
            "a page does not start with the key after its cursor"
        );
    }
}

fn pages_by_cursor_are_stable_during_changes<H: Harness>(
    store: &Handle<'_, H>,
    other: &Handle<'_, H>,
) {
    let tenant = workspace("changing");
    let keys = ids(&add_keys(store, "changing", 10));
    let mut shown = 0;
    let walked = walk(store, &tenant, &everything().with_limit(3), |page| {
        // Insert a newer key. Revoke the last key on this page, which is the cursor, and a key on
        // the next page.
        other.add(record_in("changing", "newer"));
        shown += page.keys.len();
        for id in [shown - 1, shown + 1]
            .into_iter()
            .filter_map(|index| keys.get(index))
        {
            other.revoke_key(&other.read(id));
        }
    });
    assert_eq!(
        ids(&walked),
        keys,
        "inserts and revocations between pages changed which older keys a walk shows"
    );
    let walked = walk(store, &tenant, &everything().with_limit(3), |_| ());
    assert_eq!(
        walked.len(),
        14,
        "a second walk does not show the keys that were inserted during the first"
    );

    // With a filter by status, a revoked key leaves the list. Each other key is still shown once.
    let active = everything().with_status(Status::Active).with_limit(2);
    let before = store.list(&tenant, &active.clone().with_limit(1_000)).keys;
    let walked = walk(store, &tenant, &active, |page| {
        if let Some(last) = page.keys.last() {
            other.revoke_key(&other.read(&last.id));
        }
    });
    assert_eq!(
        ids(&walked),
        ids(&before),
        "a page after a revoked cursor starts at the wrong key"
    );
}

fn cursor_need_not_be_an_existing_key<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("gaps");
    let oldest = unused_id();
    let first = store.add(record_in("gaps", "first")).key;
    let between = unused_id();
    let second = store.add(record_in("gaps", "second")).key;
    let newest = unused_id();
    let elsewhere = store
        .add(record_in("gaps/other", "of another workspace"))
        .key
        .id;
    for (cursor, expected) in [
        (elsewhere, vec![second.id, first.id]),
        (newest, vec![second.id, first.id]),
        (second.id, vec![first.id]),
        (between, vec![first.id]),
        (first.id, vec![]),
        (oldest, vec![]),
        (
            KeyId::from_bytes(&[b'z'; 16]).unwrap(),
            vec![second.id, first.id],
        ),
        (KeyId::from_bytes(&[b'0'; 16]).unwrap(), vec![]),
    ] {
        let page = store.list(&tenant, &everything().with_start(ListStart::After(cursor)));
        assert_eq!(
            ids(&page.keys),
            expected,
            "listed the wrong keys after the cursor {cursor}"
        );
        assert_eq!(
            (page.next, page.total),
            (None, None),
            "returned a cursor or a total for the last page, after {cursor}"
        );
    }
}

fn pages_by_offset<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("offset");
    let keys = add_keys(store, "offset", 6);
    for (offset, limit) in [
        (0, 2),
        (0, 6),
        (1, 5),
        (2, 3),
        (4, 2),
        (5, 1),
        (5, 9),
        (3, u32::MAX),
    ] {
        let listing = everything()
            .with_start(ListStart::Offset(offset as u64))
            .with_limit(limit);
        let page = store.list(&tenant, &listing);
        let rest = &keys[offset..];
        let cut = rest.len().min(limit as usize);
        assert_eq!(
            page.keys,
            rest[..cut],
            "listed the wrong keys for {listing:?}"
        );
        assert_eq!(
            page.total,
            Some(6),
            "returned the wrong total for {listing:?}"
        );
        let next = (cut < rest.len()).then(|| rest[cut - 1].id);
        assert_eq!(page.next, next, "returned the wrong cursor for {listing:?}");
    }
    for beyond in [6, 7, 1_000, i64::MAX as u64, u64::MAX] {
        let page = store.list(&tenant, &everything().with_start(ListStart::Offset(beyond)));
        assert_eq!(
            page.keys,
            [],
            "listed keys at offset {beyond}, beyond the end"
        );
        assert_eq!(
            (page.next, page.total),
            (None, Some(6)),
            "returned a cursor or the wrong total at offset {beyond}, beyond the end"
        );
    }
}
