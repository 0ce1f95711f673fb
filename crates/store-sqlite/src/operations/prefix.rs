//! The token prefix that the store was claimed for.

use keywright_core::Prefix;
use rusqlite::{Connection, OptionalExtension, types::Type};

use crate::error::Result;

const CLAIM: &str = "
    INSERT INTO keywright_settings (name, value) VALUES ('prefix', ?1)
    ON CONFLICT (name) DO NOTHING";

const CLAIMED: &str = "SELECT value FROM keywright_settings WHERE name = 'prefix'";

/// Returns the prefix that the store was claimed for.
pub(crate) fn prefix(connection: &Connection) -> Result<Option<Prefix>> {
    let claimed = connection
        .prepare_cached(CLAIMED)?
        .query_one((), |row| row.get(0))
        .optional()?;
    claimed.map(parse).transpose()
}

/// Claims the store for `prefix` unless it has a prefix, and returns the prefix that it has now.
pub(crate) fn claim_prefix(connection: &Connection, prefix: &Prefix) -> Result<Prefix> {
    connection
        .prepare_cached(CLAIM)?
        .execute([prefix.as_str()])?;
    let claimed = connection
        .prepare_cached(CLAIMED)?
        .query_one((), |row| row.get(0))?;
    parse(claimed)
}

fn parse(claimed: String) -> Result<Prefix> {
    let prefix = Prefix::parse(&claimed).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
    })?;
    Ok(prefix)
}
