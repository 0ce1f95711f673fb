//! Standard output for what must not stay in memory.

use std::{
    fs::File,
    io::{self, Write, stdout},
    os::fd::AsFd,
};

use zeroize::Zeroizing;

/// Prints a line past the buffer of standard output, in which it would stay until something else is
/// printed or the program ends.
pub(crate) fn write_line(line: &str) -> io::Result<()> {
    let mut text = Zeroizing::new(Vec::with_capacity(line.len() + 1));
    text.extend_from_slice(line.as_bytes());
    text.push(b'\n');
    File::from(stdout().as_fd().try_clone_to_owned()?).write_all(&text)
}
