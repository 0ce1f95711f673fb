//! Reading: pages, searches, and damaged rows.

use std::{fs, iter, slice};

use futures_executor::block_on;
use keywright_core::{
    AllowedIps, Attributes, Environment, KeyId, ListKeys, ListStart, Metadata, Owner, Page, Reach,
    Status, Timestamp, VersionedKey,
    store::{KeyStore, Record, Settings, StoreError, StoreErrorKind},
};
use keywright_store_sqlite::SqliteStore;

use crate::{Folder, error_chain, insert, insert_all, sample};

fn list(
    store: &SqliteStore,
    environment: Environment,
    list: &ListKeys<KeyId>,
) -> Result<Page<KeyId>, StoreError> {
    block_on(store.list(&sample::workspace(), environment, list, sample::now()))
}

/// Returns all ids of a list, page by page.
fn all_ids(
    store: &SqliteStore,
    environment: Environment,
    mut wanted: ListKeys<KeyId>,
) -> Vec<KeyId> {
    let mut ids = Vec::new();
    loop {
        let page = list(store, environment, &wanted).unwrap();
        ids.extend(page.keys.iter().map(|key| key.id));
        match page.next {
            Some(next) => wanted.start = ListStart::After(next),
            None => return ids,
        }
    }
}

/// Half of the keys have no owner.
fn owner_of(number: u32) -> Option<Owner> {
    let name = ["user:0", "user:1"].get(usize::try_from(number % 4).unwrap());
    name.map(|name| Owner::parse(name).unwrap())
}

#[test]
fn pages_by_cursor_and_by_offset_show_each_key_once_newest_first() {
    let folder = Folder::new();
    let store = folder.store();
    let end = Timestamp::from_millis(sample::now().as_millis() - 1).unwrap();
    let records: Vec<_> = (0..1000)
        .map(|number| {
            let mut record = sample::record(number);
            if number % 3 == 0 {
                record.key.environment = Environment::Test;
            }
            if number % 5 == 0 {
                record.key.expires_at = Some(end);
            }
            record.key.enabled = number % 11 != 0;
            record.key.owner = owner_of(number);
            record
        })
        .collect();
    assert!(insert_all(&store, &records).iter().all(Result::is_ok));
    for number in (0..1000).step_by(7) {
        let id = sample::id(number);
        block_on(store.revoke(&sample::workspace(), &id, Reach::Key, sample::now(), None)).unwrap();
    }

    for environment in [Environment::Live, Environment::Test] {
        let statuses = iter::once(None).chain(Status::ALL.map(Some));
        for (status, owner) in statuses.flat_map(|status| [(status, None), (status, owner_of(1))]) {
            let expected: Vec<KeyId> = (0..1000)
                .rev()
                .filter(|number| environment == Environment::Live || number % 3 == 0)
                .filter(|number| {
                    status.is_none_or(|status| {
                        status
                            == match (number % 7, number % 5, number % 11) {
                                (0, _, _) => Status::Revoked,
                                (_, 0, _) => Status::Expired,
                                (_, _, 0) => Status::Disabled,
                                _ => Status::Active,
                            }
                    })
                })
                .filter(|number| owner.is_none() || owner == owner_of(*number))
                .map(sample::id)
                .collect();
            let mut wanted = ListKeys::new().with_limit(13);
            wanted.status = status;
            wanted.owner = owner;
            assert_eq!(all_ids(&store, environment, wanted.clone()), expected);

            let total = u64::try_from(expected.len()).unwrap();
            for offset in [0, 1, total / 2, total - 1, total, total + 1, u64::MAX] {
                wanted.start = ListStart::Offset(offset);
                let page = list(&store, environment, &wanted).unwrap();
                let rest = expected.iter().skip(usize::try_from(offset).unwrap());
                assert!(page.keys.iter().map(|key| &key.id).eq(rest.take(13)));
                assert_eq!(page.total, Some(total));
            }
        }
    }
}

