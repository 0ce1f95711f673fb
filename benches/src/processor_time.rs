//! The time that a process runs on a processor.

use std::{fs, time::Duration};

/// Returns the time that the threads of a process have run on a processor.
///
/// # Panics
///
/// If the process has ended, or if the system is not Linux.
#[must_use]
pub fn processor_time(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let nanos = threads.map(|thread| {
        let path = thread.expect("an entry").path().join("schedstat");
        // A thread that has ended has no file.
        let schedstat = fs::read_to_string(path).unwrap_or_default();
        let nanos = schedstat.split(' ').next().unwrap_or_default();
        nanos.parse::<u64>().unwrap_or_default()
    });
    Duration::from_nanos(nanos.sum())
}
