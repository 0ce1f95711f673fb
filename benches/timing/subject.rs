//! Keys in a store, of which one's record can be spoilt, and tokens that are refused.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use dudect_bencher::{BenchRng, rand::RngExt};
use futures_executor::block_on;
use keywright_core::{
    Caller, Config, Credential, Denied, KeyId, KeyStore, Keywright, MemoryStore, Name, NewKey,
    Permissions, Prefix, Record, Scheme, Secret, StoredHash, Tag, VerifyError, Workspace,
};

use crate::base64;

/// Number of characters of a secret.
pub(crate) const CHARACTERS: usize = Secret::LENGTH;

const CHECKSUM: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether the keys were verified before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    Hot,
    Cold,
}

pub(crate) struct Subject {
    keys: Keywright,
    store: Arc<MemoryStore>,
    tokens: Vec<Vec<u8>>,
    /// The key of the first token.
    id: KeyId,
    /// Its right one.
    credential: Credential,
    version: u64,
    /// The hash with one wrong character, at its start and at its end.
    wrong_hashes: [Vec<StoredHash>; 2],
}

impl Subject {
    pub(crate) fn open(scheme: Scheme, count: usize, cache: Cache) -> Self {
        let store = Arc::new(MemoryStore::new());
        let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(scheme);
        let keys = block_on(Keywright::open(config, store.clone())).unwrap();
        let operator = Caller::new(Workspace::parse("default").unwrap(), Permissions::all());
        let new = NewKey::new(Name::parse("timing").unwrap());
        let issued: Vec<_> = (0..count)
            .map(|_| block_on(keys.issuer().create(&operator, new.clone())).unwrap())
            .collect();
        let id = issued[0].key.id;
        let tokens: Vec<_> = issued
            .iter()
            .map(|issued| issued.token.expose().as_bytes().to_vec())
            .collect();
        if cache == Cache::Hot {
            for token in &tokens {
                block_on(keys.verifier().verify(token)).unwrap();
            }
        }
        let Record {
            credential,
            version,
            ..
        } = block_on(store.find(&id)).unwrap().unwrap();
        let text = credential.hash.to_string();
        let first = text.rfind('$').unwrap() + 1;
        let wrong_hashes = [(first, 6), (text.len() - 1, 4)].map(|(place, bits)| {
            let others = base64::others(text.as_bytes()[place], bits);
            let wrong = others.into_iter().map(|other| {
                let mut wrong = text.clone();
                wrong.replace_range(place..=place, char::from(other).encode_utf8(&mut [0; 4]));
                StoredHash::parse(&wrong).unwrap()
            });
            // As many of either.
            wrong.take(15).collect()
        });
        Self {
            keys,
            store,
            tokens,
            id,
            credential,
            version,
            wrong_hashes,
        }
    }

    /// The right token of the key whose record can be spoilt.
    pub(crate) fn token(&self) -> Vec<u8> {
        self.tokens[0].clone()
    }

    /// A token, and the same with another character in that place of its secret and the checksum of
    /// that. It is one of many: what a token looks like has a time of its own to be read, which who
    /// presents it knows, and so each class must hold tokens of every look.
    pub(crate) fn wrong_token(&self, place: usize, rng: &mut BenchRng) -> (&[u8], Vec<u8>) {
        let right = &self.tokens[rng.random_range(0..self.tokens.len())];
        let mut token = right.clone();
        let end = token.len() - CHECKSUM;
        let place = end - CHARACTERS + place;
        while token[place] == right[place] {
            token[place] = BASE62[rng.random_range(0..BASE62.len())];
        }
        let mut checksum = crc32fast::hash(&token[..end]) as usize;
        for place in token[end..].iter_mut().rev() {
            *place = BASE62[checksum % BASE62.len()];
            checksum /= BASE62.len();
        }
        // A copy, made as a whole: what was written byte by byte would be read at another speed.
        (right, token.clone())
    }

    /// Puts a tag with one wrong byte in the place of the right one.
    pub(crate) fn spoil_tag(&mut self, place: usize, rng: &mut BenchRng) {
        let mut tag = *self.credential.tag.as_bytes();
        tag[place] ^= rng.random_range(1..=255);
        let hash = self.credential.hash.clone();
        self.replace(&Credential::new(hash, Tag::from_bytes(tag)));
    }

    /// Puts a hash with one wrong byte, the first or the last, in the place of the right one.
    pub(crate) fn spoil_hash(&mut self, place: usize, rng: &mut BenchRng) {
        let wrong = &self.wrong_hashes[usize::from(place > 0)];
        let wrong = wrong[rng.random_range(0..wrong.len())].clone();
        self.replace(&Credential::new(wrong, self.credential.tag));
    }

    fn replace(&mut self, credential: &Credential) {
        block_on(self.store.rehash(&self.id, self.version, credential)).unwrap();
        self.version += 1;
    }

    /// Verifies a token whose secret is wrong.
    #[inline(never)]
    pub(crate) fn refuses(&self, token: &[u8]) {
        let mut verification = pin!(self.keys.verifier().verify(token));
        let outcome = match verification
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(outcome) => outcome,
            // Argon2 runs on a thread of its own.
            Poll::Pending => block_on(verification),
        };
        assert!(matches!(
            outcome,
            Err(VerifyError::Denied(Denied::WrongSecret(_)))
        ));
    }
}
