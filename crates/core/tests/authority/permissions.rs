//! An independent model of permissions, which compares two sets by trying each required permission.

use keywright_core::Permissions;

/// The permissions that the keys of the test may have.
pub(crate) const GRANTABLE: [&str; 16] = [
    "*",
    "api_keys.own:*",
    "api_keys.own:read",
    "api_keys.own:verify",
    "api_keys.own:write",
    "api_keys.self:rotate",
    "api_keys:*",
    "api_keys:read",
    "api_keys:verify",
    "api_keys:write",
    "billing",
    "calls",
    "calls:*",
    "calls:read",
    "calls:read:*",
    "calls:read:own",
];

/// The permissions that a call can require: those in [`GRANTABLE`] that are not patterns, and for
/// each pattern a permission that only this pattern and wider patterns grant.
const REQUIRED: [&str; 16] = [
    "anything",
    "api_keys.own:read",
    "api_keys.own:rest",
    "api_keys.own:verify",
    "api_keys.own:write",
    "api_keys.self:rotate",
    "api_keys:read",
    "api_keys:rest",
    "api_keys:verify",
    "api_keys:write",
    "billing",
    "calls",
    "calls:read",
    "calls:read:own",
    "calls:read:rest",
    "calls:rest",
];

/// Whether the set grants the required permission.
pub(crate) fn grants(set: &Permissions, required: &str) -> bool {
    set.iter().any(|permission| match permission.as_str() {
        "*" => true,
        exact if exact == required => true,
        pattern => pattern.strip_suffix(":*").is_some_and(|stem| {
            required
                .strip_prefix(stem)
                .is_some_and(|rest| rest.starts_with(':'))
        }),
    })
}

/// Whether `set` grants each permission that `other` grants.
pub(crate) fn includes(set: &Permissions, other: &Permissions) -> bool {
    REQUIRED
        .iter()
        .all(|required| grants(set, required) || !grants(other, required))
}
