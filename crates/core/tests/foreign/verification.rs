//! The verification of tokens of another system.

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Config, Denied, Keywright, MemoryStore, NewKey, OpenError, Prefix, Reach, Scheme,
    error::TokenError,
    foreign::{ForeignFormat, HashedPart},
    store::KeyStore,
};

use crate::{
    known_answers::passwords,
    library::{HASH, Library, TOKEN, key, operator, with_public_part},
};

/// `hashlib.sha256(b"secret").hexdigest()` of Python 3.11.
const PART_HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

/// Of the secret of 97 characters below, with bcrypt 4.3.0 of PyPI, which hashes the first 72.
const LONG_BCRYPT: &str = "$2b$04$lP9NztpguURciFv./0YNqOdUjNFiDelZEg5bP3oHpX2sFgqFsMdgu";

#[test]
fn without_its_format_a_token_is_malformed() {
    let format = ForeignFormat::sha256_hex();
    let library = Library::with(&[]);
    library.import(&format, &key(HASH));
    assert!(matches!(library.verify(TOKEN), Err(Denied::Malformed(_))));
    let other = Library::over(
        Arc::clone(&library.store),
        &[format.clone().with_token_prefix("new_")],
    );
    assert!(matches!(other.verify(TOKEN), Err(Denied::Malformed(_))));
    let other = Library::over(
        Arc::clone(&library.store),
        &[format.with_token_length(1..=9)],
    );
    assert!(matches!(other.verify(TOKEN), Err(Denied::Malformed(_))));
}

#[test]
fn a_token_of_this_library_is_not_a_foreign_token() {
    // Its hash was imported, and the formats accept its text.
    let format = ForeignFormat::sha256_hex();
    let library = Library::with(std::slice::from_ref(&format));
    let token = "acme_live_0U5lKtf600000000_000000000000000000000000000000000000000000032Ts3u";
    library.import(&format, &key("00".repeat(32).as_str()));
    assert!(library.verify(token).is_err());
}

#[test]
fn a_damaged_token_of_this_library_is_not_a_foreign_token() {
    // The format accepts any text, and the digest of the damaged token was imported.
    let format = ForeignFormat::sha256_hex();
    let library = Library::with(std::slice::from_ref(&format));
    let damaged = "acme_live_0U5lKtf600000000_000000000000000000000000000000000000000000032Ts3v";
    // `hashlib.sha256` of Python 3.11.
    library.import(
        &format,
        &key("ce295e68456b72aea46be11d8a243ffa344c6291e9a69f48215178e66912b3d7"),
    );
    assert_eq!(
        library.verify(damaged),
        Err(Denied::Malformed(TokenError::Checksum))
    );
}

#[test]
fn a_wrong_token_of_an_imported_key_is_denied() {
    let format = ForeignFormat::password('_');
    let library = Library::with(std::slice::from_ref(&format));
    let hash = "$2b$04$wCvddqTNtmDn86AqE3Gjpe2phTFj9rK.Ymbzdj4MGYUTF1ysbHZyy";
    library.import(&format, &with_public_part(hash, "pub1"));
    let denied = library.verify("pub1_wrong").unwrap_err();
    assert!(matches!(denied, Denied::WrongSecret(_)));
    assert_eq!(
        library.verify("pub2_wrong").unwrap_err(),
        Denied::NotImported
    );
    for malformed in ["pub1_", "_x", "pub1", "pub1 _x", "pub1_\u{e4}", "", "\0"] {
        let denied = library.verify(malformed).unwrap_err();
        assert!(matches!(denied, Denied::Malformed(_)), "{malformed}");
    }
    assert!(matches!(
        library.verify(&"a_".repeat(300)),
        Err(Denied::Malformed(_))
    ));
}

#[test]
fn a_foreign_hash_in_the_record_of_another_key_proves_nothing() {
    // A thief who can write to the database moves an imported hash to a key of this library.
    let format = ForeignFormat::sha256_hex();
    let library = Library::with(std::slice::from_ref(&format));
    let imported = library.import(&format, &key(HASH));
    let issuer = library.keys.issuer();
    let permissions = "calls:read".parse().unwrap();
    let new = NewKey::new("Native".parse().unwrap()).with_permissions(permissions);
    let issued = block_on(issuer.create(&operator(), new)).unwrap();
    let stolen = library.record(&imported).credential;
    let version = library.record(&issued.key.id).version;
    block_on(library.store.rehash(&issued.key.id, version, &stolen)).unwrap();
    let denied = library.verify(issued.token.expose());
    assert_eq!(denied, Err(Denied::WrongSecret(issued.key.id)));
    assert_eq!(library.verify(TOKEN).unwrap().id, imported);
}

