//! What a filter leaves of a list.

use super::{everything, ids, walk, walk_as};
use crate::{
    Environment, Key, KeyId, ListStart, Retire, Status, Timestamp,
    conformance::{
        Harness,
        fixture::{at, expiring, name, now, record_in, successor_of, workspace},
        handle::Handle,
    },
};

/// Each filter alone, and all together.
pub(super) fn filters<H: Harness>(store: &Handle<'_, H>) {
    environments(store);
    statuses(store);
    searches(store);
    filters_together(store);
}

fn environments<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("environments");
    let mut all = Vec::new();
    for index in 0..6 {
        let mut record = record_in("environments", "key");
        if index % 2 == 0 {
            record.key.environment = Environment::Test;
        }
        all.insert(0, store.add(record).key);
    }
    let of_test: Vec<Key> = all
        .iter()
        .filter(|key| key.environment == Environment::Test)
        .cloned()
        .collect();
    for (environment, expected) in [(Environment::Live, all), (Environment::Test, of_test)] {
        for limit in [1, 2, 100] {
            let list = everything().with_limit(limit);
            let walked = walk_as(store, &tenant, environment, &list, now(), |_| ());
            assert_eq!(
                walked, expected,
                "what {environment} sees on pages of {limit}"
            );
            let total = store.list_as(&tenant, environment, &list, now()).total;
            assert_eq!(
                total,
                Some(expected.len() as u64),
                "how many keys {environment} sees"
            );
        }
    }
}

fn statuses<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("statuses");
    let without_end = store.add(record_in("statuses", "without end"));
    let ending = store.add(expiring(record_in("statuses", "ending"), at(100)));
    let revoked = store.add(record_in("statuses", "revoked"));
    let revoked_and_ending = store.add(expiring(record_in("statuses", "both"), at(100)));
    let rotated = store.add(record_in("statuses", "rotated"));
    let successor = successor_of(&rotated);
    store
        .rotate(&rotated, Retire::At(at(200)), &successor, now())
        .expect("a key is rotated");
    store.withdraw(&revoked);
    store.withdraw(&revoked_and_ending);

    let far = Timestamp::MAX;
    let [without_end, ending, revoked, both, rotated, successor] = [
        without_end,
        ending,
        revoked,
        revoked_and_ending,
        rotated,
        successor,
    ]
    .map(|it| it.key.id);
    for (status, time, expected) in [
        (
            Status::Active,
            at(99),
            vec![successor, rotated, ending, without_end],
        ),
        (
            Status::Active,
            at(100),
            vec![successor, rotated, without_end],
        ),
        (Status::Active, far, vec![successor, without_end]),
        (Status::Expired, at(99), vec![]),
        (Status::Expired, at(100), vec![ending]),
        (Status::Expired, at(200), vec![rotated, ending]),
        (Status::Expired, far, vec![rotated, ending]),
        // Revoked comes before expired.
        (Status::Revoked, at(-100), vec![both, revoked]),
        (Status::Revoked, at(99), vec![both, revoked]),
        (Status::Revoked, far, vec![both, revoked]),
    ] {
        for limit in [1, 2, 100] {
            let list = everything().with_status(status).with_limit(limit);
            let walked = walk_as(store, &tenant, Environment::Live, &list, time, |_| ());
            assert_eq!(
                ids(&walked),
                expected,
                "the {status} keys at {time}, pages of {limit}"
            );
            let total = store.list_as(&tenant, Environment::Live, &list, time).total;
            assert_eq!(
                total,
                Some(expected.len() as u64),
                "how many are {status} at {time}"
            );
        }
    }
}

fn searches<H: Harness>(store: &Handle<'_, H>) {
    const NAMES: [&str; 16] = [
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
    ];
    let tenant = workspace("searches");
    for text in NAMES {
        store.add(record_in("searches", text));
    }
    // Names that the fold does not take for equal stay apart: it does not compose characters.
    for (text, expected) in [
        ("ärger", vec!["Ärger", "mein ÄRGER"]),
        ("ÄRGER", vec!["Ärger", "mein ÄRGER"]),
        ("arger", vec!["Arger"]),
        ("a\u{308}RGER", vec!["A\u{308}rger"]),
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
                "the names that hold {text:?}, on pages of {limit}"
            );
            let total = store.list(&tenant, &listing).total;
            assert_eq!(
                total,
                Some(expected.len() as u64),
                "how many names hold {text:?}"
            );
        }
    }
}

fn filters_together<H: Harness>(store: &Handle<'_, H>) {
    let tenant = workspace("filters");
    // Every second key is of test, every third has another name, every fifth is expired.
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
        "the filters leave 2, 4, 8, 14, 16, 22, 26 and 28"
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
            "offset {offset} and limit {limit} count what is left"
        );
        assert_eq!(
            page.total,
            Some(8),
            "offset {offset} and limit {limit}: the total is of the rest"
        );
        assert_eq!(
            page.next.is_some(),
            shown.len() < rest.len(),
            "offset {offset}, limit {limit}"
        );
    }
    for limit in [1, 3, 4, 8] {
        let list = list.clone().with_limit(limit);
        let walked = walk_as(store, &tenant, environment, &list, now(), |_| ());
        assert_eq!(
            ids(&walked),
            expected,
            "all filters at once, on pages of {limit}"
        );
    }
}
