//! The commands of `keywright keys` and their options.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, builder::StringValueParser, value_parser};
use keywright_core::{
    Environment, KeyId, ListKeys, Metadata, Name, NewRotation, Permissions, Status, Timestamp,
    Workspace,
};

use crate::clean_value::{choice, clean, parsed};

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key and print its token alone on a line
    Create(CreateOptions),
    /// List the keys of a workspace, newest first, including revoked keys
    List(ListOptions),
    /// Show a key
    Get(GetOptions),
    /// Change the name or the metadata of a key
    Rename(RenameOptions),
    /// Revoke a key, or every key of a workspace; this cannot be undone
    Revoke(RevokeOptions),
    /// Replace a key with a successor and print the new token alone on a line
    Rotate(RotateOptions),
    /// Verify the token on standard input
    ///
    /// Prints `valid`, NOT_FOUND, EXPIRED or REVOKED, and exits with 0 (valid),
    /// 1 (invalid) or 3 (undetermined).
    ///
    ///     keywright keys verify < token
    #[command(verbatim_doc_comment)]
    Verify(VerifyOptions),
    /// Delete the records of keys that were revoked long ago
    ///
    /// A key is kept if it was revoked in the last 24 hours, or if one of its
    /// descendants is kept: its successor, a key that it created, or a key that it
    /// received by rotating another. If no key is left, the next start of
    /// `keywright serve` creates a first key again.
    #[command(verbatim_doc_comment)]
    Purge(PurgeOptions),
}

#[derive(Args)]
pub(crate) struct CreateOptions {
    /// Name of the key, 1 to 255 characters
    #[arg(long, value_parser = parsed::<Name>())]
    pub(crate) name: Name,

    /// Workspace that the key belongs to
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Permissions, separated by commas; `*` grants all, an empty list grants none
    #[arg(long, default_value = "*", value_name = "LIST", value_parser = parsed::<Permissions>())]
    pub(crate) permissions: Permissions,

    /// Environment of the key: live or test
    #[arg(long, default_value = "live", value_parser = parsed::<Environment>())]
    pub(crate) environment: Environment,

    /// Lifetime of the key, such as 90d or 12h; without it, the key never expires
    #[arg(long, value_name = "SPAN", value_parser = clean(humantime::parse_duration))]
    pub(crate) expires_in: Option<Duration>,

    /// Print the key and its token as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ListOptions {
    /// Workspace whose keys to list
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Page number
    #[arg(long, default_value_t = 1, value_parser = clean(value_parser!(u32).range(1..)))]
    pub(crate) page: u32,

    /// Maximum number of keys on a page, 1 to 100
    #[arg(
        long,
        default_value_t = 20,
        value_parser = clean(value_parser!(u32).range(1..=i64::from(ListKeys::MAX_LIMIT)))
    )]
    pub(crate) limit: u32,

    /// Only keys whose name contains this text, ignoring case
    #[arg(long, value_name = "TEXT", value_parser = clean(StringValueParser::new()))]
    pub(crate) search: Option<String>,

    /// Only keys with this status
    #[arg(long, value_enum, value_parser = choice::<StatusName>())]
    pub(crate) status: Option<StatusName>,

    /// Next page after the page that returned this `nextCursor`, with the same filters
    #[arg(long, conflicts_with = "page", value_parser = clean(StringValueParser::new()))]
    pub(crate) cursor: Option<String>,

    /// Print the page as the API returns it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum StatusName {
    Active,
    Expired,
    Revoked,
}

impl From<StatusName> for Status {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Active => Self::Active,
            StatusName::Expired => Self::Expired,
            StatusName::Revoked => Self::Revoked,
        }
    }
}

#[derive(Args)]
pub(crate) struct GetOptions {
    /// Id of the key: `key_` and 16 characters
    #[arg(value_parser = parsed::<KeyId>())]
    pub(crate) id: KeyId,

