//! The base64 alphabet of hashes. The last character of 32 bytes encodes only four bits.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns all other characters that encode this many bits.
pub(crate) fn others(character: u8, bits: u32) -> Vec<u8> {
    let step = 1 << (6 - bits);
    let all = ALPHABET.iter().step_by(step).copied();
    all.filter(|other| *other != character).collect()
}
