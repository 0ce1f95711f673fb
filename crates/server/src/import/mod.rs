//! `keywright import`: imports the keys of another system.

mod lines;
mod seen;

use std::{
    fs::File,
    io::{self, stdin},
    os::fd::AsFd,
    thread,
    time::Duration,
};

use anyhow::{Context, Error, Result, anyhow, bail};
use futures_util::{StreamExt, stream};
use keywright_core::{ForeignKey, ForeignKeyDigest, ImportError, Imported, Importer};
use serde::Serialize;
use tokio::sync::mpsc;

use self::{
    lines::{Line, LineError, Lines},
    seen::{Seen, SeenTokens},
};
use crate::{
    operator::open_existing,
    options::{ImportOptions, LibraryOptions},
    output,
    progress::Progress,
    redact,
    shutdown::Shutdown,
};

/// The number of lines that are imported at a time: a store commits them together.
const CONCURRENCY: usize = 256;

/// The number of lines that are read ahead.
const READ_AHEAD: usize = 64;

/// How many lines had which result.
#[derive(Default, Serialize)]
struct Summary {
    imported: u64,
    skipped: u64,
    failed: u64,
}

/// The result of a line that can be imported, or would be.
enum Accepted {
    Imported(Imported),
    Checked(Imported, ForeignKeyDigest),
}

/// Why a line failed. The other lines can still be imported.
#[derive(Debug, thiserror::Error)]
enum LineFailure {
    #[error(transparent)]
    Unreadable(#[from] LineError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("line {0} has this token, but its content differs")]
    Duplicate(u64),
}

/// Imports the keys on standard input, one JSON object on each line, and prints how many.
#[tokio::main]
pub(crate) async fn run(library: &LibraryOptions, options: ImportOptions) -> Result<()> {
    let opened = open_existing(library).await?;
    let issuer = opened.keys.issuer().clone();
    let ImportOptions {
        format,
        workspace,
        dry_run,
        retire_by,
        json,
    } = options;
    let now = issuer.now();
    let mut importer = Importer::new(issuer, workspace, format.format.clone());
    if let Some(end) = retire_by {
        if end <= now {
            bail!("--retire-by must be in the future");
        }
        let lifetime = library.max_lifetime.unwrap_or(Duration::MAX);
        if end > now.saturating_add(lifetime) {
            bail!("--retire-by must not be later than --max-lifetime allows");
        }
        importer = importer.with_retire_by(end);
    }
    let mut run = Run {
        importer: &importer,
        seen: dry_run.then(SeenTokens::new).transpose()?,
        progress: Progress::new(),
        input_length: input_length(),
        summary: Summary::default(),
        last_line: 0,
    };
    let result = run.import().await;
    let Run {
        summary,
        progress,
        last_line,
        ..
    } = run;
    drop(progress);
    if json {
        output::json(&summary)?;
    } else {
        output::lines(&summary.sentence(dry_run))?;
    }
    result.with_context(|| {
        format!("stopped after line {last_line}; run the same command again to continue")
    })?;
    match summary.failed {
        0 => {}
        1 => bail!("1 line failed: correct it, and run the same command again"),
        failed => bail!("{failed} lines failed: correct them, and run the same command again"),
    }
    let accepts = |accepted: &crate::foreign::NamedFormat| accepted.format == format.format;
    if summary.imported > 0 && !dry_run && !json && !library.foreign_format.iter().any(accepts) {
        output::note(&format!(
            "servers accept these tokens with --foreign-format {format}"
        ));
    }
    Ok(())
}

impl Summary {
    fn sentence(&self, is_dry_run: bool) -> String {
        let Self {
            imported,
            skipped,
            failed,
        } = self;
        let verb = if is_dry_run {
            "would import"
        } else {
            "imported"
        };
        format!("{verb} {imported}, skipped {skipped}, failed {failed}\n")
    }
}

/// One run of the command.
struct Run<'a> {
    importer: &'a Importer,
    /// `Some` for a dry run.
    seen: Option<SeenTokens>,
    progress: Progress,
    input_length: Option<u64>,
    summary: Summary,
    /// The number of the last line whose result is known.
    last_line: u64,
}

