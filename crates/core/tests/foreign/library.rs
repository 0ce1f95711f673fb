//! A library that accepts the tokens of some formats, and keys to import.

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Caller, Config, Denied, ForeignKey, Imported, Importer, Key, KeyId, Keywright, MemoryStore,
    Prefix, Scheme, VerifyError, Workspace,
    foreign::ForeignFormat,
    store::{KeyStore, Record, StoredHash},
};

/// A library that accepts the tokens of some formats, over a store.
pub(crate) struct Library {
    pub(crate) keys: Keywright,
    pub(crate) store: Arc<MemoryStore>,
}

impl Library {
    pub(crate) fn with(formats: &[ForeignFormat]) -> Self {
        Self::over(Arc::new(MemoryStore::new()), formats)
    }

    pub(crate) fn over(store: Arc<MemoryStore>, formats: &[ForeignFormat]) -> Self {
        let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
        let config = formats.iter().cloned().fold(config, Config::with_foreign);
        let keys = block_on(Keywright::open(config, Arc::clone(&store) as _)).unwrap();
        Self { keys, store }
    }

    pub(crate) fn importer(&self, format: &ForeignFormat) -> Importer {
        let issuer = self.keys.issuer().clone();
        Importer::new(issuer, workspace(), format.clone())
    }

    /// Imports a key that must be new, and returns its id.
    pub(crate) fn import(&self, format: &ForeignFormat, key: &ForeignKey) -> KeyId {
        match block_on(self.importer(format).import(key)).unwrap() {
            Imported::New(id) => id,
            Imported::Present(id) => panic!("{id} is present"),
        }
    }

    pub(crate) fn verify(&self, token: &str) -> Result<Key, Denied> {
        match block_on(self.keys.verifier().verify(token.as_bytes())) {
            Ok(verified) => Ok(verified.key().clone()),
            Err(VerifyError::Denied(denied)) => Err(denied),
            Err(VerifyError::Undecided(undecided)) => panic!("{undecided:?}"),
        }
    }

    pub(crate) fn record(&self, id: &KeyId) -> Record {
        block_on(self.store.find(id)).unwrap().unwrap()
    }

    /// Waits until the hash of a key is one of this library's.
    pub(crate) fn wait_for_upgrade(&self, id: &KeyId) -> Record {
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

pub(crate) fn workspace() -> Workspace {
    Workspace::parse("default").unwrap()
}

pub(crate) fn operator() -> Caller {
    Caller::operator(workspace())
}

pub(crate) fn key(hash: &str) -> ForeignKey {
    let permissions = "calls:read".parse().unwrap();
    ForeignKey::new(hash, "Imported".parse().unwrap(), permissions)
}

pub(crate) fn with_public_part(hash: &str, part: &str) -> ForeignKey {
    let mut key = key(hash);
    key.public_part = Some(part.to_owned());
    key
}

pub(crate) const TOKEN: &str = "old_4eC39HqLyjWDarjtT1zdp7dc";

/// The SHA-256 of [`TOKEN`], as `sha256sum` of GNU coreutils prints it.
pub(crate) const HASH: &str = "881ec3c2bf3e9cc95b70c50ea2c31141ba936399dc734bc701c9a9b0f4c1ed97";
