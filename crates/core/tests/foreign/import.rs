//! The import of a key, and its repetition.

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Config, ImportError, Imported, Importer, IssueError, Keywright, MemoryStore, Prefix, Reach,
    Timestamp, Workspace,
    foreign::ForeignFormat,
    store::{StoreError, StoreErrorKind},
};

use crate::library::{HASH, Library, TOKEN, key, operator, workspace};

#[test]
fn the_same_key_is_imported_once() {
    let format = ForeignFormat::sha256_hex();
    let library = Library::with(std::slice::from_ref(&format));
    let importer = library.importer(&format);
    let mut foreign = key(HASH);
    foreign.created_at = Some(Timestamp::parse("2023-05-01T08:00:00Z").unwrap());
    assert!(matches!(
        block_on(importer.check(&foreign)),
        Ok(Imported::New(_))
    ));
    let id = library.import(&format, &foreign);
    for _ in 0..2 {
        assert!(
            matches!(block_on(importer.check(&foreign)), Ok(Imported::Present(present)) if present == id)
        );
        assert!(
            matches!(block_on(importer.import(&foreign)), Ok(Imported::Present(present)) if present == id)
        );
        // A use, and the new hash that follows it, change nothing.
        library.verify(TOKEN).unwrap();
        library.wait_for_upgrade(&id);
    }
    let mut other = foreign.clone();
    other.permissions = "calls:write".parse().unwrap();
    let different = block_on(importer.import(&other)).unwrap_err();
    assert!(matches!(different, ImportError::Different(present) if present == id));

    let issuer = library.keys.issuer().clone();
    let elsewhere = Importer::new(issuer, Workspace::parse("other").unwrap(), format);
    let taken = block_on(elsewhere.import(&foreign)).unwrap_err();
    assert!(matches!(taken, ImportError::Taken));
    block_on(library.keys.issuer().revoke(&operator(), &id, Reach::Key)).unwrap();
    let revoked = block_on(importer.import(&foreign)).unwrap_err();
    assert!(matches!(revoked, ImportError::Different(_)));
}

#[test]
fn a_repeated_import_does_not_depend_on_its_time() {
    let format = ForeignFormat::sha256_hex();
    let config = Config::new(Prefix::parse("acme").unwrap())
        .with_max_lifetime(std::time::Duration::from_secs(1_000_000));
    let opened = Keywright::open(config, Arc::new(MemoryStore::new()));
    let keys = block_on(opened).unwrap();
    let importer = Importer::new(keys.issuer().clone(), workspace(), format);
    let foreign = key(HASH);
    let (digest, imported) = (
        importer.digest(&foreign),
        block_on(importer.import(&foreign)),
    );
    let Ok(Imported::New(id)) = imported else {
        panic!("{imported:?}");
    };
    // The clock of the ids and the expiry is in milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(5));
    let again = block_on(importer.import(&foreign));
    assert!(matches!(again, Ok(Imported::Present(present)) if present == id));
    assert_eq!(importer.digest(&foreign).unwrap(), digest.unwrap());

    let mut created = foreign.clone();
    created.created_at = Some(Timestamp::parse("2023-05-01T08:00:00Z").unwrap());
    let mut expires = foreign.clone();
    expires.expires_at = Some(keys.issuer().now());
    for other in [created, expires] {
        let different = block_on(importer.import(&other)).unwrap_err();
        assert!(matches!(different, ImportError::Different(present) if present == id));
        let [one, two] = [&foreign, &other].map(|key| importer.digest(key).unwrap());
        assert_eq!(one.token, two.token);
        assert_ne!(one.content, two.content);
    }
}

#[test]
fn an_expiry_beyond_the_maximum_lifetime_concerns_one_key() {
    let format = ForeignFormat::sha256_hex();
    let config = Config::new(Prefix::parse("acme").unwrap())
        .with_max_lifetime(std::time::Duration::from_secs(1_000_000));
    let opened = Keywright::open(config, Arc::new(MemoryStore::new()));
    let keys = block_on(opened).unwrap();
    let importer = Importer::new(keys.issuer().clone(), workspace(), format);
    let mut foreign = key(HASH);
    foreign.expires_at = Some(Timestamp::MAX);
    for result in [
        block_on(importer.check(&foreign)),
        block_on(importer.import(&foreign)),
    ] {
        let error = result.unwrap_err();
        assert!(error.concerns_one_key(), "{error}");
    }
    let store = StoreError::new(StoreErrorKind::Unavailable, "test");
    assert!(!ImportError::from(IssueError::from(store)).concerns_one_key());
}
