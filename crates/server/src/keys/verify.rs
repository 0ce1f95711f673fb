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

use super::{operator::open_existing, options::VerifyOptions, output};
use crate::options::LibraryOptions;

/// The maximum length of the line that is read, in bytes. Every token is shorter.
const MAX_LINE_LENGTH: usize = 1024;

/// Verifies the token on standard input and prints the result.
///
/// Returns success for a valid token and failure for an invalid one. An error means that the result
/// is undetermined.
pub(super) async fn run(library: &LibraryOptions, options: VerifyOptions) -> Result<ExitCode> {
    if options.token.is_some() {
        bail!("pass the token on standard input, not as an argument");
    }
    let keys = open_existing(library).await?;
    let line = read_line()?;
    let introspection = introspect(&keys, options.workspace, line.trim_ascii()).await?;
    let view = IntrospectionView::new(&introspection, keys.issuer().now());
    if options.json {
        output::json(&view)?;
    } else {
        output::lines(&format!("{}\n", view.code().unwrap_or("valid")))?;
    }
    Ok(match view.code() {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

/// Reads a line into a buffer that never grows, so that no copy of a token is left behind.
fn read_line() -> Result<Zeroizing<Vec<u8>>> {
    let input = stdin();
    if input.is_terminal() {
        output::note("enter the token on one line:");
    }
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE_LENGTH));
    input
        .lock()
        .take(MAX_LINE_LENGTH as u64)
        .read_until(b'\n', &mut line)
        .context("cannot read standard input")?;
    if line.trim_ascii().is_empty() {
        bail!("no token on standard input");
    }
    Ok(line)
}

/// Verifies a token of one workspace, or of any.
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
