//! Formats keys as tables.

use anstyle::{AnsiColor, Style};
use keywright_core::{
    AllowedIps, Attributes, Key, Metadata, Owner, Permissions, Status, Timestamp,
};

use crate::{
    table::{Cell, Column, Output, shortened, table},
    terminal_escape::escape,
};

/// The maximum length of permissions, addresses and attributes in a list, in characters.
const MAX_TEXT_LENGTH: usize = 32;

/// The width of the longest label of [`details`].
const LABEL_WIDTH: usize = 11;

/// All columns, in the order in which a list shows them.
///
/// The name is the last one: terminals do not agree on the width of every character, and the other
/// columns stay aligned.
const COLUMNS: [Column; 11] = [
    Column::whole("ID", 0),
    Column::whole("STATUS", 1),
    Column::whole("ENV", 10),
    Column::whole("CREATED", 12),
    Column::whole("EXPIRES", 3),
    Column::whole("LAST USED", 4),
    Column::text("OWNER", 5, 8),
    Column::text("PERMISSIONS", 11, 12),
    Column::text("ADDRESSES", 13, 12),
    Column::text("ATTRIBUTES", 14, 12),
    Column::text("NAME", 2, 12),
];

/// The columns of a list that is not on a terminal. A program can rely on them.
const STABLE_COLUMNS: [Column; 6] = [
    Column::whole("ID", 0),
    Column::whole("STATUS", 0),
    Column::whole("EXPIRES", 0),
    Column::whole("LAST USED", 0),
    Column::whole("OWNER", 0),
    Column::whole("NAME", 0),
];

/// Returns a header and a line for each key: on a terminal, the columns that fit its width, and
/// otherwise the same columns for every list.
pub(super) fn list(keys: &[Key], now: Timestamp, output: Output) -> String {
    if output.width.is_some() {
        let rows: Vec<_> = keys.iter().map(|key| cells(key, now, day)).collect();
        return table(&COLUMNS, &rows, output);
    }
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let [id, status, _, _, expires, last_used, owner, _, _, _, name] = cells(key, now, day);
            [id, status, expires, last_used, owner, name]
        })
        .collect();
    table(&STABLE_COLUMNS, &rows, output)
}

/// Returns a header and a line with all columns for each key, however long.
pub(super) fn wide_list(keys: &[Key], now: Timestamp, output: Output) -> String {
    let rows: Vec<_> = keys.iter().map(|key| cells(key, now, minute)).collect();
    table(&COLUMNS, &rows, output)
}

/// Returns the cells of [`COLUMNS`].
fn cells(key: &Key, now: Timestamp, time: fn(Timestamp) -> String) -> [Cell; 11] {
    let text = |text: &str| Cell::from(shortened(text, MAX_TEXT_LENGTH).into_owned());
    [
        key.id.to_string().into(),
        Cell::styled(key.status(now).to_string(), style(key.status(now))),
        key.environment.to_string().into(),
        time(key.created_at()).into(),
        key.expires_at.map_or("never".into(), time).into(),
        key.last_used_at.map_or("never".into(), time).into(),
        owner_text(key).into(),
        text(&permissions_text(&key.permissions)),
        text(&addresses_text(key)),
        text(&attributes_text(key)),
        escape(key.name.as_str()).into_owned().into(),
    ]
}

/// Returns the colour of a status.
fn style(status: Status) -> Style {
    let colour = match status {
        Status::Active => AnsiColor::Green,
        Status::Disabled => AnsiColor::Yellow,
        Status::Revoked => AnsiColor::Red,
        Status::Expired => return Style::new().dimmed(),
    };
    Style::new().fg_color(Some(colour.into()))
}

/// Returns a line for each field of a key.
pub(super) fn details(key: &Key, now: Timestamp, output: Output) -> String {
    let time = |time: Option<Timestamp>| time.map_or("never".into(), |time| time.to_string());
    let metadata = key.metadata.as_ref().map(Metadata::as_json);
    let attributes = key.attributes.as_ref().map(Attributes::as_json);
    let status = key.status(now);
    let optional = [
        (
            "revoked",
            key.revoked_at.map(|revoked_at| revoked_at.to_string()),
        ),
        ("parent", key.parent.map(|id| id.to_string())),
        ("predecessor", key.predecessor.map(|id| id.to_string())),
        ("successor", key.successor.map(|id| id.to_string())),
        ("rotated by", key.rotated_by.map(|id| id.to_string())),
        ("imported", key.imported.then(|| "yes".to_owned())),
        ("metadata", metadata.map(json_text)),
        ("attributes", attributes.map(json_text)),
    ];
    let always = [
        ("id", key.id.to_string()),
        ("name", escape(key.name.as_str()).into_owned()),
        ("workspace", key.workspace.to_string()),
        ("environment", key.environment.to_string()),
        ("owner", owner_text(key)),
        ("status", output.paint(&status.to_string(), style(status))),
        ("permissions", permissions_text(&key.permissions)),
        ("addresses", addresses_text(key)),
        ("created", key.created_at().to_string()),
        ("expires", time(key.expires_at)),
        ("last used", time(key.last_used_at)),
    ];
    let present = optional
        .into_iter()
        .filter_map(|(label, text)| Some((label, text?)));
    always
        .into_iter()
        .chain(present)
        .map(|(label, text)| format!("{label:<LABEL_WIDTH$}  {text}\n"))
        .collect()
}

