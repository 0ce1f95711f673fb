//! Tokens with the hashes that the original software keeps of them.

use std::sync::Arc;

use keywright_core::foreign::{Digest, ForeignFormat, HashedPart};

use crate::library::{HASH, Library, TOKEN, key};

/// A format, a token, the hash that the other system keeps, and a public part if it keeps one.
pub(crate) type KnownAnswer = (
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
pub(crate) fn passwords() -> Vec<KnownAnswer> {
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
