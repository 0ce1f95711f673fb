//! `keywright keys report`.

use anyhow::Result;
use keywright_core::{Report, ReportSection, Timestamp};
use keywright_http_tower::ReportView;

use super::{options::ReportOptions, output, table};
use crate::{operator::Operator, options::LibraryOptions, progress::Progress, table::Output};

/// The titles of the sections, in the order of [`sections`].
const TITLES: [&str; 7] = [
    "never expire",
    "expire within 30 days",
    "never used",
    "not used for 90 days",
    "all permissions",
    "used after they were replaced",
    "imported, and not used since",
];

/// Prints the active and disabled keys of a workspace that deserve attention.
pub(super) async fn run(library: &LibraryOptions, options: ReportOptions) -> Result<()> {
    let operator = Operator::open(library, options.workspace).await?;
    let now = operator.issuer().now();
    let mut report = of_workspace(&operator).await?;
    if options.json {
        return output::json(&ReportView::new(&report, now));
    }
    let shown = Output::standard(false);
    let mut text = format!(
        "read {} in the workspace {}\n",
        output::key_count(report.keys_read),
        operator.caller.workspace()
    );
    for (title, section) in TITLES.into_iter().zip(sections(&mut report)) {
        text.push_str(&section_text(title, section, now, shown));
    }
    output::lines(&text)
}

/// Returns the report of all keys of the operator's workspace. Each step reads a part of them.
async fn of_workspace(operator: &Operator) -> Result<Report> {
    let mut report = operator.issuer().report(&operator.caller, None).await?;
    let progress = Progress::new();
    while let Some(cursor) = report.next.take() {
        progress.show(|| format!("{} read", output::key_count(report.keys_read)));
        let mut part = operator
            .issuer()
            .report(&operator.caller, Some(cursor))
            .await?;
        report.keys_read += part.keys_read;
        report.next = part.next.take();
        for (total, part) in sections(&mut report).into_iter().zip(sections(&mut part)) {
            total.count += part.count;
            total.keys.append(&mut part.keys);
            total.keys.truncate(ReportSection::MAX_KEYS);
        }
    }
    Ok(report)
}

fn sections(report: &mut Report) -> [&mut ReportSection; 7] {
    [
        &mut report.never_expire,
        &mut report.expire_soon,
        &mut report.never_used,
        &mut report.unused,
        &mut report.all_permissions,
        &mut report.replaced_but_used,
        &mut report.imported_unused,
    ]
}

/// Returns the count of a section, and a table of its keys.
fn section_text(title: &str, section: &ReportSection, now: Timestamp, shown: Output) -> String {
    let mut text = format!("\n{title}: {}\n", output::key_count(section.count));
    if section.keys.is_empty() {
        return text;
    }
    text.push_str(&table::list(&section.keys, now, shown));
    let others = section.count.saturating_sub(section.keys.len() as u64);
    if others > 0 {
        text.push_str(&format!("… and {others} older\n"));
    }
    text
}
