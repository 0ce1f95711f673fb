//! The actor of a change.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{KeyId, Owner};

/// The party that makes a change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Actor {
    /// A key.
    Key {
        /// The key.
        id: KeyId,
        /// The owner of the key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
    },
    /// A user or service that the host has authenticated itself, for example a person with a
    /// session.
    Host {
        /// The owner of the [`Caller`](crate::Caller).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
    },
    /// An operator, on the command line.
    Operator,
    /// The library itself, when it creates the first key of a store.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { id, .. } => id.fmt(f),
            Self::Host { owner: Some(owner) } => write!(f, "host {owner}"),
            Self::Host { owner: None } => f.write_str("host"),
            Self::Operator => f.write_str("operator"),
            Self::System => f.write_str("system"),
        }
    }
}
