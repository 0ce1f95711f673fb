//! Wrong secrets for ids that are known to everybody.

use keywright_core::{Denied, Expiry, KeyId, NewKey, Timestamp};

use crate::world::{World, forge, name};

#[test]
fn ten_thousand_wrong_secrets_cost_no_argon2_and_push_nobody_out_of_the_cache() {
    let maker = World::new();
    let cached = maker.issue_many(4);
    let uncached = maker.issue();
    let revoked = maker.issue();
    maker.revoke(&revoked.key.id);
    let end = maker.clock.millis() + 1;
    let brief =
        NewKey::new(name("brief")).with_expiry(Expiry::At(Timestamp::from_millis(end).unwrap()));
    let expired = maker.issue_new(brief);
    maker.clock.turn(1);
    let unknown = KeyId::parse("key_0U5lKtf600000000").unwrap();
    let decoys = maker.issue_many(100);

    // As many as are verified fit in, so whatever else came in would push one of them out.
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
    let known = || {
        for issued in &cached {
            world.verify(&issued.token).unwrap();
        }
    };
    assert_eq!(world.cost(known), (0, 0));
}

#[test]
fn the_right_secret_of_a_key_that_is_over_costs_no_argon2_either() {
    let maker = World::new();
    let revoked = maker.issue();
    maker.revoke(&revoked.key.id);
    let end = maker.clock.millis() + 1;
    let brief =
        NewKey::new(name("brief")).with_expiry(Expiry::At(Timestamp::from_millis(end).unwrap()));
    let expired = maker.issue_new(brief);
    maker.clock.turn(1_000);
    let world = maker.reopened(|config| config);
    let over = || {
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
    assert_eq!(world.cost(over).1, 0);
}
