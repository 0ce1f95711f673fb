//! The request for a page of keys, and the page.

use crate::{Key, KeyId, Owner, Status};

/// A request for a page of keys: a filter, a start and a limit.
///
/// Hosts pass cursors as text and leave `C` at its default. A [store](crate::store::KeyStore) takes
/// a `ListKeys<KeyId>`, whose cursor is the last key of the previous page.
///
/// ```
/// use keywright_core::{ListKeys, ListStart, Status};
///
/// let newest: ListKeys = ListKeys::new();
/// let second_page: ListKeys = ListKeys::new()
///     .with_status(Status::Active)
///     .with_limit(50)
///     .with_start(ListStart::page(2, 50));
/// # assert_eq!(newest.limit, ListKeys::DEFAULT_LIMIT);
/// # assert_eq!(second_page.start, ListStart::Offset(50));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ListKeys<C = String> {
    /// Only keys of this owner.
    pub owner: Option<Owner>,
    /// Only keys with this status.
    pub status: Option<Status>,
    /// Only keys whose name contains this text, after [`fold_case`](crate::store::fold_case) of
    /// both.
    pub search: Option<String>,
    /// Only keys that were [imported](crate::Importer).
    pub imported: bool,
    /// Where the page starts.
    pub start: ListStart<C>,
    /// The maximum number of keys on the page. [`Issuer::list`](crate::Issuer::list) clamps it to
    /// 1 to [`MAX_LIMIT`](ListKeys::MAX_LIMIT). A store accepts any limit of at least 1.
    pub limit: u32,
}

impl ListKeys {
    /// The default limit: 20.
    pub const DEFAULT_LIMIT: u32 = 20;

    /// The largest limit that [`Issuer::list`](crate::Issuer::list) accepts: 100.
    pub const MAX_LIMIT: u32 = 100;
}

impl<C> ListKeys<C> {
    /// Creates a request for the newest 20 keys, without a filter.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            owner: None,
            status: None,
            search: None,
            imported: false,
            start: ListStart::Offset(0),
            limit: ListKeys::DEFAULT_LIMIT,
        }
    }

    /// Lists only keys of this owner.
    #[must_use]
    pub fn with_owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Lists only keys with this status.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = Some(status);
        self
    }

    /// Lists only keys whose name contains this text, whatever the case of its letters and the
    /// normalisation form of either.
    #[must_use]
    pub fn with_search(mut self, text: impl Into<String>) -> Self {
        self.search = Some(text.into());
        self
    }

    /// Lists only keys that were [imported](crate::Importer).
    #[must_use]
    pub const fn imported(mut self) -> Self {
        self.imported = true;
        self
    }

    /// Starts the page here.
    #[must_use]
    pub fn with_start(mut self, start: ListStart<C>) -> Self {
        self.start = start;
        self
    }

    /// Lists at most this many keys.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

impl<C> Default for ListKeys<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a page starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must handle each; a third is a new contract"
)]
pub enum ListStart<C = String> {
    /// After this many keys of the same list. The page carries the total, which takes time
    /// proportional to the number of keys.
    Offset(u64),
    /// After the page that returned this cursor. The last key of that page may have been deleted
    /// since. This takes the same time at any depth, and shows no key twice while keys are created.
    After(C),
}

impl<C> ListStart<C> {
    /// Returns the start of the page with this number, 1 for the first, in a list with `limit` keys
    /// on each page.
    #[must_use]
    pub const fn page(number: u32, limit: u32) -> Self {
        Self::Offset(number.saturating_sub(1) as u64 * limit as u64)
    }

    /// Returns the number of the page that starts here, 1 for the first, in a list with `limit`
    /// keys on each page. `None` for a cursor.
    #[must_use]
    pub fn page_number(&self, limit: u32) -> Option<u32> {
        match self {
            Self::Offset(offset) => {
                let before = offset / u64::from(limit.max(1));
                Some(u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1))
            }
            Self::After(_) => None,
        }
    }
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Page<C = String> {
    /// The keys, newest first.
    pub keys: Vec<Key>,
    /// The cursor of the next page, for [`ListStart::After`] with the same filter. `None` on the
    /// last page. A page with a cursor may have fewer keys than the limit, even none, if a filter
    /// excludes most keys of a large workspace.
    pub next: Option<C>,
    /// The number of keys on all pages. Only set with [`ListStart::Offset`], and not if a store
    /// stops before it has counted all keys that match a filter.
    pub total: Option<u64>,
}

impl Page<KeyId> {
    /// Creates a page from up to `limit + 1` keys. A store reads one key more than the page holds
    /// to find out whether a next page exists.
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
