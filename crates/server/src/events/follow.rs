//! Prints new events as they appear.

use std::{io::stdout, time::Duration};

use anyhow::{Context, Result};
use keywright_core::{Event, EventPosition, IssueError, ListEvents, store::StoreErrorKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::printer::Printer;
use crate::{operator::Operator, output};

/// The time between two searches for new events.
const INTERVAL: Duration = Duration::from_secs(1);

/// Prints new events until the user interrupts the program or closes the pipe that it prints to.
pub(super) async fn run(operator: &Operator, list: &ListEvents, printer: Printer) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt()).context("could not catch Ctrl-C")?;
    tokio::select! {
        followed = follow(operator, list, printer) => followed,
        _ = interrupted.recv() => Ok(()),
    }
}

async fn follow(operator: &Operator, list: &ListEvents, mut printer: Printer) -> Result<()> {
    // Events may appear late, and the clock of the server that makes them may be behind. So the
    // position starts in the past, and the events that exist already are skipped.
    let start = operator.issuer().now();
    let mut reader = Reader {
        operator,
        list,
        position: EventPosition::since(start.saturating_sub(EventPosition::WINDOW)),
    };
    while !reader.unread().await?.is_empty() {}
    let workspace = operator.caller.workspace();
    output::note(&format!(
        "waiting for new events in the workspace {workspace}; stop with Ctrl-C"
    ));
    let mut is_failing = false;
    loop {
        let events = match reader.unread().await {
            Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::Unavailable => {
                if !std::mem::replace(&mut is_failing, true) {
                    output::note(&format!("{error}; trying again every second"));
                }
                Vec::new()
            }
            events => {
                is_failing = false;
                events?
            }
        };
        if !printer.print(&events)? {
            return Ok(());
        }
        if events.is_empty() {
            if is_reader_gone() {
                return Ok(());
            }
            sleep(INTERVAL).await;
        }
    }
}

/// A reader of the events of a workspace.
struct Reader<'a> {
    operator: &'a Operator,
    list: &'a ListEvents,
    position: EventPosition,
}

impl Reader<'_> {
    /// Returns the next unread events, and marks them as read.
    async fn unread(&mut self) -> Result<Vec<Event>, IssueError> {
        let (issuer, caller) = (self.operator.issuer(), &self.operator.caller);
        let events = issuer.unread_events(caller, self.list, &self.position);
        let events = events.await?;
        for event in &events {
            self.position.mark_read(event);
        }
        Ok(events)
    }
}

/// Whether the reader of standard output has closed the pipe. Without this check, the program would
/// wait for the next event before it ends.
fn is_reader_gone() -> bool {
    let out = stdout();
    let mut watched = [PollFd::new(&out, PollFlags::empty())];
    let polled = poll(&mut watched, Some(&Timespec::default()));
    let closed = PollFlags::ERR | PollFlags::HUP;
    polled.is_ok() && watched.iter().any(|out| out.revents().intersects(closed))
}
