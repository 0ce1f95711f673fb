//! The queue in front of the Argon2 threads, which shares them fairly between workspaces and
//! between verifications and new hashes.

use std::collections::VecDeque;

use crate::{Workspace, store};

/// The number of verifications that may overtake the next new hash. So a core that is always busy
/// gives new hashes at least every fifth run.
const MAX_OVERTAKING: u32 = 4;

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
    checks: store::FairQueue<T>,
    /// The number of verifications taken since a new hash became next.
    overtaking: u32,
}

impl<T> RunQueue<T> {
    /// Creates a queue with `capacity` places for verifications, as many for new hashes, and
    /// `checks` places for checks, of which one workspace can use half.
    pub(super) fn new(capacity: usize, checks: usize) -> Self {
        Self {
            verifications: FairQueue::new(capacity),
            new_hashes: FairQueue::new(capacity),
            checks: store::FairQueue::new(checks, checks.div_ceil(2)),
            overtaking: 0,
        }
    }

    /// Queues a run. Returns the run that the full queue rejects: this one, or another verification
    /// or new hash.
    #[must_use]
    pub(super) fn push(&mut self, purpose: Purpose, workspace: Workspace, run: T) -> Option<T> {
        match purpose {
            Purpose::Verification => self.verifications.push(workspace, run),
            Purpose::NewHash => self.new_hashes.push(workspace, run),
            Purpose::Check => self.checks.push(Some(workspace), run).err(),
        }
    }

    /// Takes the next run: a check only if no other run waits.
    pub(super) fn pop(&mut self) -> Option<T> {
        let awaited = self.pop_awaited();
        awaited.or_else(|| self.checks.pop().map(|(_, check)| check))
    }

    /// Removes all checks, and their places.
    pub(super) fn take_checks(&mut self) -> store::FairQueue<T> {
        std::mem::replace(&mut self.checks, store::FairQueue::new(0, 0))
    }

    fn pop_awaited(&mut self) -> Option<T> {
        if self.new_hashes.is_empty() {
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

    pub(super) fn is_empty(&self) -> bool {
        self.verifications.is_empty() && self.new_hashes.is_empty() && self.checks.is_empty()
    }

    /// Returns the number of runs that wait for this purpose.
    pub(super) fn waiting(&self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::Verification => self.verifications.length,
            Purpose::NewHash => self.new_hashes.length,
            Purpose::Check => self.checks.len(),
        }
    }
}

/// A bounded queue that serves workspaces in turn.
///
/// One workspace may use all places while no other needs them. If the queue is full, a run of
/// another workspace takes the place of the newest run of the workspace with the most.
struct FairQueue<T> {
    /// The workspaces with runs that wait, the next in turn first.
    lanes: VecDeque<Lane<T>>,
    /// The number of runs in all lanes.
    length: usize,
    capacity: usize,
}

/// The runs of one workspace, the oldest first. A lane in a queue is not empty.
struct Lane<T> {
    workspace: Workspace,
    runs: VecDeque<T>,
}

impl<T> FairQueue<T> {
    const fn new(capacity: usize) -> Self {
        Self {
            lanes: VecDeque::new(),
            length: 0,
            capacity,
        }
    }

    const fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn push(&mut self, workspace: Workspace, run: T) -> Option<T> {
        let displaced = if self.length < self.capacity {
            None
        } else {
            match self.displace(&workspace) {
                Some(displaced) => Some(displaced),
                None => return Some(run),
            }
        };
        self.length += 1;
        match self.lane(&workspace) {
            Some(lane) => lane.runs.push_back(run),
            None => self.lanes.push_back(Lane {
                workspace,
                runs: VecDeque::from([run]),
            }),
        }
        displaced
    }

    /// Removes the newest run of the workspace with the most runs, unless `workspace` would then
    /// have as many.
    fn displace(&mut self, workspace: &Workspace) -> Option<T> {
        let own = self.lane(workspace).map_or(0, |lane| lane.runs.len());
        let longest = self.lanes.iter_mut().max_by_key(|lane| lane.runs.len())?;
        // The longest lane has at least two runs, so it does not become empty.
        if longest.runs.len() < own + 2 {
            return None;
        }
        self.length -= 1;
        longest.runs.pop_back()
    }

    fn lane(&mut self, workspace: &Workspace) -> Option<&mut Lane<T>> {
        self.lanes
            .iter_mut()
            .find(|lane| lane.workspace == *workspace)
    }

    fn pop(&mut self) -> Option<T> {
        let mut lane = self.lanes.pop_front()?;
        let run = lane.runs.pop_front()?;
        self.length -= 1;
        if !lane.runs.is_empty() {
            self.lanes.push_back(lane);
        }
        Some(run)
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
        std::iter::from_fn(|| queue.pop()).collect()
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
    fn verifications_are_first_and_every_fifth_run_is_a_new_hash() {
        let mut queue = RunQueue::new(10, 0);
        fill(&mut queue, NewHash, "n", 3);
        fill(&mut queue, Verification, "v", 9);
        let order = "v1 v2 v3 v4 n1 v5 v6 v7 v8 n2 v9 n3";
        assert_eq!(rest(&mut queue).join(" "), order);
        // Verifications overtook nothing while no new hash waited.
        fill(&mut queue, Verification, "v", 9);
        for _ in 0..8 {
            queue.pop().unwrap();
        }
        fill(&mut queue, NewHash, "n", 1);
        assert_eq!(rest(&mut queue), ["v9", "n1"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn checks_wait_for_all_other_runs_and_their_workspaces_share_the_places() {
        let mut queue = RunQueue::new(10, 6);
        fill(&mut queue, Check, "a", 3);
        assert_eq!(push(&mut queue, Check, "a", 4).unwrap(), "a4");
        fill(&mut queue, Check, "b", 2);
        fill(&mut queue, NewHash, "n", 2);
        fill(&mut queue, Verification, "v", 2);
        assert_eq!(rest(&mut queue).join(" "), "v1 v2 n1 n2 a1 b1 a2 b2 a3");
        fill(&mut queue, Check, "a", 3);
        assert_eq!(queue.take_checks().len(), 3);
        assert!(queue.is_empty() && push(&mut queue, Check, "b", 1).is_some());
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
