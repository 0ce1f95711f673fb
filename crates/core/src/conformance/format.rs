//! Clause 15: what a store keeps is what it was given.

use super::{
    Harness,
    fixture::{at, child_of, expiring, now, record, record_in, successor_of, workspace},
    handle::{Handle, race},
};
use crate::{
    Credential, Environment, KeyId, ListKeys, Metadata, Name, Permission, Permissions, Prefix,
    Reach, Record, Retire, StoredHash, Tag, Timestamp, Workspace,
};

/// Clause 15, format: every value of every field comes back as it went in, and the prefix that was
/// claimed first stays. Versions of the format are for each store's own tests.
pub fn format(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let claimed = first_prefix_stays(&handles);
    let [store, other, third] = handles;
    let mut ids = inserted_values_come_back(&store, &other);
    ids.extend(changed_values_come_back(&store, &other));
    let before: Vec<Record> = ids.iter().map(|id| store.read(id)).collect();

    drop([other, third]);
    let store = store.reopened();
    let after: Vec<Record> = ids.iter().map(|id| store.read(id)).collect();
    assert_eq!(
        after, before,
        "a handle that was opened later shows other values"
    );
    assert_eq!(
        store.claim_prefix(&prefix("late")),
        claimed,
        "a prefix was forgotten"
    );
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).unwrap()
}

