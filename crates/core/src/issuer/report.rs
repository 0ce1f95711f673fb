//! A report of the keys that a person should look at.

use std::time::Duration;

use super::{IssueError, Issuer};
use crate::{Caller, Key, ListKeys, ListStart, Permissions, Status, Timestamp};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The active and disabled keys of a workspace that deserve attention. A key may be in several
/// sections.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The number of keys that were read, of any status.
    pub keys_read: u64,
    /// The cursor with which [`Issuer::report`] continues. `None` if the report covers all keys up
    /// to the oldest.
    pub next: Option<String>,
    /// Keys that never expire.
    pub never_expire: ReportSection,
    /// Keys that expire within [30 days](Self::EXPIRES_SOON).
    pub expire_soon: ReportSection,
    /// Keys that were never used.
    pub never_used: ReportSection,
    /// Keys whose last use was more than [90 days](Self::UNUSED) ago.
    pub unused: ReportSection,
    /// Keys with the permission `*`.
    pub all_permissions: ReportSection,
    /// Keys that were used after they were replaced in a rotation.
    pub replaced_but_used: ReportSection,
    /// Keys that were [imported](crate::Importer) and not used since.
    pub imported_unused: ReportSection,
}

impl Report {
    /// A key that expires within this time is in `expire_soon`: 30 days.
    pub const EXPIRES_SOON: Duration = Duration::from_secs(30 * DAY.as_secs());

    /// A key that was last used longer ago than this is in `unused`: 90 days.
    pub const UNUSED: Duration = Duration::from_secs(90 * DAY.as_secs());

    /// The maximum number of keys that one call reads: 10,000.
    pub const MAX_KEYS_READ: u64 = 10_000;

    const fn new() -> Self {
        Self {
            keys_read: 0,
            next: None,
            never_expire: ReportSection::new(),
            expire_soon: ReportSection::new(),
            never_used: ReportSection::new(),
            unused: ReportSection::new(),
            all_permissions: ReportSection::new(),
            replaced_but_used: ReportSection::new(),
            imported_unused: ReportSection::new(),
        }
    }

    fn add(&mut self, key: &Key, now: Timestamp) {
        self.keys_read += 1;
        if matches!(key.status(now), Status::Revoked | Status::Expired) {
            return;
        }
        match key.expires_at {
            None => self.never_expire.add(key),
            Some(end) if end <= now.saturating_add(Self::EXPIRES_SOON) => self.expire_soon.add(key),
            Some(_) => {}
        }
        match key.last_used_at {
            None => self.never_used.add(key),
            Some(last) if last < now.saturating_sub(Self::UNUSED) => self.unused.add(key),
            Some(_) => {}
        }
        if key
            .permissions
            .first_not_covered(&Permissions::all())
            .is_none()
        {
            self.all_permissions.add(key);
        }
        if let Some(successor) = key.successor
            && key.last_used_at > Some(successor.created_at())
        {
            self.replaced_but_used.add(key);
        }
        // An import does not write a last use.
        if key.imported && key.last_used_at.is_none() {
            self.imported_unused.add(key);
        }
    }
}

/// One section of a [`Report`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ReportSection {
    /// The number of keys in the section.
    pub count: u64,
    /// The newest of them, up to [20](Self::MAX_KEYS).
    pub keys: Vec<Key>,
}

impl ReportSection {
    /// The maximum number of keys that a section contains: 20.
    pub const MAX_KEYS: usize = 20;

    const fn new() -> Self {
        Self {
            count: 0,
            keys: Vec::new(),
        }
    }

    fn add(&mut self, key: &Key) {
        self.count += 1;
        if self.keys.len() < Self::MAX_KEYS {
            self.keys.push(key.clone());
        }
    }
}

impl Issuer {
    /// Reports which of the keys that the caller sees deserve attention, from the newest to the
    /// oldest.
    ///
    /// One call reads at most [10,000](Report::MAX_KEYS_READ) keys. If there are more, the report
    /// has a cursor, and the next call continues there. It reads pages of 100, so it does not
    /// delay other callers of the store.
    ///
    /// # Errors
    ///
    /// As for [`list`](Self::list).
    pub async fn report(
        &self,
        caller: &Caller,
        after: Option<String>,
    ) -> Result<Report, IssueError> {
        let now = self.now();
        let mut report = Report::new();
        let mut list = ListKeys::new().with_limit(ListKeys::MAX_LIMIT);
        list.start = after.map_or(ListStart::Offset(0), ListStart::After);
        loop {
            let page = self.list(caller, list.clone()).await?;
            for key in &page.keys {
                report.add(key, now);
            }
            match page.next {
                Some(cursor) if report.keys_read < Report::MAX_KEYS_READ => {
                    list.start = ListStart::After(cursor);
                }
                next => {
                    report.next = next;
                    return Ok(report);
                }
            }
        }
    }
}
