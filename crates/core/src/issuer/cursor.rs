//! Cursors of lists.

use sha2::{Digest, Sha256};

use crate::{KeyId, base62};

/// The number of characters of a cursor that identify its list.
const DIGEST_LENGTH: usize = 11;

/// Writes a cursor: the id of the last item on the page, followed by a digest of the filter and the
/// id. The digest is not a secret and authenticates nothing. It lets a client notice that it used a
/// cursor with another list.
pub(super) fn write(last: &[u8; KeyId::LENGTH], filter: &[u8; 32]) -> String {
    last.iter()
        .chain(&digest(last, filter))
        .copied()
        .map(char::from)
        .collect()
}

/// Reads the id in a cursor. `None` if the cursor does not belong to the list.
pub(super) fn read(text: &str, filter: &[u8; 32]) -> Option<[u8; KeyId::LENGTH]> {
    let (id, digest_of_list) = text.as_bytes().split_last_chunk::<DIGEST_LENGTH>()?;
    let id = id.try_into().ok()?;
    (digest(&id, filter) == *digest_of_list).then_some(id)
}

fn digest(id: &[u8; KeyId::LENGTH], filter: &[u8; 32]) -> [u8; DIGEST_LENGTH] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(filter)
        .chain_update(id)
        .finalize()
        .into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    base62::encode(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}
