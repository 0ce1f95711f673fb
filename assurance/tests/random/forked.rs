//! Runs work in forked children of this process.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{FromRawFd, OwnedFd},
};

/// The maximum number of children that run concurrently.
const CONCURRENT: usize = 8;

/// Forks this many children, runs the work in each, and returns the lines that they send.
pub(crate) fn in_children(count: usize, work: impl Fn(usize) -> Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let numbers: Vec<usize> = (0..count).collect();
    for numbers in numbers.chunks(CONCURRENT) {
        let children: Vec<_> = numbers
            .iter()
            .map(|&number| Child::fork(|| work(number)))
            .collect();
        for child in children {
            let text = child.wait();
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines
}

/// A child process, and the reading end of its pipe.
struct Child {
    id: libc::pid_t,
    output: File,
}

impl Child {
    #[expect(unsafe_code, reason = "the standard library has no fork")]
    fn fork(work: impl FnOnce() -> Vec<String>) -> Self {
        let mut ends = [0; 2];
        // SAFETY: the array has the required length.
        assert_eq!(
            unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) },
            0
        );
        // SAFETY: both descriptors are new, and nothing else owns them.
        let [output, input] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        // SAFETY: only this thread continues in the child. glibc keeps its allocator usable there.
        // No other thread of this process holds a lock that the work takes: the library and its
        // store are not shared.
        let id = unsafe { libc::fork() };
        assert!(id >= 0, "the fork failed");
        if id == 0 {
            drop(output);
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let sent = done.is_ok_and(|lines| {
                File::from(input)
                    .write_all(lines.join("\n").as_bytes())
                    .is_ok()
            });
            // SAFETY: this ends the child immediately, without the exit handlers of the parent.
            unsafe { libc::_exit(i32::from(!sent)) };
        }
        Self {
            id,
            output: File::from(output),
        }
    }

    /// Waits until the child ends, and returns what it sent.
    #[expect(
        unsafe_code,
        reason = "the standard library cannot wait for a forked child"
    )]
    fn wait(mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        let mut status = 0;
        // SAFETY: the child is ours, and `status` is a valid place for its status.
        let waited = unsafe { libc::waitpid(self.id, &raw mut status, 0) };
        assert_eq!((waited, status), (self.id, 0), "the child failed");
        text
    }
}
