//! The errors of a copy.

use std::error::Error as _;

use crate::{
    Prefix, Workspace,
    random::RandomError,
    store::{Reactivation, Stage, StoreError, StoreErrorKind},
};

/// An error from a [`StoreCopy`](super::StoreCopy) or from [`abort`](super::abort).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source and the target are the same store.
    #[error("the source and the target are the same store")]
    SameStore,
    /// The source has never had a key.
    #[error("the source has no keys")]
    NoSource,
    /// The source is itself the target of a copy that has not finished.
    #[error("the source is the target of another copy, which has not finished")]
    SourceIncomplete,
    /// The keys of the source have moved to another store than the target.
    #[error("the keys of the source have moved already")]
    SourceMoved,
    /// The target already has keys, or has had some.
    #[error("the target is already in use, for keys that begin with {0}_: choose an empty store")]
    TargetInUse(Prefix),
    /// The target was not claimed for a prefix, and contains keys nevertheless.
    #[error("the target is not empty: choose an empty store")]
    TargetNotEmpty,
    /// The target contains a part of the keys of another source.
    #[error("the target contains an unfinished copy of another store: choose an empty store")]
    OtherSource,
    /// Another run of the copy began after this one.
    #[error("another run of this copy has begun")]
    Superseded(#[source] StoreError),
    /// A key is revoked in the target, but not in the source.
    #[error(transparent)]
    Reactivation(Reactivation),
    /// The source cannot reject the changes of servers that have it open.
    #[error(
        "this kind of store cannot be sealed while servers use it: stop them, and confirm that"
    )]
    SourceNotSealable,
    /// The target is in use, so that the source stays sealed.
    #[error("the target is in use since the copy finished: the source stays as it is")]
    Finished,
    /// The target does not have the same content as the source.
    #[error("{count} {} in the target: {}", differ(*.count), names(.first, *.count))]
    Differs {
        /// The number of workspaces whose content differs.
        count: u64,
        /// The first of them, up to
        /// [`CopyReport::MAX_DIFFERING`](super::CopyReport::MAX_DIFFERING).
        first: Vec<Workspace>,
    },
    /// The target lacks reservations of idempotency keys, or has them with another content.
    #[error("{count} reservations of idempotency keys differ in the target")]
    ReservationsDiffer {
        /// The number of reservations.
        count: u64,
    },
    /// The source failed.
    #[error("the source failed")]
    Source(#[source] StoreError),
    /// The target failed.
    #[error("the target failed")]
    Target(#[source] StoreError),
    /// The source of random bytes failed.
    #[error("could not read random bytes")]
    Random(#[from] RandomError),
}

const fn differ(count: u64) -> &'static str {
    if count == 1 {
        "workspace differs"
    } else {
        "workspaces differ"
    }
}

fn names(first: &[Workspace], count: u64) -> String {
    let mut names: Vec<&str> = first.iter().map(Workspace::as_str).collect();
    if count > first.len() as u64 {
        names.push("…");
    }
    names.join(", ")
}

impl CopyError {
    pub(super) fn of_target_error(error: StoreError) -> Self {
        if error.kind() != StoreErrorKind::Conflict {
            return Self::Target(error);
        }
        let mut cause = error.source();
        while let Some(current) = cause {
            if let Some(reactivation) = current.downcast_ref::<Reactivation>() {
                return Self::Reactivation(*reactivation);
            }
            cause = current.source();
        }
        Self::Superseded(error)
    }

    /// The error of a target that is in a stage in which no copy can begin or continue.
    pub(super) fn of_target(stage: Stage) -> Self {
        match stage {
            Stage::Open(prefix) | Stage::Sealed(prefix) | Stage::Moved { prefix, .. } => {
                Self::TargetInUse(prefix)
            }
            Stage::Receiving { .. } => Self::OtherSource,
            Stage::Unclaimed => Self::TargetNotEmpty,
        }
    }
}
