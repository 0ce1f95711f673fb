//! Listing the keys of a workspace.

use std::{collections::HashMap, sync::Arc};

use keywright_core::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Timestamp, Workspace, fold_case,
};
use redis::{Cmd, Value, cmd};
use tokio::task::JoinSet;

use super::{Dangling, find::find};
use crate::{
    error::{Error, Result},
    request::{Effect, Request},
    servers::Servers,
};

/// Most entries that are looked at in one step.
const STEP: u64 = 512;

/// One page.
pub(crate) async fn list(
    servers: &Arc<Servers>,
    dangling: &Dangling,
    workspace: &Workspace,
    environment: Environment,
    list: &ListKeys<KeyId>,
    now: Timestamp,
) -> Result<Page<KeyId>> {
    let walk = Walk {
        servers,
        dangling,
        workspace,
        environment,
        list,
        now,
        search: list.search.as_deref().map(fold_case),
    };
    walk.page().await
}

struct Walk<'a> {
    servers: &'a Arc<Servers>,
    dangling: &'a Dangling,
    workspace: &'a Workspace,
    environment: Environment,
    list: &'a ListKeys<KeyId>,
    now: Timestamp,
    search: Option<String>,
}

impl Walk<'_> {
    async fn page(&self) -> Result<Page<KeyId>> {
        let limit = self.list.limit;
        let filtered = self.list.status.is_some() || self.search.is_some();
        let wanted = u64::from(limit) + 1;
        match self.list.start {
            ListStart::After(id) => Ok(Page::cut(self.after(Some(id), wanted).await?, limit, None)),
            ListStart::Offset(offset) if filtered => {
                let (keys, total) = self.matching_at(offset, wanted).await?;
                Ok(Page::cut(keys, limit, Some(total)))
            }
            ListStart::Offset(offset) => {
                let total = self.count().await?;
                let keys = self.at(offset, total, wanted).await?;
                Ok(Page::cut(keys, limit, Some(total)))
            }
        }
    }

    /// Keys after an id.
    async fn after(&self, id: Option<KeyId>, wanted: u64) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        let mut last = id;
        loop {
            let step = wanted.saturating_sub(keys.len() as u64).min(STEP);
            let ids = self.ids(self.entries_after(last, step)).await?;
            let ended = (ids.len() as u64) < step;
            last = ids.last().copied();
            keys.extend(self.matching(ids).await?);
            if ended || keys.len() as u64 >= wanted {
                return Ok(keys);
            }
        }
    }

    /// Those that match from a place among them on, and how many match at all. However many that are,
    /// no more than a page and a step are held.
    async fn matching_at(&self, offset: u64, wanted: u64) -> Result<(Vec<Key>, u64)> {
        let mut keys = Vec::new();
        let mut total = 0;
        let mut last = None;
        loop {
            let ids = self.ids(self.entries_after(last, STEP)).await?;
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

    /// Asks for entries after an id, or for the newest.
    fn entries_after(&self, id: Option<KeyId>, step: u64) -> Cmd {
        let mut range = cmd("ZRANGE");
        range.arg(self.index());
        match id {
            Some(id) => range.arg([b"(", id.as_bytes().as_slice()].concat()),
            None => range.arg("+"),
        };
        range.arg("-").arg("BYLEX").arg("REV");
        range.arg("LIMIT").arg(0).arg(step);
        range
    }

    /// Keys from a place on.
    async fn at(&self, offset: u64, total: u64, wanted: u64) -> Result<Vec<Key>> {
        if offset >= total {
            return Ok(Vec::new());
        }
        let step = wanted.min(STEP);
        let mut range = cmd("ZRANGE");
        range
            .arg(self.index())
            .arg(offset)
            .arg(offset.saturating_add(step) - 1)
            .arg("REV");
        let ids = self.ids(range).await?;
        let ended = (ids.len() as u64) < step;
        let last = ids.last().copied();
        let mut keys = self.matching(ids).await?;
        let missing = wanted.saturating_sub(keys.len() as u64);
        if !ended && missing > 0 {
            keys.extend(self.after(last, missing).await?);
        }
        Ok(keys)
    }

    /// How many entries there are, those without a record included.
    async fn count(&self) -> Result<u64> {
        let index = self.index();
        let mut count = cmd("ZCARD");
        count.arg(&index);
        let request = Request::new(&index, Effect::Reads, count);
        match self.servers.run(request).await?.value {
            Value::Int(count) => Ok(count.unsigned_abs()),
            _ => Err(Error::Unexpected("answer to ZCARD")),
        }
    }

    async fn ids(&self, range: Cmd) -> Result<Vec<KeyId>> {
        let request = Request::new(&self.index(), Effect::Reads, range);
        let Value::Array(entries) = self.servers.run(request).await?.value else {
            return Err(Error::Unexpected("answer to ZRANGE"));
        };
        entries
            .into_iter()
            .map(|entry| match entry {
                Value::BulkString(id) => KeyId::from_bytes(&id).ok(),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or(Error::Unexpected("list of ids"))
    }

    /// The keys of these ids that match, in their order.
    async fn matching(&self, ids: Vec<KeyId>) -> Result<Vec<Key>> {
        let mut running = JoinSet::new();
        for id in &ids {
            let id = *id;
            let servers = Arc::clone(self.servers);
            running.spawn(async move { (id, find(&servers, &id).await) });
        }
        let mut found = HashMap::new();
        while let Some(outcome) = running.join_next().await {
            let (id, record) = outcome.map_err(|_| Error::Ended)?;
            match record? {
                Some(record) if self.is_listed(&record.key) => {
                    found.insert(id, record.key);
                }
                // The entry is of an insert that was refused: the id is another's.
                Some(_) => self.drop_entry(&id).await?,
                None => {
                    if self
                        .dangling
                        .is_over(id, self.servers.hearing().lease().now())
                    {
                        self.drop_entry(&id).await?;
                    }
                }
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

    async fn drop_entry(&self, id: &KeyId) -> Result<()> {
        let index = self.index();
        let mut remove = cmd("ZREM");
        remove.arg(&index).arg(id.as_bytes());
        let request = Request::new(&index, Effect::Repeatable, remove);
        self.servers.run(request).await?;
        Ok(())
    }

    fn index(&self) -> Vec<u8> {
        match self.environment {
            Environment::Live => self.servers.names().index(self.workspace),
            Environment::Test => self.servers.names().test_index(self.workspace),
        }
    }
}