    /// Workspace that the key belongs to
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Print the key as the API returns it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct RenameOptions {
    /// Id of the key: `key_` and 16 characters
    #[arg(value_parser = parsed::<KeyId>())]
    pub(crate) id: KeyId,

    /// New name, 1 to 255 characters
    #[arg(long, required_unless_present = "metadata", value_parser = parsed::<Name>())]
    pub(crate) name: Option<Name>,

    /// New metadata, which replaces the old: a JSON object of at most 4096 bytes
    #[arg(long, value_name = "JSON", value_parser = Metadata::parse)]
    pub(crate) metadata: Option<Metadata>,

    /// Workspace that the key belongs to
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Print the key as the API returns it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct RevokeOptions {
    /// Id of the key: `key_` and 16 characters
    #[arg(
        required_unless_present = "all",
        conflicts_with = "all",
        value_parser = parsed::<KeyId>()
    )]
    pub(crate) id: Option<KeyId>,

    /// Also revoke all descendants: successors, and keys that it created or received
    #[arg(long, conflicts_with = "all")]
    pub(crate) cascade: bool,

    /// Revoke every key of the workspace; requires --workspace
    #[arg(long, requires = "workspace")]
    pub(crate) all: bool,

    /// Workspace that the key belongs to [default: default]
    #[arg(long, value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Option<Workspace>,

    /// Print the number of revoked keys as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct RotateOptions {
    /// Id of the key: `key_` and 16 characters
    #[arg(value_parser = parsed::<KeyId>())]
    pub(crate) id: KeyId,

    /// How long the old key stays valid, at most 30d; `now` revokes it at once
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = clean(overlap))]
    pub(crate) expire_previous: Duration,

    /// Lifetime of the new key, such as 90d; without it, the lifetime of the old key
    #[arg(long, value_name = "SPAN", value_parser = clean(humantime::parse_duration))]
    pub(crate) expires_in: Option<Duration>,

    /// Workspace that the key belongs to
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Print the new key and its token as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct VerifyOptions {
    /// Accept only keys of this workspace; without it, keys of any workspace
    #[arg(long, value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Option<Workspace>,

    /// Print the result as the API returns it
    #[arg(long)]
    pub(crate) json: bool,

    /// Accepted only to print a clear error: other users of the host can see arguments.
    #[arg(hide = true, value_parser = clean(StringValueParser::new()))]
    pub(crate) token: Option<String>,
}

#[derive(Args)]
pub(crate) struct PurgeOptions {
    /// Only keys revoked before this date, such as 2026-01-31 (UTC), or RFC 3339 time
    #[arg(long, value_name = "DATE", value_parser = clean(date))]
    pub(crate) revoked_before: Timestamp,

    /// Only keys of this workspace; without it, keys of all workspaces
    #[arg(long, value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Option<Workspace>,

    /// Print the number of deleted records as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses `now`, or a span of at most 30 days.
fn overlap(text: &str) -> Result<Duration, String> {
    if text == "now" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text)
        .ok()
        .filter(|span| *span <= NewRotation::MAX_OVERLAP)
        .ok_or_else(|| "expected now, or a span such as 24h, at most 30d".into())
}

/// Parses a date, which begins at midnight in UTC, or an RFC 3339 time.
fn date(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(&format!("{text}T00:00:00Z"))
        .or_else(|_| Timestamp::parse(text))
        .map_err(|_| "expected a date such as 2026-01-31, or an RFC 3339 time".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_now_or_a_span_of_at_most_30_days() {
        assert_eq!(overlap("now"), Ok(Duration::ZERO));
        assert_eq!(overlap("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(overlap("30d"), Ok(NewRotation::MAX_OVERLAP));
        for bad in ["30d 1s", "", "-1h", "tomorrow", "24"] {
            assert!(overlap(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_begins_at_midnight_in_utc() {
        let midnight = Timestamp::parse("2026-01-31T00:00:00Z").unwrap();
        assert_eq!(date("2026-01-31"), Ok(midnight));
        assert_eq!(date("2026-01-31T01:00:00+01:00"), Ok(midnight));
        for bad in ["", "2026-02-30", "2026-1-1", "yesterday", "1970"] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }
}
