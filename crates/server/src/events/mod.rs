//! `keywright events`: shows who changed which key, when and how.

mod follow;
pub(crate) mod options;
mod printer;

use std::time::Duration;

use anyhow::Result;
use keywright_core::ListEvents;

use self::{options::EventsOptions, printer::Printer};
use crate::{operator::Operator, options::LibraryOptions, output};

/// Prints the newest events of a workspace, or new events as they appear.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(library: &LibraryOptions, options: EventsOptions) -> Result<()> {
    let mut list = ListEvents::new().with_limit(ListEvents::MAX_LIMIT);
    list.key = options.key;
    list.owner = options.owner;
    // The store may have events from before they were turned off. This command writes none.
    let library = LibraryOptions {
        keep_events: Duration::MAX,
        ..library.clone()
    };
    let operator = Operator::open(&library, options.workspace).await?;
    let printer = Printer::new(options.json, options.wide);
    if options.follow {
        follow::run(&operator, &list, printer).await
    } else {
        newest(&operator, list, options.limit, printer).await
    }
}

/// Prints the newest events, up to `limit`, page by page.
async fn newest(
    operator: &Operator,
    mut list: ListEvents,
    limit: u64,
    mut printer: Printer,
) -> Result<()> {
    let mut left = limit;
    loop {
        list.limit = u32::try_from(left).unwrap_or(u32::MAX);
        let page = operator.issuer().events(&operator.caller, list.clone());
        let page = page.await?;
        if !printer.print(&page.events)? {
            return Ok(());
        }
        left = left.saturating_sub(page.events.len() as u64);
        match page.next {
            Some(cursor) if left > 0 => list.after = Some(cursor),
            Some(_) => {
                output::note("there are older events: show more with --limit");
                return Ok(());
            }
            None if left == limit => {
                let workspace = operator.caller.workspace();
                output::note(&format!("no matching events in the workspace {workspace}"));
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}
