//! The event of a change: who changed which key, when, and how.

mod actor;
mod changes;
mod id;
mod list;
mod observer;
mod position;
mod request_id;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::{Deserialize, Serialize, Serializer};

pub use self::{
    actor::Actor,
    changes::{Changes, Transition},
    id::{EventId, EventIdError},
    list::{EventOrder, EventPage, ListEvents},
    observer::Observer,
    position::{EventPosition, EventPositionError},
    request_id::{RequestId, RequestIdError},
};
use crate::{Environment, Key, KeyId, Owner, Timestamp, Workspace};

/// A change of a key: who changed which key, when, and how.
///
/// A store appends the event in the same atomic step as the change, so each change has one event
/// and each event has its change. An event contains no secret, no hash and no byte of a token. Its
/// JSON is at most 14,799 bytes long.
///
/// As JSON, an event looks like this. The API, the command line and the stores use this text.
/// Fields that are `None` are left out.
///
/// ```
/// # let json = r#"
/// {
///   "id": "evt_0Vbx91mxt8iwXW8y",
///   "type": "api_key.updated",
///   "created_at": "2026-11-25T03:42:53.543Z",
///   "workspace": "acme",
///   "environment": "live",
///   "key_id": "key_0Vbwpf20t8iKd93a",
///   "owner": "user:42",
///   "actor": {"type": "host", "owner": "user:42"},
///   "request_id": "req_5bd1e0a2c3f4d5e6",
///   "client_ip": "203.0.113.9",
///   "changes": {"enabled": [true, false], "metadata": "changed"}
/// }
/// # "#;
/// # let event: keywright_core::Event = serde_json::from_str(json)?;
/// # let written = serde_json::to_value(&event)?;
/// # let mut expected: serde_json::Value = serde_json::from_str(json)?;
/// # expected["created_at"] = event.created_at().to_string().into();
/// # assert_eq!(written, expected);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The id, which begins with the time of the change.
    pub id: EventId,
    /// The kind of the change.
    #[serde(flatten)]
    pub kind: EventKind,
    /// The workspace of the key.
    pub workspace: Workspace,
    /// The environment of the key.
    pub environment: Environment,
    /// The key that was changed.
    #[serde(rename = "key_id")]
    pub key: KeyId,
    /// The owner of the key.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// The party that made the change.
    pub actor: Actor,
    /// The id of the request that made the change.
    #[serde(default)]
    pub request_id: Option<RequestId>,
    /// The address of the client that made the request.
    #[serde(default)]
    pub client_ip: Option<IpAddr>,
    /// The fields of the key that changed.
    #[serde(default)]
    pub changes: Changes,
}

impl Event {
    /// Creates the event of a change of this key, without a request and without changed fields. To
    /// set them, assign the public fields.
    #[must_use]
    pub fn new(id: EventId, kind: EventKind, key: &Key, actor: Actor) -> Self {
        Self {
            id,
            kind,
            workspace: key.workspace.clone(),
            environment: key.environment,
            key: key.id,
            owner: key.owner.clone(),
            actor,
            request_id: None,
            client_ip: None,
            changes: Changes::default(),
        }
    }

    /// Returns the time of the change, which is part of the id.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.id.created_at()
    }

    /// Returns the event of a revocation with the number of keys that were revoked. A store that
    /// revokes a cascade in one step counts the keys before it appends the event. Other events stay
    /// as they are.
    #[must_use]
    pub fn with_count(mut self, revoked: u64) -> Self {
        if let EventKind::Revoked { count, .. } = &mut self.kind {
            *count = Some(revoked);
        }
        self
    }
}

/// The kind of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum EventKind {
    /// The key was created. The changes contain its name, its permissions, and the other settings
    /// that are not the default.
    #[serde(rename = "api_key.created")]
    Created,
    /// The settings of the key were updated.
    #[serde(rename = "api_key.updated")]
    Updated,
    /// The key was replaced with a successor. The changes say when the key stops being valid.
    #[serde(rename = "api_key.rotated")]
    Rotated {
        /// The successor.
        #[serde(rename = "successor_id")]
        successor: KeyId,
    },
    /// The key was revoked, alone or with its descendants. A revocation with descendants has one
    /// event, and may find the key itself already revoked.
    #[serde(rename = "api_key.revoked")]
    Revoked {
        /// Whether the descendants were revoked as well.
        cascade: bool,
        /// The number of keys that were revoked. `None` if the store does not revoke descendants
        /// in one step, and has not finished or was interrupted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
    },
}

impl EventKind {
    /// Returns the type, such as `api_key.created`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "api_key.created",
            Self::Updated => "api_key.updated",
            Self::Rotated { .. } => "api_key.rotated",
            Self::Revoked { .. } => "api_key.revoked",
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Text<'a> {
            id: &'a EventId,
            #[serde(flatten)]
            kind: &'a EventKind,
            created_at: Timestamp,
            workspace: &'a Workspace,
            environment: Environment,
            key_id: &'a KeyId,
            #[serde(skip_serializing_if = "Option::is_none")]
            owner: Option<&'a Owner>,
            actor: &'a Actor,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a RequestId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_ip: Option<IpAddr>,
            #[serde(skip_serializing_if = "Changes::is_empty")]
            changes: &'a Changes,
        }
        Text {
            id: &self.id,
            kind: &self.kind,
            created_at: self.created_at(),
            workspace: &self.workspace,
            environment: self.environment,
            key_id: &self.key,
            owner: self.owner.as_ref(),
            actor: &self.actor,
            request_id: self.request_id.as_ref(),
            client_ip: self.client_ip,
            changes: &self.changes,
        }
        .serialize(serializer)
    }
}
