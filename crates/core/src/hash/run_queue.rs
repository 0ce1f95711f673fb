//! The queue in front of the Argon2 threads, which shares them fairly between workspaces and
//! between verifications and new hashes.

use crate::{Workspace, store};

/// The number of verifications that may overtake the next new hash. So a core that is always busy
/// gives new hashes at least every fifth run.
const MAX_OVERTAKING: u32 = 4;

/// The maximum number of new hashes that wait.
///
/// If a client gives up during the run for its new key, the run was useless. A short queue makes
/// this rare. The result of a verification is kept, so its queue can be long.
const MAX_NEW_HASHES: usize = 256;

/// The purpose of a run of Argon2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// To verify a presented secret against a stored hash.
    Verification,
    /// To hash the secret of a new key, or to replace a hash.
    NewHash,
    /// To check a hash after a tag has proven the secret. No caller waits for it.
    Check,
}

/// The runs that wait. Each purpose has separate places, so none can take another's.
pub(super) struct RunQueue<T> {
    verifications: FairQueue<T>,
    new_hashes: FairQueue<T>,
    checks: FairQueue<T>,
    /// The number of verifications taken since a new hash became next.
    overtaking: u32,
}

impl<T> RunQueue<T> {
    /// Creates a queue with `capacity` places for verifications, as many for new hashes, up to
    /// [`MAX_NEW_HASHES`], and `checks` places for checks.
    pub(super) fn new(capacity: usize, checks: usize) -> Self {
        Self {
            verifications: FairQueue::new(capacity),
            new_hashes: FairQueue::new(capacity.min(MAX_NEW_HASHES)),
            checks: FairQueue::new(checks),
            overtaking: 0,
        }
    }

    const fn of(&mut self, purpose: Purpose) -> &mut FairQueue<T> {
        match purpose {
            Purpose::Verification => &mut self.verifications,
            Purpose::NewHash => &mut self.new_hashes,
            Purpose::Check => &mut self.checks,
        }
    }

    /// Queues a run. Returns the run that the full queue rejects: this one or another.
    #[must_use]
    pub(super) fn push(&mut self, purpose: Purpose, workspace: Workspace, run: T) -> Option<T> {
        self.of(purpose).push(workspace, run)
    }

    /// Removes all checks, and their places.
    pub(super) fn take_checks(&mut self) -> impl Sized + use<T> {
        std::mem::replace(&mut self.checks, FairQueue::new(0))
    }

    /// Takes the next check.
    pub(super) fn pop_check(&mut self) -> Option<T> {
        self.checks.pop()
    }

    /// Takes the next run that a caller waits for.
    pub(super) fn pop_awaited(&mut self) -> Option<T> {
        if self.new_hashes.0.is_empty() {
            self.overtaking = 0;
            return self.verifications.pop();
        }
        if self.overtaking < MAX_OVERTAKING
            && let Some(run) = self.verifications.pop()
        {
            self.overtaking += 1;
            return Some(run);
        }
        self.overtaking = 0;
        self.new_hashes.pop()
    }

    /// Returns the number of runs that wait for this purpose.
    pub(super) fn waiting(&self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::Verification => self.verifications.0.len(),
            Purpose::NewHash => self.new_hashes.0.len(),
            Purpose::Check => self.checks.0.len(),
        }
    }
}

/// A bounded queue that serves workspaces in turn.
///
/// One workspace may use all places while no other needs them. If the queue is full, a run of
/// another workspace takes the place of the newest run of the workspace with the most.
struct FairQueue<T>(store::FairQueue<T>);

impl<T> FairQueue<T> {
    fn new(capacity: usize) -> Self {
        Self(store::FairQueue::new(capacity, capacity))
    }

    fn push(&mut self, workspace: Workspace, run: T) -> Option<T> {
        let tenant = Some(workspace);
        let run = self.0.push(tenant.clone(), run).err()?;
        let Some(displaced) = self.0.displace(&tenant) else {
            return Some(run);
        };
        // There is a free place now, so this returns nothing.
        self.0.push(tenant, run).err().or(Some(displaced))
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop().map(|(_, run)| run)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Purpose::{Check, NewHash, Verification},
        *,
    };

    fn workspace(name: &str) -> Workspace {
        Workspace::parse(name).unwrap()
    }

    /// Queues a run that is named after its workspace and a number.
    fn push(
        queue: &mut RunQueue<String>,
        purpose: Purpose,
        name: &str,
        number: u32,
    ) -> Option<String> {
        queue.push(purpose, workspace(name), format!("{name}{number}"))
    }

