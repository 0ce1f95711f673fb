//! Who asks.

use crate::{Environment, Key, KeyId, Permission, Permissions, Timestamp, Workspace};

/// Who asks for something: a key that was verified, or whom the host has authenticated in its own
/// way (a session, mTLS, an operator). What a caller creates belongs to its workspace and can never
/// do more than the caller.
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
}

impl Caller {
    /// A caller of the `live` environment that is no key and does not expire.
    #[must_use]
    pub fn new(workspace: Workspace, permissions: Permissions) -> Self {
        Self {
            workspace,
            permissions,
            environment: Environment::Live,
            key: None,
            expires_at: None,
        }
    }

    /// The same in another environment. A `test` caller sees and creates `test` keys only.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// The same with an end: no key that it creates lives longer.
    #[must_use]
    pub fn with_expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// The workspace it acts in.
    #[must_use]
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// What it may do.
    #[must_use]
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Live or test.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// The key that it is, if it is one.
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// When it ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether its time is not over yet at the time `now`.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// The same, ending no later than this.
    pub(crate) fn ending_by(mut self, end: Option<Timestamp>) -> Self {
        self.expires_at = match (self.expires_at, end) {
            (Some(own), Some(end)) => Some(own.min(end)),
            (own, end) => own.or(end),
        };
        self
    }

    /// Whether it has a permission.
    #[must_use]
    pub fn may(&self, permission: &Permission) -> bool {
        self.permissions.covers(permission)
    }
}

impl From<&Key> for Caller {
    /// The caller that a verified key is.
    fn from(key: &Key) -> Self {
        Self {
            workspace: key.workspace.clone(),
            permissions: key.permissions.clone(),
            environment: key.environment,
            key: Some(key.id),
            expires_at: key.expires_at,
        }
    }
}
