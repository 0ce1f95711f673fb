//! Lists with filters.

use super::walk::{everything, ids, walk, walk_as};
use crate::{
    Environment, Key, KeyId, ListStart, Status, Timestamp,
    conformance::{
        fixture::{at, disabled, expiring, name, now, record_in, successor_of, workspace},
        handle::Handle,
        harness::Harness,
    },
    store::Retire,
};

/// Tests each filter alone, and all filters together.
pub(super) fn filters<H: Harness>(store: &Handle<'_, H>) {
    environment_of_the_caller(store);
    status(store);
    status_follows_updates(store);
    search(store);
    filters_together(store);
}

fn environment_of_the_caller<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("environments");
    let mut all = Vec::new();
    for index in 0..6 {
        let mut record = record_in("environments", "key");
        if index % 2 == 0 {
            record.key.environment = Environment::Test;
        }
        all.insert(0, store.add(record).key);
    }
    let in_test: Vec<Key> = all
        .iter()
        .filter(|key| key.environment == Environment::Test)
        .cloned()
        .collect();
    for (environment, expected) in [(Environment::Live, all), (Environment::Test, in_test)] {
        for limit in [1, 2, 100] {
            let list = everything().with_limit(limit);
            let walked = walk_as(store, &tenant, environment, &list, now(), |_| ());
            assert_eq!(
                walked, expected,
                "listed the wrong keys for a {environment} caller, on pages of {limit}"
            );
            let total = store.list_as(&tenant, environment, &list, now()).total;
            assert_eq!(
                total,
                Some(expected.len() as u64),
                "returned the wrong total for a {environment} caller"
            );
        }
    }
}

fn status<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("statuses");
    let permanent = store.add(record_in("statuses", "permanent"));
    let expiring_key = store.add(expiring(record_in("statuses", "expiring"), at(100)));
    let revoked = store.add(record_in("statuses", "revoked"));
    let revoked_and_expiring = store.add(expiring(record_in("statuses", "both"), at(100)));
    let rotated = store.add(record_in("statuses", "rotated"));
    let successor = successor_of(&rotated);
    store
        .rotate(&rotated, Retire::At(at(200)), &successor, now())
        .expect("the store failed to rotate a key");
    let paused = store.add(disabled(record_in("statuses", "paused")));
    let paused_and_expiring = store.add(disabled(expiring(
        record_in("statuses", "paused and expiring"),
        at(100),
    )));
    let paused_and_revoked = store.add(disabled(record_in("statuses", "paused and revoked")));
    store.revoke_key(&revoked);
    store.revoke_key(&revoked_and_expiring);
    store.revoke_key(&paused_and_revoked);

    let far = Timestamp::MAX;
    let [
        permanent,
        expiring_key,
        revoked,
        both,
        rotated,
        successor,
        paused,
        pausing,
        ended,
    ] = [
        permanent,
        expiring_key,
        revoked,
        revoked_and_expiring,
        rotated,
        successor,
        paused,
        paused_and_expiring,
        paused_and_revoked,
    ]
    .map(|record| record.key.id);
    for (status, time, expected) in [
        (
            Status::Active,
            at(99),
            vec![successor, rotated, expiring_key, permanent],
        ),
        (Status::Active, at(100), vec![successor, rotated, permanent]),
        (Status::Active, far, vec![successor, permanent]),
        // A key that is both expired and disabled counts as expired.
        (Status::Disabled, at(99), vec![pausing, paused]),
        (Status::Disabled, at(100), vec![paused]),
        (Status::Disabled, far, vec![paused]),
        (Status::Expired, at(99), vec![]),
        (Status::Expired, at(100), vec![pausing, expiring_key]),
        (
            Status::Expired,
            at(200),
            vec![pausing, rotated, expiring_key],
        ),
        (Status::Expired, far, vec![pausing, rotated, expiring_key]),
        // A key that is revoked counts as revoked, whether or not it is also expired or disabled.
        (Status::Revoked, at(-100), vec![ended, both, revoked]),
        (Status::Revoked, at(99), vec![ended, both, revoked]),
        (Status::Revoked, far, vec![ended, both, revoked]),
    ] {
        for limit in [1, 2, 100] {
            let list = everything().with_status(status).with_limit(limit);
            let walked = walk_as(store, &tenant, Environment::Live, &list, time, |_| ());
            assert_eq!(
                ids(&walked),
                expected,
                "listed the wrong keys as {status} at {time}, on pages of {limit}"
            );
            let total = store.list_as(&tenant, Environment::Live, &list, time).total;
            assert_eq!(
                total,
                Some(expected.len() as u64),
                "returned the wrong total of {status} keys at {time}"
            );
        }
    }
}

fn status_follows_updates<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("updates");
    let mut key = store.add(record_in("updates", "changes its status"));
    let changes: [(bool, Option<Timestamp>); 8] = [
        (false, None),
        (true, None),
        (true, Some(at(1))),
        (true, Some(at(0))),
        (true, Some(at(2))),
        (false, Some(at(-1))),
        (false, Some(at(1))),
        (true, None),
    ];
    for (enabled, expires_at) in changes {
        key = store.change(&key, |key| {
            key.enabled = enabled;
            key.expires_at = expires_at;
        });
        for status in Status::ALL {
            let page = store.list(&tenant, &everything().with_status(status));
            let expected = (key.key.status(now()) == status).then_some(&key.key);
            assert_eq!(
                page.keys.iter().collect::<Vec<_>>(),
                Vec::from_iter(expected),
                "listed the wrong keys as {status} after an update"
            );
        }
    }
}

