//! What the measurement must find.

/// A byte whose `==` the compiler does not know to be that of plain memory, of which it would
/// compare 32 bytes at a time.
struct Byte(u8);

impl PartialEq for Byte {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Compares from the first byte to the first difference.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    let [a, b] = [a, b].map(|bytes| bytes.iter().copied().map(Byte));
    a.eq(b)
}
