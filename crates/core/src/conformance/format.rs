//! Clause 15: a store returns every value exactly as it received it.

use super::{
    fixture::{
        at, child_of, disabled, expiring, now, owned, received_by, record, record_in, unused_id,
        workspace,
    },
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    AllowedIps, Attributes, Environment, Key, KeyId, ListKeys, Metadata, Name, Owner, Permission,
    Permissions, Prefix, Reach, Timestamp, Workspace,
    hash::{Credential, StoredHash, Tag},
    store::{Record, Retire},
};

/// Tests clause 15, format: a store returns the extreme values of each field unchanged, has no
/// prefix until one is claimed, and keeps the prefix that was claimed first. Each store needs
/// separate tests for the versions of its format.
pub fn format(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    // Once by each handle: the first read must not claim the store either.
    for store in &handles {
        let prefix = store.prefix();
        assert_eq!(prefix, None, "has a prefix that no one claimed");
    }
    let claimed = first_claimed_prefix_stays(&handles);
    let [store, other, third] = handles;
    let mut ids = inserted_values_are_kept(&store, &other);
    ids.extend(updated_values_are_kept(&store, &other));
    let before: Vec<Record> = ids.iter().map(|id| store.read(id)).collect();

    drop([other, third]);
    let store = store.reopened();
    assert_eq!(
        store.prefix().as_ref(),
        Some(&claimed),
        "a handle that was opened later does not find the prefix"
    );
    let after: Vec<Record> = ids.iter().map(|id| store.read(id)).collect();
    assert_eq!(
        after, before,
        "a handle that was opened later returns other values"
    );
    assert_eq!(
        store.claim_prefix(&prefix("late")),
        claimed,
        "lost the claimed prefix"
    );
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).unwrap()
}

