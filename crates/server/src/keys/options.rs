//! The commands of `keywright keys` and their options.

use std::{net::IpAddr, time::Duration};

use clap::{ArgGroup, Args, Subcommand, ValueEnum, builder::StringValueParser, value_parser};
use keywright_core::{
    AllowedIps, Attributes, Environment, KeyId, ListKeys, Metadata, Name, Owner, Permission,
    Permissions, Status, Workspace,
};

use crate::{
    clean_value::{choice, clean, parsed},
    dates::{ExpiryOptions, overlap},
};

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key and print its token alone on a line
    ///
    ///     keywright keys create --name CI --permissions calls:read --expires-in 90d
    ///     keywright keys create --name laptop --owner user:42 \
    ///       --allowed-ips 192.0.2.0/24,2001:db8::/32 --attributes '{"plan": "pro"}'
    ///
    /// Clients can change the metadata of a key, but never see or change its
    /// attributes. Keys that a key creates have the same owner and attributes.
    #[command(verbatim_doc_comment)]
    Create(CreateOptions),
    /// List the keys of a workspace, newest first, including revoked keys
    ///
    ///     keywright keys list --owner user:42 --status disabled
    ///
    /// A terminal shows the columns that fit its width, and shortens names and owners.
    /// --wide shows all columns, and `keys get` and --json show whole values. Without a
    /// terminal, the columns are always the same, and nothing is shortened.
    #[command(verbatim_doc_comment)]
    List(ListOptions),
    /// Show a key
    ///
    ///     keywright keys get ID --json
    ///
    /// Shows revoked and expired keys as well.
    #[command(verbatim_doc_comment)]
    Get(KeyOptions),
    /// Change the settings of a key that is neither revoked nor expired
    ///
    ///     keywright keys update ID --permissions calls:read --expires-in 30d
    ///     keywright keys update ID --any-ip --attributes '{"plan": "free"}'
    ///
    /// Settings that are not named keep their values. Servers apply an update as fast
    /// as a revocation.
    #[command(verbatim_doc_comment)]
    Update(UpdateOptions),
    /// Pause a key: servers reject it until it is enabled again
    ///
    ///     keywright keys disable ID
    #[command(verbatim_doc_comment)]
    Disable(KeyOptions),
    /// Resume a key that was disabled
    ///
    ///     keywright keys enable ID
    #[command(verbatim_doc_comment)]
    Enable(KeyOptions),
    /// Revoke a key, every key of an owner, or every key, for good
    ///
    ///     keywright keys revoke ID --cascade
    ///     keywright keys revoke --owner user:42 --workspace acme
    #[command(verbatim_doc_comment)]
    Revoke(RevokeOptions),
    /// Replace a key and print the new token alone on a line
    ///
    ///     keywright keys rotate ID --expire-previous 7d
    ///     keywright keys rotate ID --expire-previous now --expires-at 2027-01-31
    #[command(verbatim_doc_comment)]
    Rotate(RotateOptions),
    /// Verify the token on standard input
    ///
    ///     keywright keys verify < token
    ///     keywright keys verify --permission calls:read --client-ip 192.0.2.7 < token
    ///
    /// Prints `valid`, or the reason as the API returns it: NOT_FOUND, EXPIRED,
    /// REVOKED, DISABLED, ADDRESS_NOT_ALLOWED or INSUFFICIENT_PERMISSION. Exits with
    /// 0 (valid), 1 (invalid) or 3 (undetermined).
    #[command(verbatim_doc_comment)]
    Verify(VerifyOptions),
    /// Report keys that deserve attention
    ///
    ///     keywright keys report --workspace acme
    ///
    /// Lists active and disabled keys that never expire, that expire within 30 days,
    /// that were never used or not for 90 days, that have all permissions, that were
    /// used after they were replaced, or that were imported and not used since. Each
    /// list has the number of its keys, and shows the 20 newest. To see all imported
    /// keys, run `keywright keys list --imported`.
    #[command(verbatim_doc_comment)]
    Report(ReportOptions),
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

    #[command(flatten)]
    pub(crate) expiry: ExpiryOptions,

    /// Person or service that the key belongs to, such as user:42
    #[arg(long, value_parser = parsed::<Owner>())]
    pub(crate) owner: Option<Owner>,

    /// Addresses and prefixes from which the key may be used, separated by commas
    #[arg(long, value_name = "LIST", value_parser = parsed::<AllowedIps>())]
    pub(crate) allowed_ips: Option<AllowedIps>,

    /// Metadata, which clients can change: a JSON object of at most 4096 bytes
    #[arg(long, value_name = "JSON", value_parser = Metadata::parse)]
    pub(crate) metadata: Option<Metadata>,

    /// Attributes, which clients cannot see: a JSON object of at most 4096 bytes
    #[arg(long, value_name = "JSON", value_parser = Attributes::parse)]
    pub(crate) attributes: Option<Attributes>,

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

    /// Only keys of this owner
    #[arg(long, value_parser = parsed::<Owner>())]
    pub(crate) owner: Option<Owner>,

    /// Only keys with this status
    #[arg(long, value_enum, value_parser = choice::<StatusName>())]
    pub(crate) status: Option<StatusName>,

    /// Only keys that were imported from another system
    #[arg(long)]
    pub(crate) imported: bool,

    /// Page after the one that returned this `nextCursor`; repeat its filters
    #[arg(long, conflicts_with = "page", value_parser = clean(StringValueParser::new()))]
    pub(crate) cursor: Option<String>,

    /// Print all columns, even if they do not fit the terminal
    #[arg(long, conflicts_with = "json")]
    pub(crate) wide: bool,

    /// Print the page as the API returns it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum StatusName {
    Active,
    Disabled,
    Expired,
    Revoked,
}

