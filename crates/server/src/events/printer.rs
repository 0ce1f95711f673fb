//! Prints events as a table, or as JSON.

use anyhow::Result;
use keywright_core::{Event, EventKind, RequestId, Timestamp};
use serde_json::Value;

use crate::{
    output,
    table::{Cell, Column, Layout, Output},
    terminal_escape::{escape, write_json},
};

const COLUMNS: [Column; 6] = [
    Column::whole("TIME", 0),
    Column::whole("CHANGE", 1),
    Column::whole("KEY", 0),
    Column::text("ACTOR", 2, 20),
    Column::text("REQUEST", 10, 20),
    Column::text("DETAILS", 3, 12),
];

/// The widths of the columns, which are fixed because the events that follow are not known. The
/// details take the rest of the line.
const WIDTHS: [usize; 6] = [20, 7, 20, 20, 20, usize::MAX];

/// Prints events on standard output.
pub(super) struct Printer {
    as_json: bool,
    needs_header: bool,
    layout: Layout<'static, 6>,
}

impl Printer {
    pub(super) fn new(as_json: bool, wide: bool) -> Self {
        Self {
            as_json,
            needs_header: !as_json,
            layout: Layout::new(&COLUMNS, WIDTHS, Output::standard(wide)),
        }
    }

    /// Prints events. Returns `false` if the reader has closed the pipe.
    pub(super) fn print(&mut self, events: &[Event]) -> Result<bool> {
        if events.is_empty() {
            return Ok(true);
        }
        let mut lines = Vec::new();
        if std::mem::take(&mut self.needs_header) {
            lines.extend(self.layout.header().into_bytes());
        }
        for event in events {
            if self.as_json {
                write_json(&mut lines, &serde_json::to_string(event)?)?;
            } else {
                lines.extend(self.layout.line(&cells(event)?).into_bytes());
            }
        }
        output::write(&lines)
    }
}

/// Returns the cells of an event.
fn cells(event: &Event) -> Result<[Cell; 6]> {
    let change = event.kind.as_str();
    let actor = event.actor.to_string();
    let request = event.request_id.as_ref().map_or("-", RequestId::as_str);
    Ok([
        second(event.created_at()),
        change.strip_prefix("api_key.").unwrap_or(change).to_owned(),
        event.key.to_string(),
        escape(&actor).into_owned(),
        request.to_owned(),
        details(event)?,
    ]
    .map(Cell::from))
}

/// Formats a time to the second, in UTC.
fn second(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..19)
        .map_or(text.clone(), |second| format!("{second}Z"))
}

/// Returns how a key changed, on one line: what the kind of the change says, and the fields that
/// changed. Values are JSON, so that no name looks like another change.
fn details(event: &Event) -> Result<String> {
    let mut parts = Vec::new();
    match event.kind {
        EventKind::Rotated { successor } => parts.push(format!("successor {successor}")),
        EventKind::Revoked { cascade, count } => {
            parts.extend(cascade.then(|| "cascade".to_owned()));
            parts.extend(
                count
                    .filter(|_| cascade)
                    .map(|count| format!("count {count}")),
            );
        }
        _ => {}
    }
    let changes = serde_json::to_value(&event.changes)?;
    for (field, change) in changes.as_object().into_iter().flatten() {
        parts.push(match change.as_array().map(Vec::as_slice) {
            // A new key has no earlier values.
            Some([Value::Null, after]) if event.kind == EventKind::Created => {
                format!("{field} {after}")
            }
            Some([before, after]) => format!("{field} {before} → {after}"),
            _ => format!("{field} changed"),
        });
    }
    if parts.is_empty() {
        parts.push("-".into());
    }
    Ok(escape(&parts.join(", ")).into_owned())
}

#[cfg(test)]
mod tests {
    use keywright_core::{Actor, Environment, Key, KeyId, Name, Transition, Workspace};

    use super::*;

    fn event(kind: EventKind, actor: Actor) -> Event {
        let key = Key::new(
            KeyId::parse("key_0U5lKtf600000000").unwrap(),
            Workspace::parse("acme").unwrap(),
            Environment::Live,
            Name::parse("n").unwrap(),
            "calls:read".parse().unwrap(),
        );
        Event::new("evt_0Vbx91mxt8iwXW8y".parse().unwrap(), kind, &key, actor)
    }

    fn row(event: &Event, width: Option<usize>) -> String {
        let output = Output {
            width,
            has_colours: false,
        };
        Layout::new(&COLUMNS, WIDTHS, output).line(&cells(event).unwrap())
    }

    #[test]
    fn a_line_says_who_changed_which_key_and_how() {
        let mut updated = event(EventKind::Updated, Actor::Operator);
        updated.request_id = Some("req_5bd1e0a2c3f4d5e6".parse().unwrap());
        updated.changes.enabled = Some(Transition {
            before: Some(true),
            after: Some(false),
        });
        updated.changes.metadata = true;
        let time = second(updated.created_at());
        assert_eq!(time.len(), 20);
        assert_eq!(
            row(&updated, None),
            format!(
                "{time}  updated  key_0U5lKtf600000000  operator              \
                 req_5bd1e0a2c3f4d5e6  enabled true → false, metadata changed\n"
            )
        );
        let cascade = EventKind::Revoked {
            cascade: true,
            count: Some(3),
        };
        let line = row(&event(cascade, Actor::System), None);
        assert!(line.ends_with("  cascade, count 3\n"), "{line}");
        // A narrow terminal shows fewer columns, and whole ids and times.
        assert_eq!(
            row(&updated, Some(100)),
            format!(
                "{time}  updated  key_0U5lKtf600000000  operator              \
                 enabled true → false, me…\n"
            )
        );
        assert_eq!(
            row(&updated, Some(50)),
            format!("{time}  key_0U5lKtf600000000\n")
        );
    }

    #[test]
    fn no_text_of_a_client_breaks_a_line_or_looks_like_another_change() {
        let owner = "o".repeat(128).parse().unwrap();
        let mut created = event(EventKind::Created, Actor::Host { owner: Some(owner) });
        created.request_id = Some("r".repeat(40).parse().unwrap());
        created.changes.name = Some(Transition {
            before: None,
            after: Some(Name::parse("a\", enabled true → false\u{202e}").unwrap()),
        });
        let line = row(&created, Some(200));
        assert_eq!(line.lines().count(), 1, "{line}");
        let (columns, details) = line.split_at(line.find("name").unwrap());
        assert_eq!(columns.chars().count(), 97, "{line}");
        assert_eq!(details, "name \"a\\\", enabled true → false\\u{202e}\"\n");
    }
}
