//! Writes secrets to standard output without leaving copies in memory.

use std::{
    fs::File,
    io::{self, Write, stdout},
    os::fd::AsFd,
};

use zeroize::Zeroizing;

/// Writes a line to standard output.
pub(crate) fn write_line(line: &str) -> io::Result<()> {
    let mut text = Zeroizing::new(Vec::with_capacity(line.len() + 1));
    text.extend_from_slice(line.as_bytes());
    text.push(b'\n');
    write(&text)
}

/// Writes whole lines directly to standard output.
///
/// The buffer of `stdout()` would keep the secret until something else is printed or the program
/// ends.
pub(crate) fn write(lines: &[u8]) -> io::Result<()> {
    File::from(stdout().as_fd().try_clone_to_owned()?).write_all(lines)
}
