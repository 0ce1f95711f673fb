//! Listing keys and looking at one.

use sha2::{Digest, Sha256};

use super::{IssueError, Issuer, authorize};
use crate::{
    Caller, Key, KeyId, ListKeys, ListStart, Page, Permission, Record, Status, base62, fold_case,
};

impl Issuer {
    /// One page of the keys that the caller sees: those of its workspace, and for a `test` caller
    /// those of its environment.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] without `api_keys:read`, [`IssueError::Cursor`] if the cursor is
    /// none of this workspace and filter, and what the store reports.
    pub async fn list(&self, caller: &Caller, wanted: ListKeys) -> Result<Page, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.0.clock.now();
        authorize(caller, &Permission::API_KEYS_READ, now)?;
        let filter = filter_digest(caller, &wanted);
        let limit = wanted.limit.clamp(1, ListKeys::MAX_LIMIT);
        let start = match &wanted.start {
            ListStart::Offset(offset) => ListStart::Offset(*offset),
            ListStart::After(cursor) => {
                ListStart::After(read_cursor(cursor, &filter).ok_or(IssueError::Cursor)?)
            }
        };
        let list = ListKeys {
            status: wanted.status,
            search: wanted.search,
            start,
            limit,
        };
        let Page {
            mut keys,
            next,
            total,
        } = self
            .0
            .store
            .list(caller.workspace(), caller.environment(), &list, now)
            .await?;
        self.0.memory.overlay(&mut keys);
        Ok(Page {
            keys,
            next: next.map(|id| write_cursor(&id, &filter)),
            total,
        })
    }

    /// One key that the caller sees, revoked ones too.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] without `api_keys:read`, [`IssueError::NotFound`], and what the
    /// store reports.
    pub async fn find(&self, caller: &Caller, id: &KeyId) -> Result<Key, IssueError> {
        let caller = &self.current(caller).await?;
        self.authorize(caller, &Permission::API_KEYS_READ)?;
        Ok(self.visible(caller, id).await?.key)
    }

    /// The record of a key that the caller sees.
    pub(super) async fn visible(&self, caller: &Caller, id: &KeyId) -> Result<Record, IssueError> {
        let record = self.0.store.find(id).await?;
        let mut record = record
            .filter(|Record { key, .. }| {
                key.workspace == *caller.workspace() && caller.environment().covers(key.environment)
            })
            .ok_or(IssueError::NotFound)?;
        self.0.memory.overlay(std::slice::from_mut(&mut record.key));
        Ok(record)
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

/// Characters of a cursor that tell what list it belongs to.
const DIGEST_LENGTH: usize = 11;

/// A cursor is the id of the last key that was shown, and a digest of the list and that id. It holds
/// no secret and proves nothing: it keeps honest clients from mixing lists up.
fn write_cursor(last: &KeyId, filter: &[u8; 32]) -> String {
    last.as_bytes()
        .iter()
        .chain(&cursor_digest(last, filter))
        .copied()
        .map(char::from)
        .collect()
}

fn read_cursor(text: &str, filter: &[u8; 32]) -> Option<KeyId> {
    let (id, digest) = text.as_bytes().split_last_chunk::<DIGEST_LENGTH>()?;
    let id = KeyId::from_bytes(id).ok()?;
    (cursor_digest(&id, filter) == *digest).then_some(id)
}

fn cursor_digest(id: &KeyId, filter: &[u8; 32]) -> [u8; DIGEST_LENGTH] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(filter)
        .chain_update(id.as_bytes())
        .finalize()
        .into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    base62::encode(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

fn filter_digest(caller: &Caller, wanted: &ListKeys) -> [u8; 32] {
    let search = wanted.search.as_deref().map(fold_case);
    super::digest([
        caller.workspace().as_str().as_bytes(),
        caller.environment().as_str().as_bytes(),
        wanted.status.map_or("", Status::as_str).as_bytes(),
        search.as_deref().unwrap_or_default().as_bytes(),
    ])
}
