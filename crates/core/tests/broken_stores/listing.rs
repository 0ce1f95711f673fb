//! Stores that break clause 10.

use std::{collections::BTreeSet, fmt::Debug, marker::PhantomData};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, Key, KeyId, ListKeys, ListStart, MemoryStore, Owner, Page, Status,
    Timestamp, Workspace,
    store::{KeyStore, Record, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared},
};

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

/// A rule by which a store decides whether a key belongs to an owner.
trait OwnerRule: Clone + Debug + Default + Send + Sync + 'static {
    /// Whether the list also searches other workspaces.
    const ALL_WORKSPACES: bool = false;

    fn matches(owner: &Owner, key: &Key) -> bool;
}

/// A list whose filter by owner follows another rule.
#[derive(Clone, Debug, Default)]
struct ListsByOwner<R> {
    workspaces: Shared<BTreeSet<Workspace>>,
    rule: PhantomData<R>,
}

#[async_trait]
impl<R: OwnerRule> Fault for ListsByOwner<R> {
    async fn insert(
        &self,
        inner: &MemoryStore,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let workspace = record.key.workspace.clone();
        self.workspaces
            .with(|workspaces| workspaces.insert(workspace));
        inner.insert(record, now, event).await
    }

    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let Some(owner) = &list.owner else {
            return inner.list(workspace, environment, list, now).await;
        };
        let mut everything = list.clone();
        everything.owner = None;
        everything.start = ListStart::Offset(0);
        everything.limit = u32::MAX;
        let workspaces = if R::ALL_WORKSPACES {
            self.workspaces.with(|workspaces| workspaces.clone())
        } else {
            BTreeSet::from([workspace.clone()])
        };
        let mut keys = Vec::new();
        for workspace in &workspaces {
            let page = inner.list(workspace, environment, &everything, now).await?;
            keys.extend(page.keys);
        }
        keys.retain(|key| R::matches(owner, key));
        keys.sort_by_key(|key| std::cmp::Reverse(key.id));
        let total = keys.len() as u64;
        match list.start {
            ListStart::After(id) => {
                keys.retain(|key| key.id < id);
                Ok(Page::cut(keys, list.limit, None))
            }
            ListStart::Offset(offset) => {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                let keys = keys.into_iter().skip(offset).collect();
                Ok(Page::cut(keys, list.limit, Some(total)))
            }
        }
    }
}

macro_rules! a_list_by_owner_is_caught {
    ($($test:ident: $rule:ident, $matches:expr;)+) => {
        $(
            #[derive(Clone, Debug, Default)]
            struct $rule;

            impl OwnerRule for $rule {
                fn matches(owner: &Owner, key: &Key) -> bool {
                    let matches: fn(&str, Option<&str>) -> bool = $matches;
                    matches(owner.as_str(), key.owner.as_ref().map(Owner::as_str))
                }
            }

            #[test]
            fn $test() {
                assert_fails_only::<ListsByOwner<$rule>>(&["listing"]);
            }
        )+
    };
}

a_list_by_owner_is_caught! {
    a_list_that_ignores_the_owner_is_caught: IgnoresOwner, |_, _| true;
    a_list_with_keys_without_an_owner_is_caught: OwnedByNone, |owner, of_key| {
        of_key.is_none_or(|of_key| of_key == owner)
    };
    a_list_by_a_prefix_of_the_owner_is_caught: OwnerPrefix, |owner, of_key| {
        of_key.is_some_and(|of_key| of_key.starts_with(owner))
    };
    a_list_that_ignores_the_case_of_the_owner_is_caught: OwnerCase, |owner, of_key| {
        of_key.is_some_and(|of_key| of_key.eq_ignore_ascii_case(owner))
    };
    a_list_that_compares_127_bytes_of_the_owner_is_caught: OwnerCut, |owner, of_key| {
        let cut = |text: &str| text.chars().take(127).collect::<String>();
        of_key.is_some_and(|of_key| cut(of_key) == cut(owner))
    };
}

/// A list of the keys of owners with this name in all workspaces.
#[derive(Clone, Debug, Default)]
struct OwnerAnywhere;

impl OwnerRule for OwnerAnywhere {
    const ALL_WORKSPACES: bool = true;

    fn matches(owner: &Owner, key: &Key) -> bool {
        key.owner.as_ref() == Some(owner)
    }
}

#[test]
fn a_list_of_an_owner_in_another_workspace_is_caught() {
    assert_fails_only::<ListsByOwner<OwnerAnywhere>>(&["listing"]);
}

/// No fault: a list by owner that follows the rule.
#[derive(Clone, Debug, Default)]
struct SameOwner;

impl OwnerRule for SameOwner {
    fn matches(owner: &Owner, key: &Key) -> bool {
        key.owner.as_ref() == Some(owner)
    }
}

#[test]
fn a_list_of_exactly_the_keys_of_an_owner_passes() {
    assert_fails_only::<ListsByOwner<SameOwner>>(&[]);
}

/// A total that ignores the filter by owner.
#[derive(Clone, Debug, Default)]
struct CountsAllOwners;

#[async_trait]
impl Fault for CountsAllOwners {
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
            unfiltered.owner = None;
            page.total = inner
                .list(workspace, environment, &unfiltered, now)
                .await?
                .total;
        }
        Ok(page)
    }
}

#[test]
fn a_total_of_all_owners_is_caught() {
    assert_fails_only::<CountsAllOwners>(&["listing"]);
}

/// An index of owners that misses the successors of rotations.
#[derive(Clone, Debug, Default)]
struct SuccessorsWithoutOwner;

#[async_trait]
impl Fault for SuccessorsWithoutOwner {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut page = inner.list(workspace, environment, list, now).await?;
        if list.owner.is_some() {
            page.keys.retain(|key| key.predecessor.is_none());
        }
        Ok(page)
    }
}

#[test]
fn a_list_by_owner_without_successors_is_caught() {
    assert_fails_only::<SuccessorsWithoutOwner>(&["listing"]);
}

/// A filter by status that returns the active keys in place of the disabled ones.
#[derive(Clone, Debug, Default)]
struct DisabledIsActive;

#[async_trait]
impl Fault for DisabledIsActive {
    async fn list(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut list = list.clone();
        if list.status == Some(Status::Disabled) {
            list.status = Some(Status::Active);
        }
        inner.list(workspace, environment, &list, now).await
    }
}

#[test]
fn a_list_of_active_keys_as_disabled_is_caught() {
    assert_fails_only::<DisabledIsActive>(&["listing"]);
}
