//! Tables for people.

use keywright_core::{Key, Permissions, Status, Timestamp};

use super::visible::visible;

/// Most characters of the permissions in a list.
const MAX_PERMISSIONS: usize = 32;

/// A line for each key, under a header. The name comes last: whatever its characters are and however
/// wide or in which direction a terminal writes them, the other columns stay in line.
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
            visible(key.name.as_str()).into_owned(),
        ]
    });
    let rows: Vec<_> = std::iter::once(header.map(String::from))
        .chain(rows)
        .collect();
    align(&rows)
}

/// A line for each property of a key.
pub(super) fn details(key: &Key, now: Timestamp) -> String {
    let time = |time: Option<Timestamp>, none: &str| {
        time.map_or_else(|| none.to_owned(), |time| time.to_string())
    };
    let status = key.status(now);
    let mut rows = vec![
        ["id", &key.id.to_string()].map(String::from),
        ["name", &visible(key.name.as_str())].map(String::from),
        ["workspace", key.workspace.as_str()].map(String::from),
        ["environment", key.environment.as_str()].map(String::from),
        ["status", status.as_str()].map(String::from),
        ["permissions", &listed(&key.permissions)].map(String::from),
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
        rows.push(["metadata".into(), visible(metadata.as_json()).into_owned()]);
    }
    align(&rows)
}

/// Columns of equal width but for the last, with two spaces between.
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

/// A time to the minute, in UTC.
fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..16)
        .map_or(text.clone(), |minute| format!("{minute}Z"))
}

fn listed(permissions: &Permissions) -> String {
    match permissions.to_string() {
        none if none.is_empty() => "-".into(),
        some => some,
    }
}

fn shortened(permissions: &Permissions) -> String {
    let mut text = listed(permissions);
    if text.len() > MAX_PERMISSIONS {
        // They are ASCII.
        text.truncate(MAX_PERMISSIONS - 1);
        text.push('…');
    }
    text
}
