//! Clause 10: pages of keys.

mod filters;

use super::{
    Harness,
    fixture::{now, record_in, unused_id, workspace},
    handle::Handle,
};
use crate::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Record, Status, Timestamp, Workspace,
};

/// Clause 10, listing. That a page by cursor costs O(page) is for a benchmark to show.
pub fn listing(harness: &impl Harness) {
    let [store, other, _] = &Handle::open_three(harness);
    newest_first(store);
    ids_are_compared_as_bytes(store);
    pages_by_cursor(store);
    pages_while_keys_come_and_go(store, other);
    cursors_need_no_key(store);
    pages_by_offset(store);
    filters::filters(store);
}

/// Everything in a workspace, on one page.
fn everything() -> ListKeys<KeyId> {
    ListKeys::new().with_limit(1_000)
}

fn ids<'k>(keys: impl IntoIterator<Item = &'k Key>) -> Vec<KeyId> {
    keys.into_iter().map(|key| key.id).collect()
}

/// Keys of a workspace that the rest of the suite does not use, the newest first.
fn add_keys<H: Harness>(store: &Handle<'_, H>, tenant: &str, count: usize) -> Vec<Key> {
    let mut records: Vec<Record> = (0..count).map(|_| record_in(tenant, "key")).collect();
    // Inserted in another order than they were made in.
    for start in 0..3 {
        for record in records.iter().skip(start).step_by(3) {
            store.add(record.clone());
        }
    }
    records.reverse();
    records.into_iter().map(|record| record.key).collect()
}

/// All pages from one on, each begun by the cursor of the one before.
fn walk<H: Harness>(
    store: &Handle<'_, H>,
    tenant: &Workspace,
    list: &ListKeys<KeyId>,
    between: impl FnMut(&Page<KeyId>),
) -> Vec<Key> {
    walk_as(store, tenant, Environment::Live, list, now(), between)
}

/// All pages that a caller of this environment sees at this time.
fn walk_as<H: Harness>(
    store: &Handle<'_, H>,
    tenant: &Workspace,
    environment: Environment,
    list: &ListKeys<KeyId>,
    now: Timestamp,
    mut between: impl FnMut(&Page<KeyId>),
) -> Vec<Key> {
    let mut listing = list.clone();
    let mut keys = Vec::new();
    loop {
        let page = store.list_as(tenant, environment, &listing, now);
        let by_offset = matches!(listing.start, ListStart::Offset(_));
        assert_eq!(
            page.total.is_some(),
            by_offset,
            "a total is told by offset only: {listing:?}"
        );
        assert!(
            page.keys.len() <= listing.limit as usize,
            "a page is longer than its limit"
        );
        between(&page);
        let last = page.keys.last().map(|key| key.id);
        keys.extend(page.keys);
        let Some(next) = page.next else { return keys };
        assert_eq!(
            Some(next),
            last,
            "the next page starts after the last key of this one"
        );
        listing.start = ListStart::After(next);
    }
}

fn newest_first<H: Harness>(store: &Handle<'_, H>) {
    let keys = add_keys(store, "order", 7);
    let page = store.list(&workspace("order"), &everything());
    assert_eq!(
        page.keys, keys,
        "a list has all keys, the newest first, as they were inserted"
    );
    assert_eq!(
        (page.next, page.total),
        (None, Some(7)),
        "one page holds them all"
    );
}

fn ids_are_compared_as_bytes<H: Harness>(store: &Handle<'_, H>) {
    // Of one millisecond, and in the order of ASCII: digits, upper case, lower case.
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
            "ids are ordered as bytes, for pages of {limit}"
        );
    }
}

fn pages_by_cursor<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("cursor");
    let keys = add_keys(store, "cursor", 12);
    // 1, 3, 6 and 12 end with a full page.
    for limit in [1, 3, 5, 6, 11, 12, 13, u32::MAX] {
        let listing = everything().with_limit(limit);
        let mut pages = 0;
        let walked = walk(store, &tenant, &listing, |_| pages += 1);
        assert_eq!(walked, keys, "pages of {limit} show each key exactly once");
        assert_eq!(
            pages,
            12u32.div_ceil(limit),
            "the last of the pages of {limit} has no next"
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
            "a page holds the keys after its cursor"
        );
    }
}

fn pages_while_keys_come_and_go<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let tenant = workspace("changing");
    let keys = ids(&add_keys(store, "changing", 10));
    let mut shown = 0;
    let walked = walk(store, &tenant, &everything().with_limit(3), |page| {
        // One newer key, and a revocation on this page (the cursor itself) and on the next.
        other.add(record_in("changing", "newer"));
        shown += page.keys.len();
        for id in [shown - 1, shown + 1]
            .into_iter()
            .filter_map(|index| keys.get(index))
        {
            other.withdraw(&other.read(id));
        }
    });
    assert_eq!(
        ids(&walked),
        keys,
        "keys that come and go between pages make others come and go"
    );
    let walked = walk(store, &tenant, &everything().with_limit(3), |_| ());
    assert_eq!(
        walked.len(),
        14,
        "what came between the pages is listed by the next walk"
    );

    // Under a filter what is revoked leaves, and all others are still shown once.
    let active = everything().with_status(Status::Active).with_limit(2);
    let before = store.list(&tenant, &active.clone().with_limit(1_000)).keys;
    let walked = walk(store, &tenant, &active, |page| {
        if let Some(last) = page.keys.last() {
            other.withdraw(&other.read(&last.id));
        }
    });
    assert_eq!(
        ids(&walked),
        ids(&before),
        "a revoked cursor still tells where to go on"
    );
}

fn cursors_need_no_key<H: Harness>(store: &Handle<'_, H>) {
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
            "a cursor is a place, not a key: after {cursor}"
        );
        assert_eq!((page.next, page.total), (None, None), "after {cursor}");
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
        assert_eq!(page.keys, rest[..cut], "a page by offset, for {listing:?}");
        assert_eq!(
            page.total,
            Some(6),
            "the total is that of all pages, for {listing:?}"
        );
        let next = (cut < rest.len()).then(|| rest[cut - 1].id);
        assert_eq!(
            page.next, next,
            "a page by offset tells where the next one starts: {listing:?}"
        );
    }
    for beyond in [6, 7, 1_000, i64::MAX as u64, u64::MAX] {
        let page = store.list(&tenant, &everything().with_start(ListStart::Offset(beyond)));
        assert_eq!(page.keys, [], "offset {beyond} is beyond the end");
        assert_eq!(
            (page.next, page.total),
            (None, Some(6)),
            "offset {beyond} is beyond the end"
        );
    }
}
