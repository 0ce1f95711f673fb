//! `keywright keys verify`.

use std::{
    io::{BufRead, IsTerminal, Read, stdin},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use keywright_core::{
    Caller, Introspection, IntrospectionRequest, Prefix, TokenRef, VerifyError, Workspace,
};
use keywright_http_tower::IntrospectionView;
use zeroize::Zeroizing;

use super::{options::VerifyOptions, output};
use crate::{
    exit_code::Undetermined, operator::open_existing, options::LibraryOptions, store::Library,
};

/// The maximum length of the line that is read, in bytes. Every token is shorter.
const MAX_LINE_LENGTH: usize = 1024;

/// Verifies the token on standard input and prints the result.
///
/// Returns success for a valid token and failure for an invalid one. After any error, the result is
/// undetermined: an error must not look like an invalid token.
pub(super) async fn run(library: &LibraryOptions, options: VerifyOptions) -> Result<ExitCode> {
    let verified = verify(library, options).await;
    verified.map_err(|error| Undetermined(format!("{error:#}")).into())
}

async fn verify(library: &LibraryOptions, options: VerifyOptions) -> Result<ExitCode> {
    if options.token.is_some() {
        bail!("pass the token on standard input, not as an argument");
    }
    let mut request = IntrospectionRequest::new();
    request.permission = options.permission;
    request.client_ip = options.client_ip;
    let opened = open_existing(library).await?;
    let line = read_line()?;
    let token = line.trim_ascii();
    let workspace = match options.workspace {
        Some(workspace) => Some(workspace),
        None => workspace_of(&opened, &library.prefix, token).await?,
    };
    let issuer = opened.keys.issuer();
    let introspection = match workspace {
        Some(workspace) => {
            let operator = Caller::operator(workspace);
            issuer.introspect(&operator, token, &request).await?
        }
        None => Introspection::NotFound,
    };
    let view = IntrospectionView::new(&introspection, issuer.now());
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

/// Returns the workspace of the key that a token names, whether or not the token is valid.
async fn workspace_of(
    library: &Library,
    prefix: &Prefix,
    token: &[u8],
) -> Result<Option<Workspace>> {
    let id = match TokenRef::parse(token, prefix) {
        Ok(token) => *token.id(),
        // An imported token does not contain the id of its key.
        Err(_) => match library.keys.verifier().verify(token).await {
            Ok(verified) => return Ok(Some(verified.key().workspace.clone())),
            Err(VerifyError::Denied(denied)) => match denied.id() {
                Some(id) => *id,
                None => return Ok(None),
            },
            Err(VerifyError::Undecided(undecided)) => return Err(undecided.into()),
        },
    };
    let record = library.store.find(&id).await?;
    Ok(record.map(|record| record.key.workspace))
}
