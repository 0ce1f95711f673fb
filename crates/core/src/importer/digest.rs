//! Digests of keys to import.

use std::fmt;

use super::{ForeignKey, ImportError, Importer};
use crate::{KeyId, Timestamp, copy::ContentHasher};

/// The digests of a key to import, which take less memory than the key. Compare them to find keys
/// with the same token.
///
/// One of them can be a digest of the token, so `Debug` shows neither.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignKeyDigest {
    /// Equal for two keys with the same token. Only one of them can be imported.
    pub token: [u8; 32],
    /// Equal for two keys with the same token and the same content. After the import of one, the
    /// other is [present](super::Imported::Present).
    pub content: [u8; 32],
}

impl fmt::Debug for ForeignKeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignKeyDigest(..)")
    }
}

impl Importer {
    /// Returns the digests of a key to import.
    ///
    /// # Errors
    ///
    /// [`ImportError`] if the key is invalid.
    pub fn digest(&self, key: &ForeignKey) -> Result<ForeignKeyDigest, ImportError> {
        let (alias, mut record) = self.record(key)?;
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