#[test]
fn a_search_treats_every_character_literally() {
    let folder = Folder::new();
    let store = folder.store();
    let names = [
        "100% sure",
        "snake_case",
        "it's \"quoted\"",
        "Ärger mit Straße",
        r"C:\path",
        "ΟΔΟΣ",
        "emoji 🔑",
    ];
    for (number, name) in (0..).zip(names) {
        insert(&store, &sample::named(number, name)).unwrap();
    }
    let search = |text: &str| -> Vec<String> {
        let wanted = ListKeys::new().with_search(text).with_limit(100);
        let page = list(&store, Environment::Live, &wanted).unwrap();
        assert_eq!(page.total, Some(page.keys.len() as u64));
        page.keys.iter().map(|key| key.name.to_string()).collect()
    };
    for (text, found) in [
        ("%", "100% sure"),
        ("_", "snake_case"),
        ("'", "it's \"quoted\""),
        ("\"QUOTED\"", "it's \"quoted\""),
        ("äRGER", "Ärger mit Straße"),
        ("A\u{308}rger", "Ärger mit Straße"),
        ("strasse", "Ärger mit Straße"),
        (r"\", r"C:\path"),
        ("οδοσ", "ΟΔΟΣ"),
        ("🔑", "emoji 🔑"),
    ] {
        assert_eq!(search(text), [found], "{text}");
    }
    assert_eq!(search("").len(), names.len());
    for absent in ["\0", "100%\0", "*", "?", "';--"] {
        assert!(search(absent).is_empty(), "{absent}");
    }
}

#[test]
fn a_damaged_row_is_corrupt_and_its_contents_are_not_in_the_error() {
    for (damage, in_lists) in [
        (
            "workspace = 'default', name = char(10) || 'confidential'",
            true,
        ),
        ("name = CAST(x'ff' AS TEXT) || 'confidential'", true),
        ("environment = 7", true),
        ("owner = 'confidential owner'", true),
        ("owner = ''", true),
        ("permissions = 'confidential!'", true),
        ("enabled = 2", true),
        ("enabled = -1", true),
        ("parent = CAST('confidential' AS BLOB)", true),
        ("successor = x''", true),
        ("predecessor = x'00'", true),
        ("rotated_by = x'00'", true),
        ("expires_at = -1", true),
        ("revoked_at = 9223372036854775807", true),
        ("last_used_at = -1", true),
        ("metadata = '[\"confidential\"]'", true),
        ("attributes = '[\"confidential\"]'", true),
        ("allowed_ips = 'confidential'", true),
        ("allowed_ips = ''", true),
        ("allowed_ips = '192.0.2.0/33'", true),
        ("allowed_ips = '192.0.2.7/24'", true),
        ("allowed_ips = '192.0.2.7/32'", true),
        ("allowed_ips = '192.0.2.8,192.0.2.7'", true),
        ("allowed_ips = '192.0.2.7,192.0.2.7'", true),
        ("allowed_ips = '::ffff:192.0.2.7'", true),
        ("allowed_ips = ' 192.0.2.7'", true),
        ("hash = '$confidential'", false),
        ("tag = CAST('confidential' AS BLOB)", false),
        ("version = -1", false),
    ] {
        let folder = Folder::new();
        let store = folder.store();
        insert(&store, &sample::record(1)).unwrap();
        insert(&store, &sample::record(2)).unwrap();
        folder
            .sqlite()
            .execute(
                &format!("UPDATE keywright_keys SET {damage} WHERE id = ?1"),
                [sample::id(1).as_bytes()],
            )
            .unwrap();

        let error = block_on(store.find(&sample::id(1))).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}");
        let chain = error_chain(&error);
        for content in ["confidential", "192.0.2"] {
            assert!(!chain.contains(content), "{chain}");
        }
        assert!(std::error::Error::source(&error).is_some(), "{damage}");
        assert!(block_on(store.find(&sample::id(2))).unwrap().is_some());

        let mut lists = vec![ListKeys::new()];
        if damage.starts_with("name") {
            lists.push(ListKeys::new().with_search("key 2"));
        }
        if damage.starts_with("enabled") {
            lists.push(ListKeys::new().with_status(Status::Active));
        }
        for wanted in lists {
            let listed = list(&store, Environment::Live, &wanted);
            let kind = listed.err().map(|error| error.kind());
            assert_eq!(
                kind,
                in_lists.then_some(StoreErrorKind::Corrupt),
                "{damage}"
            );
        }

        // The key can still be revoked.
        let revoked = block_on(store.revoke(
            &sample::workspace(),
            &sample::id(1),
            Reach::Descendants,
            sample::now(),
            None,
        ));
        assert!(revoked.is_ok(), "{damage}");
    }
}

