//! The rules about which caller may do which operation on which key.

use super::{IssueError, Issuer};
use crate::{AllowedIps, Caller, Key, KeyId, Owner, Permission, Permissions};

/// An operation on keys, for which a caller needs a permission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Action {
    /// List keys.
    List,
    /// Find a key.
    Find,
    /// Create a key.
    Create,
    /// Update a key.
    Update,
    /// Rotate a key.
    Rotate,
    /// Revoke a key.
    Revoke,
    /// Introspect a token.
    Introspect,
}

impl Action {
    /// Returns the permission for the keys of the workspace, and the permission for the keys of the
    /// caller's owner.
    const fn permissions(self) -> (Permission, Permission) {
        match self {
            Self::List | Self::Find => (Permission::API_KEYS_READ, Permission::API_KEYS_OWN_READ),
            Self::Introspect => (Permission::API_KEYS_VERIFY, Permission::API_KEYS_OWN_VERIFY),
            Self::Create | Self::Update | Self::Rotate | Self::Revoke => {
                (Permission::API_KEYS_WRITE, Permission::API_KEYS_OWN_WRITE)
            }
        }
    }

    /// Whether a caller may do this to its own key without either permission.
    fn permits_self(self, caller: &Caller) -> bool {
        match self {
            Self::Find | Self::Revoke => true,
            Self::Rotate => caller.may(&Permission::API_KEYS_SELF_ROTATE),
            Self::List | Self::Create | Self::Update | Self::Introspect => false,
        }
    }
}

/// The keys that a caller reaches with an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// All keys of the workspace.
    Workspace,
    /// The keys of this owner.
    Owner(Owner),
    /// The caller's own key.
    Itself(KeyId),
}

impl Scope {
    /// Returns the owner to whose keys the caller is limited.
    pub(super) fn owner(&self) -> Option<&Owner> {
        match self {
            Self::Owner(owner) => Some(owner),
            Self::Workspace | Self::Itself(_) => None,
        }
    }

    /// Whether the caller reaches a key of its workspace.
    pub(super) fn contains(&self, key: &Key) -> bool {
        match self {
            Self::Workspace => true,
            Self::Owner(owner) => key.owner.as_ref() == Some(owner),
            Self::Itself(id) => key.id == *id,
        }
    }
}

impl Issuer {
    /// Checks that a caller has not expired and has the permission for an action, on the key
    /// `target` if there is one. The operation itself checks the rest.
    ///
    /// | action | permission |
    /// | --- | --- |
    /// | `List`, `Find` | `api_keys:read`, or `api_keys.own:read` for keys of the caller's owner |
    /// | `Introspect` | `api_keys:verify`, or `api_keys.own:verify` |
    /// | `Create`, `Update`, `Rotate`, `Revoke` | `api_keys:write`, or `api_keys.own:write` |
    ///
    /// A caller needs no permission to find and revoke its own key, and can rotate it with
    /// `api_keys.self:rotate`. Without an owner, `api_keys.own:…` permits nothing.
    ///
    /// # Errors
    ///
    /// [`IssueError::CallerInactive`] if the caller has expired, [`IssueError::NotPermitted`] if it
    /// lacks the permission, and [`IssueError::CallerForeign`] if another instance verified it.
    pub fn authorize(
        &self,
        caller: &Caller,
        action: Action,
        target: Option<&KeyId>,
    ) -> Result<(), IssueError> {
        self.check_origin(caller)?;
        self.scope(caller, action, target).map(drop)
    }

    /// Returns the keys that the caller reaches with an operation.
    pub(super) fn scope(
        &self,
        caller: &Caller,
        action: Action,
        target: Option<&KeyId>,
    ) -> Result<Scope, IssueError> {
        if !caller.is_current(self.verifier.expiry_now()) {
            return Err(IssueError::CallerInactive);
        }
        let (workspace, own) = action.permissions();
        if caller.may(&workspace) {
            return Ok(Scope::Workspace);
        }
        if let Some(id) = target
            && caller.key() == Some(id)
            && action.permits_self(caller)
        {
            return Ok(Scope::Itself(*id));
        }
        match caller.owner() {
            Some(owner) if caller.may(&own) => Ok(Scope::Owner(owner.clone())),
            _ => Err(IssueError::NotPermitted(workspace)),
        }
    }
}

/// Checks that the caller has all permissions that a key has or would get.
pub(super) fn check_covers(caller: &Caller, permissions: &Permissions) -> Result<(), IssueError> {
    match caller.permissions().first_not_covered(permissions) {
        None => Ok(()),
        Some(missing) => Err(IssueError::NotPermitted(missing.clone())),
    }
}

/// Checks that a key that the caller creates, or whose addresses it changes, can be used only from
/// addresses from which the caller may be used.
pub(super) fn check_addresses(
    caller: &Caller,
    allowed_ips: Option<&AllowedIps>,
) -> Result<(), IssueError> {
    if AllowedIps::includes(caller.allowed_ips(), allowed_ips) {
        Ok(())
    } else {
        Err(IssueError::AddressesBeyondCaller)
    }
}
