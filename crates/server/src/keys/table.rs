//! Formats keys as tables.

use keywright_core::{Key, Permissions, Status, Timestamp};

use super::terminal_escape::escape;

/// The maximum length of the permissions in a list, in characters.
const MAX_PERMISSIONS_LENGTH: usize = 32;

/// Returns a header and a line for each key.
///
/// The name is the last column. Its characters may be wide, combining or right-to-left, and the
/// other columns stay aligned.
pub(super) fn list(keys: &[Key], now: Timestamp) -> String {
    let header = [
        "ID",
        "STATUS",
        "ENV",
        "CREATED",
        "EXPIRES",
        "LAST USED",
        "PERMISSIONS",
        "NAME",
    ];
    let rows = keys.iter().map(|key| {
        [
            key.id.to_string(),
            key.status(now).to_string(),
            key.environment.to_string(),
            minute(key.created_at()),
            key.expires_at.map_or("never".into(), minute),
            key.last_used_at.map_or("never".into(), minute),
            shortened(&key.permissions),
            escape(key.name.as_str()).into_owned(),
        ]
    });
    let rows: Vec<_> = std::iter::once(header.map(String::from))
        .chain(rows)
        .collect();
    align(&rows)
}

/// Returns a line for each field of a key.
pub(super) fn details(key: &Key, now: Timestamp) -> String {
    let time = |time: Option<Timestamp>, none: &str| {
        time.map_or_else(|| none.to_owned(), |time| time.to_string())
    };
    let status = key.status(now);
    let mut rows = vec![
        ["id", &key.id.to_string()].map(String::from),
        ["name", &escape(key.name.as_str())].map(String::from),
        ["workspace", key.workspace.as_str()].map(String::from),
        ["environment", key.environment.as_str()].map(String::from),
        ["status", status.as_str()].map(String::from),
        ["permissions", &permissions_text(&key.permissions)].map(String::from),
        ["created", &key.created_at().to_string()].map(String::from),
        ["expires", &time(key.expires_at, "never")].map(String::from),
        ["last used", &time(key.last_used_at, "never")].map(String::from),
    ];
    if status == Status::Revoked {
        rows.push(["revoked", &time(key.revoked_at, "")].map(String::from));
    }
    for (label, id) in [("parent", key.parent), ("successor", key.successor)] {
        if let Some(id) = id {
            rows.push([label.into(), id.to_string()]);
        }
    }
    if let Some(metadata) = &key.metadata {
        rows.push(["metadata".into(), escape(metadata.as_json()).into_owned()]);
    }
    align(&rows)
}

/// Aligns all columns but the last, separated by two spaces.
fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        for (width, cell) in widths.iter().zip(row).take(N.saturating_sub(1)) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.extend(row.last().map(String::as_str));
        text.push('\n');
    }
    text
}

/// Formats a time to the minute, in UTC.
fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..16)
        .map_or(text.clone(), |minute| format!("{minute}Z"))
}

fn permissions_text(permissions: &Permissions) -> String {
    match permissions.to_string() {
        none if none.is_empty() => "-".into(),
        some => some,
    }
}

fn shortened(permissions: &Permissions) -> String {
    let mut text = permissions_text(permissions);
    if text.len() > MAX_PERMISSIONS_LENGTH {
        // Permissions are ASCII, so that any length is a character boundary.
        text.truncate(MAX_PERMISSIONS_LENGTH - 1);
        text.push('…');
    }
    text
}
