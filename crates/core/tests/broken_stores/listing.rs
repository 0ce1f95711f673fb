//! Clause 10 broken.

use async_trait::async_trait;
use keywright_core::{
    Environment, Key, KeyId, KeyStore, ListKeys, ListStart, MemoryStore, Page, StoreError,
    Timestamp, Workspace,
};

use crate::{caught::assert_caught, fault::Fault};

/// Says of each full page that another one follows.
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
    assert_caught::<AlwaysNext>(&["listing"]);
}

/// Begins anew after a key that is not there.
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
    assert_caught::<CursorNeedsKey>(&["listing"]);
}

/// Loses its place when the filter no longer leaves the key that the cursor names.
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
fn a_cursor_that_is_lost_when_its_key_is_revoked_is_caught() {
    // One of the lists that tenancy makes begins at an id that no key has, too.
    assert_caught::<CursorNeedsMatch>(&["tenancy", "listing"]);
}

/// Counts without the filters.
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
fn a_total_of_other_keys_is_caught() {
    assert_caught::<CountsAll>(&["listing"]);
}

/// Folds letters of ASCII alone.
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
fn a_search_for_ascii_alone_is_caught() {
    assert_caught::<AsciiSearch>(&["listing"]);
}

/// Shows keys of one millisecond in the order in which they sort, and not the other way round.
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
            .chunk_by_mut(|one, other| time(one) == time(other))
        {
            same.reverse();
        }
        Ok(page)
    }
}

#[test]
fn keys_of_one_millisecond_in_another_order_are_caught() {
    assert_caught::<TiesReversed>(&["listing"]);
}
