//! The presets against the algorithms that the documentation of the original software describes.

use std::{fmt::Write as _, sync::Arc};

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use futures_executor::block_on;
use keywright_core::{
    Config, Denied, ForeignKey, Imported, Importer, Keywright, MemoryStore, Prefix, Scheme,
    VerifyError, Workspace, foreign::ForeignFormat,
};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256, Sha512};

/// The hash that the original software keeps, and the public part if it finds keys by one.
type Kept = (String, Option<String>);

/// A preset, and the original algorithm. It returns `None` for a token that it rejects.
type Preset = (fn() -> ForeignFormat, fn(&str) -> Option<Kept>);

const PRESETS: [Preset; 6] = [
    (ForeignFormat::unkey, |token| {
        Some((Base64::encode_string(&Sha256::digest(token)), None))
    }),
    (ForeignFormat::better_auth, |token| {
        let digest = Sha256::digest(token);
        Some((Base64UrlUnpadded::encode_string(&digest), None))
    }),
    (ForeignFormat::sha256_hex, |token| {
        Some((hex(&Sha256::digest(token)), None))
    }),
    // The original also compares the id, which is public.
    (ForeignFormat::sanctum, |token| {
        let (_, secret) = token.split_once('|')?;
        (!secret.is_empty()).then(|| (hex(&Sha256::digest(secret)), None))
    }),
    // The original also compares the short token, which is public.
    (ForeignFormat::prefixed_api_key, |token| {
        let (_, long) = token.rsplit_once('_')?;
        (!long.is_empty()).then(|| (hex(&Sha256::digest(long)), None))
    }),
    (ForeignFormat::drf_api_key, |token| {
        let (prefix, secret) = token.split_once('.')?;
        let hash = format!("sha512$${}", hex(&Sha512::digest(token)));
        let is_whole = !prefix.is_empty() && !secret.is_empty();
        is_whole.then(|| (hash, Some(prefix.to_owned())))
    }),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A token with a separator of each preset.
fn token() -> impl Strategy<Value = String> {
    "[0-9a-z]{1,4}[|._][0-9A-Za-z|._]{1,12}"
}

/// A token, and the same or one that differs in one place.
fn pair() -> impl Strategy<Value = (String, String)> {
    (token(), any::<prop::sample::Index>(), "[0-9a|._]?").prop_map(|(token, place, text)| {
        let place = place.index(token.len());
        let other = [&token[..place], &text, &token[place + 1..]].concat();
        (token, other)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_preset_accepts_a_token_exactly_if_the_original_software_does(
        (issued, presented) in pair(),
        preset in 0..PRESETS.len(),
    ) {
        let (format, original) = PRESETS.get(preset).unwrap();
        let Some(kept) = original(&issued) else {
            return Ok(());
        };
        let config = Config::new(Prefix::parse("acme").unwrap())
            .with_scheme(Scheme::HmacSha256)
            .with_foreign(format());
        let keys = block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap();
        let workspace = Workspace::parse("default").unwrap();
        let importer = Importer::new(keys.issuer().clone(), workspace, format());
        let permissions = "calls:read".parse().unwrap();
        let mut key = ForeignKey::new(kept.0.clone(), "n".parse().unwrap(), permissions);
        key.public_part = kept.1.clone();
        let Imported::New(id) = block_on(importer.import(&key)).unwrap() else {
            panic!("the key is present");
        };
        let verify = |token: &str| match block_on(keys.verifier().verify(token.as_bytes())) {
            Ok(verified) => Some(verified.key().id),
            Err(VerifyError::Denied(Denied::Revoked(_) | Denied::Expired(_))) => unreachable!(),
            Err(VerifyError::Denied(_)) => None,
            Err(VerifyError::Undecided(undecided)) => panic!("{undecided:?}"),
        };
        let is_accepted = original(&presented) == Some(kept);
        let expected = is_accepted.then_some(id);
        // Before the first use, from the cache, and with the hash that replaces the imported one.
        prop_assert_eq!(verify(&presented), expected);
        prop_assert_eq!(verify(&issued), Some(id));
        prop_assert_eq!(verify(&presented), expected);
        prop_assert_eq!(verify(&issued), Some(id));
    }
}
