//! The resource limits of the process: the number of open files, and the size of a file.

use std::io;

use rustix::process::{self, Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Raises the limit of open files to `wanted` if the system allows it, and returns the limit.
///
/// Many systems set a soft limit of 256 or 1024, below the hard limit.
pub(crate) fn raise_open_files(wanted: u64) -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        limit.current = Some(allowed);
        // If this fails, the current limit stays in force.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(wanted)
}

/// Makes a write beyond the file-size limit fail, like a write to a full disk.
///
/// By default, SIGXFSZ ends the process. Keep the returned handle for as long as the program runs.
pub(crate) fn ignore_file_size_signal() -> io::Result<Signal> {
    signal(SignalKind::from_raw(process::Signal::XFSZ.as_raw()))
}
