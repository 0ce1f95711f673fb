//! The JSON of events.

use super::key;
use crate::{Actor, Event, EventId, EventKind, RequestId};

const EVENT: &str = r#"{"id":"evt_0Vbx91mxt8iwXW8y","type":"api_key.created","created_at":"2026-11-25T03:42:53.543Z","workspace":"acme","environment":"live","key_id":"key_0Vbwpf20t8iKd93a","actor":{"type":"operator"}}"#;

#[test]
fn an_event_with_a_part_that_is_unknown_or_missing_or_malformed_is_rejected() {
    serde_json::from_str::<Event>(EVENT).unwrap();
    for (part, replacement) in [
        ("api_key.created", "api_key.imported"),
        ("api_key.created", "created"),
        ("api_key.created", "api_key.rotated"),
        ("api_key.created", "api_key.revoked"),
        (r#""type":"api_key.created","#, ""),
        ("evt_", "key_"),
        ("evt_0", "evt_"),
        ("key_0", "evt_0"),
        ("acme", ""),
        ("live", "prod"),
        ("operator", "robot"),
        ("operator", "key"),
        (r#""actor":{"type":"operator"}"#, r#""actor":null"#),
        (r#""actor""#, r#""request_id":"a b","actor""#),
        (r#""actor""#, r#""client_ip":"192.0.2","actor""#),
        (r#""actor""#, r#""owner":"","actor""#),
        (r#""actor""#, r#""changes":{"name":["",null]},"actor""#),
        (r#""actor""#, r#""changes":{"enabled":[true]},"actor""#),
        (r#""actor""#, r#""changes":{"metadata":"a"},"actor""#),
        (r#""actor""#, r#""changes":{"attributes":true},"actor""#),
    ] {
        let text = EVENT.replacen(part, replacement, 1);
        assert_ne!(text, EVENT, "{part}");
        let parsed = serde_json::from_str::<Event>(&text);
        assert!(parsed.is_err(), "{text}");
    }
    for length in 0..EVENT.len() {
        assert!(serde_json::from_str::<Event>(&EVENT[..length]).is_err());
    }
}

#[test]
fn only_a_revocation_has_a_count() {
    let id = EventId::parse("evt_0Vbx91mxt8iwXW8y").unwrap();
    let revoked = EventKind::Revoked {
        cascade: true,
        count: None,
    };
    let event = |kind| Event::new(id, kind, &key(), Actor::System);
    assert_eq!(
        event(revoked).with_count(3).kind,
        EventKind::Revoked {
            cascade: true,
            count: Some(3)
        }
    );
    let successor = key().id;
    for kind in [
        EventKind::Created,
        EventKind::Updated,
        EventKind::Rotated { successor },
    ] {
        assert_eq!(event(kind).with_count(3), event(kind));
    }
}

#[test]
fn an_id_of_an_event_contains_the_time_and_the_tag_of_the_key() {
    let mut random = crate::random::Generator::seeded(&crate::OsEntropy).unwrap();
    let now = super::time(1_795_578_173_543);
    let id = EventId::generate(&key().id, now, &mut random);
    assert_eq!(id.created_at(), now);
    assert_eq!(id.routing_tag(), key().id.routing_tag());
    assert!(EventId::first_at(now) < id);
    assert!(id < EventId::first_at(super::time(1_795_578_173_544)));
    assert_eq!(EventId::parse(&id.to_string()).unwrap(), id);
    assert_eq!(EventId::from_bytes(id.as_bytes()).unwrap(), id);
    for malformed in [
        "",
        "evt_",
        "0Vbx91mxt8iwXW8y",
        "key_0Vbx91mxt8iwXW8y",
        "evt_0Vbx91mxt8iwXW8",
        "evt_0Vbx91mxt8iwXW8yy",
        "evt_0Vbx91mxt8iwXW8-",
        "EVT_0Vbx91mxt8iwXW8y",
    ] {
        assert!(EventId::parse(malformed).is_err(), "{malformed}");
    }
}

#[test]
fn a_request_id_is_1_to_40_allowed_characters() {
    let [longest, too_long] = [40, 41].map(|length| "r".repeat(length));
    for good in ["r", "req_5bd1e0a2c3f4d5e6", "A.b-C_9", &longest] {
        assert_eq!(RequestId::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "a b", "a\n", "é", "a/b", "a\"", &too_long] {
        assert!(RequestId::parse(bad).is_err(), "{bad:?}");
    }
}
