//! Listing the keys of a workspace.

use std::{collections::HashMap, sync::Arc};

use keywright_core::{
    Environment, EventOrder, Key, KeyId, ListKeys, ListStart, Page, Timestamp, Workspace,
    store::{Lease, fold_case},
};
use redis::Cmd;
use tokio::task::JoinSet;

use super::{find::find_in_walk, index, orphan_entries::OrphanEntries, stored::parse_id};
use crate::{
    error::{Error, Result},
    names::Indexed,
    servers::Servers,
    walk_limit::WalkLimits,
};

/// The maximum number of entries that are read in one step.
const STEP: u64 = 512;

/// The state that all lists of a store share.
pub(crate) struct ListContext {
    pub(crate) servers: Arc<Servers>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) orphans: Arc<OrphanEntries<KeyId>>,
    pub(crate) limits: Arc<WalkLimits>,
}

/// Returns one page.
pub(crate) async fn list(
    context: &ListContext,
    workspace: &Workspace,
    environment: Environment,
    list: &ListKeys<KeyId>,
    now: Timestamp,
) -> Result<Page<KeyId>> {
    let _permit = context.limits.lists.acquire(Some(workspace)).await?;
    let names = context.servers.names();
    let query = ListQuery {
        context,
        workspace,
        environment,
        list,
        now,
        index: names.index(Indexed::Keys, workspace, environment, list.owner.as_ref()),
        search: list.search.as_deref().map(fold_case),
    };
    query.page().await
}

struct ListQuery<'a> {
    context: &'a ListContext,
    workspace: &'a Workspace,
    environment: Environment,
    list: &'a ListKeys<KeyId>,
    now: Timestamp,
    /// The name of the index.
    index: Vec<u8>,
    /// The search text in folded case.
    search: Option<String>,
}

/// A walk through the entries of an index, and what it has found.
struct Walk {
    keys: Vec<Key>,
    /// The number of entries that the walk may still read.
    budget: u64,
    /// The last entry that the walk has read.
    last: Option<KeyId>,
    /// Whether the walk has read all entries.
    ended: bool,
}

impl Walk {
    fn new(after: Option<KeyId>, servers: &Servers) -> Self {
        Self {
            keys: Vec::new(),
            budget: servers.list_limit(),
            last: after,
            ended: false,
        }
    }

    /// Returns how many of the `wanted` keys the walk has not found yet.
    fn missing(&self, wanted: u64) -> u64 {
        wanted.saturating_sub(self.keys.len() as u64)
    }

    /// Counts the entries that a step of the walk has read.
    fn read(&mut self, ids: &[KeyId], step: u64) {
        self.ended = (ids.len() as u64) < step;
        self.budget = self.budget.saturating_sub(step);
        self.last = ids.last().copied().or(self.last);
    }

    const fn may_continue(&self) -> bool {
        !self.ended && self.budget > 0
    }

    /// Returns the page. If the walk has used up its budget, the next page continues after the last
    /// entry that it has read.
    fn into_page(self, limit: u32, total: Option<u64>) -> Page<KeyId> {
        let mut page = Page::cut(self.keys, limit, total);
        if !self.ended && self.budget == 0 && page.next.is_none() {
            page.next = self.last;
        }
        page
    }
}

