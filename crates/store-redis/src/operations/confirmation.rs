//! Confirmation of changes by replicas.

use crate::{
    error::{Error, Result},
    servers::{Response, Servers},
};

/// Whether enough replicas have confirmed all changes of an operation so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Confirmation(bool);

impl Confirmation {
    /// The confirmation of an operation that has changed nothing yet.
    pub(super) const fn of_nothing() -> Self {
        Self(true)
    }

    pub(super) const fn of(response: &Response) -> Self {
        Self(response.confirmed)
    }

    /// The confirmation of both changes.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 && other.0)
    }

    /// Returns the result of an operation that is done.
    ///
    /// # Errors
    ///
    /// `NotConfirmed` if too few replicas have confirmed its changes.
    pub(super) fn check<T>(self, servers: &Servers, done: T) -> Result<T> {
        if self.0 {
            Ok(done)
        } else {
            Err(Error::NotConfirmed {
                wanted: servers.min_replicas(),
            })
        }
    }
}
