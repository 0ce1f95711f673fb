//! `keywright keys list`.

use anyhow::Result;
use keywright_core::{ListKeys, ListStart};
use keywright_http_tower::KeyPageView;

use super::{options::ListOptions, output, table};
use crate::{operator::Operator, options::LibraryOptions, table::Output};

/// Prints one page of the keys of a workspace, and how to get the next page on standard error.
pub(super) async fn run(library: &LibraryOptions, options: ListOptions) -> Result<()> {
    let mut query = ListKeys::new();
    query.limit = options.limit;
    query.owner = options.owner;
    query.imported = options.imported;
    query.status = options.status.map(Into::into);
    query.search = options.search.filter(|text| !text.is_empty());
    query.start = match options.cursor {
        Some(cursor) => ListStart::After(cursor),
        None => ListStart::page(options.page, options.limit),
    };
    let start = query.start.clone();
    let operator = Operator::open(library, options.workspace).await?;
    let listed = operator.issuer().list(&operator.caller, query).await?;
    let now = operator.issuer().now();
    if options.json {
        return output::json(&KeyPageView::new(&listed, &start, options.limit, now));
    }
    let workspace = operator.caller.workspace();
    if listed.keys.is_empty() {
        output::note(&format!("no matching keys in the workspace {workspace}"));
        return Ok(());
    }
    let shown = Output::standard(options.wide);
    output::lines(&if options.wide {
        table::wide_list(&listed.keys, now, shown)
    } else {
        table::list(&listed.keys, now, shown)
    })?;
    if let Some(cursor) = &listed.next {
        output::note(&match (start.page_number(options.limit), listed.total) {
            (Some(page), Some(total)) => {
                let next = page.saturating_add(1);
                format!("{total} keys in total; next page: --page {next}")
            }
            _ => format!("next page: --cursor {cursor}"),
        });
    }
    Ok(())
}
