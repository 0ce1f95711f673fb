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