#[test]
fn a_key_that_cannot_be_cached_is_verified_from_the_store() {
    let format = ForeignFormat::sha256_hex();
    for capacity in [0, 1] {
        let config = Config::new(Prefix::parse("acme").unwrap())
            .with_scheme(Scheme::HmacSha256)
            .with_cache(capacity)
            .with_foreign(format.clone());
        let store = Arc::new(MemoryStore::new());
        let keys = block_on(Keywright::open(config, Arc::clone(&store) as _)).unwrap();
        let library = Library { keys, store };
        let other = "old_another";
        // `hashlib.sha256(b"old_another").hexdigest()` of Python 3.11.
        let other_hash = "ed004fae6fdb5f15611b67df0a74c215765ffbc2bb1532b8a84446ad2d35fad1";
        let ids = [HASH, other_hash].map(|hash| library.import(&format, &key(hash)));
        for _ in 0..3 {
            for (token, id) in [TOKEN, other].into_iter().zip(ids) {
                assert_eq!(library.verify(token).unwrap().id, id, "{capacity}");
            }
        }
        let issuer = library.keys.issuer();
        block_on(issuer.revoke(&operator(), &ids[0], Reach::Key)).unwrap();
        for _ in 0..2 {
            assert_eq!(library.verify(TOKEN), Err(Denied::Revoked(ids[0])));
            assert_eq!(library.verify(other).unwrap().id, ids[1]);
        }
    }
}

#[test]
fn the_formats_are_tried_in_turn_until_one_finds_the_key() {
    let formats = [
        ForeignFormat::sha256_hex().with_token_prefix("old_"),
        ForeignFormat::unkey(),
        ForeignFormat::better_auth(),
        ForeignFormat::prefixed_api_key(),
    ];
    let library = Library::with(&formats);
    let id = library.import(&formats[3], &key(PART_HASH));
    // The last format finds the key, after the others have found none.
    for token in ["old_a_secret", "old_b_secret", "x_secret"] {
        assert_eq!(library.verify(token).unwrap().id, id, "{token}");
    }
    assert_eq!(library.verify("old_a_secret2"), Err(Denied::NotImported));
}

#[test]
fn a_key_that_another_format_finds_does_not_deny_a_token() {
    // The public part of the first key begins the tokens of the other two.
    let formats = [
        ForeignFormat::password('_'),
        ForeignFormat::sha256_hex(),
        ForeignFormat::password('_').with_hashed_part(HashedPart::Whole),
    ];
    let library = Library::with(&formats);
    let (_, token, hash, _) = passwords().swap_remove(0);
    let first = library.import(&formats[0], &with_public_part(hash, "old"));
    let second = library.import(&formats[1], &key(HASH));
    // `hashlib.sha512(b"pub7_secret").hexdigest()` of Python 3.11, as Django writes it.
    let whole = "sha512$$3b4ba637aaa8741b800a7244fde84cccbf9dc9dc53cdacebe6befaf01a19e0ad614d7da9fef2a4468c5b83458b0a3a1998082eb36dc4d50356f601bafe03c18a";
    let third = library.import(&formats[2], &with_public_part(whole, "pub7"));
    let secret = token.strip_prefix("pub1").unwrap();
    for (token, id) in [
        (TOKEN, second),
        ("pub7_secret", third),
        (&format!("old{secret}"), first),
    ] {
        for _ in 0..2 {
            assert_eq!(library.verify(token).unwrap().id, id, "{token}");
        }
        library.wait_for_upgrade(&id);
        assert_eq!(library.verify(token).unwrap().id, id, "{token}");
    }
    // A token that no format proves is wrong for the key that was found.
    assert_eq!(library.verify("old_x"), Err(Denied::WrongSecret(first)));
    // A key that is revoked decides.
    let issuer = library.keys.issuer();
    block_on(issuer.revoke(&operator(), &second, Reach::Key)).unwrap();
    assert_eq!(library.verify(TOKEN), Err(Denied::Revoked(second)));
}

#[test]
fn more_than_four_formats_are_rejected() {
    let config = Config::new(Prefix::parse("acme").unwrap());
    let config = (0..5).fold(config, |config, _| {
        config.with_foreign(ForeignFormat::unkey())
    });
    let opened = block_on(Keywright::open(config, Arc::new(MemoryStore::new())));
    assert!(matches!(opened, Err(OpenError::ForeignFormats)));
}

#[test]
fn bcrypt_ignores_what_follows_72_bytes_until_the_first_use() {
    let format = ForeignFormat::password('_');
    let library = Library::with(std::slice::from_ref(&format));
    let secret = "0123456789abcdefghijABCDEFGHIJKL".repeat(3);
    let id = library.import(&format, &with_public_part(LONG_BCRYPT, "pub3"));
    let [token, other] = ["a", "b"].map(|end| format!("pub3_{secret}{end}"));
    assert_eq!(library.verify(&token).unwrap().id, id);
    library.wait_for_upgrade(&id);
    assert_eq!(library.verify(&other), Err(Denied::WrongSecret(id)));
    assert_eq!(library.verify(&token).unwrap().id, id);
}
