//! Updates of keys by the issuer.

use std::time::Duration;

use keywright_core::{
    Caller, Change, Config, Expiry, IssueError, Issued, Key, KeyId, KeyUpdate, Metadata, NewKey,
    NewRotation, Permission, Reach, Timestamp, VersionedKey, Workspace, store::StoreErrorKind,
};
use pollster::block_on;

use crate::world::{World, kind, name, operator};

fn update_as(
    world: &World,
    caller: &Caller,
    id: &KeyId,
    update: &KeyUpdate,
) -> Result<VersionedKey, IssueError> {
    block_on(world.keys.issuer().update(caller, id, update))
}

fn time_in(world: &World, millis: i64) -> Timestamp {
    Timestamp::from_millis(world.clock.millis() + millis).unwrap()
}

/// Issues a key that expires in this many milliseconds.
fn issue_until(world: &World, millis: i64) -> Issued {
    let end = Expiry::At(time_in(world, millis));
    world.issue_new(NewKey::new(name("n")).with_expiry(end))
}

fn metadata() -> Metadata {
    Metadata::parse(r#"{"team":"a"}"#).unwrap()
}

#[test]
fn each_setting_changes_alone_and_for_the_next_verification() {
    let world = World::new();
    let end = time_in(&world, 5_000);
    type Expect = fn(&mut Key, Timestamp);
    let changes: [(KeyUpdate, Expect); 9] = [
        (KeyUpdate::new().with_name(name("new")), |key, _| {
            key.name = name("new");
        }),
        (
            KeyUpdate::new().with_permissions("calls:read".parse().unwrap()),
            |key, _| key.permissions = "calls:read".parse().unwrap(),
        ),
        (KeyUpdate::new().with_metadata(metadata()), |key, _| {
            key.metadata = Some(metadata());
        }),
        (KeyUpdate::new().without_metadata(), |key, _| {
            key.metadata = None;
        }),
        (KeyUpdate::new().with_expires_at(end), |key, end| {
            key.expires_at = Some(end);
        }),
        (KeyUpdate::new().without_expires_at(), |key, _| {
            key.expires_at = None;
        }),
        (
            KeyUpdate::new().with_allowed_ips("::1".parse().unwrap()),
            |key, _| key.allowed_ips = Some("::1".parse().unwrap()),
        ),
        (KeyUpdate::new().without_allowed_ips(), |key, _| {
            key.allowed_ips = None;
        }),
        (KeyUpdate::new().with_name(name("last")), |key, _| {
            key.name = name("last");
        }),
    ];
    let issued = world.issue();
    let (id, token) = (issued.key.id, issued.token.expose().as_bytes());
    let mut expected = VersionedKey::new(issued.key.clone(), 1);
    for (update, expect) in changes {
        let read = world.store.updates();
        let updated = world.update(&id, &update).unwrap();
        expect(&mut expected.key, end);
        expected.version += 1;
        expected.key.last_used_at = updated.key.last_used_at;
        assert_eq!(updated, expected, "{update:?}");
        let from = "::1".parse().unwrap();
        let verified = block_on(world.keys.verifier().verify_from(token, from)).unwrap();
        expected.key.last_used_at = verified.key().last_used_at;
        assert_eq!(*verified.key(), expected.key);
        assert_eq!(world.store.updates(), read + 1);
    }
}

#[test]
fn several_settings_change_together() {
    let world = World::new();
    let issued = world.issue();
    let update = KeyUpdate::new()
        .with_name(name("new"))
        .with_enabled(false)
        .with_metadata(metadata());
    let updated = world.update(&issued.key.id, &update).unwrap();
    assert_eq!(updated.version, 2);
    let key = world.store.record(&issued.key.id).key;
    let settings = (key.name.as_str(), key.enabled, key.metadata);
    assert_eq!(settings, ("new", false, Some(metadata())));
}

#[test]
fn an_update_that_changes_nothing_is_not_written() {
    let world = World::new();
    let issued = issue_until(&world, 5_000);
    let same = [
        KeyUpdate::new(),
        KeyUpdate::new().if_version(1),
        KeyUpdate::new().with_name(name("n")).with_enabled(true),
        KeyUpdate::new().without_metadata().without_allowed_ips(),
        KeyUpdate::new().with_expires_at(issued.key.expires_at.unwrap()),
        KeyUpdate::new().with_permissions(issued.key.permissions.clone()),
    ];
    for update in same {
        let updated = world.update(&issued.key.id, &update).unwrap();
        assert_eq!(updated, VersionedKey::new(issued.key.clone(), 1));
    }
    assert_eq!(world.store.updates(), 0);
    assert!(KeyUpdate::new().if_version(1).is_empty());
    assert!(!KeyUpdate::new().without_metadata().is_empty());
}

#[test]
fn a_conditional_update_is_made_only_on_its_version() {
    let world = World::new();
    let id = world.issue().key.id;
    let update = |version| KeyUpdate::new().with_name(name("mine")).if_version(version);
    for stale in [0, 2, u64::MAX] {
        let rejected = world.update(&id, &update(stale));
        assert!(matches!(rejected, Err(IssueError::VersionMismatch)));
    }
    assert_eq!(world.store.updates(), 0);
    assert_eq!(world.update(&id, &update(1)).unwrap().version, 2);

    // Another change between the read and the write. The retry finds another version.
    let other = world.clone();
    world.store.after_find(move || {
        other.rename(&id, "theirs");
    });
    let pause = KeyUpdate::new().with_enabled(false).if_version(2);
    let rejected = world.update(&id, &pause);
    assert!(matches!(rejected, Err(IssueError::VersionMismatch)));
    assert!(world.find(&id).enabled);
}

#[test]
fn an_update_keeps_what_another_update_changes_in_the_meantime() {
    let world = World::new();
    let id = world.issue().key.id;
    let other = world.clone();
    world.store.after_find(move || {
        other.rename(&id, "theirs");
    });
    let paused = world.update(&id, &KeyUpdate::new().with_enabled(false));
    let paused = paused.unwrap();
    assert_eq!((paused.version, paused.key.enabled), (3, false));
    assert_eq!(paused.key.name, name("theirs"));
}

#[test]
fn an_update_is_checked_again_after_another_update_in_the_meantime() {
    let world = World::new();
    let id =
        world.issue_new(NewKey::new(name("n")).with_permissions("calls:read".parse().unwrap()));
    let id = id.key.id;
    let caller = Caller::new(
        Workspace::parse("acme").unwrap(),
        "api_keys:write,calls:read".parse().unwrap(),
    );
    let other = world.clone();
    world.store.after_find(move || {
        let widen = KeyUpdate::new().with_permissions("calls:*".parse().unwrap());
        other.update(&id, &widen).unwrap();
    });
    let rejected = update_as(&world, &caller, &id, &KeyUpdate::new().with_name(name("x")));
    assert!(matches!(rejected, Err(IssueError::NotPermitted(_))));
    assert_eq!(world.find(&id).name, name("n"));
}

#[test]
fn an_expired_key_stays_expired_and_a_revoked_key_stays_revoked() {
    let world = World::new();
    let [expired, revoked] = [(); 2].map(|()| issue_until(&world, 1_000).key.id);
    world.revoke(&revoked);
    world.clock.adjust(1_000);
    let unknown = KeyId::parse("key_0U5lKtf600000000").unwrap();
    for update in [
        KeyUpdate::new(),
        KeyUpdate::new().without_expires_at(),
        KeyUpdate::new().with_expires_at(time_in(&world, 9_000)),
        KeyUpdate::new().with_enabled(true),
        KeyUpdate::new().with_name(name("x")),
    ] {
        let rejected = world.update(&expired, &update);
        assert!(matches!(rejected, Err(IssueError::Expired)), "{update:?}");
        for id in [&revoked, &unknown] {
            let rejected = world.update(id, &update);
            assert!(matches!(rejected, Err(IssueError::NotFound)), "{update:?}");
        }
    }
    assert_eq!(world.store.updates(), 0);
}

#[test]
fn a_disabled_key_can_be_changed_and_enabled_but_not_rotated() {
    let world = World::new();
    let issued = world.issue();
    let id = issued.key.id;
    world
        .update(&id, &KeyUpdate::new().with_enabled(false))
        .unwrap();
    assert!(
        !world
            .update(&id, &KeyUpdate::new().with_name(name("x")))
            .unwrap()
            .key
            .enabled
    );
    assert!(matches!(world.rotate(&id), Err(IssueError::NotRotatable)));
    world
        .update(&id, &KeyUpdate::new().with_enabled(true))
        .unwrap();
    world.verify(&issued.token).unwrap();
    world.rotate(&id).unwrap();
    // A disabled key can be revoked.
    let other = world.issue().key.id;
    world
        .update(&other, &KeyUpdate::new().with_enabled(false))
        .unwrap();
    world.revoke(&other);
}

#[test]
fn a_key_that_is_disabled_during_its_rotation_is_not_rotated() {
    let world = World::new();
    let id = world.issue().key.id;
    let other = world.clone();
    world.store.after_find(move || {
        other
            .update(&id, &KeyUpdate::new().with_enabled(false))
            .unwrap();
    });
    assert!(matches!(world.rotate(&id), Err(IssueError::NotRotatable)));
    assert_eq!(world.find(&id).successor, None);
}

#[test]
fn the_end_of_a_rotated_key_only_moves_earlier() {
    let world = World::new();
    let id = world.issue().key.id;
    let rotation = NewRotation::new().with_overlap(Duration::from_secs(10));
    block_on(world.keys.issuer().rotate(&operator(), &id, &rotation)).unwrap();
    for later in [
        KeyUpdate::new().with_expires_at(time_in(&world, 10_001)),
        KeyUpdate::new().without_expires_at(),
    ] {
        let rejected = world.update(&id, &later);
        assert!(
            matches!(rejected, Err(IssueError::ExpiryAfterRotation)),
            "{later:?}"
        );
    }
    for millis in [10_000, 9_999, 1] {
        let end = time_in(&world, millis);
        let updated = world
            .update(&id, &KeyUpdate::new().with_expires_at(end))
            .unwrap();
        assert_eq!(updated.key.expires_at, Some(end));
    }
    // Other settings still change, and keep the end.
    let renamed = world.rename(&id, "retired");
    assert_eq!(renamed.expires_at, Some(time_in(&world, 1)));
}

#[test]
fn an_expiry_must_be_in_the_future() {
    let world = World::new();
    let id = world.issue().key.id;
    for millis in [-1, 0] {
        let past = KeyUpdate::new().with_expires_at(time_in(&world, millis));
        assert!(matches!(
            world.update(&id, &past),
            Err(IssueError::ExpiryPast)
        ));
    }
    let soon = KeyUpdate::new().with_expires_at(time_in(&world, 1));
    world.update(&id, &soon).unwrap();
}

#[test]
fn a_caller_that_expires_gives_no_key_a_later_expiry() {
    let world = World::new();
    let id = world.issue().key.id;
    let end = time_in(&world, 5_000);
    let caller = operator().with_expires_at(end);
    let update = |update: KeyUpdate| {
        update_as(&world, &caller, &id, &update).map(|updated| updated.key.expires_at)
    };
    // Other changes keep an end that is later than the caller's.
    assert_eq!(update(KeyUpdate::new().with_name(name("x"))).unwrap(), None);
    let later = update(KeyUpdate::new().with_expires_at(time_in(&world, 5_001)));
    assert!(matches!(later, Err(IssueError::ExpiryBeyondCaller)));
    let equal = update(KeyUpdate::new().with_expires_at(end));
    assert_eq!(equal.unwrap(), Some(end));
    let earlier = time_in(&world, 1_000);
    assert_eq!(
        update(KeyUpdate::new().with_expires_at(earlier)).unwrap(),
        Some(earlier)
    );
    assert_eq!(
        update(KeyUpdate::new().without_expires_at()).unwrap(),
        Some(end)
    );
}

#[test]
fn a_caller_gives_no_key_a_permission_that_the_caller_lacks() {
    let world = World::new();
    let new = NewKey::new(name("n")).with_permissions("calls:read".parse().unwrap());
    let (weak, strong) = (world.issue_new(new).key.id, world.issue().key.id);
    let caller = Caller::new(
        Workspace::parse("acme").unwrap(),
        "api_keys:write,calls:*".parse().unwrap(),
    );
    let missing = |id, permissions: &str| {
        let update = KeyUpdate::new().with_permissions(permissions.parse().unwrap());
        match update_as(&world, &caller, id, &update) {
            Ok(_) => None,
            Err(IssueError::NotPermitted(permission)) => Some(permission),
            Err(other) => panic!("{other}"),
        }
    };
    let billing = Permission::parse("billing").unwrap();
    assert_eq!(missing(&weak, "calls:read,billing"), Some(billing));
    assert_eq!(missing(&weak, "*"), Some(Permission::ALL));
    assert_eq!(missing(&weak, "calls:*"), None);
    assert_eq!(missing(&weak, ""), None);
    // The caller does not cover the permissions that the key has.
    assert_eq!(missing(&strong, "calls:read"), Some(Permission::ALL));
    assert_eq!(world.find(&strong).permissions.to_string(), "*");
    assert_eq!(world.find(&weak).permissions.to_string(), "");
}

#[test]
fn a_caller_gives_no_key_an_address_that_the_caller_lacks() {
    let world = World::new();
    let id = world.issue().key.id;
    let caller = operator().with_allowed_ips("10.0.0.0/8".parse().unwrap());
    let update = |caller: &Caller, update: KeyUpdate| {
        let updated = update_as(&world, caller, &id, &update)?;
        Ok::<_, IssueError>(updated.key.allowed_ips.map(|set| set.to_string()))
    };
    let set = |text: &str| KeyUpdate::new().with_allowed_ips(text.parse().unwrap());
    for wider in ["0.0.0.0/0", "10.0.0.1,11.0.0.1", "::1"] {
        let rejected = update(&caller, set(wider));
        assert!(
            matches!(rejected, Err(IssueError::AddressesBeyondCaller)),
            "{wider}"
        );
    }
    let ten = Some("10.0.0.0/8".to_owned());
    let one = Some("10.1.2.3".to_owned());
    assert_eq!(update(&caller, set("::ffff:10.1.2.3")).unwrap(), one);
    // Without its restriction, the key has the caller's.
    assert_eq!(
        update(&caller, KeyUpdate::new().without_allowed_ips()).unwrap(),
        ten
    );
    assert_eq!(
        update(&operator(), KeyUpdate::new().without_allowed_ips()).unwrap(),
        None
    );
    // Other changes keep addresses that the caller lacks.
    assert_eq!(
        update(&caller, KeyUpdate::new().with_name(name("x"))).unwrap(),
        None
    );
}

#[test]
fn no_key_lives_longer_than_the_policy_allows() {
    let lifetime = Duration::from_secs(10);
    let world = World::with(|config: Config| config.with_max_lifetime(lifetime));
    let issuer = world.keys.issuer();
    let beyond = |result: Result<(), IssueError>| match result {
        Err(IssueError::ExpiryBeyondPolicy { latest }) => latest,
        other => panic!("{other:?}"),
    };
    let latest = time_in(&world, 10_000);

    // Creation.
    let id = world.issue().key.id;
    assert_eq!(world.find(&id).expires_at, Some(latest));
    assert_eq!(
        issue_until(&world, 9_999).key.expires_at,
        Some(time_in(&world, 9_999))
    );
    let later = NewKey::new(name("n")).with_expiry(Expiry::At(time_in(&world, 10_001)));
    let rejected = block_on(issuer.create(&operator(), later)).map(drop);
    assert_eq!(beyond(rejected), latest);
    // A caller that expires earlier binds first.
    let brief = operator().with_expires_at(time_in(&world, 500));
    let child = block_on(issuer.create(&brief, NewKey::new(name("n")))).unwrap();
    assert_eq!(child.key.expires_at, brief.expires_at());

    // An update counts from the creation.
    world.clock.adjust(4_000);
    let later = KeyUpdate::new().with_expires_at(time_in(&world, 6_001));
    assert_eq!(beyond(world.update(&id, &later).map(drop)), latest);
    let sooner = KeyUpdate::new().with_expires_at(time_in(&world, 1_000));
    world.update(&id, &sooner).unwrap();
    let cleared = world.update(&id, &KeyUpdate::new().without_expires_at());
    assert_eq!(cleared.unwrap().key.expires_at, Some(latest));

    // A rotation counts from the creation of the successor.
    let later = NewRotation::new().with_expires_at(time_in(&world, 10_001));
    let rejected = block_on(issuer.rotate(&operator(), &id, &later)).map(drop);
    assert_eq!(beyond(rejected), time_in(&world, 10_000));
    let successor = world.rotate(&id).unwrap().key;
    assert_eq!(successor.expires_at, Some(time_in(&world, 10_000)));
}

#[test]
fn a_key_older_than_the_policy_keeps_its_expiry_until_it_is_changed() {
    let world = World::new();
    let id = world.issue().key.id;
    let lifetime = Duration::from_secs(10);
    let strict = world.reopened(|config: Config| config.with_max_lifetime(lifetime));
    world.clock.adjust(20_000);
    assert_eq!(strict.rename(&id, "x").expires_at, None);
    // The latest end that the policy allows is in the past.
    let cleared = strict.update(&id, &KeyUpdate::new().without_expires_at());
    assert!(matches!(cleared, Err(IssueError::ExpiryPast)));
    let set = KeyUpdate::new().with_expires_at(time_in(&world, 1));
    let rejected = strict.update(&id, &set);
    assert!(matches!(
        rejected,
        Err(IssueError::ExpiryBeyondPolicy { .. })
    ));
    // The successor of such a key has the lifetime of the policy.
    let successor = strict.rotate(&id).unwrap().key;
    assert_eq!(successor.expires_at, Some(time_in(&world, 10_000)));
}

#[test]
fn a_store_error_in_an_update_is_returned() {
    let world = World::new();
    let id = world.issue().key.id;
    world.store.fail_changes(&[StoreErrorKind::Unavailable]);
    let failed = world.update(&id, &KeyUpdate::new().with_enabled(false));
    assert_eq!(kind(failed), StoreErrorKind::Unavailable);
    // The store finds the key revoked, although the read did not.
    let other = world.clone();
    world.store.after_find(move || {
        let issuer = other.keys.issuer();
        block_on(issuer.revoke(&operator(), &id, Reach::Key)).unwrap();
    });
    let revoked = world.update(&id, &KeyUpdate::new().with_enabled(false));
    assert!(matches!(revoked, Err(IssueError::NotFound)));
}

#[test]
fn a_change_keeps_sets_or_clears_a_value() {
    for current in [None, Some(1)] {
        assert_eq!(Change::Keep.apply(current), current);
        assert_eq!(Change::Set(2).apply(current), Some(2));
        assert_eq!(Change::Clear.apply(current), None);
    }
}
