//! The lines of an import file.

use keywright_core::ForeignKey;

use crate::library::{HASH, key};

#[test]
fn a_line_is_rejected_with_the_name_of_its_field_and_none_of_its_content() {
    let secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
    let valid = format!(r#""hash": "{HASH}", "name": "CI", "permissions": ["calls:read"]"#);
    for (line, expected) in [
        (String::new(), "not a JSON object"),
        (format!(r#""{secret}""#), "not a JSON object"),
        (
            format!(r#"{{"{secret}": 1, {valid}}}"#),
            "a member is not a field of a key",
        ),
        (
            format!(r#"{{"secret": "{secret}", {valid}}}"#),
            "secret is not a field of a key",
        ),
        (
            format!(r#"{{{valid}, "expires_at": null, "expires_at": "{secret}"}}"#),
            "expires_at is given twice",
        ),
        (
            format!(r#"{{{valid}, "{secret}": 1, "{secret}": 2}}"#),
            "a member is given twice",
        ),
        (
            format!(r#"{{"hash": "{HASH}", "name": ""}}"#),
            "name: should not be empty",
        ),
        (
            format!(r#"{{"hash": "{HASH}", "name": "CI"}}"#),
            "permissions: missing",
        ),
        (
            r#"{"hash": 7, "name": "CI"}"#.to_owned(),
            "hash: must be a string",
        ),
        (
            format!(r#"{{{valid}, "enabled": "{secret}"}}"#),
            "enabled: must be true or false",
        ),
        (
            format!(r#"{{{valid}, "metadata": "{secret}"}}"#),
            "metadata: must be an object",
        ),
        (
            format!(r#"{{{valid}, "public_part": ["{secret}"]}}"#),
            "public_part: must be a string",
        ),
    ] {
        assert_eq!(
            ForeignKey::parse(&line).unwrap_err().to_string(),
            expected,
            "{line}"
        );
    }
    for field in [
        "owner",
        "environment",
        "created_at",
        "expires_at",
        "allowed_ips",
    ] {
        let value = match field {
            "allowed_ips" => format!(r#"["{secret}"]"#),
            "owner" => format!(r#""{secret}\u0000""#),
            _ => format!(r#""{secret}""#),
        };
        let line = format!(r#"{{{valid}, "{field}": {value}}}"#);
        let message = ForeignKey::parse(&line).unwrap_err().to_string();
        assert!(
            message.starts_with(field) && !message.contains("4eC39"),
            "{message}"
        );
    }
    let line = format!(r#"{{{valid}, "owner": null, "enabled": null}}"#);
    assert_eq!(ForeignKey::parse(&line).unwrap(), {
        let mut expected = key(HASH);
        expected.name = "CI".parse().unwrap();
        expected
    });
}

#[test]
fn the_public_part_has_two_names_and_is_given_once() {
    let line = |rest: &str| {
        let line = format!(r#"{{"hash": "{HASH}", "name": "CI", "permissions": [], {rest}}}"#);
        ForeignKey::parse(&line).map(|key| key.public_part)
    };
    for name in ["public_part", "lookup"] {
        let part = line(&format!(r#""{name}": "a1""#)).unwrap();
        assert_eq!(part.as_deref(), Some("a1"), "{name}");
    }
    let twice = line(r#""public_part": "a1", "lookup": "a1""#).unwrap_err();
    assert_eq!(twice.to_string(), "lookup is not a field of a key");
}
