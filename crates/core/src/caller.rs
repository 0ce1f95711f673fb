//! The caller on whose behalf the issuer acts.

use crate::{
    Environment, Key, KeyId, Permission, Permissions, Timestamp, Workspace, instance::InstanceId,
};

/// The party on whose behalf the [`Issuer`](crate::Issuer) acts: a verified key, or a user, service
/// or operator that the host has authenticated itself, for example by a session or mTLS. Keys that
/// a caller creates belong to its workspace and have no permission that the caller lacks.
///
/// A caller remembers where it comes from, and so do its clones. A caller of
/// [`Verified::caller`](crate::Verified::caller) counts only for the
/// [`Keywright`](crate::Keywright) whose verifier verified the key: another one, with another
/// store, knows nothing of that key. A caller that the host makes counts everywhere. See
/// [`Verifier::trusts`](crate::Verifier::trusts).
///
/// ```
/// use keywright_core::{Caller, Permissions, Workspace};
///
/// let signed_in = Caller::new(Workspace::parse("acme")?, "api_keys:*,calls:*".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    workspace: Workspace,
    permissions: Permissions,
    environment: Environment,
    key: Option<KeyId>,
    expires_at: Option<Timestamp>,
    /// The instance whose verifier made the caller, or `None` if the host made it.
    origin: Option<InstanceId>,
}

impl Caller {
    /// Creates a caller in the `live` environment that is not a key and does not expire.
    #[must_use]
    pub fn new(workspace: Workspace, permissions: Permissions) -> Self {
        Self {
            workspace,
            permissions,
            environment: Environment::Live,
            key: None,
            expires_at: None,
            origin: None,
        }
    }

    /// Sets the environment. A `test` caller sees and creates only `test` keys.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Sets when the caller expires. No key that it creates expires later.
    #[must_use]
    pub fn with_expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Returns the workspace in which the caller acts.
    #[must_use]
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Returns the permissions of the caller.
    #[must_use]
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Returns the environment of the caller.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// Returns the id of the caller's key. `None` if the caller is not a key.
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// Returns when the caller expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether the caller has not expired at `now`.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Makes the caller of a key that an instance has verified.
    pub(crate) fn verified(key: &Key, origin: InstanceId) -> Self {
        Self {
            origin: Some(origin),
            ..Self::from(key)
        }
    }

    /// Returns the instance whose verifier made the caller, or `None` if the host made it.
    pub(crate) fn origin(&self) -> Option<InstanceId> {
        self.origin
    }

    /// Makes the caller expire no later than `end`.
    pub(crate) fn ending_by(mut self, end: Option<Timestamp>) -> Self {
        self.expires_at = match (self.expires_at, end) {
            (Some(own), Some(end)) => Some(own.min(end)),
            (own, end) => own.or(end),
        };
        self
    }

    /// Whether the caller has a permission.
    #[must_use]
    pub fn may(&self, permission: &Permission) -> bool {
        self.permissions.covers(permission)
    }
}

impl From<&Key> for Caller {
    /// Makes a caller of a key. This is the host's word that the holder of the key makes the call,
    /// as [`Caller::new`] is for a user, and every instance trusts it. Nothing is verified.
    ///
    /// For a token that was presented, use [`Verified::caller`](crate::Verified::caller).
    fn from(key: &Key) -> Self {
        Self {
            workspace: key.workspace.clone(),
            permissions: key.permissions.clone(),
            environment: key.environment,
            key: Some(key.id),
            expires_at: key.expires_at,
            origin: None,
        }
    }
}
