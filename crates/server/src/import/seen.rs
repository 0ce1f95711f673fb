//! The tokens of the lines that a dry run has read.

use anyhow::{Context, Result};
use keywright_core::ForeignKeyDigest;
use rusqlite::{Connection, OptionalExtension, params};

/// The memory for the digests, in KiB. The rest is in the temporary file.
const MEMORY: i64 = 16 * 1024;

/// The digests of the tokens that were read, with the numbers of their lines. They are in an
/// unnamed temporary database, so that a million lines need no more memory than a thousand. The
/// operating system deletes its file when the process ends.
pub(super) struct SeenTokens(Connection);

/// Whether a token was seen before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    New,
    /// In a line with the same content.
    Same,
    /// In the line with this number, which has other content.
    Differs(u64),
}

impl SeenTokens {
    pub(super) fn new() -> Result<Self> {
        let create = || -> rusqlite::Result<Connection> {
            let connection = Connection::open("")?;
            connection.pragma_update(None, "cache_size", -MEMORY)?;
            connection.execute_batch(
                "CREATE TABLE lines (
                     token BLOB NOT NULL PRIMARY KEY,
                     content BLOB NOT NULL,
                     number INTEGER NOT NULL
                 ) STRICT, WITHOUT ROWID;
                 BEGIN",
            )?;
            Ok(connection)
        };
        Ok(Self(create().context(FAILED)?))
    }

    /// Adds the token of a line, unless it was seen.
    pub(super) fn add(&self, number: u64, digest: &ForeignKeyDigest) -> Result<Seen> {
        self.try_add(number, digest).context(FAILED)
    }

    fn try_add(&self, number: u64, digest: &ForeignKeyDigest) -> rusqlite::Result<Seen> {
        let ForeignKeyDigest { token, content, .. } = digest;
        let seen: Option<([u8; 32], i64)> = self
            .0
            .prepare_cached("SELECT content, number FROM lines WHERE token = ?")?
            .query_row([token], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((present, line)) = seen {
            return Ok(if present == *content {
                Seen::Same
            } else {
                Seen::Differs(line.cast_unsigned())
            });
        }
        self.0
            .prepare_cached("INSERT INTO lines (token, content, number) VALUES (?, ?, ?)")?
            .execute(params![token, content, number.cast_signed()])?;
        Ok(Seen::New)
    }
}

const FAILED: &str = "cannot write digests of the tokens to a temporary file; set TMPDIR to a \
                      folder with free space";
