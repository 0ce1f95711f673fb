//! What creates keys.

mod create;
mod error;
mod first;
mod mint;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::{
    create::{Expiry, Issued, NewKey},
    error::IssueError,
    mint::Minted,
};
use crate::{Caller, Permission, Timestamp, config::Shared};

/// Creates keys for callers: none can do more than the caller that asked for it.
#[derive(Clone, Debug)]
pub struct Issuer(pub(crate) Arc<Shared>);

impl Issuer {
    /// Whether a caller may ask for this at all.
    ///
    /// # Errors
    ///
    /// [`IssueError::CallerInactive`] if its time is over, [`IssueError::NotPermitted`] if it lacks
    /// the permission.
    pub fn authorize(&self, caller: &Caller, permission: &Permission) -> Result<(), IssueError> {
        authorize(caller, permission, self.0.clock.now())
    }
}

fn authorize(caller: &Caller, permission: &Permission, now: Timestamp) -> Result<(), IssueError> {
    if !caller.is_current(now) {
        return Err(IssueError::CallerInactive);
    }
    if !caller.may(permission) {
        return Err(IssueError::NotPermitted(permission.clone()));
    }
    Ok(())
}
