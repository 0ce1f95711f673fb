//! What the system allows of files: how many may be open, each connection being one, and how long they
//! may become.

use std::io;

use rustix::process::{self, Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Asks the system for so many, and tells how many it allows. Many give 256 or 1024 to who does not
/// ask, and more to who does.
pub(crate) fn ask_for(wanted: u64) -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let most = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        limit.current = Some(most);
        // What is refused is done without.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(wanted)
}

/// From here on a file that becomes longer than the system allows fails the write, as a full disk does. The
/// signal that comes with it would end the process.
pub(crate) fn outlive_limit() -> io::Result<Signal> {
    signal(SignalKind::from_raw(process::Signal::XFSZ.as_raw()))
}