/// Returns a record in which each column has the largest value, with a parent that admits it.
fn largest_record() -> [Record; 2] {
    let parent = sample::record(1);
    let mut record = sample::record(2);
    let object = format!(r#"{{"a":"{}"}}"#, "x".repeat(4096 - 8));
    let networks: Vec<_> = (16..48)
        .map(|byte| format!("2001:db8:{byte:x}ff:ffff:ffff:ffff:ffff:fffe/127"))
        .collect();
    let key = &mut record.key;
    key.environment = Environment::Test;
    key.owner = Some(Owner::parse(&"o".repeat(Owner::MAX_LENGTH)).unwrap());
    key.metadata = Some(Metadata::parse(&object).unwrap());
    key.attributes = Some(Attributes::parse(&object).unwrap());
    key.enabled = false;
    key.allowed_ips = Some(AllowedIps::parse(networks.iter().map(String::as_str)).unwrap());
    key.parent = Some(parent.key.id);
    key.successor = Some(sample::id(3));
    key.predecessor = Some(sample::id(4));
    key.rotated_by = Some(sample::id(5));
    key.expires_at = Some(Timestamp::MAX);
    key.last_used_at = Some(Timestamp::MAX);
    record.version = i64::MAX.unsigned_abs() - 1;
    [parent, record]
}

#[test]
fn every_column_of_a_record_is_read_back_before_and_after_an_update() {
    let folder = Folder::new();
    let [parent, mut record] = largest_record();
    let store = folder.store();
    for record in [&parent, &record] {
        insert(&store, record).unwrap();
    }
    let assert_stored = |store: &SqliteStore, record: &Record| {
        let found = block_on(store.find(&record.key.id)).unwrap();
        assert_eq!(found.as_ref(), Some(record));
        let page = list(store, Environment::Test, &ListKeys::new()).unwrap();
        assert_eq!(page.keys, slice::from_ref(&record.key));
    };
    assert_stored(&store, &record);
    drop(store);
    let store = folder.store();
    assert_stored(&store, &record);

    // Every setting changes, and no other column. An absent setting becomes null.
    let settings = Settings::from(&sample::record(6).key);
    let Record { key, version, .. } = &record;
    let updated =
        block_on(store.update(&key.workspace, &key.id, *version, &settings, None)).unwrap();
    record.update(record.version, settings).unwrap();
    assert_eq!(
        updated,
        VersionedKey::new(record.key.clone(), record.version)
    );
    assert_stored(&store, &record);

    // No version follows this one.
    let settings = Settings::from(&record.key);
    let Record { key, version, .. } = &record;
    let rejected = block_on(store.update(&key.workspace, &key.id, *version, &settings, None));
    let kind = rejected.err().map(|error| error.kind());
    assert_eq!(kind, Some(StoreErrorKind::Corrupt));
    assert_stored(&store, &record);
}

#[test]
fn a_damaged_page_of_the_file_is_corrupt() {
    let folder = Folder::new();
    insert(&folder.store(), &sample::record(1)).unwrap();
    let page: u32 = folder
        .sqlite()
        .query_one(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'keywright_keys'",
            (),
            |row| row.get(0),
        )
        .unwrap();
    let mut bytes = fs::read(folder.file()).unwrap();
    let end = page as usize * 4096;
    bytes[end - 4096..end].fill(0xff);
    fs::write(folder.file(), bytes).unwrap();

    let store = folder.store();
    let found = block_on(store.find(&sample::id(1))).unwrap_err();
    assert_eq!(found.kind(), StoreErrorKind::Corrupt);
    let inserted = insert(&store, &sample::record(2)).unwrap_err();
    assert_eq!(inserted.kind(), StoreErrorKind::Corrupt);
}
