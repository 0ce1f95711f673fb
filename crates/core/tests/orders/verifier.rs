//! The cache, and how it is used here.

#[expect(dead_code, reason = "the product's, as it is")]
#[path = "../../src/verifier/cache.rs"]
mod cache;
#[expect(dead_code, reason = "the product's, as it is")]
#[path = "../../src/verifier/known.rs"]
mod known;
mod map;
#[path = "../model/verifier/proof.rs"]
mod proof;

use std::sync::Arc;

pub(crate) use self::cache::Cache;
use self::{
    cache::Entry,
    known::Known,
    proof::{Fingerprint, Proof, TokenMac},
};
use crate::{
    KeyId,
    key::{Key, Status},
    store::Stamp,
    time,
};

impl Cache {
    /// Takes in what was read of a key after a stamp.
    pub(crate) fn take_in(&self, key: Key, stamp: Stamp) {
        let proof = Proof {
            token: TokenMac(0),
            hash: Fingerprint(0),
        };
        let id = key.id;
        let entry = Entry::new(proof, Arc::new(Known::new(key, 1)), false);
        self.fill(id, stamp, entry);
    }

    /// Whether memory says that the key is active.
    pub(crate) fn accepts(&self, id: &KeyId) -> bool {
        let now = time::timestamp();
        let status = self.look_fresh(id, |entry| entry.known.key.status(now));
        status == Some(Status::Active)
    }

    /// Whether anything is known of the key that counts as fresh.
    pub(crate) fn is_fresh(&self, id: &KeyId) -> bool {
        self.look_fresh(id, |_| ()).is_some()
    }
}
