//! What a list asks for, and a page of it.

use crate::{Environment, Key, KeyId, Status, Timestamp};

/// Which keys of a workspace a page shows.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Listing {
    /// The environment of who asks: `live` sees all keys, `test` only `test` ones.
    pub visible_to: Environment,
    /// Only keys of this status at this time.
    pub status: Option<(Status, Timestamp)>,
    /// Only keys whose name holds this text, after [`fold_case`](crate::fold_case) of both.
    pub search: Option<String>,
    /// Where the page starts.
    pub start: Start,
    /// Most keys on the page, at least 1.
    pub limit: u32,
}

impl Listing {
    /// The newest keys that an environment sees, without a filter.
    #[must_use]
    pub const fn newest(visible_to: Environment, limit: u32) -> Self {
        Self {
            visible_to,
            status: None,
            search: None,
            start: Start::Offset(0),
            limit,
        }
    }
}

/// Where a page starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must handle each; a third is a new contract"
)]
pub enum Start {
    /// After that many keys of the same listing. The page tells the total; that costs O(keys).
    Offset(u64),
    /// After this key, which need not exist any more. Costs O(page).
    After(KeyId),
}

/// One page of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The keys, newest first.
    pub keys: Vec<Key>,
    /// Where the next page starts; `None` if this is the last one.
    pub next: Option<KeyId>,
    /// How many keys the listing has, told with [`Start::Offset`] only.
    pub total: Option<u64>,
}

impl Page {
    /// Cuts a page out of keys of which one more than `limit` was read, to see whether there is a
    /// next page.
    #[must_use]
    pub fn cut(mut keys: Vec<Key>, limit: u32, total: Option<u64>) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = if more {
            keys.last().map(|key| key.id)
        } else {
            None
        };
        Self { keys, next, total }
    }
}
