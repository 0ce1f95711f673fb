//! A comparison with a timing leak, which the measurement must detect.

/// A byte with its own `==`. The compiler would compare 32 plain bytes at a time.
struct Byte(u8);

impl PartialEq for Byte {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Compares byte by byte, and stops at the first difference.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    let [a, b] = [a, b].map(|bytes| bytes.iter().copied().map(Byte));
    a.eq(b)
}
