//! Events: in the transaction of their changes, and in damaged rows.

use std::net::Ipv4Addr;

use futures_executor::block_on;
use keywright_core::{
    Actor, AllowedIps, Attributes, Changes, Environment, Event, EventKind, ListEvents, Metadata,
    Name, Owner, Reach, RequestId, Timestamp,
    store::{KeyStore, PurgeEvents, Record, Retire, Rotation, Settings, StoreErrorKind},
};

use crate::{Folder, error_chain, events, insert, sample};

#[test]
fn every_field_of_an_event_is_read_back_after_a_restart() {
    let folder = Folder::new();
    let store = folder.store();
    let mut record = sample::record(1);
    record.key.owner = Some(Owner::parse("user:42").unwrap());
    insert(&store, &record).unwrap();
    let mut after = record.key.clone();
    after.name = Name::parse("\"Straße\"\u{2028}").unwrap();
    after.permissions = "calls:read".parse().unwrap();
    after.enabled = false;
    after.expires_at = Some(Timestamp::MAX);
    after.allowed_ips = Some("192.0.2.0/24,2001:db8::1".parse::<AllowedIps>().unwrap());
    after.metadata = Some(Metadata::parse(r#"{"a":1}"#).unwrap());
    after.attributes = Some(Attributes::parse(r#"{"plan":"pro"}"#).unwrap());
    let mut updated = sample::event(1, EventKind::Updated, &record.key);
    updated.actor = Actor::Key {
        id: sample::id(2),
        owner: Some(Owner::parse("user:7").unwrap()),
    };
    updated.request_id = Some(RequestId::parse("req_5bd1e0a2c3f4d5e6").unwrap());
    updated.client_ip = Some(Ipv4Addr::new(203, 0, 113, 9).into());
    updated.changes = Changes::between(&record.key, &after);
    let Record { key, version, .. } = &record;
    let settings = Settings::from(&after);
    let update = store.update(&key.workspace, &key.id, *version, &settings, Some(&updated));
    block_on(update).unwrap();
    drop(store);
    assert_eq!(
        events(&folder.store()),
        [updated, sample::created(&record.key)]
    );
}

#[test]
fn a_change_whose_event_cannot_be_appended_is_not_made() {
    let folder = Folder::new();
    let store = folder.store();
    let records = [1, 2].map(sample::record);
    for record in &records {
        insert(&store, record).unwrap();
    }
    let [Record { key, version, .. }, _] = &records;
    // The id of an event that exists.
    let event = |kind| Event::new(sample::created(key).id, kind, key, Actor::Operator);
    let mut settings = Settings::from(key);
    settings.enabled = false;
    let new = sample::record(3);
    let mut successor = sample::record(4);
    successor.key.predecessor = Some(key.id);
    let rotation = Rotation::new(key.id, *version, Retire::Now, successor.clone());
    let (created, updated) = (event(EventKind::Created), event(EventKind::Updated));
    let rotated = event(EventKind::Rotated {
        successor: successor.key.id,
    });
    let [revoked, cascade] = [false, true].map(|cascade| {
        event(EventKind::Revoked {
            cascade,
            count: None,
        })
    });
    let (workspace, now) = (&key.workspace, sample::now());
    let failures = block_on(async {
        let update = store.update(workspace, &key.id, *version, &settings, Some(&updated));
        [
            store.insert(&new, now, Some(&created)).await.err(),
            update.await.err(),
            store
                .revoke(workspace, &key.id, Reach::Key, now, Some(&revoked))
                .await
                .err(),
            store
                .revoke(workspace, &key.id, Reach::Descendants, now, Some(&cascade))
                .await
                .err(),
            store
                .rotate(workspace, &rotation, now, Some(&rotated))
                .await
                .err(),
        ]
    });
    for failure in failures {
        let kind = failure.map(|error| error.kind());
        assert_eq!(kind, Some(StoreErrorKind::Unavailable));
    }
    for id in [&new.key.id, &successor.key.id] {
        assert_eq!(block_on(store.find(id)).unwrap(), None);
    }
    for record in &records {
        let found = block_on(store.find(&record.key.id)).unwrap();
        assert_eq!(found.as_ref(), Some(record));
    }
    let created = records
        .each_ref()
        .map(|record| sample::created(&record.key));
    assert_eq!(events(&store), created);
    folder.assert_intact();
}

#[test]
fn a_damaged_event_is_corrupt_and_its_contents_are_not_in_the_error() {
    let json =
        |field: &str, value: &str| format!("event = json_replace(event, '$.{field}', '{value}')");
    for damage in [
        "id = x'00'".into(),
        "id = CAST('00confidential00' AS BLOB)".into(),
        "event = 'confidential'".into(),
        "event = ''".into(),
        "event = CAST(x'ff' AS TEXT)".into(),
        "event = event || 'confidential'".into(),
        json("type", "confidential"),
        json("key_id", "confidential"),
        json("actor", "confidential"),
        // These events do not match their rows: they belong to other lists.
        json("id", "evt_0U5lKt0000000009"),
        json("workspace", "confidential"),
        json("key_id", "key_0U5lKt0000000009"),
        json("owner", "confidential"),
        "environment = 1".into(),
    ] {
        let folder = Folder::new();
        let store = folder.store();
        let mut record = sample::record(1);
        record.key.owner = Some(Owner::parse("user:42").unwrap());
        insert(&store, &record).unwrap();
        insert(&store, &sample::record(2)).unwrap();
        folder
            .sqlite()
            .execute(
                &format!("UPDATE keywright_events SET {damage} WHERE key = ?1"),
                [record.key.id.as_bytes()],
            )
            .unwrap();

        let list = ListEvents::new()
            .with_key(record.key.id)
            .with_owner(record.key.owner.clone().unwrap());
        let listed =
            |environment, list| block_on(store.events(&sample::workspace(), environment, list));
        let environment = match &*damage {
            "environment = 1" => Environment::Test,
            _ => Environment::Live,
        };
        let error = listed(environment, &list).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}");
        let chain = error_chain(&error);
        assert!(!chain.contains("confidential"), "{chain}");
        assert!(std::error::Error::source(&error).is_some(), "{damage}");
        let intact = ListEvents::new().with_key(sample::id(2));
        assert_eq!(
            listed(Environment::Live, &intact).unwrap().events.len(),
            1,
            "{damage}"
        );

        // The event is still purged.
        let purge = PurgeEvents::new(Timestamp::MAX, 10);
        assert_eq!(block_on(store.purge_events(&purge)).unwrap(), 2, "{damage}");
        folder.assert_intact();
    }
}
