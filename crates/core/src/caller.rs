//! The caller on whose behalf the issuer acts.

use std::net::IpAddr;

use crate::{
    Actor, AllowedIps, Attributes, Environment, Key, KeyId, Owner, Permission, Permissions,
    RequestId, Timestamp, Workspace, instance::InstanceId,
};

/// The party on whose behalf the [`Issuer`](crate::Issuer) acts: a verified key, or a user, service
/// or operator that the host has authenticated itself, for example by a session or mTLS. Keys that
/// a caller creates belong to its workspace and have no permission that the caller lacks.
///
/// A caller and its clones record their origin. A caller from
/// [`Verified::caller`](crate::Verified::caller) is valid only in the
/// [`Keywright`](crate::Keywright) that verified the key. A caller that the host creates is valid
/// in every instance. See [`Verifier::trusts`](crate::Verifier::trusts).
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
    owner: Option<Owner>,
    attributes: Option<Attributes>,
    allowed_ips: Option<AllowedIps>,
    role: Role,
    request_id: Option<RequestId>,
    client_ip: Option<IpAddr>,
    /// Whether the attributes are those of the caller's key, and not ones that the host has set.
    has_attributes_of_key: bool,
    /// Whether the addresses are those of the caller's key, and not ones that the host has set.
    has_addresses_of_key: bool,
    /// The instance whose verifier made the caller, or `None` if the host made it.
    origin: Option<InstanceId>,
}

/// The role of a caller that is not a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// A user or service that the host has authenticated.
    Host,
    /// An operator, on the command line.
    Operator,
    /// The library itself.
    System,
}

impl Caller {
    /// Creates a caller in the `live` environment that is not a key and does not expire. It has no
    /// owner and no attributes, and its addresses are not restricted.
    #[must_use]
    pub fn new(workspace: Workspace, permissions: Permissions) -> Self {
        Self {
            workspace,
            permissions,
            environment: Environment::Live,
            key: None,
            expires_at: None,
            owner: None,
            attributes: None,
            allowed_ips: None,
            role: Role::Host,
            request_id: None,
            client_ip: None,
            has_attributes_of_key: false,
            has_addresses_of_key: false,
            origin: None,
        }
    }

