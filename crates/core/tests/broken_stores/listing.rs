//! Stores that break clause 10.

use async_trait::async_trait;
use keywright_core::{
    Environment, Key, KeyId, ListKeys, ListStart, MemoryStore, Page, Timestamp, Workspace,
    store::{KeyStore, StoreError},
};

use crate::{failed_clauses::assert_fails_only, fault::Fault};

/// A cursor on every full page, including the last.
#[derive(Clone, Debug, Default)]
struct AlwaysNext;

#[async_trait]
impl Fault for AlwaysNext {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut page = inner.list(workspace, environment, list, now).await?;
        if page.keys.len() == list.limit as usize {
            page.next = page.keys.last().map(|key| key.id);
        }
        Ok(page)
    }
}

#[test]
fn an_empty_last_page_is_caught() {
    assert_fails_only::<AlwaysNext>(&["listing"]);
}

/// A page that starts from the beginning if the cursor names no key.
#[derive(Clone, Debug, Default)]
struct CursorNeedsKey;

#[async_trait]
impl Fault for CursorNeedsKey {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut list = list.clone();
        if let ListStart::After(id) = list.start
            && inner.find(&id).await?.is_none()
        {
            list.start = ListStart::Offset(0);
            let mut page = inner.list(workspace, environment, &list, now).await?;
            page.total = None;
            return Ok(page);
        }
        inner.list(workspace, environment, &list, now).await
    }
}

#[test]
fn a_cursor_that_needs_a_key_is_caught() {
    assert_fails_only::<CursorNeedsKey>(&["listing"]);
}

/// An empty page if the filter no longer matches the key that the cursor names.
#[derive(Clone, Debug, Default)]
struct CursorNeedsMatch;

#[async_trait]
impl Fault for CursorNeedsMatch {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let page = inner.list(workspace, environment, list, now).await?;
        let ListStart::After(id) = list.start else {
            return Ok(page);
        };
        let mut filtered = list.clone();
        filtered.start = ListStart::Offset(0);
        filtered.limit = u32::MAX;
        let keys = inner
            .list(workspace, environment, &filtered, now)
            .await?
            .keys;
        match keys.iter().position(|key| key.id == id) {
            Some(_) => Ok(page),
            None => Ok(Page::cut(Vec::new(), list.limit, None)),
        }
    }
}

#[test]
fn a_cursor_that_is_invalid_once_its_key_is_revoked_is_caught() {
    // One of the lists in clause 9 also starts after an id that no key has.
    assert_fails_only::<CursorNeedsMatch>(&["tenancy", "listing"]);
}

/// A total that ignores the filter by status.
#[derive(Clone, Debug, Default)]
struct CountsAll;

#[async_trait]
impl Fault for CountsAll {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut page = inner.list(workspace, environment, list, now).await?;
        if page.total.is_some() {
            let mut unfiltered = list.clone();
            unfiltered.status = None;
            page.total = inner
                .list(workspace, environment, &unfiltered, now)
                .await?
                .total;
        }
        Ok(page)
    }
}

#[test]
fn a_total_without_the_filters_is_caught() {
    assert_fails_only::<CountsAll>(&["listing"]);
}

/// A search that folds only the case of ASCII letters.
#[derive(Clone, Debug, Default)]
struct AsciiSearch;

#[async_trait]
impl Fault for AsciiSearch {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut page = inner.list(workspace, environment, list, now).await?;
        if let Some(search) = &list.search {
            let search = search.to_ascii_lowercase();
            page.keys
                .retain(|key| key.name.as_str().to_ascii_lowercase().contains(&search));
        }
        Ok(page)
    }
}

#[test]
fn a_search_that_folds_only_ascii_is_caught() {
    assert_fails_only::<AsciiSearch>(&["listing"]);
}

/// A search that folds the case of all letters, but does not normalise.
#[derive(Clone, Debug, Default)]
struct UnnormalisedSearch;

#[async_trait]
impl Fault for UnnormalisedSearch {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut page = inner.list(workspace, environment, list, now).await?;
        if let Some(search) = &list.search {
            let fold = |text: &str| text.to_uppercase().to_lowercase();
            let search = fold(search);
            page.keys
                .retain(|key| fold(key.name.as_str()).contains(&search));
        }
        Ok(page)
    }
}

#[test]
fn a_search_that_misses_another_normalisation_form_is_caught() {
    assert_fails_only::<UnnormalisedSearch>(&["listing"]);
}

/// An ascending order, instead of a descending one, of keys from the same millisecond.
#[derive(Clone, Debug, Default)]
struct TiesReversed;

#[async_trait]
impl Fault for TiesReversed {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut page = inner.list(workspace, environment, list, now).await?;
        let time = |key: &Key| key.id.created_at();
        for same in page
            .keys
            .chunk_by_mut(|left, right| time(left) == time(right))
        {
            same.reverse();
        }
        Ok(page)
    }
}

#[test]
fn keys_of_one_millisecond_in_the_wrong_order_are_caught() {
    assert_fails_only::<TiesReversed>(&["listing"]);
}
