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

/// The permissions of keys, separated by commas.
pub const PERMISSIONS: [&str; 7] = [
    "",
    "*",
    "api_keys:*,calls:*",
    "api_keys:read,api_keys:write,calls:read",
    "api_keys:write,calls:*",
    "api_keys:read,api_keys:verify",
    "calls:read",
];

/// The workspaces.
pub const WORKSPACES: [&str; 2] = ["acme", "other"];

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
    /// The end of its session, in Unix milliseconds.
    pub expires_at: Option<i64>,
}

/// The users whom the host has signed in. The first user of each workspace has all permissions.
pub const HOSTS: [Host; 5] = [
    Host {
        workspace: "acme",
        permissions: "*",
        environment: Environment::Live,
        expires_at: None,
    },
    Host {
        workspace: "other",
        permissions: "*",
        environment: Environment::Live,
        expires_at: None,
    },
    Host {
        workspace: "acme",
        permissions: "api_keys:*,calls:*",
        environment: Environment::Live,
        expires_at: Some(START + 5 * HOUR),
    },
    Host {
        workspace: "acme",
        permissions: "api_keys:write,calls:read",
        environment: Environment::Test,
        expires_at: None,
    },
    Host {
        workspace: "acme",
        permissions: "api_keys:read,api_keys:verify",
        environment: Environment::Test,
        expires_at: None,
    },
];

/// Converts milliseconds to a [`Duration`], ignoring the sign.
#[must_use]
pub fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}
