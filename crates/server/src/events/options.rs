//! The options of `keywright events`.

use clap::{Args, value_parser};
use keywright_core::{KeyId, Owner, Workspace};

use crate::clean_value::{clean, parsed};

#[derive(Args)]
pub(crate) struct EventsOptions {
    /// Workspace whose events to show
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Only events of this key: `key_` and 16 characters
    #[arg(long, value_name = "ID", value_parser = parsed::<KeyId>())]
    pub(crate) key: Option<KeyId>,

    /// Only events of keys of this owner
    #[arg(long, value_parser = parsed::<Owner>())]
    pub(crate) owner: Option<Owner>,

    /// Maximum number of events to show, at least 1
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clean(value_parser!(u64).range(1..))
    )]
    pub(crate) limit: u64,

    /// Print new events as they appear, oldest first, until Ctrl-C
    #[arg(long, conflicts_with = "limit")]
    pub(crate) follow: bool,

    /// Print all columns, even if they do not fit the terminal
    #[arg(long, conflicts_with = "json")]
    pub(crate) wide: bool,

    /// Print a JSON object on each line, as the API returns it
    #[arg(long)]
    pub(crate) json: bool,
}