impl ListQuery<'_> {
    async fn page(&self) -> Result<Page<KeyId>> {
        let limit = self.list.limit;
        // One key more than the page shows whether there is a next page.
        let wanted = u64::from(limit) + 1;
        match self.list.start {
            ListStart::After(id) => {
                let mut walk = Walk::new(Some(id), &self.context.servers);
                self.continue_walk(&mut walk, wanted).await?;
                Ok(walk.into_page(limit, None))
            }
            ListStart::Offset(offset) if self.is_filtered() => {
                let (walk, total) = self.matching_at(offset, wanted).await?;
                Ok(walk.into_page(limit, total))
            }
            ListStart::Offset(offset) => {
                let total = index::count(&self.context.servers, &self.index).await?;
                let walk = self.at(offset, total, wanted).await?;
                Ok(walk.into_page(limit, Some(total)))
            }
        }
    }

    /// Whether the page leaves out keys of the index.
    const fn is_filtered(&self) -> bool {
        self.list.status.is_some() || self.search.is_some() || self.list.imported
    }

    /// Adds matching keys until there are at least `wanted`. The last step may add a few more.
    async fn continue_walk(&self, walk: &mut Walk, wanted: u64) -> Result<()> {
        while walk.may_continue() && walk.missing(wanted) > 0 {
            let step = if self.is_filtered() {
                STEP
            } else {
                walk.missing(wanted).min(STEP)
            };
            let found = self.step(walk, step).await?;
            walk.keys.extend(found);
        }
        Ok(())
    }

    /// Returns up to `wanted` matching keys from an offset, and the number of all matching keys.
    /// The number is `None` if the walk stops before it has read all entries. Holds at most a page
    /// and a step in memory.
    async fn matching_at(&self, offset: u64, wanted: u64) -> Result<(Walk, Option<u64>)> {
        let mut walk = Walk::new(None, &self.context.servers);
        let mut total = 0;
        while walk.may_continue() {
            for key in self.step(&mut walk, STEP).await? {
                if total >= offset && walk.missing(wanted) > 0 {
                    walk.keys.push(key);
                }
                total += 1;
            }
        }
        let total = walk.ended.then_some(total);
        Ok((walk, total))
    }

    /// Returns the matching keys among the next entries.
    async fn step(&self, walk: &mut Walk, step: u64) -> Result<Vec<Key>> {
        let step = step.min(walk.budget);
        let after = walk.last.as_ref().map(KeyId::as_bytes);
        let entries = index::entries_after(&self.index, after, EventOrder::NewestFirst, step);
        let ids = self.read(entries).await?;
        walk.read(&ids, step);
        self.matching(ids).await
    }

    /// Returns up to `wanted` keys from an offset among all `total` entries.
    async fn at(&self, offset: u64, total: u64, wanted: u64) -> Result<Walk> {
        let mut walk = Walk::new(None, &self.context.servers);
        if offset >= total {
            walk.ended = true;
            return Ok(walk);
        }
        let step = wanted.min(STEP).min(walk.budget);
        let entries = index::entries_at(&self.index, offset, step);
        let ids = self.read(entries).await?;
        walk.read(&ids, step);
        walk.keys = self.matching(ids).await?;
        self.continue_walk(&mut walk, wanted).await?;
        Ok(walk)
    }

    /// Returns the keys with these ids that match, in the same order. Removes entries that belong
    /// to no key of this list.
    async fn matching(&self, ids: Vec<KeyId>) -> Result<Vec<Key>> {
        let mut finds = JoinSet::new();
        for id in &ids {
            let id = *id;
            let servers = Arc::clone(&self.context.servers);
            let lease = Arc::clone(&self.context.lease);
            finds.spawn(async move { (id, find_in_walk(&servers, &lease, &id).await) });
        }
        let mut found = HashMap::new();
        while let Some(result) = finds.join_next().await {
            let (id, record) = result.map_err(|_| Error::Stopped)?;
            match record? {
                Some(record) if self.is_listed(&record.key) => {
                    found.insert(id, record.key);
                }
                // An insert added the entry, and then failed because the id belongs to another
                // record.
                Some(_) => self.remove_entry(&id).await?,
                None if self.is_overdue(id) => self.remove_entry(&id).await?,
                None => {}
            }
        }
        let keys = ids.iter().filter_map(|id| found.remove(id));
        Ok(keys.filter(|key| self.matches(key)).collect())
    }

    /// Whether an entry without a record should be removed.
    fn is_overdue(&self, id: KeyId) -> bool {
        let ListContext { orphans, lease, .. } = self.context;
        orphans.is_overdue(id, lease.now())
    }

    fn is_listed(&self, key: &Key) -> bool {
        key.workspace == *self.workspace
            && self.environment.covers(key.environment)
            && (self.list.owner.is_none() || self.list.owner == key.owner)
    }

    fn matches(&self, key: &Key) -> bool {
        self.list
            .status
            .is_none_or(|status| key.status(self.now) == status)
            && (key.imported || !self.list.imported)
            && self
                .search
                .as_ref()
                .is_none_or(|text| fold_case(key.name.as_str()).contains(text))
    }

    async fn read(&self, entries: Cmd) -> Result<Vec<KeyId>> {
        index::read(&self.context.servers, &self.index, entries, parse_id).await
    }

    async fn remove_entry(&self, id: &KeyId) -> Result<()> {
        index::remove_entry(&self.context.servers, &self.index, id.as_bytes()).await
    }
}
