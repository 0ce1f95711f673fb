//! The last character of a hash: 32 bytes leave it four bits.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// All characters that differ from this one, and that stand for as many bits.
pub(crate) fn others(character: u8, bits: u32) -> Vec<u8> {
    let step = 1 << (6 - bits);
    let all = ALPHABET.iter().step_by(step).copied();
    all.filter(|other| *other != character).collect()
}
