//! The checksum of a token: CRC-32 (ISO-HDLC, as in zlib) in six base62 characters.
//!
//! It detects typing errors and truncation, and lets secret scanners recognise tokens without false
//! positives. Anyone can compute it, so it does not authenticate a token.

use std::sync::LazyLock;

use crc32fast::Hasher;

use crate::base62;

/// The length, in characters.
pub(crate) const LENGTH: usize = 6;

/// Returns the checksum of the bytes.
pub(crate) fn of(bytes: &[u8]) -> [u8; LENGTH] {
    base62::encode(crc32(bytes))
}

/// Whether `checksum` is the checksum of the bytes.
pub(crate) fn matches(bytes: &[u8], checksum: &[u8; LENGTH]) -> bool {
    base62::decode_six(checksum) == Some(crc32(bytes))
}

fn crc32(bytes: &[u8]) -> u64 {
    // A new hasher examines the processor. A clone does not.
    static EMPTY: LazyLock<Hasher> = LazyLock::new(Hasher::new);
    let mut hasher = EMPTY.clone();
    hasher.update(bytes);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn equals_the_checksum_that_github_uses() {
        let text = b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ";
        assert_eq!(&super::of(text), b"0mLq17");
        assert!(super::matches(text, b"0mLq17"));
        // Another number, one that exceeds 32 bits but ends in the same digits, the largest number
        // of six digits, and two that are not numbers.
        for wrong in [b"0mLq18", b"4yQpz1", b"zzzzzz", b"0mLq1-", b"0mLq1\xff"] {
            assert!(!super::matches(text, wrong));
        }
    }
}
