//! Writes secrets to standard output without leaving copies in memory.

use std::{
    fs::File,
    io::{self, Write, stdout},
    os::fd::AsFd,
};

use anyhow::Error;
use keywright_core::{Caller, Issuer, KeyId, Reach};
use zeroize::Zeroizing;

/// Writes a line to standard output.
pub(crate) fn write_line(line: &str) -> io::Result<()> {
    let mut text = Zeroizing::new(Vec::with_capacity(line.len() + 1));
    text.extend_from_slice(line.as_bytes());
    text.push(b'\n');
    write(&text)
}

/// Writes whole lines directly to standard output.
///
/// The buffer of `stdout()` would keep the secret until something else is printed or the program
/// ends.
pub(crate) fn write(lines: &[u8]) -> io::Result<()> {
    File::from(stdout().as_fd().try_clone_to_owned()?).write_all(lines)
}

/// Revokes a new key whose token could not be printed, and returns the error to report.
///
/// Without its token, the key is of no use to the operator. Someone else may have read the
/// beginning of the output.
pub(crate) async fn revoke_unprinted(
    issuer: &Issuer,
    operator: &Caller,
    id: &KeyId,
    error: Error,
) -> Error {
    error.context(match issuer.revoke(operator, id, Reach::Key).await {
        Ok(_) => format!("could not print the token of the new key {id}, and revoked the key"),
        Err(revoke) => format!(
            "could not print the token of the new key {id}, and could not revoke the key ({revoke}): \
             run keywright keys revoke {id}"
        ),
    })
}