    /// Creates a caller for an operator with all permissions, such as the user of a command line.
    /// The events of its changes have the actor [`Actor::Operator`].
    #[must_use]
    pub fn operator(workspace: Workspace) -> Self {
        Self {
            role: Role::Operator,
            ..Self::new(workspace, Permissions::all())
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

    /// Sets the owner. Keys that the caller creates have this owner, and the permissions
    /// `api_keys.own:…` reach the keys of this owner.
    ///
    /// ```
    /// use keywright_core::{Caller, Owner, Workspace};
    ///
    /// // A member of an organisation, who manages only their own keys.
    /// let member = Caller::new(Workspace::parse("acme")?, "api_keys.own:*,calls:*".parse()?)
    ///     .with_owner(Owner::parse("user:42")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Sets the attributes of the keys that the caller creates.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = Some(attributes);
        self.has_attributes_of_key = false;
        self
    }

    /// Sets the addresses from which the keys that the caller creates may be used. A key can be
    /// restricted further.
    #[must_use]
    pub fn with_allowed_ips(mut self, allowed_ips: AllowedIps) -> Self {
        self.allowed_ips = Some(allowed_ips);
        self.has_addresses_of_key = false;
        self
    }

    /// Sets the id of the caller's request, for the events of its changes.
    #[must_use]
    pub fn with_request_id(mut self, request_id: RequestId) -> Self {
        self.request_id = Some(request_id);
        self
    }

    /// Sets the address from which the caller sent its request, for the events of its changes. A
    /// caller that is a key is rejected if its key may not be used from there.
    #[must_use]
    pub fn with_client_ip(mut self, address: IpAddr) -> Self {
        self.client_ip = Some(address.to_canonical());
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

    /// Returns the owner. Keys that the caller creates inherit it.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// Returns the attributes. Keys that the caller creates inherit them.
    #[must_use]
    pub fn attributes(&self) -> Option<&Attributes> {
        self.attributes.as_ref()
    }

    /// Returns the addresses from which the keys that the caller creates may be used. `None` allows
    /// every address.
    #[must_use]
    pub fn allowed_ips(&self) -> Option<&AllowedIps> {
        self.allowed_ips.as_ref()
    }

    /// Returns the id of the caller's request.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.request_id.as_ref()
    }

    /// Returns the address from which the caller sent its request.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Returns who the caller is, as the events of its changes say it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match (self.key, self.role) {
            (Some(id), _) => Actor::Key {
                id,
                owner: self.owner.clone(),
            },
            (None, Role::Host) => Actor::Host {
                owner: self.owner.clone(),
            },
            (None, Role::Operator) => Actor::Operator,
            (None, Role::System) => Actor::System,
        }
    }

    /// Whether the caller has not expired at `now`.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Makes the caller of a key that an instance has verified.
    pub(crate) fn verified(key: &Key, client_ip: Option<IpAddr>, origin: InstanceId) -> Self {
        Self {
            client_ip: client_ip.map(|address| address.to_canonical()),
            origin: Some(origin),
            ..Self::from(key)
        }
    }

    /// Returns the instance whose verifier made the caller, or `None` if the host made it.
    pub(crate) fn origin(&self) -> Option<InstanceId> {
        self.origin
    }

    /// Returns this caller as the library itself.
    pub(crate) fn as_system(&self) -> Self {
        Self {
            role: Role::System,
            ..self.clone()
        }
    }

    /// Restricts the caller to what its key may do now. The key may have been updated since it was
    /// verified. `None` if the addresses that the host has set and those of the key have none in
    /// common.
    pub(crate) fn restricted_to(mut self, key: &Key) -> Option<Self> {
        self.expires_at = earliest(self.expires_at, key.expires_at);
        self.permissions = key.permissions.clone();
        if self.has_attributes_of_key {
            self.attributes = key.attributes.clone();
        }
        self.allowed_ips = match (self.allowed_ips, &key.allowed_ips) {
            (Some(own), Some(current)) if !self.has_addresses_of_key => {
                Some(own.intersection(current)?)
            }
            (own, None) if !self.has_addresses_of_key => own,
            (_, current) => current.clone(),
        };
        Some(self)
    }

    /// Whether the client may still use the caller's key from its address, after an update of the
    /// key. A host that vouches for the client need not know the address.
    pub(crate) fn is_at_allowed_address(&self, key: &Key) -> bool {
        match (&key.allowed_ips, self.client_ip) {
            (None, _) => true,
            (Some(allowed_ips), Some(address)) => allowed_ips.contains(address),
            (Some(_), None) => self.origin.is_none(),
        }
    }

    /// Whether the caller has a permission.
    #[must_use]
    pub fn may(&self, permission: &Permission) -> bool {
        self.permissions.covers(permission)
    }
}

/// Returns the earlier of two expiries. `None` means that there is no expiry.
pub(crate) fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    [a, b].into_iter().flatten().min()
}

impl From<&Key> for Caller {
    /// Creates a caller for a key without verifying anything. By calling this, the host vouches
    /// that the request comes from the key's holder, and every instance trusts it.
    ///
    /// For a token that was presented, use [`Verified::caller`](crate::Verified::caller).
    fn from(key: &Key) -> Self {
        Self {
            workspace: key.workspace.clone(),
            permissions: key.permissions.clone(),
            environment: key.environment,
            key: Some(key.id),
            expires_at: key.expires_at,
            owner: key.owner.clone(),
            attributes: key.attributes.clone(),
            allowed_ips: key.allowed_ips.clone(),
            role: Role::Host,
            request_id: None,
            client_ip: None,
            has_attributes_of_key: true,
            has_addresses_of_key: true,
            origin: None,
        }
    }
}
