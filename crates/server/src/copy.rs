//! `keywright copy`: copies all keys of a store into another while servers use it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, bail};
use keywright_core::{
    copy::{CopyObserver, CopyProgress, CopyReport, StoreCopy, WorkspaceReport, abort},
    store::Transfer,
};
use serde_json::{Value, json};

use crate::{
    options::{CopyOptions, LibraryOptions, PostgresOptions},
    output::{json as print_json, lines, note},
    progress::Progress,
    store::StoreUrl,
};

/// Runs the copy, and prints the comparison of each workspace.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(library: &LibraryOptions, options: &CopyOptions) -> Result<()> {
    let from = StoreUrl::parse(&options.from)?;
    let to = options.to.as_deref().map(StoreUrl::parse).transpose()?;
    from.require_existing()?;
    check_options(&from, to.as_ref(), &library.postgres)?;
    if options.abort {
        let source = open(&from, &library.postgres).await?;
        let target = match &to {
            Some(to) => Some(open(to, &library.postgres).await?),
            None => None,
        };
        abort(&*source, target.as_deref()).await?;
        return lines("the copy is aborted: the source makes changes again\n");
    }
    let Some(to) = to else {
        bail!("--to is missing: name the store into which to copy");
    };
    if matches!(to, StoreUrl::Memory) {
        bail!("memory: would lose the copy; use --to sqlite:PATH, postgres://… or redis://…");
    }
    // The source first, so that a mistyped source creates no target file.
    let source = open(&from, &library.postgres).await?;
    let target = open(&to, &library.postgres).await?;
    let printer = Printer::new(options.json);
    let mut copy = StoreCopy::new(&*source, &*target).with_observer(&printer);
    if options.source_stopped {
        copy = copy.with_stopped_source();
    }
    let result = if options.finish {
        copy.finish().await
    } else {
        copy.run().await
    };
    printer.progress.clear();
    let report = result?;
    if options.json {
        return print_json(&summary(&report, options.finish));
    }
    lines(&sentence(&report, options.finish))
}

async fn open(url: &StoreUrl<'_>, postgres: &PostgresOptions) -> Result<Arc<dyn Transfer>> {
    url.open_for_transfer(postgres).await
}

/// Returns an error if an option for PostgreSQL applies to neither of the stores.
fn check_options(
    from: &StoreUrl<'_>,
    to: Option<&StoreUrl<'_>>,
    postgres: &PostgresOptions,
) -> Result<()> {
    let is_postgres = |url: &StoreUrl<'_>| matches!(url, StoreUrl::Postgres(_));
    if is_postgres(from) || to.is_some_and(is_postgres) {
        return Ok(());
    }
    from.check_options(postgres)
}

fn sentence(report: &CopyReport, finished: bool) -> String {
    let CopyReport {
        workspaces,
        keys,
        events,
        written,
        differing,
        ..
    } = report;
    let content = format!(
        "workspaces: {workspaces}, keys: {keys}, events: {events}, written in this run: {written}\n"
    );
    if finished {
        return format!(
            "{content}the copy has finished: start the servers of the target, and stop those of the source\n"
        );
    }
    let changed = match differing {
        0 => String::new(),
        count => format!("workspaces that changed during the run: {count}\n"),
    };
    format!("{content}{changed}the target is not usable yet: finish the copy with --finish\n")
}

fn summary(report: &CopyReport, finished: bool) -> Value {
    json!({
        "workspaces": report.workspaces,
        "keys": report.keys,
        "events": report.events,
        "written": report.written,
        "differing": report.differing,
        "reservations": report.reservations,
        "missing_reservations": report.missing_reservations,
        "finished": finished,
    })
}

/// Prints the comparison of each workspace, and the progress if standard error is a terminal.
struct Printer {
    json: bool,
    needs_header: AtomicBool,
    progress: Progress,
}

impl Printer {
    fn new(json: bool) -> Self {
        Self {
            json,
            needs_header: AtomicBool::new(!json),
            progress: Progress::new(),
        }
    }
}

/// Returns the lines of a workspace: one if both stores have the same content.
fn rows(report: &WorkspaceReport) -> String {
    let row = |store: &str, content: &keywright_core::copy::WorkspaceContent| {
        format!(
            "{store:<6}  {:>10}  {:>10}  {}  {}\n",
            content.keys, content.events, content.digest, report.workspace
        )
    };
    if report.is_equal() {
        row("both", &report.source)
    } else {
        row("source", &report.source) + &row("target", &report.target)
    }
}

impl CopyObserver for Printer {
    fn progressed(&self, progress: &CopyProgress) {
        let CopyProgress {
            keys,
            events,
            written,
            compared,
            ..
        } = progress;
        self.progress.show(|| {
            format!("{keys} keys, {events} events read; {written} written; {compared} compared")
        });
    }

    fn compared(&self, workspace: &WorkspaceReport) {
        self.progress.clear();
        let printed = if self.json {
            let content = |content: &keywright_core::copy::WorkspaceContent| {
                json!({
                    "keys": content.keys,
                    "events": content.events,
                    "digest": content.digest.to_string(),
                })
            };
            print_json(&json!({
                "workspace": workspace.workspace.as_str(),
                "source": content(&workspace.source),
                "target": content(&workspace.target),
                "equal": workspace.is_equal(),
            }))
        } else {
            let header = if self.needs_header.swap(false, Ordering::Relaxed) {
                format!(
                    "{:<6}  {:>10}  {:>10}  {:<64}  WORKSPACE\n",
                    "STORE", "KEYS", "EVENTS", "DIGEST"
                )
            } else {
                String::new()
            };
            lines(&(header + &rows(workspace)))
        };
        if let Err(error) = printed {
            // The copy goes on: its result does not depend on the output.
            note(&format!("{error:#}"));
        }
    }
}
