//! Keys that another system issued: their formats, their import, and their verification.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Caller, Config, Denied, ForeignKey, ImportError, Imported, Importer, IssueError, Key, KeyId,
    KeyUpdate, Keywright, ListKeys, MemoryStore, NewKey, NewRotation, OpenError, Prefix, Reach,
    Scheme, Timestamp, VerifyError, Workspace,
    error::TokenError,
    foreign::{Digest, ForeignFormat, ForeignHashError, HashedPart},
    store::{KeyStore, Purge, Record, StoreError, StoreErrorKind, StoredHash},
};

/// A library that accepts the tokens of some formats, over a store.
struct Library {
    keys: Keywright,
    store: Arc<MemoryStore>,
}

impl Library {
    fn with(formats: &[ForeignFormat]) -> Self {
        Self::over(Arc::new(MemoryStore::new()), formats)
    }

    fn over(store: Arc<MemoryStore>, formats: &[ForeignFormat]) -> Self {
        let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
        let config = formats.iter().cloned().fold(config, Config::with_foreign);
        let keys = block_on(Keywright::open(config, Arc::clone(&store) as _)).unwrap();
        Self { keys, store }
    }

    fn importer(&self, format: &ForeignFormat) -> Importer {
        let issuer = self.keys.issuer().clone();
        Importer::new(issuer, workspace(), format.clone())
    }

    /// Imports a key that must be new, and returns its id.
    fn import(&self, format: &ForeignFormat, key: &ForeignKey) -> KeyId {
        match block_on(self.importer(format).import(key)).unwrap() {
            Imported::New(id) => id,
            Imported::Present(id) => panic!("{id} is present"),
        }
    }

    fn verify(&self, token: &str) -> Result<Key, Denied> {
        match block_on(self.keys.verifier().verify(token.as_bytes())) {
            Ok(verified) => Ok(verified.key().clone()),
            Err(VerifyError::Denied(denied)) => Err(denied),
            Err(VerifyError::Undecided(undecided)) => panic!("{undecided:?}"),
        }
    }

    fn record(&self, id: &KeyId) -> Record {
        block_on(self.store.find(id)).unwrap().unwrap()
    }

