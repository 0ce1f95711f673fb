//! The names, times and permissions that sequences of actions draw from. They are few, so that
//! actions often affect the same keys.

use std::time::Duration;

use keywright_core::Environment;

/// The prefix of all tokens.
pub const PREFIX: &str = "acme";

/// The initial time of the clock, in Unix milliseconds.
pub const START: i64 = 1_709_287_200_000;

/// One hour, in milliseconds.
pub const HOUR: i64 = 60 * 60 * 1000;

/// One day, in milliseconds.
pub const DAY: i64 = 24 * HOUR;

/// The names of keys.
pub const NAMES: [&str; 5] = ["Straße", "STRASSE 7", "ci", "CI deploy", "backup"];

/// The texts to search for in names.
pub const SEARCHES: [&str; 4] = ["strasse", "Ci", "7", "nothing"];

/// The metadata of keys.
pub const METADATA: [&str; 3] = ["{}", r#"{"team":"a"}"#, r#"{"team":"b","n":[1,2]}"#];

/// The attributes of keys.
pub const ATTRIBUTES: [&str; 2] = [r#"{"plan":"free"}"#, r#"{"plan":"pro","n":1}"#];

/// The permissions of keys, separated by commas.
pub const PERMISSIONS: [&str; 10] = [
    "",
    "*",
    "api_keys:*,calls:*",
    "api_keys:read,api_keys:write,calls:read",
    "api_keys:write,calls:*",
    "api_keys:read,api_keys:verify",
    "api_keys.own:*,calls:read",
    "api_keys:read,api_keys.own:write,calls:*",
    "api_keys.self:rotate,calls:read",
    "calls:read",
];

/// The permissions that a service requires of a token.
pub const REQUIRED: [&str; 3] = ["calls:read", "calls:write", "*"];

/// The allowed addresses of keys, separated by commas.
pub const ALLOWED_IPS: [&str; 6] = [
    "10.0.0.0/8",
    "10.0.0.0/9,10.128.0.0/9",
    "10.1.2.3",
    "10.1.0.0/16,192.0.2.0/24",
    "2001:db8::/32",
    "0.0.0.0/0,::/0",
];

/// The addresses of clients.
pub const ADDRESSES: [&str; 5] = [
    "10.1.2.3",
    "::ffff:10.1.2.3",
    "10.200.0.1",
    "192.0.2.7",
    "2001:db8::1",
];

/// The owners of keys.
pub const OWNERS: [&str; 2] = ["user:1", "user:2"];

/// The workspaces.
pub const WORKSPACES: [&str; 2] = ["acme", "other"];

/// The maximum lifetime of a key, in milliseconds, in a process that has one.
pub const MAX_LIFETIME: i64 = 30 * DAY;

/// The maximum number of keys that a sequence can refer to.
pub const SLOTS: usize = 8;

/// The number of processes that share the store.
pub const PROCESSES: usize = 2;

/// A caller that is not a key: a user whom the host has signed in.
#[derive(Debug)]
pub struct Host {
    /// The workspace that it acts in.
    pub workspace: &'static str,
    /// The permissions, separated by commas.
    pub permissions: &'static str,
    /// Live or test.
    pub environment: Environment,
    /// The owner of the keys that it creates.
    pub owner: Option<&'static str>,
    /// The attributes of the keys that it creates.
    pub attributes: Option<&'static str>,
    /// The addresses from which the keys that it creates may be used, separated by commas.
    pub allowed_ips: Option<&'static str>,
    /// The end of its session, in Unix milliseconds.
    pub expires_at: Option<i64>,
}

/// A user with all permissions.
const OPERATOR: Host = Host {
    workspace: "acme",
    permissions: "*",
    environment: Environment::Live,
    owner: None,
    attributes: None,
    allowed_ips: None,
    expires_at: None,
};

/// A user who can manage only their own keys.
const MEMBER: Host = Host {
    permissions: "api_keys.own:*,api_keys.self:rotate,calls:*",
    ..OPERATOR
};

/// The users whom the host has signed in. The first user of each workspace has all permissions.
/// Two users of a workspace differ in their environment, permissions or owner. Otherwise, they
/// would share their idempotency keys.
pub const HOSTS: [Host; 11] = [
    OPERATOR,
    Host {
        workspace: "other",
        ..OPERATOR
    },
    Host {
        permissions: "api_keys:*,calls:*",
        expires_at: Some(START + 5 * HOUR),
        ..OPERATOR
    },
    Host {
        permissions: "api_keys:write,calls:read",
        environment: Environment::Test,
        ..OPERATOR
    },
    Host {
        permissions: "api_keys:read,api_keys:verify",
        environment: Environment::Test,
        ..OPERATOR
    },
    // An administrator, who also has keys.
    Host {
        owner: Some(OWNERS[0]),
        attributes: Some(ATTRIBUTES[1]),
        ..OPERATOR
    },
    Host {
        owner: Some(OWNERS[0]),
        attributes: Some(ATTRIBUTES[0]),
        ..MEMBER
    },
    // A member who differs from the one before only in the owner.
    Host {
        owner: Some(OWNERS[1]),
        attributes: Some(ATTRIBUTES[0]),
        ..MEMBER
    },
    // Without an owner, a member has no keys.
    MEMBER,
    // A user who sees all keys and can change only their own.
    Host {
        permissions: "api_keys:read,api_keys.own:write,calls:*",
        owner: Some(OWNERS[1]),
        ..OPERATOR
    },
    // A user whose keys can be used in the office only.
    Host {
        owner: Some(OWNERS[1]),
        allowed_ips: Some(ALLOWED_IPS[1]),
        ..OPERATOR
    },
];

/// Converts milliseconds to a [`Duration`], ignoring the sign.
#[must_use]
pub fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}
