//! Formats keys as tables.

use keywright_core::{AllowedIps, Attributes, Key, Metadata, Owner, Permissions, Timestamp};

use crate::{
    table::{align, shortened, with_header},
    terminal_escape::escape,
};

/// The maximum length of an owner in a list, in characters. With it, the columns before the name
/// take 74 characters.
const MAX_OWNER_LENGTH: usize = 16;

/// The maximum length of other texts in a wide list, in characters.
const MAX_TEXT_LENGTH: usize = 32;

/// Returns a header and a line for each key. The columns before the name fit in 80 characters.
///
/// The name is the last column. Its characters may be wide, combining or right-to-left, and the
/// other columns stay aligned.
pub(super) fn list(keys: &[Key], now: Timestamp) -> String {
    let header = ["ID", "STATUS", "EXPIRES", "LAST USED", "OWNER", "NAME"];
    let rows = keys.iter().map(|key| {
        [
            key.id.to_string(),
            key.status(now).to_string(),
            key.expires_at.map_or("never".into(), day),
            key.last_used_at.map_or("never".into(), day),
            shortened(&owner_text(key), MAX_OWNER_LENGTH),
            escape(key.name.as_str()).into_owned(),
        ]
    });
    with_header(header, rows)
}

/// Returns a header and a line for each key, however long.
pub(super) fn wide_list(keys: &[Key], now: Timestamp) -> String {
    let header = [
        "ID",
        "STATUS",
        "ENV",
        "CREATED",
        "EXPIRES",
        "LAST USED",
        "OWNER",
        "PERMISSIONS",
        "ADDRESSES",
        "ATTRIBUTES",
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
            shortened(&owner_text(key), MAX_TEXT_LENGTH),
            shortened(&permissions_text(&key.permissions), MAX_TEXT_LENGTH),
            shortened(&addresses_text(key), MAX_TEXT_LENGTH),
            shortened(&attributes_text(key), MAX_TEXT_LENGTH),
            escape(key.name.as_str()).into_owned(),
        ]
    });
    with_header(header, rows)
}

/// Returns a line for each field of a key.
pub(super) fn details(key: &Key, now: Timestamp) -> String {
    let time = |time: Option<Timestamp>| time.map_or("never".into(), |time| time.to_string());
    let metadata = key.metadata.as_ref().map(Metadata::as_json);
    let attributes = key.attributes.as_ref().map(Attributes::as_json);
    let optional = [
        (
            "revoked",
            key.revoked_at.map(|revoked_at| revoked_at.to_string()),
        ),
        ("parent", key.parent.map(|id| id.to_string())),
        ("predecessor", key.predecessor.map(|id| id.to_string())),
        ("successor", key.successor.map(|id| id.to_string())),
        ("rotated by", key.rotated_by.map(|id| id.to_string())),
        ("metadata", metadata.map(json_text)),
        ("attributes", attributes.map(json_text)),
    ];
    let always = [
        ("id", key.id.to_string()),
        ("name", escape(key.name.as_str()).into_owned()),
        ("workspace", key.workspace.to_string()),
        ("environment", key.environment.to_string()),
        ("owner", owner_text(key)),
        ("status", key.status(now).to_string()),
        ("permissions", permissions_text(&key.permissions)),
        ("addresses", addresses_text(key)),
        ("created", key.created_at().to_string()),
        ("expires", time(key.expires_at)),
        ("last used", time(key.last_used_at)),
    ];
    let present = optional
        .into_iter()
        .filter_map(|(label, text)| Some((label, text?)));
    let rows: Vec<_> = always
        .into_iter()
        .chain(present)
        .map(|(label, text)| [label.to_owned(), text])
        .collect();
    align(&rows)
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

    #[test]
    fn the_columns_before_the_name_fit_in_80_characters() {
        let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
        let mut longest = key("n");
        longest.owner = Some("o".repeat(Owner::MAX_LENGTH).parse().unwrap());
        longest.enabled = false;
        longest.expires_at = Some(Timestamp::MAX);
        longest.last_used_at = Some(now);
        let table = list(&[longest, key("m")], now);
        let [header, line, other] = table.lines().collect::<Vec<_>>()[..] else {
            panic!("{table}")
        };
        assert_eq!(
            line,
            "key_0U5lKtf600000000  disabled  9999-12-31  2026-11-28  ooooooooooooooo…  n"
        );
        assert!(line.chars().count() <= 80, "{line}");
        assert!(
            header.ends_with("  NAME") && other.ends_with("  m"),
            "{table}"
        );
    }

    #[test]
    fn attributes_and_addresses_are_shown_on_one_line() {
        let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
        let mut shown = key("n");
        shown.owner = Some("user:42".parse().unwrap());
        shown.allowed_ips = Some("192.0.2.0/24,10.0.0.1".parse().unwrap());
        shown.attributes = Some(Attributes::parse("{\n\"plan\": \"\u{202e}pro\"\n}").unwrap());
        let text = details(&shown, now);
        for line in [
            "owner        user:42",
            "addresses    10.0.0.1,192.0.2.0/24",
            r#"attributes   { "plan": "\u{202e}pro" }"#,
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
        }
        let text = wide_list(&[shown], now);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("  10.0.0.1,192.0.2.0/24  "), "{text}");
        let text = details(&key("n"), now);
        for line in ["owner        -", "addresses    any"] {
            assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
        }
        assert!(!text.contains("attributes"), "{text}");
    }
}