    /// Waits until the hash of a key is one of this library's.
    fn wait_for_upgrade(&self, id: &KeyId) -> Record {
        for _ in 0..6_000 {
            let record = self.record(id);
            if matches!(record.credential.hash, StoredHash::Native(_)) {
                return record;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the hash was not replaced");
    }
}

fn workspace() -> Workspace {
    Workspace::parse("default").unwrap()
}

fn operator() -> Caller {
    Caller::operator(workspace())
}

fn key(hash: &str) -> ForeignKey {
    let permissions = "calls:read".parse().unwrap();
    ForeignKey::new(hash, "Imported".parse().unwrap(), permissions)
}

fn with_public_part(hash: &str, part: &str) -> ForeignKey {
    let mut key = key(hash);
    key.public_part = Some(part.to_owned());
    key
}

const TOKEN: &str = "old_4eC39HqLyjWDarjtT1zdp7dc";
/// The SHA-256 of [`TOKEN`], as `sha256sum` of GNU coreutils prints it.
const HASH: &str = "881ec3c2bf3e9cc95b70c50ea2c31141ba936399dc734bc701c9a9b0f4c1ed97";

/// `hashlib.sha256(b"secret").hexdigest()` of Python 3.11.
const PART_HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

/// Of the secret of 97 characters below, with bcrypt 4.3.0 of PyPI, which hashes the first 72.
const LONG_BCRYPT: &str = "$2b$04$lP9NztpguURciFv./0YNqOdUjNFiDelZEg5bP3oHpX2sFgqFsMdgu";

/// A format, a token, the hash that the other system keeps, and a public part if it keeps one.
type KnownAnswer = (
    ForeignFormat,
    &'static str,
    &'static str,
    Option<&'static str>,
);

/// The hash of each was made by the software that its comment names, and by no code of this
/// project. The folder `tests/import_guide` has more, in rows of the original software.
fn known_answers() -> Vec<KnownAnswer> {
    let mut all = presets();
    all.extend(digests());
    all.extend(passwords());
    all
}

fn presets() -> Vec<KnownAnswer> {
    vec![
        // `hash.Sha256` of Unkey (go/pkg/hash/sha256.go), compiled with Go 1.19.8.
        (
            ForeignFormat::unkey(),
            "unkey_3ZTyXNt4ZgPVWGYCvBk1Aa",
            "GS9ubOtOL+QP+4RrWmrdBKyWBQcI8nmCEEHKLHZVMSU=",
            None,
        ),
        // The lines of `generateTokenString` and `createToken` of Laravel Sanctum 4.0.1, with PHP
        // 8.2.36.
        (
            ForeignFormat::sanctum(),
            "17|ov3R1JY8vEIPrWc5aHT8OFRE0zo6ydDHfpNrRyv83c43d721",
            "12188bad83cd83d38be84430f216a07608b4faa2ff5562a3077b8a2274a7f80c",
            None,
        ),
        // Laravel Sanctum before 3.3, without a checksum: `hash('sha256', $plainTextToken)`.
        (
            ForeignFormat::sanctum(),
            "17|vW8hT1cRkq9YxZ2mB4nD6pF8sG0jK3lA5uE7iO9y",
            "a51b94bc66832f633b5aa3b6542fb9b7a72760291a83eb8e5a8dec578d675daf",
            None,
        ),
        // `createApiKey` of better-auth 1.7.5 with @better-auth/api-key 1.7.5.
        (
            ForeignFormat::better_auth(),
            "acme_mRWTrVcGwRGeCeFWwXCkouIizyDWMvvEDqQKdzyjsekpbZSQleRfrFHivhznMezA",
            "lIxx1qLW7TV-wkIVar4Dby8O9K30WD5GgynsEcP-ANc",
            None,
        ),
        // `APIKey.objects.create_key` of djangorestframework-api-key 3.1.0, with Django 5.2.19.
        (
            ForeignFormat::drf_api_key(),
            "e3oU52TR.vFrxk29MhaUlbvOJqu8DiIzlffNYizBo",
            "sha512$$9a5d9e2980b5df4da5d49c5aa54e680693813bc171d845000ff129bc6e8f78ce52c4ff107b9a57\
             8179843ce1a25974b88a3e4b5f37fd48983a7ab6b644c482c1",
            Some("e3oU52TR"),
        ),
        // `PBKDF2PasswordHasher` of Django 5.2.19 with 1,000 iterations, which versions of
        // djangorestframework-api-key before 3.0 call.
        (
            ForeignFormat::drf_api_key(),
            "Ab3dEf6h.0123456789abcdefghijABCDEFGHIJKL",
            "pbkdf2_sha256$1000$seasalt1234567890ABCDE$CEeSHOOnfdZidk4ssJAprUYGXqE1J7WXN1EyUFbojMM=",
            Some("Ab3dEf6h"),
        ),
        // The README of prefixed-api-key 1.1.1, and its `hashLongToken`.
        (
            ForeignFormat::prefixed_api_key(),
            "mycompany_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG",
            "d70d981d87b449c107327c2a2afbf00d4b58070d6ba571aac35d7ea3e7c79f37",
            None,
        ),
        // `sha256sum` of GNU coreutils.
        (ForeignFormat::sha256_hex(), TOKEN, HASH, None),
    ]
}

/// Digests of other parts of a token.
fn digests() -> Vec<KnownAnswer> {
    let sha512 = ForeignFormat::digest(Digest::Sha512);
    vec![
        // `hash('sha512', …)` of PHP 8.2.36.
        (
            sha512.clone(),
            TOKEN,
            "365195d7f95f216df4860b9474892e8308432f9ffa800d719aca0828a06fdf198fcd681e437ae16be72934\
             666ee61c2c240442fabcc4e9bd90b6d0c3ac8693c5",
            None,
        ),
        // `crypto.createHash('sha512').update(…).digest('base64url')` of Node 20.20.2, of the part
        // after the last dot.
        (
            sha512.with_hashed_part(HashedPart::AfterLast('.')),
            "old.1.4eC39HqLyjWDarjtT1zdp7dc",
            "8GFdjeksN44Z3W0a_K790WArnGQiMf5Ic_PAVTA_NjL06vM5j3LgK4rHMHp84FlfD8MbB3putv_wOV55vGHRaA",
            None,
        ),
    ]
}

/// Password hashes of the part after the first `_`.
fn passwords() -> Vec<KnownAnswer> {
    vec![
        // bcrypt 5.0.0 of PyPI.
        (
            ForeignFormat::password('_'),
            "pub1_0123456789abcdefghijABCDEFGHIJKL",
            "$2b$04$wCvddqTNtmDn86AqE3Gjpe2phTFj9rK.Ymbzdj4MGYUTF1ysbHZyy",
            Some("pub1"),
        ),
        // `password_hash(…, PASSWORD_BCRYPT)` of PHP 8.2.36.
        (
            ForeignFormat::password('_'),
            "pub3_0123456789abcdefghijABCDEFGHIJKL",
            "$2y$04$68OQKuLbSQL4QTOds4r9tuGkFaGq3pg8SYYRWONuAE1bCp3E8wu.y",
            Some("pub3"),
        ),
        // argon2-cffi 25.1.0 of PyPI, with 64 KiB, 1 pass, 2 lanes and an output of 24 bytes.
        (
            ForeignFormat::password('_'),
            "pub2_0123456789abcdefghijABCDEFGHIJKL",
            "$argon2id$v=19$m=64,t=1,p=2$SL7z8ObodahCuPXMaX9RGA$UyjenPOXi1dj13fMQSwCg1qEQGGhK3R3",
            Some("pub2"),
        ),
        // `password_hash(…, PASSWORD_ARGON2ID)` of PHP 8.2.36.
        (
            ForeignFormat::password('_'),
            "pub4_0123456789abcdefghijABCDEFGHIJKL",
            "$argon2id$v=19$m=64,t=1,p=1$aWg1N0tsNVlrNWNiQnZKaA$+JY6jNZdYRViaEn6a1JX6vBvCA++K3ZMj6k\
             bt3TpnNE",
            Some("pub4"),
        ),
        // argon2-cffi 25.1.0, Argon2i.
        (
            ForeignFormat::password('_'),
            "pub5_0123456789abcdefghijABCDEFGHIJKL",
            "$argon2i$v=19$m=64,t=1,p=1$FfovGhhyvQMrPBeXgIFnAA$q3Zt9dp1ui4decHmxY9KdxZrOuirvRK63rR47/2AA8Q",
            Some("pub5"),
        ),
    ]
}

#[test]
fn each_format_verifies_a_token_by_the_hash_of_the_original_software() {
    for (format, token, hash, public_part) in known_answers() {
        let library = Library::with(std::slice::from_ref(&format));
        let mut key = key(hash);
        key.public_part = public_part.map(str::to_owned);
        let id = library.import(&format, &key);
        for attempt in 0..3 {
            assert_eq!(library.verify(token).unwrap().id, id, "{token}, {attempt}");
        }
        // Another last character.
        let (start, last) = token.split_at(token.len() - 1);
        let other = if last == "0" { "1" } else { "0" };
        let wrong = format!("{start}{other}");
        assert!(library.verify(&wrong).is_err(), "{wrong}");
        // The hash was replaced, and the token still verifies, and the wrong one does not.
        library.wait_for_upgrade(&id);
        let restarted = Library::over(Arc::clone(&library.store), &[format]);
        assert_eq!(restarted.verify(token).unwrap().id, id, "{token}");
        assert!(restarted.verify(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_stored_hash_is_not_a_token() {
    for (format, _, hash, public_part) in known_answers() {
        let library = Library::with(std::slice::from_ref(&format));
        let mut key = key(hash);
        key.public_part = public_part.map(str::to_owned);
        library.import(&format, &key);
        for token in [
            hash.to_owned(),
            format!("{}.{hash}", public_part.unwrap_or("x")),
            format!("{}_{hash}", public_part.unwrap_or("x")),
            format!("1|{hash}"),
        ] {
            assert!(library.verify(&token).is_err(), "{token}");
        }
    }
}

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

#[test]
fn a_hash_that_is_not_of_the_format_is_rejected() {
    use ForeignHashError::{
        Cost, InvalidPublicPart, Malformed, MissingPublicPart, UnusedPublicPart,
    };
    let bcrypt =
        |cost: &str| format!("$2b${cost}$wCvddqTNtmDn86AqE3Gjpe2phTFj9rK.Ymbzdj4MGYUTF1ysbHZyy");
    let argon2 = |costs: &str| {
        format!("$argon2id$v=19${costs}$SL7z8ObodahCuPXMaX9RGA$UyjenPOXi1dj13fMQSwCg1qEQGGhK3R3")
    };
    let digest = ForeignFormat::sha256_hex();
    let password = ForeignFormat::password('_');
    let prefixed = ForeignFormat::password('_').with_token_prefix("old");
    // No token has room for a separator and a secret after it.
    let long = "p".repeat(511);
    let cases = [
        (&digest, String::new(), None, Malformed),
        (&digest, HASH[1..].to_owned(), None, Malformed),
        (&digest, format!("{HASH}0"), None, Malformed),
        (&digest, HASH.replace('8', "g"), None, Malformed),
        (&digest, format!(" {HASH}"), None, Malformed),
        (&digest, TOKEN.to_owned(), None, Malformed),
        (&digest, HASH.to_owned(), Some("public"), UnusedPublicPart),
        (&password, HASH.to_owned(), Some("public"), Malformed),
        (&password, bcrypt("04"), None, MissingPublicPart),
        (&password, bcrypt("04"), Some(""), InvalidPublicPart),
        (
            &password,
            bcrypt("04"),
            Some("with_separator"),
            InvalidPublicPart,
        ),
        (&password, bcrypt("04"), Some("ümlaut"), InvalidPublicPart),
        (&password, bcrypt("31"), Some("public"), Cost),
        (&password, bcrypt("16"), Some("public"), Cost),
        (&password, bcrypt("03"), Some("public"), Malformed),
        (&password, bcrypt("+4"), Some("public"), Malformed),
        (&password, bcrypt("04"), Some(&long), InvalidPublicPart),
        (&prefixed, bcrypt("04"), Some("public"), InvalidPublicPart),
        (
            &password,
            bcrypt("04").replace("2b", "2x"),
            Some("public"),
            Malformed,
        ),
        (&password, argon2("m=4194304,t=1,p=1"), Some("public"), Cost),
        (&password, argon2("m=64,t=1000,p=1"), Some("public"), Cost),
        (&password, argon2("m=64,t=1"), Some("public"), Malformed),
        (
            &password,
            argon2("m=64,t=1,p=2,data=AAAA"),
            Some("public"),
            Malformed,
        ),
        (
            &password,
            "pbkdf2_sha256$5000001$salt$CEeSHOOnfdZidk4ssJAprUYGXqE1J7WXN1EyUFbojMM=".to_owned(),
            Some("public"),
            Cost,
        ),
        (
            &password,
            "pbkdf2_sha256$0$salt$CEeSHOOnfdZidk4ssJAprUYGXqE1J7WXN1EyUFbojMM=".to_owned(),
            Some("public"),
            Malformed,
        ),
        (
            &password,
            "sha512$salt$00".to_owned(),
            Some("public"),
            Malformed,
        ),
    ];
    let library = Library::with(&[]);
    for (format, hash, part, expected) in cases {
        let mut key = key(&hash);
        key.public_part = part.map(str::to_owned);
        match block_on(library.importer(format).import(&key)) {
            Err(ImportError::Hash(error)) => assert_eq!(error, expected, "{hash} {part:?}"),
            other => panic!("{hash} {part:?}: {other:?}"),
        }
    }
}

#[test]
fn digests_are_read_in_three_encodings() {
    let format = ForeignFormat::digest(Digest::Sha256);
    for hash in [
        HASH,
        &HASH.to_uppercase(),
        "iB7Dwr8+nMlbcMUOosMRQbqTY5ncc0vHAcmpsPTB7Zc=",
        "iB7Dwr8+nMlbcMUOosMRQbqTY5ncc0vHAcmpsPTB7Zc",
        "iB7Dwr8-nMlbcMUOosMRQbqTY5ncc0vHAcmpsPTB7Zc",
    ] {
        let library = Library::with(std::slice::from_ref(&format));
        let id = library.import(&format, &key(hash));
        assert_eq!(library.verify(TOKEN).unwrap().id, id, "{hash}");
    }
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
fn a_line_is_rejected_with_the_name_of_its_field_and_none_of_its_content() {
    let secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
    let valid = format!(r#""hash": "{HASH}", "name": "CI", "permissions": ["calls:read"]"#);
    for (line, expected) in [
        (String::new(), "not a JSON object"),
        (format!(r#""{secret}""#), "not a JSON object"),
        (
            format!(r#"{{"{secret}": 1, {valid}}}"#),
            "a member is not a field of a key",
        ),
        (
            format!(r#"{{"secret": "{secret}", {valid}}}"#),
            "secret is not a field of a key",
        ),
        (
            format!(r#"{{{valid}, "expires_at": null, "expires_at": "{secret}"}}"#),
            "expires_at is given twice",
        ),
        (
            format!(r#"{{{valid}, "{secret}": 1, "{secret}": 2}}"#),
            "a member is given twice",
        ),
        (
            format!(r#"{{"hash": "{HASH}", "name": ""}}"#),
            "name: should not be empty",
        ),
        (
            format!(r#"{{"hash": "{HASH}", "name": "CI"}}"#),
            "permissions: missing",
        ),
        (
            r#"{"hash": 7, "name": "CI"}"#.to_owned(),
            "hash: must be a string",
        ),
        (
            format!(r#"{{{valid}, "enabled": "{secret}"}}"#),
            "enabled: must be true or false",
        ),
        (
            format!(r#"{{{valid}, "metadata": "{secret}"}}"#),
            "metadata: must be an object",
        ),
        (
            format!(r#"{{{valid}, "public_part": ["{secret}"]}}"#),
            "public_part: must be a string",
        ),
    ] {
        assert_eq!(
            ForeignKey::parse(&line).unwrap_err().to_string(),
            expected,
            "{line}"
        );
    }
    for field in [
        "owner",
        "environment",
        "created_at",
        "expires_at",
        "allowed_ips",
    ] {
        let value = match field {
            "allowed_ips" => format!(r#"["{secret}"]"#),
            "owner" => format!(r#""{secret}\u0000""#),
            _ => format!(r#""{secret}""#),
        };
        let line = format!(r#"{{{valid}, "{field}": {value}}}"#);
        let message = ForeignKey::parse(&line).unwrap_err().to_string();
        assert!(
            message.starts_with(field) && !message.contains("4eC39"),
            "{message}"
        );
    }
    let line = format!(r#"{{{valid}, "owner": null, "enabled": null}}"#);
    assert_eq!(ForeignKey::parse(&line).unwrap(), {
        let mut expected = key(HASH);
        expected.name = "CI".parse().unwrap();
        expected
    });
}
