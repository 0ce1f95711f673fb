//! Digests of keys to import.

use super::{ForeignKey, ImportError, Importer};
use crate::{KeyId, Timestamp, copy::ContentHasher};

/// A digest of a key to import, which takes less memory than the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ForeignKeyDigest {
    /// The same for two keys with one token, of which only the first can be imported.
    pub token: [u8; 32],
    /// The same for two keys with the same token and the same content, of which the second is
    /// [present](super::Imported::Present) after the import of the first.
    pub content: [u8; 32],
}

impl Importer {
    /// Returns the digests of a key to import.
    ///
    /// # Errors
    ///
    /// [`ImportError`] if the key is invalid.
    pub fn digest(&self, key: &ForeignKey) -> Result<ForeignKeyDigest, ImportError> {
        let (alias, hash) = self.format.import(&key.hash, key.public_part.as_deref())?;
        let mut record = self.record(key, alias, hash)?;
        // Remove what depends on the time of the import. No key was created at the maximum time.
        record.key.id = KeyId::first_at(key.created_at.unwrap_or(Timestamp::MAX));
        record.key.expires_at = self.requested_expiry(key);
        let mut content = ContentHasher::new();
        content.add_record(&record);
        Ok(ForeignKeyDigest {
            token: *alias.as_bytes(),
            content: *content.finish().as_bytes(),
        })
    }
}
