//! `keywright keys list`.

use anyhow::Result;
use keywright_core::{ListKeys, ListStart};
use keywright_http_tower::PageOfItems;

use super::{Operator, options::ListOptions, print, table};
use crate::cli::LibraryOptions;

/// Prints one page of the keys of a workspace; what is beside it is told on standard error.
pub(super) async fn run(library: &LibraryOptions, options: ListOptions) -> Result<()> {
    let mut wanted = ListKeys::new();
    wanted.limit = options.limit;
    wanted.status = options.status.map(Into::into);
    wanted.search = options.search.filter(|text| !text.is_empty());
    wanted.start = match options.cursor {
        Some(cursor) => ListStart::After(cursor),
        None => ListStart::page(options.page, options.limit),
    };
    let start = wanted.start.clone();
    let operator = Operator::of(library, options.workspace).await?;
    let listed = operator.issuer().list(&operator.caller, wanted).await?;
    let now = operator.issuer().now();
    if options.json {
        return print::json(&PageOfItems::new(&listed, &start, options.limit, now));
    }
    let workspace = operator.caller.workspace();
    if listed.keys.is_empty() {
        print::note(&format!(
            "there are no such keys in the workspace {workspace}"
        ));
        return Ok(());
    }
    print::lines(&table::list(&listed.keys, now))?;
    if let Some(cursor) = &listed.next {
        print::note(&match (start.page_number(options.limit), listed.total) {
            (Some(page), Some(total)) => {
                let next = page.saturating_add(1);
                format!("{total} keys in all; the next page: --page {next}")
            }
            _ => format!("the next page: --cursor {cursor}"),
        });
    }
    Ok(())
}
