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

#[cfg(test)]
mod tests {
    #[test]
    fn is_the_checksum_that_github_uses() {
        assert_eq!(&super::of(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"), b"0mLq17");
    }
}