impl From<StatusName> for Status {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Active => Self::Active,
            StatusName::Disabled => Self::Disabled,
            StatusName::Expired => Self::Expired,
            StatusName::Revoked => Self::Revoked,
        }
    }
}

#[derive(Args)]
pub(crate) struct KeyOptions {
    /// Id of the key: `key_` and 16 characters
    #[arg(value_parser = parsed::<KeyId>())]
    pub(crate) id: KeyId,

    /// Workspace that the key belongs to
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Print the key as the API returns it, with its attributes
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args([
    "name", "permissions", "metadata", "no_metadata", "attributes", "no_attributes", "expires_in",
    "expires_at", "never_expires", "allowed_ips", "any_ip", "enable", "disable",
]))]
// The usage of clap would list every option.
#[command(override_usage = "keywright keys update [OPTIONS] <ID>")]
pub(crate) struct UpdateOptions {
    #[command(flatten)]
    pub(crate) key: KeyOptions,

    /// New name, 1 to 255 characters
    #[arg(long, value_parser = parsed::<Name>())]
    pub(crate) name: Option<Name>,

    /// New permissions, separated by commas; `*` grants all, an empty list grants none
    #[arg(long, value_name = "LIST", value_parser = parsed::<Permissions>())]
    pub(crate) permissions: Option<Permissions>,

    /// New metadata, which clients can change: a JSON object of at most 4096 bytes
    #[arg(long, value_name = "JSON", value_parser = Metadata::parse)]
    pub(crate) metadata: Option<Metadata>,

    /// Remove the metadata
    #[arg(long, conflicts_with = "metadata")]
    pub(crate) no_metadata: bool,

    /// Attributes, which clients cannot see: a JSON object of at most 4096 bytes
    #[arg(long, value_name = "JSON", value_parser = Attributes::parse)]
    pub(crate) attributes: Option<Attributes>,

    /// Remove the attributes
    #[arg(long, conflicts_with = "attributes")]
    pub(crate) no_attributes: bool,

    #[command(flatten)]
    pub(crate) expiry: ExpiryOptions,

    /// Remove the expiry, or with --max-lifetime, set the latest one allowed
    #[arg(long, conflicts_with_all = ["expires_in", "expires_at"])]
    pub(crate) never_expires: bool,

    /// Addresses and prefixes from which the key may be used, separated by commas
    #[arg(long, value_name = "LIST", value_parser = parsed::<AllowedIps>())]
    pub(crate) allowed_ips: Option<AllowedIps>,

    /// Allow the key to be used from any address
    #[arg(long, conflicts_with = "allowed_ips")]
    pub(crate) any_ip: bool,

    /// Resume the key, as `keys enable` does
    #[arg(long)]
    pub(crate) enable: bool,

    /// Pause the key, as `keys disable` does
    #[arg(long, conflicts_with = "enable")]
    pub(crate) disable: bool,
}

#[derive(Args)]
pub(crate) struct RevokeOptions {
    /// Id of the key: `key_` and 16 characters
    #[arg(
        required_unless_present_any = ["all", "owner"],
        conflicts_with_all = ["all", "owner"],
        value_parser = parsed::<KeyId>()
    )]
    pub(crate) id: Option<KeyId>,

    /// Also revoke all descendants: successors, and keys that it created or received
    #[arg(long, conflicts_with_all = ["all", "owner"])]
    pub(crate) cascade: bool,

    /// Revoke every key of this owner; requires --workspace
    ///
    /// Keys of other owners that these keys have rotated stay active: revoke those
    /// with --cascade.
    #[arg(
        long,
        requires = "workspace",
        conflicts_with = "all",
        value_parser = parsed::<Owner>()
    )]
    pub(crate) owner: Option<Owner>,

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

    #[command(flatten)]
    pub(crate) expiry: ExpiryOptions,

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

    /// Accept only keys that have this permission
    #[arg(long, value_parser = parsed::<Permission>())]
    pub(crate) permission: Option<Permission>,

    /// Address of the client; without it, keys that are restricted to addresses are invalid
    #[arg(long, value_name = "ADDR", value_parser = parsed::<IpAddr>())]
    pub(crate) client_ip: Option<IpAddr>,

    /// Print the result as the API returns it
    #[arg(long)]
    pub(crate) json: bool,

    /// Accepted only to print a clear error: other users of the host can see arguments.
    #[arg(hide = true, value_parser = clean(StringValueParser::new()))]
    pub(crate) token: Option<String>,
}

#[derive(Args)]
pub(crate) struct ReportOptions {
    /// Workspace whose keys to report
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Print the report as the API returns it
    #[arg(long)]
    pub(crate) json: bool,
}
