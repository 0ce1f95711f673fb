//! `keywright keys verify`.

use std::{
    io::{BufRead, IsTerminal, Read, stdin},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use keywright_core::{
    Caller, Denied, Introspection, Keywright, Permissions, VerifyError, Workspace,
};
use keywright_http_tower::IntrospectionView;
use zeroize::Zeroizing;

use super::{open_existing, options::VerifyOptions, print};
use crate::cli::LibraryOptions;

/// Longest line that is read, in bytes; no token is as long.
const MAX_LINE_LENGTH: usize = 1024;

/// Prints what a token is worth. Failure is that it is worth nothing; an error, that it could not be
/// found out.
pub(super) async fn run(library: &LibraryOptions, options: VerifyOptions) -> Result<ExitCode> {
    if options.token.is_some() {
        bail!("a token is read from standard input, and never taken as an argument");
    }
    let keys = open_existing(library).await?;
    let line = read_line()?;
    let worth = introspect(&keys, options.workspace, line.trim_ascii()).await?;
    let worth = IntrospectionView::new(&worth, keys.issuer().now());
    if options.json {
        print::json(&worth)?;
    } else {
        print::lines(&format!("{}\n", worth.code().unwrap_or("valid")))?;
    }
    Ok(match worth.code() {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

/// Reads a line, into a buffer that never grows.
fn read_line() -> Result<Zeroizing<Vec<u8>>> {
    let input = stdin();
    if input.is_terminal() {
        print::note("the token, on a line:");
    }
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE_LENGTH));
    input
        .lock()
        .take(MAX_LINE_LENGTH as u64)
        .read_until(b'\n', &mut line)
        .context("cannot read standard input")?;
    if line.trim_ascii().is_empty() {
        bail!("there is no token on standard input");
    }
    Ok(line)
}

/// What a token is worth in a workspace, or in any.
async fn introspect(
    keys: &Keywright,
    workspace: Option<Workspace>,
    token: &[u8],
) -> Result<Introspection> {
    if let Some(workspace) = workspace {
        let operator = Caller::new(workspace, Permissions::all());
        return Ok(keys.issuer().introspect(&operator, token).await?);
    }
    match keys.verifier().verify(token).await {
        Ok(verified) => Ok(Introspection::Valid(verified.key().clone())),
        Err(VerifyError::Denied(Denied::Expired(_))) => Ok(Introspection::Expired),
        Err(VerifyError::Denied(Denied::Revoked(_))) => Ok(Introspection::Revoked),
        Err(VerifyError::Denied(_)) => Ok(Introspection::NotFound),
        Err(error @ VerifyError::Undecided(_)) => Err(error.into()),
    }
}
