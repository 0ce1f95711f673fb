//! Walks over all pages of a list.

use crate::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Timestamp, Workspace,
    conformance::{fixture::now, handle::Handle, harness::Harness},
};

/// Creates a list of all keys in a workspace, on one page.
pub(super) fn everything() -> ListKeys<KeyId> {
    ListKeys::new().with_limit(1_000)
}

/// Returns the ids of the keys.
pub(super) fn ids<'k>(keys: impl IntoIterator<Item = &'k Key>) -> Vec<KeyId> {
    keys.into_iter().map(|key| key.id).collect()
}

/// Returns the keys on all pages from the first, following the cursors. Calls `between` after each
/// page.
pub(super) fn walk<H: Harness>(
    store: &Handle<'_, H>,
    tenant: &Workspace,
    list: &ListKeys<KeyId>,
    between: impl FnMut(&Page<KeyId>),
) -> Vec<Key> {
    walk_as(store, tenant, Environment::Live, list, now(), between)
}

/// Like [`walk`], as a caller of this environment at this time.
pub(super) fn walk_as<H: Harness>(
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
            "returned a total for a page by cursor, or none for a page by offset: {listing:?}"
        );
        assert!(
            page.keys.len() <= listing.limit as usize,
            "returned more keys than the limit of the page"
        );
        between(&page);
        let last = page.keys.last().map(|key| key.id);
        keys.extend(page.keys);
        let Some(next) = page.next else { return keys };
        assert_eq!(
            Some(next),
            last,
            "returned a cursor other than the last key of the page"
        );
        listing.start = ListStart::After(next);
    }
}
