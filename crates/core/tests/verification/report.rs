//! The report of the keys that deserve attention.

use std::time::Duration;

use keywright_core::{
    Caller, Environment, Expiry, IssueError, Key, KeyId, KeyUpdate, ListKeys, NewKey, NewRotation,
    Owner, Permissions, Reach, Report, ReportSection, Scheme, Timestamp,
    store::{KeyStore as _, Record},
};
use pollster::block_on;

use crate::world::{World, name, operator};

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn world() -> World {
    World::with(|config| config.with_scheme(Scheme::HmacSha256))
}

fn at(world: &World, millis: i64) -> Timestamp {
    Timestamp::from_millis(world.clock.millis() + millis).unwrap()
}

fn report(world: &World, caller: &Caller) -> Report {
    block_on(world.keys.issuer().report(caller, None)).unwrap()
}

fn ids(section: &ReportSection) -> Vec<KeyId> {
    assert_eq!(section.count, section.keys.len() as u64);
    let mut ids: Vec<KeyId> = section.keys.iter().map(|key| key.id).collect();
    ids.sort_unstable();
    ids
}

fn sorted(keys: &[&Key]) -> Vec<KeyId> {
    let mut ids: Vec<KeyId> = keys.iter().map(|key| key.id).collect();
    ids.sort_unstable();
    ids
}

/// Issues a key with few permissions that expires after this time.
fn issue_for(world: &World, millis: i64) -> Key {
    let new = NewKey::new(name("n"))
        .with_permissions("calls:read".parse().unwrap())
        .with_expiry(Expiry::At(at(world, millis)));
    world.issue_new(new).key
}

fn use_at(world: &World, key: &Key, millis: i64) {
    block_on(world.store.touch(&[(key.id, at(world, millis))])).unwrap();
}

#[test]
fn keys_are_reported_by_their_end() {
    let world = world();
    let far = issue_for(&world, 30 * DAY + 1);
    let soon = issue_for(&world, 30 * DAY);
    let sooner = issue_for(&world, 1);
    let never = world.issue().key;
    let revoked = world.issue().key;
    world.revoke(&revoked.id);
    let report_now = report(&world, &operator());
    assert_eq!(report_now.keys_read, 5);
    assert_eq!(ids(&report_now.never_expire), sorted(&[&never]));
    assert_eq!(ids(&report_now.expire_soon), sorted(&[&soon, &sooner]));
    // A millisecond later, one has expired, and another expires soon.
    world.clock.adjust(1);
    let later = report(&world, &operator());
    assert_eq!(ids(&later.expire_soon), sorted(&[&far, &soon]));
    assert_eq!(later.next, None);
}

#[test]
fn keys_are_reported_by_their_last_use() {
    let world = world();
    let [never, long_ago, just_not] = [(); 3].map(|()| issue_for(&world, 1_000 * DAY));
    use_at(&world, &long_ago, 0);
    use_at(&world, &just_not, 1);
    world.clock.adjust(90 * DAY + 1);
    let report_now = report(&world, &operator());
    assert_eq!(ids(&report_now.never_used), sorted(&[&never]));
    assert_eq!(ids(&report_now.unused), sorted(&[&long_ago]));
    world.clock.adjust(1);
    let later = report(&world, &operator());
    assert_eq!(ids(&later.unused), sorted(&[&long_ago, &just_not]));
}

#[test]
fn a_use_that_is_not_written_yet_counts() {
    let world = world();
    let issued = world.issue();
    assert_eq!(
        ids(&report(&world, &operator()).never_used),
        [issued.key.id]
    );
    world.verify(&issued.token).unwrap();
    assert!(ids(&report(&world, &operator()).never_used).is_empty());
}

#[test]
fn keys_with_all_permissions_are_reported() {
    let world = world();
    let issue = |permissions: &str| {
        let new = NewKey::new(name("n")).with_permissions(permissions.parse().unwrap());
        world.issue_new(new).key
    };
    let all = issue("*");
    let and_more = issue("*,calls:read");
    issue("calls:*,api_keys:*");
    issue("");
    let report = report(&world, &operator());
    assert_eq!(ids(&report.all_permissions), sorted(&[&all, &and_more]));
}

#[test]
fn replaced_keys_that_are_still_used_are_reported() {
    let world = world();
    let rotated = [(); 4].map(|()| issue_for(&world, 100 * DAY));
    let [before, at_rotation, after, revoked] = &rotated;
    let overlap = Duration::from_secs(30 * 24 * 60 * 60);
    for key in &rotated {
        let rotation = NewRotation::new().with_overlap(overlap);
        block_on(world.keys.issuer().rotate(&operator(), &key.id, &rotation)).unwrap();
    }
    use_at(&world, before, -1);
    use_at(&world, at_rotation, 0);
    use_at(&world, after, 1);
    use_at(&world, revoked, 1);
    world.revoke(&revoked.id);
    let report = report(&world, &operator());
    assert_eq!(ids(&report.replaced_but_used), sorted(&[after]));
}

