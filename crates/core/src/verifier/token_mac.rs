//! What stands for a token in memory.

use subtle::ConstantTimeEq;

/// The MAC of a token's secret. Two tokens of one id have different ones.
#[derive(Clone, Copy)]
pub(crate) struct TokenMac([u64; 2]);

impl TokenMac {
    pub(super) const fn new(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// Whether both are of one token, in constant time.
    pub(super) fn matches(self, other: Self) -> bool {
        let [a, b] = self.0;
        let [c, d] = other.0;
        (a.ct_eq(&c) & b.ct_eq(&d)).into()
    }

    /// For maps of what is being proven; it takes a time that depends on what else is.
    pub(super) const fn as_words(self) -> [u64; 2] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_of_a_token_only_as_a_whole() {
        let mac = TokenMac::new([1, 2]);
        assert_eq!(mac.as_words(), [1, 2]);
        assert!(mac.matches(TokenMac::new([1, 2])));
        for other in [[1, 3], [3, 2], [2, 1]] {
            assert!(!mac.matches(TokenMac::new(other)), "{other:?}");
        }
    }
}