fn first_claimed_prefix_stays<H: Harness>(handles: &[Handle<'_, H>]) -> Prefix {
    let claims = race(handles, 6, |thread, store| {
        let requested = prefix(["aa", "bb", "cc", "dd", "ee", "longest12345"][thread]);
        (store.claim_prefix(&requested), requested)
    });
    let claimed = claims[0].0.clone();
    assert!(
        claims.iter().any(|(_, requested)| *requested == claimed),
        "returned a prefix that no one claimed"
    );
    for (returned, requested) in claims {
        assert_eq!(
            returned, claimed,
            "returned different prefixes to concurrent claims, and {returned} to the claim of {requested}"
        );
    }
    for store in handles {
        for requested in [&prefix("other"), &claimed] {
            assert_eq!(
                store.claim_prefix(requested),
                claimed,
                "did not return the first claimed prefix to a claim of {requested}"
            );
            let found = store.prefix();
            assert_eq!(found.as_ref(), Some(&claimed), "did not find the prefix");
        }
    }
    claimed
}

/// Fails unless a lookup and a list both return the record unchanged.
#[track_caller]
fn assert_stored<H: Harness>(store: &Handle<'_, H>, record: &Record) {
    let found = store.read(&record.key.id);
    assert_eq!(found, *record, "changed a value");
    let tag = |record: &Record| *record.credential.tag.as_bytes();
    assert_eq!(tag(&found), tag(record), "changed a tag");
    let page = store.list(&record.key.workspace, &ListKeys::new().with_limit(100));
    let listed = page.keys.into_iter().find(|key| key.id == record.key.id);
    assert_eq!(listed.as_ref(), Some(&record.key), "listed a changed value");
}

fn inserted_values_are_kept<H: Harness>(
    store: &Handle<'_, H>,
    other: &Handle<'_, H>,
) -> Vec<KeyId> {
    let records: Vec<Record> = names()
        .into_iter()
        .chain(permissions())
        .chain(metadata())
        .chain(attributes())
        .chain(owners())
        .chain(addresses())
        .chain([disabled(record("disabled")), longest_values()])
        .chain(credentials())
        .chain(times())
        .chain(ids())
        .chain(workspaces())
        .chain([in_test_environment()])
        .collect();
    for record in &records {
        assert!(
            store.insert(record, now()).is_ok(),
            "rejected a valid record: {record:?}"
        );
        assert_stored(other, record);
    }
    records.iter().map(|record| record.key.id).collect()
}

fn names() -> Vec<Record> {
    // All but the last name have 255 characters: emoji of 4 bytes, joined emoji, right-to-left text
    // with direction marks, a letter with many combining marks, special characters of SQL, LIKE,
    // JSON and globs, and the highest code points of Unicode.
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
    // The maximum number of permissions, each of the maximum length.
    let longest = |number: usize| {
        let text = format!("{:a<31}:{number:b>32}", "");
        Permission::parse(&text).unwrap()
    };
    let most = Permissions::new((0..Permissions::MAX_COUNT).map(longest)).unwrap();
    assert_eq!(
        most.iter().len(),
        Permissions::MAX_COUNT,
        "the permissions of the test must differ"
    );
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

/// Returns JSON objects that a store must keep as they are written, up to the maximum length.
fn objects() -> [String; 6] {
    [
        "{}".into(),
        "{ \"b\" : 1 , \"a\":\t2 ,\"b\":1.0 }\n".into(),
        r#"{"a":null,"b":[1,-0.5,1e300,true,{"c":{}}],"":""}"#.into(),
        r#"{"ключ":"🔑\u0000\n\"\\ مفتاح","max":18446744073709551615,"min":-9223372036854775808}"#
            .into(),
        format!(r#"{{"a":"{}"}}"#, "x".repeat(Metadata::MAX_LENGTH - 8)),
        // The longest object that JSON can escape: a store that wraps it in JSON doubles it.
        format!("{{{}}}", "\n".repeat(Metadata::MAX_LENGTH - 2)),
    ]
}

fn metadata() -> Vec<Record> {
    let with_metadata = |text: String| {
        let mut record = record("annotated");
        record.key.metadata = Some(Metadata::parse(&text).unwrap());
        record
    };
    objects().map(with_metadata).into()
}

fn attributes() -> Vec<Record> {
    let with_attributes = |text: String| {
        let mut record = record("with attributes");
        record.key.attributes = Some(Attributes::parse(&text).unwrap());
        record
    };
    objects().map(with_attributes).into()
}

fn owners() -> Vec<Record> {
    let visible: String = ('!'..='~').collect();
    ["a", "0", "user:42", "null", &visible, &longest_owner()]
        .map(|owner| owned(record("owned"), owner))
        .into()
}

fn longest_owner() -> String {
    "o".repeat(Owner::MAX_LENGTH)
}

fn addresses() -> Vec<Record> {
    let with_addresses = |text: String| {
        let mut record = record("restricted");
        record.key.allowed_ips = Some(text.parse().unwrap());
        record
    };
    [
        "0.0.0.0/0,::/0",
        "0.0.0.0",
        "255.255.255.255,::1",
        "::ffff:192.0.2.0/120,10.0.0.0/8,2001:db8::/32,10.0.0.0/9",
        &most_addresses(),
    ]
    .map(|text| with_addresses(text.into()))
    .into()
}

/// Returns the maximum number of prefixes, each of which has the maximum length as text.
fn most_addresses() -> String {
    let longest = |number| format!("fdff:ffff:ffff:ffff:ffff:ffff:ff{number:02x}:fffe/127");
    let prefixes: Vec<String> = (0..AllowedIps::MAX_COUNT).map(longest).collect();
    prefixes.join(",")
}

/// Creates a record with the longest value of each optional field.
fn longest_values() -> Record {
    let mut record = owned(disabled(record("longest values")), &longest_owner());
    set_longest(&mut record.key);
    record.key.predecessor = Some(unused_id());
    record.key.workspace = workspace(&"w".repeat(Workspace::MAX_LENGTH));
    record
}

/// Sets the optional settings to their longest values.
fn set_longest(key: &mut Key) {
    let [.., longest] = objects();
    key.metadata = Some(Metadata::parse(&longest).unwrap());
    key.attributes = Some(Attributes::parse(&longest).unwrap());
    key.allowed_ips = Some(most_addresses().parse().unwrap());
    key.expires_at = Some(Timestamp::MAX);
}

fn credentials() -> Vec<Record> {
    const SALTS: [&str; 2] = ["AAAAAAAAAAAAAAAAAAAAAA", "/////////////////////w"];
    const HASH: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let tags = [
        [0; Tag::LENGTH],
        [0xff; Tag::LENGTH],
        [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        *b"\0'\"\\\r\n\t;\0'\"\\\r\n\t;",
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
        .map(|tenant| record_in(tenant, "key"))
        .into()
}

fn in_test_environment() -> Record {
    let mut record = record("in test");
    record.key.environment = Environment::Test;
    record
}

/// Checks the extreme values of the fields that an insert does not set.
fn updated_values_are_kept<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) -> Vec<KeyId> {
    let mut ids = Vec::new();
    for time in [Timestamp::from_millis(0).unwrap(), Timestamp::MAX] {
        let parent = store.add(record("parent"));
        let mut child = store.add(child_of(&parent));
        assert_stored(other, &child);

        let mut used = store.add(record("used")).key;
        store.touch(&[(used.id, time)]);
        used.last_used_at = Some(time);
        let found = other.read(&used.id);
        assert_eq!(found.key, used, "changed a time of last use");

        let successor = received_by(&parent, &child);
        store
            .rotate(&child, Retire::At(at(500)), &successor, now())
            .expect("the store failed to rotate a key");
        child.key.successor = Some(successor.key.id);
        child.key.expires_at = Some(at(500));
        child.version = 2;
        assert_stored(other, &child);
        assert_stored(other, &successor);

        store
            .revoke(&child, Reach::Key, time)
            .expect("the store failed to revoke a key");
        child.key.revoked_at = Some(time);
        child.version = 3;
        assert_stored(store, &child);
        ids.extend([parent.key.id, used.id, child.key.id, successor.key.id]);
    }
    let mut changed = store.add(record("with all settings and with none"));
    for _ in 0..2 {
        changed = store.change(&changed, set_longest);
        assert_stored(other, &changed);
        changed = store.change(&changed, |key| {
            key.metadata = None;
            key.attributes = None;
            key.allowed_ips = None;
            key.expires_at = None;
        });
        assert_stored(other, &changed);
    }
    store.change(&changed, set_longest);
    ids.push(changed.key.id);
    let page = store.list(&workspace("acme"), &ListKeys::new().with_limit(100));
    assert!(
        page.keys.is_sorted_by_key(|key| std::cmp::Reverse(key.id)),
        "did not list the newest key first"
    );
    ids
}
