//! Listing the keys of a workspace.

use std::{collections::HashMap, sync::Arc};

use keywright_core::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Timestamp, Workspace,
    store::{Lease, fold_case},
};
use tokio::task::JoinSet;

use super::{find::find, index, orphan_entries::OrphanEntries};
use crate::{
    error::{Error, Result},
    servers::Servers,
};

/// The maximum number of entries that are read in one step.
const STEP: u64 = 512;

/// Returns one page.
pub(crate) async fn list(
    servers: &Arc<Servers>,
    lease: &Arc<Lease>,
    orphans: &OrphanEntries,
    workspace: &Workspace,
    environment: Environment,
    list: &ListKeys<KeyId>,
    now: Timestamp,
) -> Result<Page<KeyId>> {
    let names = servers.names();
    let query = ListQuery {
        servers,
        lease,
        orphans,
        workspace,
        environment,
        list,
        now,
        index: match environment {
            Environment::Live => names.index(workspace),
            Environment::Test => names.test_index(workspace),
        },
        search: list.search.as_deref().map(fold_case),
    };
    query.page().await
}

struct ListQuery<'a> {
    servers: &'a Arc<Servers>,
    lease: &'a Arc<Lease>,
    orphans: &'a OrphanEntries,
    workspace: &'a Workspace,
    environment: Environment,
    list: &'a ListKeys<KeyId>,
    now: Timestamp,
    /// The name of the index.
    index: Vec<u8>,
    /// The search text in folded case.
    search: Option<String>,
}

impl ListQuery<'_> {
    async fn page(&self) -> Result<Page<KeyId>> {
        let limit = self.list.limit;
        let filtered = self.list.status.is_some() || self.search.is_some();
        // One key more than the limit shows whether there is another page.
        let wanted = u64::from(limit) + 1;
        match self.list.start {
            ListStart::After(id) => Ok(Page::cut(self.after(Some(id), wanted).await?, limit, None)),
            ListStart::Offset(offset) if filtered => {
                let (keys, total) = self.matching_at(offset, wanted).await?;
                Ok(Page::cut(keys, limit, Some(total)))
            }
            ListStart::Offset(offset) => {
                let total = index::count(self.servers, &self.index).await?;
                let keys = self.at(offset, total, wanted).await?;
                Ok(Page::cut(keys, limit, Some(total)))
            }
        }
    }

    /// Returns up to `wanted` matching keys after an id.
    async fn after(&self, id: Option<KeyId>, wanted: u64) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        let mut last = id;
        loop {
            let step = wanted.saturating_sub(keys.len() as u64).min(STEP);
            let entries = index::entries_after(&self.index, last, step);
            let ids = index::read(self.servers, &self.index, entries).await?;
            let ended = (ids.len() as u64) < step;
            last = ids.last().copied();
            keys.extend(self.matching(ids).await?);
            if ended || keys.len() as u64 >= wanted {
                return Ok(keys);
            }
        }
    }

    /// Returns up to `wanted` matching keys from an offset, and the number of all matching keys.
    /// Holds at most a page and a step in memory.
    async fn matching_at(&self, offset: u64, wanted: u64) -> Result<(Vec<Key>, u64)> {
        let mut keys = Vec::new();
        let mut total = 0;
        let mut last = None;
        loop {
            let entries = index::entries_after(&self.index, last, STEP);
            let ids = index::read(self.servers, &self.index, entries).await?;
            let ended = (ids.len() as u64) < STEP;
            last = ids.last().copied();
            for key in self.matching(ids).await? {
                if total >= offset && (keys.len() as u64) < wanted {
                    keys.push(key);
                }
                total += 1;
            }
            if ended {
                return Ok((keys, total));
            }
        }
    }

    /// Returns up to `wanted` keys from an offset among all `total` entries.
    async fn at(&self, offset: u64, total: u64, wanted: u64) -> Result<Vec<Key>> {
        if offset >= total {
            return Ok(Vec::new());
        }
        let step = wanted.min(STEP);
        let entries = index::entries_at(&self.index, offset, step);
        let ids = index::read(self.servers, &self.index, entries).await?;
        let ended = (ids.len() as u64) < step;
        let last = ids.last().copied();
        let mut keys = self.matching(ids).await?;
        let missing = wanted.saturating_sub(keys.len() as u64);
        if !ended && missing > 0 {
            keys.extend(self.after(last, missing).await?);
        }
        Ok(keys)
    }

    /// Returns the keys with these ids that match, in the same order. Removes entries that belong
    /// to no key of this list.
    async fn matching(&self, ids: Vec<KeyId>) -> Result<Vec<Key>> {
        let mut finds = JoinSet::new();
        for id in &ids {
            let id = *id;
            let (servers, lease) = (Arc::clone(self.servers), Arc::clone(self.lease));
            finds.spawn(async move { (id, find(&servers, &lease, &id).await) });
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
                None if self.orphans.is_overdue(id, self.lease.now()) => {
                    self.remove_entry(&id).await?;
                }
                None => {}
            }
        }
        let keys = ids.iter().filter_map(|id| found.remove(id));
        Ok(keys.filter(|key| self.matches(key)).collect())
    }

    fn is_listed(&self, key: &Key) -> bool {
        key.workspace == *self.workspace && self.environment.covers(key.environment)
    }

    fn matches(&self, key: &Key) -> bool {
        self.list
            .status
            .is_none_or(|status| key.status(self.now) == status)
            && self
                .search
                .as_ref()
                .is_none_or(|text| fold_case(key.name.as_str()).contains(text))
    }

    async fn remove_entry(&self, id: &KeyId) -> Result<()> {
        index::remove(self.servers, &self.index, id).await?;
        Ok(())
    }
}