impl Run<'_> {
    /// Imports all lines.
    ///
    /// # Errors
    ///
    /// An error that concerns no single line, such as one of the store or of the input. The lines
    /// before it were imported.
    async fn import(&mut self) -> Result<()> {
        let shutdown = Shutdown::listen(Duration::ZERO, |reason| {
            output::note(&format!("error: stopped at once: {reason}"));
        })?;
        let mut lines = read_lines()?;
        let lines = stream::poll_fn(move |context| lines.poll_recv(context));
        let mut stop = shutdown.clone();
        // A signal ends the input. The lines before it are imported.
        let lines = lines.take_until(async move { stop.requested().await });
        let (importer, is_dry_run) = (self.importer, self.seen.is_some());
        let import = |line: io::Result<Line>| async move {
            let Line { number, end, text } = line.context("cannot read standard input")?;
            let result = import_line(importer, is_dry_run, text).await;
            anyhow::Ok((number, end, result))
        };
        let mut results = std::pin::pin!(lines.map(import).buffered(CONCURRENCY));
        while let Some(result) = results.next().await {
            let (number, end, result) = result?;
            self.count(number, result)?;
            self.last_line = number;
            self.progress.show(|| self.progress_text(end));
        }
        if shutdown.is_requested() {
            bail!("interrupted");
        }
        Ok(())
    }

    fn count(&mut self, number: u64, result: Result<Accepted, LineFailure>) -> Result<()> {
        let result = match (result, &self.seen) {
            (Ok(Accepted::Checked(new @ Imported::New(id), digest)), Some(seen)) => {
                match seen.add(number, &digest)? {
                    Seen::New => Ok(new),
                    Seen::Same => Ok(Imported::Present(id)),
                    Seen::Differs(line) => Err(LineFailure::Duplicate(line)),
                }
            }
            (Ok(Accepted::Imported(imported) | Accepted::Checked(imported, _)), _) => Ok(imported),
            (Err(failure), _) => Err(failure),
        };
        match result {
            Ok(Imported::New(_)) => self.summary.imported += 1,
            Ok(Imported::Present(_)) => self.summary.skipped += 1,
            Err(LineFailure::Import(error)) if !error.concerns_one_key() => {
                return Err(Error::from(error).context(format!("line {number}")));
            }
            Err(failure) => {
                self.summary.failed += 1;
                self.progress.clear();
                // No failure should contain a part of a token. If one does, remove it.
                output::note(&redact::tokens(&format!("line {number}: {failure}")));
            }
        }
        Ok(())
    }

    fn progress_text(&self, end: u64) -> String {
        let counts = self.summary.sentence(self.seen.is_some());
        let counts = counts.trim_end();
        match self.input_length {
            Some(length) => {
                let percent = end.saturating_mul(100) / length.max(1);
                format!("{percent:>3}%: {counts}")
            }
            None => counts.to_owned(),
        }
    }
}

async fn import_line(
    importer: &Importer,
    is_dry_run: bool,
    text: Result<String, LineError>,
) -> Result<Accepted, LineFailure> {
    let key = ForeignKey::parse(text?.trim_ascii())?;
    Ok(if is_dry_run {
        Accepted::Checked(importer.check(&key).await?, importer.digest(&key)?)
    } else {
        Accepted::Imported(importer.import(&key).await?)
    })
}

/// Reads the lines of standard input on a thread, so that slow input does not delay the lines
/// before it. The thread may wait for input until the process ends.
fn read_lines() -> Result<mpsc::Receiver<io::Result<Line>>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    thread::Builder::new()
        .name("kw-input".into())
        .spawn(move || {
            for line in Lines::new(stdin().lock()) {
                let is_last = line.is_err();
                if sender.blocking_send(line).is_err() || is_last {
                    return;
                }
            }
        })
        .map_err(|error| anyhow!("cannot start a thread: {error}"))?;
    Ok(receiver)
}

/// Returns the length of standard input, if it is a file.
fn input_length() -> Option<u64> {
    let input = File::from(stdin().as_fd().try_clone_to_owned().ok()?);
    let metadata = input.metadata().ok()?;
    metadata.is_file().then_some(metadata.len())
}