fn search<H: Harness>(store: &Handle<'_, H>) {
    const NAMES: [&str; 19] = [
        "Ärger",
        "mein ÄRGER",
        "Arger",
        "A\u{308}rger",
        "100%",
        "1000",
        "a_b",
        "axb",
        "a\\b",
        "it's",
        "say \"hi\"",
        "Straße 5",
        "STRASSE 6",
        "ΟΔΟΣ",
        "key*?[x]",
        "ключ 🔑",
        "café",
        "CAFE\u{301}",
        "\u{1112}\u{1161}\u{11ab}",
    ];
    let tenant = workspace("searches");
    for text in NAMES {
        store.add(record_in("searches", text));
    }
    for (text, expected) in [
        ("ärger", vec!["Ärger", "mein ÄRGER", "A\u{308}rger"]),
        ("ÄRGER", vec!["Ärger", "mein ÄRGER", "A\u{308}rger"]),
        ("arger", vec!["Arger"]),
        // The same text in another normalisation form.
        ("a\u{308}RGER", vec!["Ärger", "mein ÄRGER", "A\u{308}rger"]),
        ("cafe\u{301}", vec!["café", "CAFE\u{301}"]),
        ("CAFÉ", vec!["café", "CAFE\u{301}"]),
        ("cafe", vec![]),
        ("한", vec!["\u{1112}\u{1161}\u{11ab}"]),
        ("%", vec!["100%"]),
        ("0%", vec!["100%"]),
        ("1%0", vec![]),
        ("_", vec!["a_b"]),
        ("A_B", vec!["a_b"]),
        ("\\", vec!["a\\b"]),
        ("\\_", vec![]),
        ("'", vec!["it's"]),
        ("' OR 1=1 --", vec![]),
        ("\"hi\"", vec!["say \"hi\""]),
        ("strasse", vec!["Straße 5", "STRASSE 6"]),
        ("STRAßE", vec!["Straße 5", "STRASSE 6"]),
        ("οδος", vec!["ΟΔΟΣ"]),
        ("*", vec!["key*?[x]"]),
        ("?", vec!["key*?[x]"]),
        ("[x]", vec!["key*?[x]"]),
        ("КЛЮЧ", vec!["ключ 🔑"]),
        ("🔑", vec!["ключ 🔑"]),
        (
            " ",
            vec![
                "mein ÄRGER",
                "say \"hi\"",
                "Straße 5",
                "STRASSE 6",
                "ключ 🔑",
            ],
        ),
        ("", NAMES.to_vec()),
        ("no such name", vec![]),
    ] {
        for limit in [1, 100] {
            let listing = everything().with_search(text).with_limit(limit);
            let walked = walk(store, &tenant, &listing, |_| ());
            let mut found: Vec<&str> = walked.iter().map(|key| key.name.as_str()).collect();
            found.reverse();
            assert_eq!(
                found, expected,
                "found the wrong names for {text:?}, on pages of {limit}"
            );
            let total = store.list(&tenant, &listing).total;
            assert_eq!(
                total,
                Some(expected.len() as u64),
                "returned the wrong total of names for {text:?}"
            );
        }
    }
}

fn filters_together<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("filters");
    // Every second key is a test key, every third has another name, and every fifth is expired.
    let mut expected = Vec::new();
    for index in 0..30 {
        let mut record = record_in("filters", "Übung");
        if index % 2 == 0 {
            record.key.environment = Environment::Test;
        }
        if index % 3 == 0 {
            record.key.name = name("other");
        }
        if index % 5 == 0 {
            record = expiring(record, at(-1));
        }
        let record = store.add(record);
        if index % 2 == 0 && index % 3 != 0 && index % 5 != 0 {
            expected.insert(0, record.key.id);
        }
    }
    assert_eq!(
        expected.len(),
        8,
        "the filters must match the keys 2, 4, 8, 14, 16, 22, 26 and 28"
    );
    let environment = Environment::Test;
    let list = everything()
        .with_status(Status::Active)
        .with_search("ÜBUNG");
    for (offset, limit) in [
        (0, 3),
        (0, 8),
        (2, 3),
        (5, 3),
        (6, 3),
        (7, 1),
        (8, 3),
        (9, 1),
    ] {
        let list = list
            .clone()
            .with_start(ListStart::Offset(offset as u64))
            .with_limit(limit);
        let page = store.list_as(&tenant, environment, &list, now());
        let rest: Vec<KeyId> = expected.iter().skip(offset).copied().collect();
        let shown: Vec<KeyId> = rest.iter().take(limit as usize).copied().collect();
        assert_eq!(
            ids(&page.keys),
            shown,
            "listed the wrong keys at offset {offset} with limit {limit}"
        );
        assert_eq!(
            page.total,
            Some(8),
            "returned the wrong total at offset {offset} with limit {limit}"
        );
        assert_eq!(
            page.next.is_some(),
            shown.len() < rest.len(),
            "returned the wrong cursor at offset {offset} with limit {limit}"
        );
    }
    for limit in [1, 3, 4, 8] {
        let list = list.clone().with_limit(limit);
        let walked = walk_as(store, &tenant, environment, &list, now(), |_| ());
        assert_eq!(
            ids(&walked),
            expected,
            "listed the wrong keys with all filters, on pages of {limit}"
        );
    }
}
