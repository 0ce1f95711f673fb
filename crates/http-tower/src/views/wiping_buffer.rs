//! A growable buffer for a text with a secret in it.

use std::io::{self, Write};

use zeroize::Zeroizing;

/// The initial capacity of a buffer, in bytes. Most responses with a secret fit, so that they are
/// not copied.
const INITIAL_CAPACITY: usize = 1024;

/// A growable byte buffer that leaves no bytes in freed memory: it wipes its memory on drop, and
/// wipes the old memory when it grows.
pub(super) struct WipingBuffer(Zeroizing<Vec<u8>>);

impl WipingBuffer {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(INITIAL_CAPACITY)))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Makes room for `additional` bytes. `Vec` would free its old memory without wiping it, so
    /// this copies the bytes into a larger vector and drops the old one, which wipes it.
    fn reserve(&mut self, additional: usize) {
        let needed = self.0.len().saturating_add(additional);
        if needed > self.0.capacity() {
            let capacity = needed.max(self.0.capacity().saturating_mul(2));
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
    }
}

impl Write for WipingBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept_in_order_however_often_the_buffer_grows() {
        let mut buffer = WipingBuffer::new();
        let mut expected = Vec::new();
        for length in [1, INITIAL_CAPACITY - 1, 1, 0, 3, 5 * INITIAL_CAPACITY, 7] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            buffer.write_all(&bytes).unwrap();
            expected.extend(bytes);
            assert_eq!(buffer.as_slice(), expected);
        }
    }

    #[test]
    fn the_vector_never_grows_by_itself() {
        let mut buffer = WipingBuffer::new();
        for _ in 0..10 * INITIAL_CAPACITY {
            // `extend_from_slice` reallocates only if the capacity is too small.
            buffer.reserve(1);
            assert!(buffer.0.len() < buffer.0.capacity());
            buffer.write_all(b"x").unwrap();
        }
    }
}