    fn fill(queue: &mut RunQueue<String>, purpose: Purpose, name: &str, count: u32) {
        for number in 1..=count {
            assert_eq!(push(queue, purpose, name, number), None);
        }
    }

    fn rest(queue: &mut RunQueue<String>) -> Vec<String> {
        std::iter::from_fn(|| queue.pop_awaited().or_else(|| queue.pop_check())).collect()
    }

    #[test]
    fn neither_purpose_takes_the_places_of_the_other() {
        for (flooding, other) in [(NewHash, Verification), (Verification, NewHash)] {
            let mut queue = RunQueue::new(3, 0);
            fill(&mut queue, flooding, "a", 3);
            assert_eq!(push(&mut queue, flooding, "a", 4).unwrap(), "a4");
            fill(&mut queue, other, "b", 3);
            assert_eq!((queue.waiting(flooding), queue.waiting(other)), (3, 3));
        }
    }

    #[test]
    fn few_new_hashes_wait_however_many_verifications_may() {
        let (mut queue, count) = (RunQueue::new(1000, 0), 1000);
        fill(&mut queue, Verification, "a", count);
        fill(&mut queue, NewHash, "a", 256);
        assert_eq!(push(&mut queue, NewHash, "a", 257).unwrap(), "a257");
    }

    #[test]
    fn verifications_are_first_and_every_fifth_run_is_a_new_hash() {
        let mut queue = RunQueue::new(10, 0);
        fill(&mut queue, NewHash, "n", 3);
        fill(&mut queue, Verification, "v", 9);
        let order = "v1 v2 v3 v4 n1 v5 v6 v7 v8 n2 v9 n3";
        assert_eq!(rest(&mut queue).join(" "), order);
        // Verifications overtook nothing while no new hash waited.
        fill(&mut queue, Verification, "v", 9);
        for _ in 0..8 {
            queue.pop_awaited().unwrap();
        }
        fill(&mut queue, NewHash, "n", 1);
        assert_eq!(rest(&mut queue), ["v9", "n1"]);
        assert_eq!(
            (queue.waiting(Verification), queue.waiting(NewHash)),
            (0, 0)
        );
    }

    #[test]
    fn checks_have_their_own_places_which_their_workspaces_share() {
        let mut queue = RunQueue::new(10, 4);
        fill(&mut queue, Check, "a", 4);
        assert_eq!(push(&mut queue, Check, "a", 5).unwrap(), "a5");
        assert_eq!(push(&mut queue, Check, "b", 1).unwrap(), "a4");
        fill(&mut queue, NewHash, "n", 2);
        fill(&mut queue, Verification, "v", 2);
        assert_eq!(rest(&mut queue).join(" "), "v1 v2 n1 n2 a1 b1 a2 a3");
        fill(&mut queue, Check, "a", 4);
        drop(queue.take_checks());
        assert!(queue.waiting(Check) == 0 && push(&mut queue, Check, "b", 1).is_some());
    }

    #[test]
    fn workspaces_take_turns() {
        for purpose in [Verification, NewHash] {
            let mut queue = RunQueue::new(10, 0);
            fill(&mut queue, purpose, "a", 4);
            fill(&mut queue, purpose, "b", 2);
            fill(&mut queue, purpose, "c", 1);
            assert_eq!(rest(&mut queue).join(" "), "a1 b1 c1 a2 b2 a3 a4");
        }
    }

    #[test]
    fn a_workspace_that_fills_the_queue_gives_places_to_others() {
        for purpose in [Verification, NewHash] {
            let mut queue = RunQueue::new(4, 0);
            fill(&mut queue, purpose, "a", 4);
            assert_eq!(push(&mut queue, purpose, "b", 1).unwrap(), "a4");
            assert_eq!(push(&mut queue, purpose, "b", 2).unwrap(), "a3");
            // Each has two, which is a fair share.
            assert_eq!(push(&mut queue, purpose, "b", 3).unwrap(), "b3");
            assert_eq!(push(&mut queue, purpose, "a", 5).unwrap(), "a5");
            assert!(push(&mut queue, purpose, "c", 1).is_some());
            assert!(push(&mut queue, purpose, "d", 1).is_some());
            // Each of the four has one.
            assert_eq!(push(&mut queue, purpose, "e", 1).unwrap(), "e1");
            assert_eq!(rest(&mut queue), ["a1", "b1", "c1", "d1"]);
        }
    }
}
