//! What a set of permissions opens, told by trying everything there is.

use keywright_core::Permissions;

/// What keys are given.
pub(crate) const GIVEN: [&str; 10] = [
    "*",
    "api_keys:*",
    "api_keys:read",
    "api_keys:write",
    "billing",
    "calls",
    "calls:*",
    "calls:read",
    "calls:read:*",
    "calls:read:own",
];

/// What can be asked for: all of the above that are no patterns, and something that each pattern
/// alone opens.
const ASKED: [&str; 10] = [
    "anything",
    "api_keys:read",
    "api_keys:rest",
    "api_keys:write",
    "billing",
    "calls",
    "calls:read",
    "calls:read:own",
    "calls:read:rest",
    "calls:rest",
];

pub(crate) fn opens(set: &Permissions, asked: &str) -> bool {
    set.iter().any(|permission| match permission.as_str() {
        "*" => true,
        exact if exact == asked => true,
        pattern => pattern.strip_suffix(":*").is_some_and(|stem| {
            asked
                .strip_prefix(stem)
                .is_some_and(|rest| rest.starts_with(':'))
        }),
    })
}

/// Whether the one opens whatever the other does.
pub(crate) fn covers(one: &Permissions, other: &Permissions) -> bool {
    ASKED
        .iter()
        .all(|asked| opens(one, asked) || !opens(other, asked))
}
