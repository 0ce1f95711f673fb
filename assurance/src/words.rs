//! The few names, times and permissions that sequences of calls are made of: so few that they meet.

use std::time::Duration;

use keywright_core::Environment;

/// What all tokens begin with.
pub const PREFIX: &str = "acme";

/// What time it is at first, in Unix milliseconds.
pub const START: i64 = 1_709_287_200_000;

/// Milliseconds of an hour.
pub const HOUR: i64 = 60 * 60 * 1000;

/// Milliseconds of a day.
pub const DAY: i64 = 24 * HOUR;

/// What keys are called, and their names searched for.
pub const NAMES: [&str; 5] = ["Straße", "STRASSE 7", "ci", "CI deploy", "backup"];

/// What is searched for in names.
pub const SEARCHES: [&str; 4] = ["strasse", "Ci", "7", "nothing"];

/// What hosts note beside keys.
pub const METADATA: [&str; 3] = ["{}", r#"{"team":"a"}"#, r#"{"team":"b","n":[1,2]}"#];

/// What keys are allowed, each with commas between.
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

/// How many keys a sequence can name at a time.
pub const SLOTS: usize = 8;

/// How many processes have the store open.
pub const HANDLES: usize = 2;

/// A caller that is no key: whom a host has signed in.
#[derive(Debug)]
pub struct Host {
    /// Where it acts.
    pub workspace: &'static str,
    /// What it may do, with commas between.
    pub permissions: &'static str,
    /// Live or test.
    pub environment: Environment,
    /// When its session ends, in Unix milliseconds.
    pub ends: Option<i64>,
}

/// Whom hosts have signed in. The first of a workspace may do everything there.
pub const HOSTS: [Host; 5] = [
    Host {
        workspace: "acme",
        permissions: "*",
        environment: Environment::Live,
        ends: None,
    },
    Host {
        workspace: "other",
        permissions: "*",
        environment: Environment::Live,
        ends: None,
    },
    Host {
        workspace: "acme",
        permissions: "api_keys:*,calls:*",
        environment: Environment::Live,
        ends: Some(START + 5 * HOUR),
    },
    Host {
        workspace: "acme",
        permissions: "api_keys:write,calls:read",
        environment: Environment::Test,
        ends: None,
    },
    Host {
        workspace: "acme",
        permissions: "api_keys:read,api_keys:verify",
        environment: Environment::Test,
        ends: None,
    },
];

/// A span of so many milliseconds.
#[must_use]
pub fn span(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}
