//! Work in forked children of this process.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{FromRawFd, OwnedFd},
};

/// How many children run at a time.
const AT_ONCE: usize = 8;

/// Forks so many children, each of which does some work and sends back its lines.
pub(crate) fn in_children(count: usize, work: impl Fn(usize) -> Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let numbers: Vec<usize> = (0..count).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let children: Vec<_> = numbers
            .iter()
            .map(|&number| Child::fork(|| work(number)))
            .collect();
        for child in children {
            let text = child.end();
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines
}

/// A child, and the end of the pipe where its lines come out.
struct Child {
    id: libc::pid_t,
    output: File,
}

impl Child {
    #[expect(unsafe_code, reason = "the standard library does not fork")]
    fn fork(work: impl FnOnce() -> Vec<String>) -> Self {
        let mut ends = [0; 2];
        // SAFETY: the array is as long as the call demands.
        assert_eq!(
            unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) },
            0
        );
        // SAFETY: both were just made, and nobody else has them.
        let [output, input] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        // SAFETY: in the child only this thread goes on. glibc makes its allocator usable there, and what
        // the work locks (the store of nobody else, its own tables) no other thread of this process holds.
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
            // SAFETY: it ends the child at once, without what the parent still has to do.
            unsafe { libc::_exit(i32::from(!sent)) };
        }
        Self {
            id,
            output: File::from(output),
        }
    }

    /// Waits for its end; what it has sent.
    #[expect(
        unsafe_code,
        reason = "the standard library does not wait for a fork of ours"
    )]
    fn end(mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        let mut status = 0;
        // SAFETY: the child is ours, and the status is written to an integer of its own.
        let waited = unsafe { libc::waitpid(self.id, &raw mut status, 0) };
        assert_eq!((waited, status), (self.id, 0), "the child failed");
        text
    }
}
