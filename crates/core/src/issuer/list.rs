//! Listing keys and looking at one.

use sha2::{Digest, Sha256};

use super::{IssueError, Issuer, authorize};
use crate::{Caller, Key, KeyId, Listing, Permission, Record, Start, Status, base62, fold_case};

/// Which keys of its workspace a caller wants to see.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ListKeys {
    /// Only keys of this status.
    pub status: Option<Status>,
    /// Only keys whose name holds this text, in upper or lower case.
    pub search: Option<String>,
    /// Which page.
    pub position: Position,
    /// Most keys on the page: 1 to [`MAX_LIMIT`](Self::MAX_LIMIT).
    pub limit: u32,
}

impl ListKeys {
    /// Most keys on a page.
    pub const MAX_LIMIT: u32 = 100;

    /// The first page of 20 keys, the newest first.
    #[must_use]
    pub const fn newest() -> Self {
        Self {
            status: None,
            search: None,
            position: Position::Page(1),
            limit: 20,
        }
    }
}

/// Which page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Position {
    /// A page by its number, 1 for the first. It tells the total, and costs more the more keys
    /// there are.
    Page(u32),
    /// The page that an earlier one gave this cursor for. It costs the same at any depth, and shows
    /// no key twice, whatever is created meanwhile.
    Cursor(String),
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Listed {
    /// The keys, newest first.
    pub keys: Vec<Key>,
    /// Where the next page begins: for [`Position::Cursor`], with the same filter. `None` on the
    /// last page.
    pub next_cursor: Option<String>,
    /// How many keys there are on all pages, told with [`Position::Page`] only.
    pub total: Option<u64>,
}

impl Issuer {
    /// One page of the keys that the caller sees: those of its workspace, and for a `test` caller
    /// those of its environment.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] without `api_keys:read`, [`IssueError::Cursor`] if the cursor is
    /// none of this workspace and filter, and what the store reports.
    pub async fn list(&self, caller: &Caller, wanted: ListKeys) -> Result<Listed, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.0.now();
        authorize(caller, &Permission::API_KEYS_READ, now)?;
        let filter = filter_digest(caller, &wanted);
        let limit = wanted.limit.clamp(1, ListKeys::MAX_LIMIT);
        let start = match &wanted.position {
            Position::Page(page) => {
                Start::Offset(u64::from(page.saturating_sub(1)) * u64::from(limit))
            }
            Position::Cursor(text) => {
                Start::After(read_cursor(text, &filter).ok_or(IssueError::Cursor)?)
            }
        };
        let listing = Listing {
            visible_to: caller.environment(),
            status: wanted.status.map(|status| (status, now)),
            search: wanted.search,
            start,
            limit,
        };
        let mut page = self.0.store().list(caller.workspace(), &listing).await?;
        self.0.overlay_last_uses(&mut page.keys);
        Ok(Listed {
            next_cursor: page.next.map(|id| write_cursor(&id, &filter)),
            keys: page.keys,
            total: page.total,
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
        let record = self.0.store().find(id).await?;
        let mut record = record
            .filter(|Record { key, .. }| {
                key.workspace == *caller.workspace() && caller.environment().covers(key.environment)
            })
            .ok_or(IssueError::NotFound)?;
        self.0
            .overlay_last_uses(std::slice::from_mut(&mut record.key));
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
