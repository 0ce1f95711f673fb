//! How many files the process may have open: each connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};

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