/// Formats a time to the day, in UTC.
fn day(time: Timestamp) -> String {
    let text = time.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// Formats a time to the minute, in UTC.
fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..16)
        .map_or(text.clone(), |minute| format!("{minute}Z"))
}

fn owner_text(key: &Key) -> String {
    key.owner.as_ref().map_or("-".into(), Owner::to_string)
}

fn permissions_text(permissions: &Permissions) -> String {
    match permissions.to_string() {
        none if none.is_empty() => "-".into(),
        some => some,
    }
}

fn addresses_text(key: &Key) -> String {
    let allowed_ips = key.allowed_ips.as_ref();
    allowed_ips.map_or("any".into(), AllowedIps::to_string)
}

fn attributes_text(key: &Key) -> String {
    let attributes = key.attributes.as_ref().map(Attributes::as_json);
    attributes.map_or("-".into(), json_text)
}

/// Returns JSON on one line. Its line breaks and tabs stand between tokens, never in a string.
fn json_text(json: &str) -> String {
    escape(&json.replace(['\n', '\r', '\t'], " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use keywright_core::{Environment, KeyId, Name, Workspace};

    use super::*;

    fn key(name: &str) -> Key {
        Key::new(
            KeyId::parse("key_0U5lKtf600000000").unwrap(),
            Workspace::parse("acme").unwrap(),
            Environment::Live,
            Name::parse(name).unwrap(),
            "calls:read".parse().unwrap(),
        )
    }

    fn output(width: Option<usize>) -> Output {
        Output {
            width,
            has_colours: false,
        }
    }

    #[test]
    fn a_list_shows_the_columns_that_fit_the_terminal() {
        let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
        let mut longest = key(&"n".repeat(60));
        longest.owner = Some("o".repeat(Owner::MAX_LENGTH).parse().unwrap());
        longest.enabled = false;
        longest.expires_at = Some(Timestamp::MAX);
        longest.last_used_at = Some(now);
        for (width, expected) in [
            (22, "key_0U5lKtf600000000"),
            (40, "key_0U5lKtf600000000  disabled"),
            (
                60,
                "key_0U5lKtf600000000  disabled  9999-12-31  nnnnnnnnnnnnnnn…",
            ),
            (
                80,
                "key_0U5lKtf600000000  disabled  9999-12-31  2026-11-28  ooooooo…  nnnnnnnnnnnnn…",
            ),
        ] {
            let table = list(&[longest.clone(), key("m")], now, output(Some(width)));
            let lines: Vec<_> = table.lines().collect();
            assert_eq!(lines.len(), 3, "{table}");
            assert_eq!(lines[1], expected, "{width}");
        }
        let whole = list(&[longest.clone()], now, output(None));
        assert!(whole.contains(&"o".repeat(Owner::MAX_LENGTH)), "{whole}");
        assert!(
            whole.ends_with(&format!("  {}\n", "n".repeat(60))),
            "{whole}"
        );
    }

    #[test]
    fn attributes_and_addresses_are_shown_on_one_line() {
        let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
        let mut shown = key("n");
        shown.owner = Some("user:42".parse().unwrap());
        shown.allowed_ips = Some("192.0.2.0/24,10.0.0.1".parse().unwrap());
        shown.attributes = Some(Attributes::parse("{\n\"plan\": \"\u{202e}pro\"\n}").unwrap());
        let text = details(&shown, now, output(None));
        for line in [
            "owner        user:42",
            "addresses    10.0.0.1,192.0.2.0/24",
            r#"attributes   { "plan": "\u{202e}pro" }"#,
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
        }
        let text = wide_list(&[shown], now, output(None));
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("  10.0.0.1,192.0.2.0/24  "), "{text}");
        let text = details(&key("n"), now, output(None));
        for line in ["owner        -", "addresses    any"] {
            assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
        }
        assert!(!text.contains("attributes"), "{text}");
    }
}
