//! Reading: pages, searches, and damaged rows.

use std::fs;

use futures_executor::block_on;
use keywright_core::{
    Environment, KeyId, ListKeys, ListStart, Page, Reach, Status, Timestamp,
    store::{KeyStore, StoreError, StoreErrorKind},
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
            record
        })
        .collect();
    assert!(insert_all(&store, &records).iter().all(Result::is_ok));
    for number in (0..1000).step_by(7) {
        let id = sample::id(number);
        block_on(store.revoke(&sample::workspace(), &id, Reach::Key, sample::now())).unwrap();
    }

    for environment in [Environment::Live, Environment::Test] {
        for status in [
            None,
            Some(Status::Active),
            Some(Status::Expired),
            Some(Status::Revoked),
        ] {
            let expected: Vec<KeyId> = (0..1000)
                .rev()
                .filter(|number| environment == Environment::Live || number % 3 == 0)
                .filter(|number| {
                    status.is_none_or(|status| {
                        status
                            == match (number % 7, number % 5) {
                                (0, _) => Status::Revoked,
                                (_, 0) => Status::Expired,
                                _ => Status::Active,
                            }
                    })
                })
                .map(sample::id)
                .collect();
            let mut wanted = ListKeys::new().with_limit(13);
            wanted.status = status;
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
        ("permissions = 'confidential!'", true),
        ("parent = CAST('confidential' AS BLOB)", true),
        ("successor = x''", true),
        ("rotated_by = x'00'", true),
        ("expires_at = -1", true),
        ("revoked_at = 9223372036854775807", true),
        ("last_used_at = -1", true),
        ("metadata = '[\"confidential\"]'", true),
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
                &format!("UPDATE keys SET {damage} WHERE id = ?1"),
                [sample::id(1).as_bytes()],
            )
            .unwrap();

        let error = block_on(store.find(&sample::id(1))).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}");
        let chain = error_chain(&error);
        assert!(!chain.contains("confidential"), "{chain}");
        assert!(std::error::Error::source(&error).is_some(), "{damage}");
        assert!(block_on(store.find(&sample::id(2))).unwrap().is_some());

        let mut lists = vec![ListKeys::new()];
        if damage.starts_with("name") {
            lists.push(ListKeys::new().with_search("key 2"));
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
        ));
        assert!(revoked.is_ok(), "{damage}");
    }
}

#[test]
fn a_damaged_page_of_the_file_is_corrupt() {
    let folder = Folder::new();
    insert(&folder.store(), &sample::record(1)).unwrap();
    let mut bytes = fs::read(folder.file()).unwrap();
    bytes[4096..].fill(0xff);
    fs::write(folder.file(), bytes).unwrap();

    let store = folder.store();
    let found = block_on(store.find(&sample::id(1))).unwrap_err();
    assert_eq!(found.kind(), StoreErrorKind::Corrupt);
    let inserted = insert(&store, &sample::record(2)).unwrap_err();
    assert_eq!(inserted.kind(), StoreErrorKind::Corrupt);
}
