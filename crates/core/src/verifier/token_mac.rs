//! The MAC of a token.

use subtle::ConstantTimeEq;

/// The MAC of a token's secret, which stands for the token in memory. Two tokens with the same id
/// have different MACs.
#[derive(Clone, Copy)]
pub(crate) struct TokenMac([u64; 2]);

impl TokenMac {
    pub(super) const fn new(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// Whether both MACs are of the same token, in constant time.
    pub(super) fn matches(self, other: Self) -> bool {
        let [a, b] = self.0;
        let [c, d] = other.0;
        (a.ct_eq(&c) & b.ct_eq(&d)).into()
    }

    /// Returns the MAC as a key for maps. A map's comparison does not take constant time.
    pub(super) const fn as_words(self) -> [u64; 2] {
        self.0
    }
}
