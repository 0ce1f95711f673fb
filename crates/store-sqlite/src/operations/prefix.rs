//! The token prefix that the store was claimed for.

use keywright_core::{Prefix, store::Stage};
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};

const CLAIM: &str = "
    INSERT INTO keywright_settings (name, value) VALUES ('prefix', ?1)
    ON CONFLICT (name) DO NOTHING";

const CLAIMED: &str = "SELECT value FROM keywright_settings WHERE name = 'prefix'";

/// Returns the prefix that the store was claimed for.
pub(crate) fn prefix(connection: &Connection) -> Result<Option<Prefix>> {
    claim(connection)?.as_deref().map(parse).transpose()
}

/// Returns the text of the claim.
pub(super) fn claim(connection: &Connection) -> Result<Option<String>> {
    let claim = connection
        .prepare_cached(CLAIMED)?
        .query_one((), |row| row.get(0))
        .optional()?;
    Ok(claim)
}

/// Claims the store for `prefix` unless it has a prefix, and returns the prefix that it has now.
pub(crate) fn claim_prefix(connection: &Connection, prefix: &Prefix) -> Result<Prefix> {
    connection
        .prepare_cached(CLAIM)?
        .execute([prefix.as_str()])?;
    let claimed: String = connection
        .prepare_cached(CLAIMED)?
        .query_one((), |row| row.get(0))?;
    parse(&claimed)
}

fn parse(claimed: &str) -> Result<Prefix> {
    Stage::claimed_prefix(claimed).map_err(Error::from)
}
