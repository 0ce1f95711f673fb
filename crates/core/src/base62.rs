//! Base62 encoding with the digits `0-9A-Za-z`. Their order is also their order in ASCII.

use zeroize::Zeroizing;

/// The number of digits.
pub(crate) const RADIX: u8 = 62;

/// Returns the character of a digit below [`RADIX`]. It takes the same time for every digit,
/// without a branch or a table, because it encodes secrets.
pub(crate) const fn character(digit: u8) -> u8 {
    const FROM_DIGITS_TO_UPPER: u8 = b'A' - b'0' - 10;
    const FROM_UPPER_TO_LOWER: u8 = b'a' - b'A' - 26;
    b'0' + digit
        + FROM_DIGITS_TO_UPPER * (digit >= 10) as u8
        + FROM_UPPER_TO_LOWER * (digit >= 36) as u8
}

/// Returns the value of a character. `None` if it is not base62.
pub(crate) const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'A'..=b'Z' => Some(character - b'A' + 10),
        b'a'..=b'z' => Some(character - b'a' + 36),
        _ => None,
    }
}

/// Whether every byte is a base62 character. It does not branch on each byte: a processor predicts
/// branches from earlier ones, so it would check a secret faster if the secret begins like one that
/// it has already checked.
pub(crate) fn is_base62<const N: usize>(bytes: &[u8; N]) -> bool {
    is_base62_where(bytes, |_| true)
}

/// Whether every byte whose index is selected is a base62 character. Like [`is_base62`], it does
/// not branch on each byte.
#[inline]
pub(crate) fn is_base62_where<const N: usize>(
    bytes: &[u8; N],
    is_selected: impl Fn(usize) -> bool,
) -> bool {
    let is_between = |byte: u8, from: u8, count: u8| byte.wrapping_sub(from) < count;
    bytes.iter().enumerate().fold(true, |all, (index, &byte)| {
        let is_letter = is_between(byte | 0x20, b'a', 26);
        all & (is_between(byte, b'0', 10) | is_letter | !is_selected(index))
    })
}

/// Encodes `value` big-endian, padded on the left with `0`. Drops leading digits that do not fit.
pub(crate) fn encode<const N: usize>(mut value: u64) -> [u8; N] {
    let mut out = [b'0'; N];
    for target in out.iter_mut().rev() {
        let [digit, ..] = (value % u64::from(RADIX)).to_le_bytes();
        *target = character(digit);
        value /= u64::from(RADIX);
    }
    out
}

/// Encodes a number of 256 bits big-endian. It takes the same time for every number, because it
/// encodes secrets.
pub(crate) fn encode_256(mut number: Zeroizing<[u8; 32]>) -> Zeroizing<[u8; 43]> {
    let mut out = Zeroizing::new([0; 43]);
    for target in out.iter_mut().rev() {
        let mut rest: u16 = 0;
        for byte in number.iter_mut() {
            let value = rest << 8 | u16::from(*byte);
            [*byte, _] = (value / u16::from(RADIX)).to_le_bytes();
            rest = value % u16::from(RADIX);
        }
        let [digit, _] = rest.to_le_bytes();
        *target = character(digit);
    }
    out
}

/// The value of each byte according to [`digit`], or [`NO_DIGIT`]. Only for public characters: the
/// time that a table access takes depends on its index.
#[expect(clippy::indexing_slicing, reason = "a character is below 256")]
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < RADIX {
        digits[character(value) as usize] = value;
        value += 1;
    }
    digits
};

const NO_DIGIT: u8 = 0xff;

/// Decodes a big-endian number of six public characters. `None` if a character is not base62.
pub(crate) fn decode_six(characters: &[u8; 6]) -> Option<u64> {
    let mut value = 0;
    let mut bits = 0;
    for &character in characters {
        #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
        let digit = DIGITS[usize::from(character)];
        bits |= digit;
        value = value * u64::from(RADIX) + u64::from(digit);
    }
    // Digits are below 64, so only `NO_DIGIT` sets all eight bits.
    (bits != NO_DIGIT).then_some(value)
}

/// Decodes a big-endian number. `None` if a character is not base62 or on overflow.
pub(crate) fn decode(characters: &[u8]) -> Option<u64> {
    characters.iter().try_fold(0u64, |value, &character| {
        value
            .checked_mul(u64::from(RADIX))?
            .checked_add(u64::from(digit(character)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_ascii_letters_and_digits_are_base62() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_base62(&[b'0', byte]), byte.is_ascii_alphanumeric());
        }
    }

    #[test]
    fn digits_and_characters_are_one_to_one_and_in_ascii_order() {
        let all: Vec<u8> = (0..RADIX).map(character).collect();
        assert!(all.is_sorted());
        for (value, &c) in (0..RADIX).zip(&all) {
            assert_eq!(digit(c), Some(value));
        }
        assert_eq!((0..=255).filter_map(digit).count(), 62);
        for byte in 0..=255 {
            let number = decode_six(&[b'0', b'0', byte, b'0', b'0', b'0']);
            assert_eq!(
                number,
                digit(byte).map(|digit| u64::from(digit) * 62 * 62 * 62)
            );
        }
        assert_eq!(decode_six(b"zzzzzz"), Some(62u64.pow(6) - 1));
    }

    #[test]
    fn numbers_are_padded_on_the_left() {
        assert_eq!(&encode::<6>(0), b"000000");
        assert_eq!(&encode::<6>(61), b"00000z");
        assert_eq!(&encode::<6>(62), b"000010");
        assert_eq!(decode(b"000010"), Some(62));
        assert_eq!(decode(b"zzzzzzzzzzzz"), None);
        assert_eq!(decode(b"00-0"), None);
    }
}