fn first_prefix_stays<H: Harness>(handles: &[Handle<'_, H>]) -> Prefix {
    let claims = race(handles, 6, |thread, store| {
        let own = prefix(["aa", "bb", "cc", "dd", "ee", "longest12345"][thread]);
        (store.claim_prefix(&own), own)
    });
    let claimed = claims[0].0.clone();
    assert!(
        claims.iter().any(|(_, own)| *own == claimed),
        "a prefix that nobody has claimed"
    );
    for (told, own) in claims {
        assert_eq!(
            told, claimed,
            "{own} was claimed, and another was told than to the others"
        );
    }
    for store in handles {
        for own in [&prefix("other"), &claimed] {
            assert_eq!(
                store.claim_prefix(own),
                claimed,
                "the first claim is told, not {own}"
            );
        }
    }
    claimed
}

/// Fails unless a record is found and listed as it is here.
#[track_caller]
fn assert_kept<H: Harness>(store: &Handle<'_, H>, record: &Record) {
    let found = store.read(&record.key.id);
    assert_eq!(found, *record, "a value was changed by the store");
    let tag = |record: &Record| *record.credential.tag.as_bytes();
    assert_eq!(tag(&found), tag(record), "a tag was changed by the store");
    let page = store.list(&record.key.workspace, &ListKeys::new().with_limit(100));
    let listed = page.keys.into_iter().find(|key| key.id == record.key.id);
    assert_eq!(
        listed.as_ref(),
        Some(&record.key),
        "a value was changed in a list"
    );
}

fn inserted_values_come_back<H: Harness>(
    store: &Handle<'_, H>,
    other: &Handle<'_, H>,
) -> Vec<KeyId> {
    let records: Vec<Record> = names()
        .into_iter()
        .chain(permissions())
        .chain(metadata())
        .chain(credentials())
        .chain(times())
        .chain(ids())
        .chain(workspaces())
        .chain([of_test()])
        .collect();
    for record in &records {
        assert!(
            store.insert(record, now()).is_ok(),
            "a valid record is refused: {record:?}"
        );
        assert_kept(other, record);
    }
    records.iter().map(|record| record.key.id).collect()
}

fn names() -> Vec<Record> {
    // Each of 255 characters: emoji of 4 bytes, joined emoji, right to left with marks that turn the
    // direction, a letter under a heap of combining marks, what SQL, LIKE, JSON and globs take for
    // theirs, and the last characters of Unicode.
    let texts = [
        "🔑".repeat(255),
        "👩\u{200d}👧\u{fe0f}x".repeat(51),
        format!("\u{202e}{}\u{202c}.", "مفتاح".repeat(50) + "قق"),
        format!("e{}", "\u{301}".repeat(254)),
        "';--\"%_\\*?[]{}$".repeat(17),
        "\u{10ffff}\u{fffd}\u{feff}\u{e000}a".repeat(51),
        "a".into(),
    ];
    let with_name = |text: String| {
        let mut record = record("named");
        record.key.name = Name::parse(&text).unwrap();
        record
    };
    texts.map(with_name).into()
}

fn permissions() -> Vec<Record> {
    // 64 of the greatest length.
    let longest = |number: usize| {
        let text = format!("{:a<31}:{number:b>32}", "");
        Permission::parse(&text).unwrap()
    };
    let most = Permissions::new((0..Permissions::MAX_COUNT).map(longest)).unwrap();
    assert_eq!(most.iter().len(), Permissions::MAX_COUNT, "they differ");
    let mixed = "a:b:c:*,x_y.z-0:9,api_keys:read".parse().unwrap();
    let with_permissions = |permissions| {
        let mut record = record("permitted");
        record.key.permissions = permissions;
        record
    };
    [Permissions::default(), Permissions::all(), mixed, most]
        .map(with_permissions)
        .into()
}

fn metadata() -> Vec<Record> {
    let longest = format!(r#"{{"a":"{}"}}"#, "x".repeat(Metadata::MAX_LENGTH - 8));
    let texts = [
        "{}",
        r#"{"a":null,"b":[1,-0.5,1e300,true,{"c":{}}],"":""}"#,
        r#"{"ключ":"🔑\u0000\n\"\\ مفتاح","max":18446744073709551615,"min":-9223372036854775808}"#,
        &longest,
    ];
    let with_metadata = |text: &str| {
        let mut record = record("annotated");
        record.key.metadata = Some(Metadata::parse(text).unwrap());
        record
    };
    texts.map(with_metadata).into()
}

fn credentials() -> Vec<Record> {
    const SALTS: [&str; 2] = ["AAAAAAAAAAAAAAAAAAAAAA", "/////////////////////w"];
    const HASH: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let tags = [
        [0; 8],
        [0xff; 8],
        [0x80, 0, 0, 0, 0, 0, 0, 1],
        *b"\0'\"\\\r\n\t;",
    ];
    let schemes = [
        "$hmac-sha256",
        "$hmac-sha256$keyid=pepper26",
        "$argon2id$v=19$m=8,t=1,p=1",
        "$argon2id$v=19$m=262144,t=16,p=16,keyid=2026",
    ];
    let with_credential = |(index, scheme): (usize, &str)| {
        let text = format!("{scheme}${}${HASH}", SALTS[index % 2]);
        let hash = StoredHash::parse(&text).unwrap();
        Record {
            credential: Credential::new(hash, Tag::from_bytes(tags[index])),
            ..record("hashed")
        }
    };
    schemes
        .into_iter()
        .enumerate()
        .map(with_credential)
        .collect()
}

fn times() -> Vec<Record> {
    let ends = [
        0,
        1,
        Timestamp::MAX.as_millis() - 1,
        Timestamp::MAX.as_millis(),
    ];
    ends.map(|end| expiring(record("ending"), Timestamp::from_millis(end).unwrap()))
        .into()
}

fn ids() -> Vec<Record> {
    let with_id = |id: &[u8; 16]| {
        let mut record = record("with an id");
        record.key.id = KeyId::from_bytes(id).unwrap();
        record
    };
    [
        b"0000000000000000",
        b"zzzzzzzzzzzzzzzz",
        b"ZZZZZZZZZZZZZZZZ",
    ]
    .map(with_id)
    .into()
}

fn workspaces() -> Vec<Record> {
    ["a", "A", "0", "._:@/-", &"w".repeat(Workspace::MAX_LENGTH)]
        .map(|it| record_in(it, "key"))
        .into()
}

fn of_test() -> Record {
    let mut record = record("of test");
    record.key.environment = Environment::Test;
    record
}

/// The fields that no insert sets, at their extremes.
fn changed_values_come_back<H: Harness>(
    store: &Handle<'_, H>,
    other: &Handle<'_, H>,
) -> Vec<KeyId> {
    let mut ids = Vec::new();
    for time in [Timestamp::from_millis(0).unwrap(), Timestamp::MAX] {
        let parent = store.add(record("parent"));
        let mut child = store.add(child_of(&parent));
        assert_kept(other, &child);

        let mut used = store.add(record("used")).key;
        store.touch(&[(used.id, time)]);
        used.last_used_at = Some(time);
        let found = other.read(&used.id);
        assert_eq!(
            found.key, used,
            "a time of last use was changed by the store"
        );

        let successor = successor_of(&child);
        store
            .rotate(&child, Retire::At(at(500)), &successor, now())
            .expect("a key is rotated");
        child.key.successor = Some(successor.key.id);
        child.key.expires_at = Some(at(500));
        child.version = 2;
        assert_kept(other, &child);

        store
            .revoke(&child, Reach::Key, time)
            .expect("a key is revoked");
        child.key.revoked_at = Some(time);
        child.version = 3;
        assert_kept(store, &child);
        ids.extend([parent.key.id, used.id, child.key.id, successor.key.id]);
    }
    let of_acme = store.list(&workspace("acme"), &ListKeys::new().with_limit(100));
    assert!(
        of_acme
            .keys
            .is_sorted_by_key(|key| std::cmp::Reverse(key.id)),
        "in order of their ids"
    );
    ids
}
