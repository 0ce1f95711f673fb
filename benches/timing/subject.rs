//! Keys in a store, one of which has a record that can be corrupted, and tokens that are rejected.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use dudect_bencher::{BenchRng, rand::RngExt};
use futures_executor::block_on;
use keywright_core::{
    Caller, Config, Denied, ForeignKey, Imported, Importer, KeyId, Keywright, MemoryStore, Name,
    NewKey, Permissions, Prefix, Scheme, Secret, VerifyError, Workspace,
    foreign::ForeignFormat,
    store::{Credential, KeyStore, Record, StoredHash, Tag},
};

use crate::base64;

/// The number of characters in a secret.
pub(crate) const CHARACTERS: usize = Secret::LENGTH;

const CHECKSUM: usize = 6;

/// A token of another system, and its SHA-256 as `sha256sum` prints it.
const FOREIGN_TOKEN: &[u8] = b"old_4eC39HqLyjWDarjtT1zdp7dc";
const FOREIGN_HASH: &str = "881ec3c2bf3e9cc95b70c50ea2c31141ba936399dc734bc701c9a9b0f4c1ed97";

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether the keys are cached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    Hot,
    Cold,
}

pub(crate) struct Subject {
    keys: Keywright,
    store: Arc<MemoryStore>,
    tokens: Vec<Vec<u8>>,
    /// The id of the first token's key.
    id: KeyId,
    /// The correct credential of that key.
    credential: Credential,
    version: u64,
    /// Hashes with one wrong character, at the start and at the end.
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
        Self::over(keys, store, tokens, id)
    }

    /// Opens a subject with a key of another system, which is never used.
    pub(crate) fn import() -> Self {
        let format = ForeignFormat::sha256_hex();
        let store = Arc::new(MemoryStore::new());
        let config = Config::new(Prefix::parse("acme").unwrap()).with_foreign(format.clone());
        let keys = block_on(Keywright::open(config, store.clone())).unwrap();
        let workspace = Workspace::parse("default").unwrap();
        let importer = Importer::new(keys.issuer().clone(), workspace, format);
        let name = Name::parse("timing").unwrap();
        let key = ForeignKey::new(FOREIGN_HASH, name, Permissions::all());
        let imported = block_on(importer.import(&key)).unwrap();
        let (Imported::New(id) | Imported::Present(id)) = imported;
        Self::over(keys, store, vec![FOREIGN_TOKEN.to_vec()], id)
    }

    fn over(keys: Keywright, store: Arc<MemoryStore>, tokens: Vec<Vec<u8>>, id: KeyId) -> Self {
        let Record {
            credential,
            version,
            ..
        } = block_on(store.find(&id)).unwrap().unwrap();
        let text = credential.hash.to_string();
        let first = text.rfind('$').unwrap() + 1;
        let last = text.trim_end_matches('=').len() - 1;
        let wrong_hashes = [(first, 6), (last, 4)].map(|(index, bits)| {
            let others = base64::others(text.as_bytes()[index], bits);
            let wrong = others.into_iter().map(|other| {
                let mut wrong = text.clone();
                wrong.replace_range(index..=index, char::from(other).encode_utf8(&mut [0; 4]));
                StoredHash::parse(&wrong).unwrap()
            });
            // The same number for both positions.
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

    /// Returns the correct token of the key whose record can be corrupted.
    pub(crate) fn token(&self) -> Vec<u8> {
        self.tokens[0].clone()
    }

    /// Returns the token of a random key, and a copy with one wrong character in the secret and a
    /// matching checksum.
    ///
    /// The time to parse a token depends on its characters, which the sender knows anyway. So each
    /// class must contain many different tokens.
    pub(crate) fn wrong_token(&self, index: usize, rng: &mut BenchRng) -> (&[u8], Vec<u8>) {
        let right = &self.tokens[rng.random_range(0..self.tokens.len())];
        let mut token = right.clone();
        let end = token.len() - CHECKSUM;
        let index = end - CHARACTERS + index;
        while token[index] == right[index] {
            token[index] = BASE62[rng.random_range(0..BASE62.len())];
        }
        let mut checksum = crc32fast::hash(&token[..end]) as usize;
        for index in token[end..].iter_mut().rev() {
            *index = BASE62[checksum % BASE62.len()];
            checksum /= BASE62.len();
        }
        // Copy the token in one piece. Data that was written byte by byte is read at a different
        // speed.
        (right, token.clone())
    }

    /// Replaces the tag with a tag that has a wrong byte.
    pub(crate) fn corrupt_tag(&mut self, index: usize, rng: &mut BenchRng) {
        let mut tag = *self.credential.tag.as_bytes();
        tag[index] ^= rng.random_range(1..=255);
        let hash = self.credential.hash.clone();
        self.replace(&Credential::new(hash, Tag::from_bytes(tag)));
    }

    /// Replaces the hash with a hash whose first or last byte is wrong.
    pub(crate) fn corrupt_hash(&mut self, index: usize, rng: &mut BenchRng) {
        let wrong = &self.wrong_hashes[usize::from(index > 0)];
        let wrong = wrong[rng.random_range(0..wrong.len())].clone();
        self.replace(&Credential::new(wrong, self.credential.tag));
    }

    fn replace(&mut self, credential: &Credential) {
        block_on(self.store.rehash(&self.id, self.version, credential)).unwrap();
        self.version += 1;
    }

    /// Verifies a token whose secret is wrong.
    #[inline(never)]
    pub(crate) fn rejects(&self, token: &[u8]) {
        let mut verification = pin!(self.keys.verifier().verify(token));
        let outcome = match verification
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(outcome) => outcome,
            // Argon2 runs on a separate thread.
            Poll::Pending => block_on(verification),
        };
        assert!(matches!(
            outcome,
            Err(VerifyError::Denied(Denied::WrongSecret(_)))
        ));
    }
}
