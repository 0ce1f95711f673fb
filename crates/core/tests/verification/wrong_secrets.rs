//! Wrong secrets for known ids.

use keywright_core::{
    Config, Denied, Expiry, ForeignKey, Importer, KeyId, NewKey, Timestamp, VerifyError,
    foreign::ForeignFormat,
};
use pollster::block_on;

use crate::world::{World, await_that, forge, name, operator};

#[test]
fn ten_thousand_wrong_secrets_cost_no_argon2_and_evict_no_key() {
    let maker = World::new();
    let cached = maker.issue_many(4);
    let uncached = maker.issue();
    let revoked = maker.issue();
    maker.revoke(&revoked.key.id);
    let end = maker.clock.millis() + 1;
    let brief =
        NewKey::new(name("brief")).with_expiry(Expiry::At(Timestamp::from_millis(end).unwrap()));
    let expired = maker.issue_new(brief);
    maker.clock.adjust(1);
    let unknown = KeyId::parse("key_0U5lKtf600000000").unwrap();
    let decoys = maker.issue_many(100);

    // The cache has room for the valid keys only, so any other entry would evict one of them.
    let world = maker.reopened(|config| config.with_cache(4));
    for issued in &cached {
        world.verify(&issued.token).unwrap();
    }
    let attack = || {
        for round in 0..20 {
            for decoy in &decoys {
                let hot = &cached[round % 4].key.id;
                for (id, why) in [
                    (*hot, Denied::WrongSecret(*hot)),
                    (uncached.key.id, Denied::WrongSecret(uncached.key.id)),
                    (revoked.key.id, Denied::WrongSecret(revoked.key.id)),
                    (expired.key.id, Denied::WrongSecret(expired.key.id)),
                    (unknown, Denied::Unknown(unknown)),
                ] {
                    let denied = world.denied(&forge(&id, &decoy.token));
                    assert_eq!((denied.id(), &denied), (Some(&id), &why));
                }
            }
        }
    };
    let (_, runs) = world.cost(attack);
    assert_eq!(runs, 0);
    let verify = || {
        for issued in &cached {
            world.verify(&issued.token).unwrap();
        }
    };
    assert_eq!(world.cost(verify), (0, 0));
}

#[test]
fn the_right_secret_of_an_expired_or_revoked_key_costs_no_argon2() {
    let maker = World::new();
    let revoked = maker.issue();
    maker.revoke(&revoked.key.id);
    let end = maker.clock.millis() + 1;
    let brief =
        NewKey::new(name("brief")).with_expiry(Expiry::At(Timestamp::from_millis(end).unwrap()));
    let expired = maker.issue_new(brief);
    maker.clock.adjust(1_000);
    let world = maker.reopened(|config| config);
    let verify = || {
        for _ in 0..100 {
            assert_eq!(
                world.denied(&revoked.token),
                Denied::Revoked(revoked.key.id)
            );
            assert_eq!(
                world.denied(&expired.token),
                Denied::Expired(expired.key.id)
            );
        }
    };
    assert_eq!(world.cost(verify).1, 0);
}

/// SHA-256 of `old.token`, with `sha256sum` of GNU coreutils.
const HASH: &str = "4bc7c6d7abeae12d1881f13288e7283da60634defb8c9a06a9580099cb48f74b";

#[test]
fn ten_thousand_tokens_of_no_key_cost_one_read_each_and_evict_no_key() {
    let formats = || {
        [
            ForeignFormat::unkey().with_token_prefix("old."),
            // Finds the same keys in the same way.
            ForeignFormat::sha256_hex(),
        ]
    };
    let maker = World::new();
    let issued = maker.issue_many(3);
    let importer = Importer::new(
        maker.keys.issuer().clone(),
        operator().workspace().clone(),
        ForeignFormat::unkey(),
    );
    let imported = ForeignKey::new(HASH, name("n"), "calls:read".parse().unwrap());
    block_on(importer.import(&imported)).unwrap();

    // The cache has room for the valid keys only.
    let world = maker.reopened(|config| {
        let config = config.with_cache(4);
        formats().into_iter().fold(config, Config::with_foreign)
    });
    let verify = |token: &[u8]| block_on(world.keys.verifier().verify(token));
    let use_all = || {
        for token in issued.iter().map(|issued| issued.token.expose()) {
            verify(token.as_bytes()).unwrap();
        }
        verify(b"old.token").unwrap();
    };
    use_all();
    // The first use replaces the hash with Argon2, on another thread.
    await_that(|| world.store.rehashes() == 1);
    use_all();

    let flood = |prefix: &str| {
        let (reads, runs) = world.cost(|| {
            for number in 0..10_000 {
                let denied = verify(format!("{prefix}{number}").as_bytes());
                assert!(matches!(denied, Err(VerifyError::Denied(_))), "{denied:?}");
            }
        });
        assert_eq!(runs, 0);
        reads
    };
    assert_eq!(flood("old."), 10_000);
    assert_eq!(world.cost(use_all), (0, 0));

    // A cached key costs no read, whichever its format is.
    let world = maker.reopened(|config| {
        let config = config.with_foreign(ForeignFormat::drf_api_key());
        formats().into_iter().fold(config, Config::with_foreign)
    });
    let verify = |token: &[u8]| block_on(world.keys.verifier().verify(token));
    verify(b"old.token").unwrap();
    assert_eq!(world.cost(|| drop(verify(b"old.token").unwrap())), (0, 0));

    // A format that demands a prefix costs no read.
    let strict =
        world.reopened(|config| config.with_foreign(formats().into_iter().next().unwrap()));
    let verify = |token: &[u8]| block_on(strict.keys.verifier().verify(token));
    let (reads, _) = strict.cost(|| {
        for number in 0..100 {
            verify(format!("sk_live_{number}").as_bytes()).unwrap_err();
        }
    });
    assert_eq!(reads, 0);
}
