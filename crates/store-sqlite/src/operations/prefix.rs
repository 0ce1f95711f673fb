//! Claiming the file for the prefix of its tokens.

use keywright_core::Prefix;
use rusqlite::{Connection, types::Type};

use crate::error::Result;

const CLAIM: &str = "
    INSERT INTO settings (name, value) VALUES ('prefix', ?1)
    ON CONFLICT (name) DO NOTHING";

const CLAIMED: &str = "SELECT value FROM settings WHERE name = 'prefix'";

/// The prefix that was claimed first: this one, if there was none.
pub(crate) fn claim_prefix(connection: &Connection, prefix: &Prefix) -> Result<Prefix> {
    connection
        .prepare_cached(CLAIM)?
        .execute([prefix.as_str()])?;
    let claimed: String = connection
        .prepare_cached(CLAIMED)?
        .query_one((), |row| row.get(0))?;
    let claimed = Prefix::parse(&claimed).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
    })?;
    Ok(claimed)
}
