//! Listing keys and looking at one.

use super::{IssueError, Issuer, authorize};
use crate::{Caller, Key, KeyId, Listing, Page, Permission, Record, Start, Status};

/// Which keys of its workspace a caller wants to see.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ListKeys {
    /// Only keys of this status.
    pub status: Option<Status>,
    /// Only keys whose name holds this text, in upper or lower case.
    pub search: Option<String>,
    /// Where the page starts.
    pub start: Start,
    /// Most keys on the page: 1 to [`MAX_LIMIT`](Self::MAX_LIMIT).
    pub limit: u32,
}

impl ListKeys {
    /// Most keys on a page.
    pub const MAX_LIMIT: u32 = 100;

    /// The first 20 keys, the newest first.
    #[must_use]
    pub const fn newest() -> Self {
        Self {
            status: None,
            search: None,
            start: Start::Offset(0),
            limit: 20,
        }
    }
}

impl Issuer {
    /// One page of the keys that the caller sees: those of its workspace, and for a `test` caller
    /// those of its environment.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] without `api_keys:read`, and what the store reports.
    pub async fn list(&self, caller: &Caller, wanted: ListKeys) -> Result<Page, IssueError> {
        let now = self.0.clock.now();
        authorize(caller, &Permission::API_KEYS_READ, now)?;
        let listing = Listing {
            visible_to: caller.environment(),
            status: wanted.status.map(|status| (status, now)),
            search: wanted.search,
            start: wanted.start,
            limit: wanted.limit.clamp(1, ListKeys::MAX_LIMIT),
        };
        Ok(self.0.store.list(caller.workspace(), &listing).await?)
    }

    /// One key that the caller sees, revoked ones too.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] without `api_keys:read`, [`IssueError::NotFound`], and what the
    /// store reports.
    pub async fn find(&self, caller: &Caller, id: &KeyId) -> Result<Key, IssueError> {
        self.authorize(caller, &Permission::API_KEYS_READ)?;
        Ok(self.visible(caller, id).await?.key)
    }

    /// The record of a key that the caller sees.
    pub(super) async fn visible(&self, caller: &Caller, id: &KeyId) -> Result<Record, IssueError> {
        let record = self.0.store.find(id).await?;
        record
            .filter(|Record { key, .. }| {
                key.workspace == *caller.workspace() && caller.environment().covers(key.environment)
            })
            .ok_or(IssueError::NotFound)
    }

    /// The record of a key that the caller sees and that is not revoked.
    pub(super) async fn changeable(
        &self,
        caller: &Caller,
        id: &KeyId,
    ) -> Result<Record, IssueError> {
        let record = self.visible(caller, id).await?;
        if record.key.revoked_at.is_some() {
            return Err(IssueError::NotFound);
        }
        Ok(record)
    }
}
