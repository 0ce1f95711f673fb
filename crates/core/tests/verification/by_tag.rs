//! Verification by tag.

use std::{
    sync::Arc,
    task::{Context, Waker},
};

use keywright_core::{
    Caller, Config, Denied, ForeignKey, Importer, Issued, Keywright, NewKey, OpenError, Workspace,
    foreign::ForeignFormat,
    store::{Credential, KeyStore, Lease},
};
use pollster::block_on;

use crate::{
    rehash::ring,
    world::{World, await_that, forge, name, operator},
};

/// Configures a pepper.
fn peppered(config: Config) -> Config {
    config.with_peppers(ring(&["p1"]))
}

/// Configures a pepper and verification by tag.
fn by_tag(config: Config) -> Config {
    peppered(config).with_verification_by_tag(true)
}

/// Whether a verification is decided without waiting for another thread.
fn is_decided_at_once(world: &World, token: &[u8]) -> bool {
    let mut verification = Box::pin(world.keys.verifier().verify(token));
    let mut context = Context::from_waker(Waker::noop());
    verification.as_mut().poll(&mut context).is_ready()
}

/// Replaces the hash of a key with that of another key, and keeps its tag and its version, as a
/// writer of the database can.
fn plant_hash(world: &World, key: &Issued, other: &Issued) {
    let mut record = world.store.record(&key.key.id);
    record.credential = Credential::new(
        world.store.record(&other.key.id).credential.hash,
        record.credential.tag,
    );
    let replaced = world
        .store
        .rehash(&key.key.id, record.version, &record.credential);
    block_on(replaced).unwrap();
}

#[test]
fn a_cold_verification_is_accepted_before_its_argon2_run() {
    let maker = World::with(peppered);
    let keys = maker.issue_many(100);
    let world = maker.reopened(by_tag);
    let busy = world.busy_pool();
    let verify = || {
        for issued in &keys {
            let token = &issued.token;
            assert_eq!(world.verify(token).unwrap().key().id, issued.key.id);
        }
    };
    assert_eq!(world.cost(verify), (100, 0));
    assert_eq!(world.cost(verify), (0, 0));
    // A changed record is read again while its check waits, and needs no second check.
    world.rename(&keys[0].key.id, "renamed");
    assert_eq!(world.cost(verify), (1, 0));
    let before = world.keys.argon2_runs();
    drop(busy);
    await_that(|| world.keys.argon2_runs() >= before + 100);
    assert_eq!(world.cost(verify), (0, 0));
}

#[test]
fn a_wrong_secret_is_rejected_without_argon2() {
    let maker = World::with(peppered);
    let (key, other) = (maker.issue(), maker.issue());
    let world = maker.reopened(by_tag);
    let wrong = forge(&key.key.id, &other.token);
    for accept in [false, true] {
        if accept {
            let busy = world.busy_pool();
            world.verify(&key.token).unwrap();
            drop(busy);
        }
        let reject = || assert_eq!(world.denied(&wrong), Denied::WrongSecret(key.key.id));
        let busy = world.busy_pool();
        assert_eq!(world.cost(reject).1, 0);
        drop(busy);
    }
}

#[test]
fn a_planted_hash_is_rejected_after_its_check_and_never_replaced() {
    let maker = World::with(peppered);
    let (key, other) = (maker.issue(), maker.issue());
    plant_hash(&maker, &key, &other);
    let planted = maker.store.record(&key.key.id);
    // The pepper of new hashes is another, so the hash is outdated.
    let world = maker.reopened(|config| {
        config
            .with_peppers(ring(&["p1", "p2"]))
            .with_verification_by_tag(true)
    });
    let busy = world.busy_pool();
    for _ in 0..3 {
        world.verify(&key.token).unwrap();
    }
    drop(busy);
    await_that(|| world.verify(&key.token).is_err());
    // From now on, each verification waits for Argon2, as without tags.
    let reject = || assert_eq!(world.denied(&key.token), Denied::WrongSecret(key.key.id));
    assert_eq!(world.cost(reject), (1, 1));
    // Another change of the record does not make its tag trusted again.
    world.rename(&key.key.id, "renamed");
    assert_eq!(world.cost(reject), (1, 1));
    let record = world.store.record(&key.key.id);
    assert_eq!(record.credential, planted.credential);
    // Other keys are still accepted by tag.
    let busy = world.busy_pool();
    assert!(is_decided_at_once(&world, other.token.expose().as_bytes()));
    drop(busy);
}

#[test]
fn an_outdated_hash_is_replaced_after_its_check() {
    let maker = World::with(peppered);
    let key = maker.issue();
    let world = maker.reopened(|config| {
        config
            .with_peppers(ring(&["p1", "p2"]))
            .with_verification_by_tag(true)
    });
    let busy = world.busy_pool();
    for _ in 0..3 {
        world.verify(&key.token).unwrap();
    }
    assert_eq!(world.store.record(&key.key.id).version, 1);
    drop(busy);
    await_that(|| {
        world.verify(&key.token).unwrap();
        world.store.record(&key.key.id).version == 2
    });
    // The new hash has a tag under the new pepper.
    let world = maker.reopened(|config| {
        config
            .with_peppers(ring(&["p2"]))
            .with_verification_by_tag(true)
    });
    let busy = world.busy_pool();
    assert!(is_decided_at_once(&world, key.token.expose().as_bytes()));
    drop(busy);
}

