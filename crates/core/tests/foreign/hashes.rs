//! The hashes that an import accepts and rejects.

use futures_executor::block_on;
use keywright_core::{
    ImportError,
    foreign::{Digest, ForeignFormat, ForeignHashError},
};

use crate::library::{HASH, Library, TOKEN, key};

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
