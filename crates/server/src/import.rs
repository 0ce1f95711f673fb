//! `keywright import`: imports the keys of another system.

use std::io::{BufRead, Read, stdin};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, stream};
use keywright_core::{ForeignKey, ImportError, Imported, Importer};
use serde::Serialize;

use crate::{
    operator::open_existing,
    options::{ImportOptions, LibraryOptions},
    output,
    progress::Progress,
};

/// The maximum length of a line, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// The number of lines that are imported at a time: a store commits them together.
const CONCURRENCY: usize = 256;

/// How many lines had which result.
#[derive(Default, Serialize)]
struct Summary {
    imported: u64,
    skipped: u64,
    failed: u64,
}

/// Imports the keys on standard input, one JSON object on each line, and prints how many.
#[tokio::main]
pub(crate) async fn run(library: &LibraryOptions, options: ImportOptions) -> Result<()> {
    let opened = open_existing(library).await?;
    let issuer = opened.keys.issuer().clone();
    let mut importer = Importer::new(issuer, options.workspace, options.format.format);
    if let Some(end) = options.retire_by {
        importer = importer.retire_by(end);
    }
    let progress = Progress::new();
    let mut summary = Summary::default();
    let import_line = async |(number, line): (u64, Result<String, ImportError>)| {
        let key = line.and_then(|line| ForeignKey::parse(&line));
        let result = match key {
            Ok(key) if options.dry_run => importer.check(&key).await,
            Ok(key) => importer.import(&key).await,
            Err(error) => Err(error),
        };
        (number, result)
    };
    let lines = stream::iter(Lines::new(stdin().lock())).map(|line| match line {
        Ok(line) => Ok(import_line(line)),
        Err(error) => Err(error),
    });
    // An error of the input ends the import, after the lines before it.
    let mut results = std::pin::pin!(
        lines
            .scan((), |(), line| std::future::ready(line.ok()))
            .buffered(CONCURRENCY)
    );
    while let Some((number, result)) = results.next().await {
        match result {
            Ok(Imported::New(_)) => summary.imported += 1,
            Ok(Imported::Present(_)) => summary.skipped += 1,
            Err(ImportError::Issue(error)) => {
                return Err(error).with_context(|| {
                    format!("stopped at line {number}; run the same command again to continue")
                });
            }
            Err(error) => {
                summary.failed += 1;
                progress.clear();
                output::note(&format!("line {number}: {error}"));
            }
        }
        progress.show(|| format!("{number} lines"));
    }
    drop(progress);
    if options.json {
        output::json(&summary)?;
    } else {
        let Summary {
            imported,
            skipped,
            failed,
        } = &summary;
        let verb = if options.dry_run {
            "would import"
        } else {
            "imported"
        };
        output::lines(&format!(
            "{verb} {imported}, skipped {skipped}, failed {failed}\n"
        ))?;
    }
    if summary.failed > 0 {
        bail!("some lines were not imported; mend them and run the same command again");
    }
    Ok(())
}

/// The lines of an input that are not blank, with their numbers from 1.
struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    const fn new(input: R) -> Self {
        Self { input, number: 0 }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<(u64, Result<String, ImportError>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.input)
                .take(MAX_LINE)
                .read_until(b'\n', &mut line);
            match read.context("cannot read standard input") {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            self.number += 1;
            let text = String::from_utf8(line).map_err(|_| ImportError::NotAnObject);
            match text {
                Ok(text) => {
                    let text = text.trim_start_matches('\u{feff}').trim();
                    if !text.is_empty() {
                        return Some(Ok((self.number, Ok(text.to_owned()))));
                    }
                }
                Err(error) => return Some(Ok((self.number, Err(error)))),
            }
        }
    }
}
