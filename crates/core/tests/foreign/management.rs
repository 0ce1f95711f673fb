//! The operations on imported keys.

use futures_executor::block_on;
use keywright_core::{
    Denied, KeyUpdate, ListKeys, NewRotation, Reach, Timestamp,
    foreign::ForeignFormat,
    store::{KeyStore, Purge},
};

use crate::library::{HASH, Library, TOKEN, key, operator};

#[test]
fn an_imported_key_is_managed_like_any_other() {
    let format = ForeignFormat::sha256_hex();
    let library = Library::with(std::slice::from_ref(&format));
    let mut foreign = key(HASH);
    foreign.created_at = Some(Timestamp::parse("2023-05-01T08:00:00Z").unwrap());
    foreign.owner = Some("user:7".parse().unwrap());
    let id = library.import(&format, &foreign);
    let issuer = library.keys.issuer();

    let verified = library.verify(TOKEN).unwrap();
    assert_eq!(verified.created_at(), foreign.created_at.unwrap());
    assert_eq!(verified.owner, foreign.owner);
    assert!(verified.imported);

    let list = |list| block_on(issuer.list(&operator(), list)).unwrap().keys;
    assert_eq!(list(ListKeys::new().imported()).len(), 1);
    let events = block_on(issuer.events(&operator(), keywright_core::ListEvents::new())).unwrap();
    assert_eq!(events.events.len(), 1);

    library.wait_for_upgrade(&id);
    let pause = KeyUpdate::new().with_enabled(false);
    block_on(issuer.update(&operator(), &id, &pause)).unwrap();
    assert!(matches!(library.verify(TOKEN), Err(Denied::Disabled(_))));
    let resume = KeyUpdate::new().with_enabled(true);
    block_on(issuer.update(&operator(), &id, &resume)).unwrap();
    library.verify(TOKEN).unwrap();

    let rotated = block_on(issuer.rotate(&operator(), &id, &NewRotation::new())).unwrap();
    assert!(!rotated.key.imported);
    assert_eq!(
        library.verify(rotated.token.expose()).unwrap().id,
        rotated.key.id
    );

    block_on(issuer.revoke(&operator(), &id, Reach::Key)).unwrap();
    assert!(matches!(library.verify(TOKEN), Err(Denied::Revoked(_))));
}

#[test]
fn a_token_that_is_imported_again_after_a_purge_is_verified_with_its_new_key() {
    let format = ForeignFormat::sha256_hex();
    let library = Library::with(std::slice::from_ref(&format));
    let first = library.import(&format, &key(HASH));
    assert_eq!(library.verify(TOKEN).unwrap().id, first);
    library.wait_for_upgrade(&first);
    let issuer = library.keys.issuer();
    block_on(issuer.revoke(&operator(), &first, Reach::Key)).unwrap();
    // The verifier knows the revoked key: its entry is cached, and the token has a route to it.
    for _ in 0..2 {
        assert_eq!(library.verify(TOKEN), Err(Denied::Revoked(first)));
    }
    let purge = Purge::new(10).with_revoked_before(Timestamp::MAX);
    assert_eq!(block_on(library.store.purge(&purge)).unwrap(), 1);
    assert!(library.verify(TOKEN).is_err());
    let second = library.import(&format, &key(HASH));
    assert_ne!(second, first);
    for _ in 0..3 {
        assert_eq!(library.verify(TOKEN).unwrap().id, second);
    }
    library.wait_for_upgrade(&second);
    block_on(issuer.revoke(&operator(), &second, Reach::Key)).unwrap();
    assert_eq!(library.verify(TOKEN), Err(Denied::Revoked(second)));
}
