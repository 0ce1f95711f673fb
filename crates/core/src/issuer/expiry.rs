//! The rules about the expiry of a key.

use super::{Expiry, IssueError, Issuer};
use crate::{Caller, Timestamp, caller::earliest};

impl Issuer {
    /// Returns the latest expiry that the maximum lifetime allows for a key created at this time.
    pub(super) fn latest_expiry(&self, created_at: Timestamp) -> Option<Timestamp> {
        let lifetime = self.max_lifetime?;
        Some(created_at.saturating_add(lifetime))
    }

    /// Returns the expiry of a new key, if the caller may choose it.
    pub(super) fn new_expiry(
        &self,
        caller: &Caller,
        expiry: Expiry,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, IssueError> {
        match expiry {
            Expiry::Inherited => Ok(earliest(caller.expires_at(), self.latest_expiry(now))),
            Expiry::Now => Ok(Some(now)),
            Expiry::At(end) => {
                self.check_expiry(caller, end, now, now)?;
                Ok(Some(end))
            }
        }
    }

    /// Checks that a requested expiry of a key that was created at `created_at` lies in the future,
    /// and not after the expiry of the caller or the end of the maximum lifetime.
    pub(super) fn check_expiry(
        &self,
        caller: &Caller,
        end: Timestamp,
        created_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), IssueError> {
        if end <= now {
            return Err(IssueError::ExpiryPast);
        }
        if caller.expires_at().is_some_and(|last| last < end) {
            return Err(IssueError::ExpiryBeyondCaller);
        }
        match self.latest_expiry(created_at) {
            Some(latest) if latest < end => Err(IssueError::ExpiryBeyondPolicy { latest }),
            _ => Ok(()),
        }
    }

    /// Returns the expiry of a key to import. The maximum lifetime begins with the import. A key
    /// may have expired before.
    pub(crate) fn imported_expiry(
        &self,
        caller: &Caller,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, IssueError> {
        match expires_at {
            Some(end) if end <= now => Ok(Some(end)),
            Some(end) => self.new_expiry(caller, Expiry::At(end), now),
            None => self.new_expiry(caller, Expiry::Inherited, now),
        }
    }
}