#[test]
fn a_tag_in_another_row_or_workspace_is_rejected_without_argon2() {
    let maker = World::with(peppered);
    let (key, other) = (maker.issue(), maker.issue());
    let mut moved = maker.store.record(&key.key.id);
    let copied = moved.credential.clone();
    block_on(maker.store.rehash(&other.key.id, 1, &copied)).unwrap();
    let world = maker.reopened(by_tag);
    let token = forge(&other.key.id, &key.token);
    let reject = || assert_eq!(world.denied(&token), Denied::WrongSecret(other.key.id));
    assert_eq!(world.cost(reject), (1, 0));

    let world = World::with(by_tag);
    // The first key claims the store for the prefix.
    world.issue();
    moved.key.workspace = Workspace::parse("elsewhere").unwrap();
    let now = moved.key.created_at();
    block_on(world.store.insert(&moved, now, None)).unwrap();
    let reject = || assert_eq!(world.denied(&key.token), Denied::WrongSecret(key.key.id));
    assert_eq!(world.cost(reject), (1, 0));
}

#[test]
fn a_hash_without_a_pepper_is_computed_before_its_key_is_accepted() {
    let maker = World::new();
    let key = maker.issue();
    let world = maker.reopened(by_tag);
    let busy = world.busy_pool();
    assert!(!is_decided_at_once(&world, key.token.expose().as_bytes()));
    drop(busy);
    world.verify(&key.token).unwrap();
}

#[test]
fn the_option_without_a_pepper_is_an_error() {
    let maker = World::new();
    let config = Config::new(crate::world::prefix()).with_verification_by_tag(true);
    let store = Arc::clone(&maker.store) as Arc<dyn KeyStore>;
    let opened = block_on(Keywright::open(config, store));
    assert!(matches!(opened, Err(OpenError::TagWithoutPepper)));
}

/// SHA-256 of `old.token`, with `sha256sum` of GNU coreutils.
const HASH: &str = "4bc7c6d7abeae12d1881f13288e7283da60634defb8c9a06a9580099cb48f74b";

#[test]
fn an_imported_key_is_accepted_by_tag_once_its_hash_is_replaced() {
    let maker = World::with(peppered);
    let importer = Importer::new(
        maker.keys.issuer().clone(),
        operator().workspace().clone(),
        ForeignFormat::unkey(),
    );
    let imported = ForeignKey::new(HASH, name("n"), "calls:read".parse().unwrap());
    block_on(importer.import(&imported)).unwrap();
    let open = || maker.reopened(|config| by_tag(config).with_foreign(ForeignFormat::unkey()));
    let world = open();
    block_on(world.keys.verifier().verify(b"old.token")).unwrap();
    await_that(|| world.store.rehashes() == 1);
    let world = open();
    let busy = world.busy_pool();
    assert!(is_decided_at_once(&world, b"old.token"));
    drop(busy);
}

#[test]
fn a_key_without_a_place_for_its_check_waits_for_argon2() {
    let maker = World::with(peppered);
    let keys = maker.issue_many(3);
    // Two checks may wait.
    let world = maker.reopened(|config| by_tag(config).with_cache(2));
    let busy = world.busy_pool();
    let at_once = |issued: &Issued| is_decided_at_once(&world, issued.token.expose().as_bytes());
    let decided: Vec<bool> = keys.iter().map(at_once).collect();
    assert_eq!(decided, [true, true, false]);
    drop(busy);
    for issued in &keys {
        world.verify(&issued.token).unwrap();
    }
}

#[test]
fn without_a_cache_no_key_is_accepted_by_its_tag() {
    let maker = World::with(peppered);
    let issued = maker.issue();
    for uncached in [
        |config: Config| by_tag(config).with_cache(0),
        |config: Config| by_tag(config).with_cache_bytes(0),
    ] {
        let world = maker.reopened(uncached);
        let busy = world.busy_pool();
        let token = issued.token.expose().as_bytes();
        assert!(!is_decided_at_once(&world, token));
        drop(busy);
        world.verify(&issued.token).unwrap();
    }
}

#[test]
fn bug_a_key_that_had_waited_for_argon2_waited_again_while_the_lease_had_lapsed() {
    let maker = World::leased(Lease::lapsed(), peppered);
    let keys = maker.issue_many(6);
    let [first, second, displaced, rest @ ..] = &keys[..] else {
        panic!("six keys");
    };
    let other = Caller::operator(Workspace::parse("other").unwrap());
    let new = NewKey::new(name("n"));
    let other = block_on(maker.keys.issuer().create(&other, new)).unwrap();
    // Three checks may wait.
    let world = maker.reopened(|config| by_tag(config).with_cache(3));
    let busy = world.busy_pool();
    let at_once = |issued: &Issued| is_decided_at_once(&world, issued.token.expose().as_bytes());
    assert!([first, second, displaced, &other].into_iter().all(at_once));
    // The check of the newest key gave its place to the other workspace.
    let token = displaced.token.expose().as_bytes();
    let mut waiting = Box::pin(world.keys.verifier().verify(token));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let before = world.keys.argon2_runs();
    drop(busy);
    block_on(waiting).unwrap();
    await_that(|| world.keys.argon2_runs() >= before + 4);
    let busy = world.busy_pool();
    assert!(rest.iter().all(at_once));
    assert!(at_once(displaced));
    drop(busy);
}
