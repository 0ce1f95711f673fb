//! Tokens and hashes that are told apart without any cryptography.

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenMac(pub(crate) u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fingerprint(pub(crate) u64);

impl TokenMac {
    pub(super) fn matches(self, other: Self) -> bool {
        self == other
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Proof {
    pub(super) token: TokenMac,
    pub(super) hash: Fingerprint,
}
