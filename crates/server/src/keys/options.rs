//! The options of `keywright keys …`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use keywright_core::{
    Environment, KeyId, ListKeys, Metadata, Name, NewRotation, Permissions, Status, Timestamp,
    Workspace,
};

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key and print its token, alone on a line of standard output
    Create(CreateOptions),
    /// List the keys of a workspace, the newest first, revoked ones too
    List(ListOptions),
    /// Show one key
    Get(GetOptions),
    /// Give a key another name, other metadata, or both, and show it
    Rename(RenameOptions),
    /// Revoke a key, for ever; or every key of a workspace
    Revoke(RevokeOptions),
    /// Replace a key by a successor and print its token, alone on a line of standard output
    Rotate(RotateOptions),
    /// Tell what the token on a line of standard input is worth
    ///
    /// Prints `valid`, or else NOT_FOUND, EXPIRED or REVOKED. Exits with 0 if the token is valid,
    /// with 1 if not, and with 3 if that could not be found out.
    #[command(verbatim_doc_comment)]
    Verify(VerifyOptions),
    /// Delete the records of keys that were revoked long ago
    ///
    /// Kept are keys that were revoked in the last 24 hours, and keys that created, or were rotated
    /// into, one that is kept. In a store without any key left, `serve` makes a first key again.
    #[command(verbatim_doc_comment)]
    Purge(PurgeOptions),
}

#[derive(Args)]
pub(crate) struct CreateOptions {
    /// What the key is called: 1 to 255 characters
    #[arg(long)]
    pub(crate) name: Name,

    /// The workspace that it belongs to
    #[arg(long, default_value = "default")]
    pub(crate) workspace: Workspace,

    /// What it may do: permissions with commas between; `` is none, `*` everything
    #[arg(long, default_value = "*", value_name = "LIST")]
    pub(crate) permissions: Permissions,

    /// live or test
    #[arg(long, default_value = "live")]
    pub(crate) environment: Environment,

    /// How long it lives, such as 90d or 12h; without it, for ever
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub(crate) expires_in: Option<Duration>,

    /// Print the whole answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ListOptions {
    /// The workspace whose keys are shown
    #[arg(long, default_value = "default")]
    pub(crate) workspace: Workspace,

    /// Which page
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) page: u32,

    /// Most keys on a page, 1 to 100
    #[arg(
        long,
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(ListKeys::MAX_LIMIT))
    )]
    pub(crate) limit: u32,

    /// Only keys whose name holds this text, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,

    /// Only keys of this status
    #[arg(long, value_enum)]
    pub(crate) status: Option<StatusName>,

    /// The page after the one that told this `next_cursor`, with the same filter
    #[arg(long, conflicts_with = "page")]
    pub(crate) cursor: Option<String>,

    /// Print the page as the API answers it
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
    /// The id of the key: key_ and 16 characters
    pub(crate) id: KeyId,

    /// The workspace that it belongs to
    #[arg(long, default_value = "default")]
    pub(crate) workspace: Workspace,

    /// Print it as the API answers it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct RenameOptions {
    /// The id of the key: key_ and 16 characters
    pub(crate) id: KeyId,

    /// Its new name: 1 to 255 characters
    #[arg(long, required_unless_present = "metadata")]
    pub(crate) name: Option<Name>,

    /// Its new metadata, which replaces the old: a JSON object of at most 4096 bytes
    #[arg(long, value_name = "JSON", value_parser = Metadata::parse)]
    pub(crate) metadata: Option<Metadata>,

    /// The workspace that it belongs to
    #[arg(long, default_value = "default")]
    pub(crate) workspace: Workspace,

    /// Print it as the API answers it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct RevokeOptions {
    /// The id of the key: key_ and 16 characters
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) id: Option<KeyId>,

    /// Revoke also every key that it created or was rotated into, at any depth
    #[arg(long, conflicts_with = "all")]
    pub(crate) cascade: bool,

    /// Revoke every key of the workspace, which must then be named
    #[arg(long, requires = "workspace")]
    pub(crate) all: bool,

    /// The workspace that the key belongs to [default: default]
    #[arg(long)]
    pub(crate) workspace: Option<Workspace>,

    /// Print how many keys were revoked as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct RotateOptions {
    /// The id of the key: key_ and 16 characters
    pub(crate) id: KeyId,

    /// How long the old key lives on, at most 30d; now revokes it
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = overlap)]
    pub(crate) expire_previous: Duration,

    /// How long the new key lives, such as 90d; without it, as long as the old one was meant to
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub(crate) expires_in: Option<Duration>,

    /// The workspace that it belongs to
    #[arg(long, default_value = "default")]
    pub(crate) workspace: Workspace,

    /// Print the whole answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct VerifyOptions {
    /// Accept only keys of this workspace; without it, keys of any
    #[arg(long)]
    pub(crate) workspace: Option<Workspace>,

    /// Print the answer of the API
    #[arg(long)]
    pub(crate) json: bool,

    /// Taken only to be refused: other users of the host see arguments.
    #[arg(hide = true)]
    pub(crate) token: Option<String>,
}

#[derive(Args)]
pub(crate) struct PurgeOptions {
    /// Only keys that were revoked before this time: 2026-01-31 (UTC), or as in RFC 3339
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(crate) revoked_before: Timestamp,

    /// Only keys of this workspace; without it, of all of them
    #[arg(long)]
    pub(crate) workspace: Option<Workspace>,

    /// Print how many records were deleted as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `now`, or a span of at most 30 days.
fn overlap(text: &str) -> Result<Duration, String> {
    if text == "now" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text)
        .ok()
        .filter(|span| *span <= NewRotation::MAX_OVERLAP)
        .ok_or_else(|| "it must be now, or a span such as 24h, at most 30d".into())
}

/// A day, which begins at midnight in UTC, or a time.
fn date(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(&format!("{text}T00:00:00Z"))
        .or_else(|_| Timestamp::parse(text))
        .map_err(|_| "it must be a day such as 2026-01-31, or a time as in RFC 3339".into())
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
    fn a_day_begins_at_midnight_in_utc() {
        let midnight = Timestamp::parse("2026-01-31T00:00:00Z").unwrap();
        assert_eq!(date("2026-01-31"), Ok(midnight));
        assert_eq!(date("2026-01-31T01:00:00+01:00"), Ok(midnight));
        for bad in ["", "2026-02-30", "2026-1-1", "yesterday", "1970"] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }
}
