//! The checksum of a token: CRC-32 (ISO-HDLC, as in zlib) in six base62 characters. It finds typing
//! errors and truncation, and tells scanners what is a token. Anybody can compute it: it is no
//! evidence of anything.

use crate::base62;

/// Length in characters.
pub(crate) const LENGTH: usize = 6;

/// The checksum of everything that stands before it.
pub(crate) fn of(bytes: &[u8]) -> [u8; LENGTH] {
    base62::encode(u64::from(crc32fast::hash(bytes)))
}

/// Whether these characters are the checksum of everything that stands before them.
pub(crate) fn matches(bytes: &[u8], checksum: &[u8; LENGTH]) -> bool {
    base62::decode_six(checksum) == Some(u64::from(crc32fast::hash(bytes)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_the_checksum_that_github_uses() {
        let text = b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ";
        assert_eq!(&super::of(text), b"0mLq17");
        assert!(super::matches(text, b"0mLq17"));
        // One more than 32 bits hold, in the same last digits, and what is no number.
        for wrong in [b"0mLq18", b"4yQpz1", b"zzzzzz", b"0mLq1-", b"0mLq1\xff"] {
            assert!(!super::matches(text, wrong));
        }
    }
}