#[test]
fn disabled_keys_are_reported_and_revoked_and_expired_keys_are_not() {
    let world = world();
    let [disabled, revoked] = [(); 2].map(|()| world.issue().key);
    world
        .update(&disabled.id, &KeyUpdate::new().with_enabled(false))
        .unwrap();
    block_on(
        world
            .keys
            .issuer()
            .revoke(&operator(), &revoked.id, Reach::Key),
    )
    .unwrap();
    let expired = NewKey::new(name("n")).with_expiry(Expiry::Now);
    world.issue_new(expired);
    let report = report(&world, &operator());
    assert_eq!(report.keys_read, 3);
    for section in [
        &report.never_expire,
        &report.never_used,
        &report.all_permissions,
    ] {
        assert_eq!(ids(section), [disabled.id]);
    }
    for section in [
        &report.expire_soon,
        &report.unused,
        &report.replaced_but_used,
    ] {
        assert!(ids(section).is_empty());
    }
}

#[test]
fn a_section_counts_all_keys_and_shows_the_newest_20() {
    let world = world();
    let keys = (0..25).map(|_| {
        world.clock.adjust(1);
        world.issue().key
    });
    let mut newest: Vec<Key> = keys.collect();
    newest.reverse();
    let report = report(&world, &operator());
    assert_eq!(report.never_used.count, 25);
    assert_eq!(report.never_used.keys, newest[..ReportSection::MAX_KEYS]);
}

#[test]
fn a_caller_gets_a_report_of_the_keys_that_it_sees() {
    let world = world();
    let owner = |text: &str| Owner::parse(text).unwrap();
    let create = |caller: &Caller, environment: Environment| {
        let new = NewKey::new(name("n")).with_environment(environment);
        block_on(world.keys.issuer().create(caller, new))
            .unwrap()
            .key
    };
    let own = create(&operator().with_owner(owner("user:1")), Environment::Live);
    let own_test = create(&operator().with_owner(owner("user:1")), Environment::Test);
    create(&operator().with_owner(owner("user:2")), Environment::Live);
    let workspace = operator().workspace().clone();
    let member = Caller::new(workspace.clone(), "api_keys.own:read".parse().unwrap())
        .with_owner(owner("user:1"));
    let seen = report(&world, &member);
    assert_eq!(seen.keys_read, 2);
    assert_eq!(ids(&seen.never_used), sorted(&[&own, &own_test]));
    let test = report(&world, &member.with_environment(Environment::Test));
    assert_eq!(ids(&test.never_used), [own_test.id]);
    let powerless = Caller::new(workspace, "calls:*".parse().unwrap());
    let rejected = block_on(world.keys.issuer().report(&powerless, None));
    assert!(matches!(rejected, Err(IssueError::NotPermitted(_))));
}

#[test]
fn one_report_reads_10_000_keys_and_the_next_continues() {
    let world = world();
    let credential = world.store.record(&world.issue().key.id).credential;
    let workspace = operator().workspace().clone();
    let total = Report::MAX_KEYS_READ + 150;
    for number in 1..total {
        let id = KeyId::parse(&format!("key_0{number:015}")).unwrap();
        let key = Key::new(
            id,
            workspace.clone(),
            Environment::Live,
            name("n"),
            Permissions::default(),
        );
        let record = Record::new(key, credential.clone());
        block_on(world.store.insert(&record, at(&world, 0), None)).unwrap();
    }
    let issuer = world.keys.issuer();
    let first = report(&world, &operator());
    assert_eq!(first.keys_read, Report::MAX_KEYS_READ);
    assert_eq!(first.never_used.count, Report::MAX_KEYS_READ);
    let second = block_on(issuer.report(&operator(), first.next.clone())).unwrap();
    assert_eq!((second.keys_read, &second.next), (150, &None));
    assert_eq!(second.never_used.count, 150);
    let (last, next) = (first.never_used.keys.last(), second.never_used.keys.first());
    assert!(last.map(|key| key.id) > next.map(|key| key.id));

    let malformed = block_on(issuer.report(&operator(), Some("a".into())));
    assert!(matches!(malformed, Err(IssueError::Cursor)));
    let filtered = ListKeys::new().with_limit(1).with_search("n");
    let other = block_on(issuer.list(&operator(), filtered)).unwrap().next;
    assert!(matches!(
        block_on(issuer.report(&operator(), other)),
        Err(IssueError::Cursor)
    ));
}
