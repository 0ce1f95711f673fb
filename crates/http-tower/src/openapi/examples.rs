//! Examples of requests and responses. Those of responses are serialised from the views.

use keywright_core::{
    Actor, Changes, Environment, Event, EventId, EventKind, EventPage, Introspection, Key, KeyId,
    ListEvents, Metadata, Name, Owner, RequestId, Timestamp, Workspace,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::views::{
    EventPageView, IntrospectionView, IssuedView, KeyPageView, KeyView, PageMeta, ReportMeta,
    ReportSectionView, ReportSections, ReportView, RevocationView,
};

/// A key for a server, created by another key.
fn key() -> Option<Key> {
    let mut key = Key::new(
        KeyId::parse("key_0U5lKtf600000000").ok()?,
        Workspace::parse("default").ok()?,
        Environment::Live,
        Name::parse("Production Server").ok()?,
        "calls:read".parse().ok()?,
    );
    key.metadata = Some(Metadata::parse(r#"{"team":"billing"}"#).ok()?);
    key.owner = Some(Owner::parse("user:42").ok()?);
    key.allowed_ips = Some("192.0.2.0/24".parse().ok()?);
    key.parent = Some(KeyId::parse("key_0U5lKtT000000000").ok()?);
    key.last_used_at = Some(now()?);
    Some(key)
}

fn now() -> Option<Timestamp> {
    Timestamp::parse("2024-03-02T08:15:00Z").ok()
}

fn value(view: impl Serialize) -> Option<Value> {
    serde_json::to_value(view).ok()
}

/// The body of a create request.
pub(super) fn to_create() -> Option<Value> {
    Some(json!({
        "name": "Production Server",
        "permissions": ["calls:read"],
        "metadata": {"team": "billing"},
        "allowed_ips": ["192.0.2.0/24"],
    }))
}

/// A created key with its token. The token is shortened, so that no scanner takes it for a real
/// one.
pub(super) fn created() -> Option<Value> {
    let mut created = replayed()?;
    if let Value::Object(members) = &mut created {
        members.insert("secret".into(), "sk_live_0U5lKtf600000000_…032Ts3u".into());
    }
    Some(created)
}

/// A created key without its token.
pub(super) fn replayed() -> Option<Value> {
    value(IssuedView::replayed(&key()?, now()?))
}

pub(super) fn key_view() -> Option<Value> {
    value(KeyView::new(&key()?, now()?))
}

pub(super) fn page() -> Option<Value> {
    let key = key()?;
    value(KeyPageView {
        data: vec![KeyView::new(&key, now()?)],
        meta: PageMeta {
            page: Some(1),
            limit: 20,
            total: Some(1),
            total_pages: Some(1),
            next_cursor: None,
        },
    })
}

pub(super) fn event_page() -> Option<Value> {
    let key = key()?;
    let mut paused = key.clone();
    paused.enabled = false;
    let actor = Actor::Key {
        id: key.parent?,
        owner: key.owner.clone(),
    };
    let id = EventId::parse("evt_0U5qDRMs00000000").ok()?;
    let mut event = Event::new(id, EventKind::Updated, &key, actor);
    event.request_id = Some(RequestId::parse("req_3f1c8a5be02d9746").ok()?);
    event.client_ip = Some("203.0.113.9".parse().ok()?);
    event.changes = Changes::between(&key, &paused);
    let page = EventPage::new(vec![event], None);
    value(EventPageView::new(&page, ListEvents::DEFAULT_LIMIT))
}

pub(super) fn report() -> Option<Value> {
    let key = key()?;
    value(ReportView {
        sections: ReportSections {
            never_expire: ReportSectionView {
                count: 1,
                data: vec![KeyView::new(&key, now()?)],
            },
            ..ReportSections::default()
        },
        meta: ReportMeta {
            keys_read: 1,
            next_cursor: None,
        },
    })
}

pub(super) fn change() -> Option<Value> {
    Some(json!({
        "permissions": ["calls:read"],
        "expires_at": "2999-01-01T00:00:00Z",
        "enabled": true,
        "allowed_ips": null,
    }))
}

pub(super) fn revoked() -> Option<Value> {
    value(RevocationView::new(None))
}

pub(super) fn rotation() -> Option<Value> {
    Some(json!({"expire_previous": "24h"}))
}

pub(super) fn to_verify() -> Option<Value> {
    Some(json!({
        "key": "sk_live_0U5lKtf600000000_…032Ts3u",
        "permission": "calls:read",
        "client_ip": "192.0.2.7",
    }))
}

pub(super) fn valid() -> Option<Value> {
    let introspection = Introspection::Valid(key()?);
    value(IntrospectionView::new(&introspection, now()?))
}
