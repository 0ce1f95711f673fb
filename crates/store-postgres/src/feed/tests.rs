//! The feed reports each change once, in whatever order transactions begin, write and end.
//!
//! The longer run draws new sequences: `PROPTEST_CASES=100000 cargo test --release -p
//! keywright-store-postgres --lib feed`.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
};

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, RngSeed, TestRunner},
};

use super::{Activity, Duration, Horizon, Instant, KEPT, KeyId, Reply, Seen, Snapshot};

/// The number of feeds, each in its process.
const FEEDS: usize = 2;

/// A server with the table `changes`. Times are in seconds.
#[derive(Clone, Debug)]
struct Server {
    started: u32,
    time: u32,
    /// The number of the next transaction.
    next: u64,
    /// The highest number of a transaction that has ended.
    last_ended: u64,
    /// The transactions in progress, and what they have written.
    open: BTreeMap<u64, Vec<KeyId>>,
    /// The rows of committed transactions.
    rows: Vec<(u64, KeyId)>,
    /// The changes of committed transactions, including those whose rows were deleted.
    committed: BTreeSet<KeyId>,
}

impl Server {
    fn new() -> Self {
        Self {
            started: 0,
            time: 0,
            next: 10,
            last_ended: 9,
            open: BTreeMap::new(),
            rows: Vec::new(),
            committed: BTreeSet::new(),
        }
    }

    fn begin(&mut self) {
        self.open.insert(self.next, Vec::new());
        self.next += 1;
    }

    /// Writes a change in one of the transactions in progress.
    fn change(&mut self, transaction: usize, id: KeyId) {
        if let Some(number) = self.pick(transaction) {
            self.open.get_mut(&number).unwrap().push(id);
        }
    }

    fn end(&mut self, transaction: usize, commits: bool) {
        if let Some(number) = self.pick(transaction) {
            let changes = self.open.remove(&number).unwrap();
            self.last_ended = self.last_ended.max(number);
            if commits {
                self.committed.extend(&changes);
                self.rows.extend(changes.iter().map(|id| (number, *id)));
            }
        }
    }

    fn pick(&self, transaction: usize) -> Option<u64> {
        let numbers: Vec<u64> = self.open.keys().copied().collect();
        let index = transaction.checked_rem(numbers.len())?;
        numbers.get(index).copied()
    }

    /// Stops the server, which rolls back what is in progress, and starts it again.
    fn restart(&mut self, started: u32) {
        self.open.clear();
        self.last_ended = self.next - 1;
        self.started = started;
    }

    /// Returns the snapshot of a statement, as `GetSnapshotData` of PostgreSQL takes it.
    fn snapshot(&self) -> Snapshot {
        let end = self.last_ended + 1;
        let begin = self.open.keys().next().map_or(end, |first| end.min(*first));
        let in_progress: Vec<String> = self.open.range(..end).map(|(n, _)| n.to_string()).collect();
        Snapshot::parse(&format!("{begin}:{end}:{}", in_progress.join(","))).unwrap()
    }

    fn poll(&self, before: Option<&Seen>, too_many: bool) -> Reply {
        let conditions: Vec<String> = before
            .into_iter()
            .flat_map(|seen| seen.snapshot.unseen_conditions())
            .collect();
        let rows = self.rows.iter().filter(|(transaction, _)| {
            conditions
                .iter()
                .any(|condition| selects(condition, *transaction))
        });
        Reply {
            seen: Seen {
                snapshot: self.snapshot(),
                server: self.started.to_string(),
                server_time: self.time.into(),
            },
            changed: (!too_many).then(|| rows.map(|(_, id)| *id).collect()),
            synchronous: false,
        }
    }
}

/// Evaluates the condition that selects unseen rows.
fn selects(condition: &str, transaction: u64) -> bool {
    let parse = |number: &str| number.parse::<u64>().unwrap();
    if let Some(end) = condition.strip_prefix("xid >= '") {
        return transaction >= parse(end.strip_suffix('\'').unwrap());
    }
    let list = condition.strip_prefix("xid = ANY ('{").unwrap();
    let list = list.strip_suffix("}'::xid8[])").unwrap();
    list.split(',').any(|number| parse(number) == transaction)
}

/// A feed, and the changes that it has reported.
#[derive(Default)]
struct Observer {
    seen: Option<Seen>,
    horizon: Horizon,
    reported: BTreeSet<KeyId>,
    /// Whether the server has lost changes that copies may contain.
    must_report_all: bool,
}

impl Observer {
    fn poll(&mut self, server: &mut Server, too_many: bool) {
        let before = self.seen.take();
        let reply = server.poll(before.as_ref(), too_many);
        match reply.changed_since(before.as_ref()) {
            Some(changed) => {
                assert!(!self.must_report_all, "copies of lost changes are used");
                for id in changed {
                    assert!(self.reported.insert(*id), "{id} is reported twice");
                }
                assert_eq!(self.reported, server.committed);
            }
            None => {
                let is_needed = before.is_none_or(|before| {
                    let elapsed = reply.seen.server_time - before.server_time;
                    before.server != reply.seen.server || elapsed >= KEPT.as_secs_f64() / 2.0
                });
                assert!(too_many || is_needed, "all copies are stale for no reason");
                self.reported.clone_from(&server.committed);
                self.must_report_all = false;
            }
        }
        if let Some(end) = self.horizon.advance(&reply.seen) {
            server.rows.retain(|(number, _)| *number >= end);
        }
        self.seen = Some(reply.seen);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    Change(usize),
    End {
        transaction: usize,
        commits: bool,
    },
    Poll {
        feed: usize,
        too_many: bool,
    },
    Wait(u32),
    /// Waits, and all feeds poll.
    Pass(u32),
    Reconnect(usize),
    Restart,
    Backup,
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    let feed = || 0..FEEDS;
    prop_oneof![
        6 => Just(Step::Begin),
        8 => any::<usize>().prop_map(Step::Change),
        5 => (any::<usize>(), any::<bool>())
            .prop_map(|(transaction, commits)| Step::End { transaction, commits }),
        20 => feed().prop_map(|feed| Step::Poll { feed, too_many: false }),
        1 => feed().prop_map(|feed| Step::Poll { feed, too_many: true }),
        4 => (1..290_u32).prop_map(Step::Wait),
        6 => (100..290_u32).prop_map(Step::Pass),
        1 => (290..1500_u32).prop_map(Step::Wait),
        1 => feed().prop_map(Step::Reconnect),
        1 => Just(Step::Restart),
        1 => Just(Step::Backup),
        1 => Just(Step::Restore),
    ]
}

fn run(steps: &[Step]) {
    let mut server = Server::new();
    let mut backup = server.clone();
    let mut feeds: [Observer; FEEDS] = Default::default();
    for (step, number) in steps.iter().zip(0_u32..) {
        match step {
            Step::Begin => server.begin(),
            Step::Change(transaction) => {
                let id = KeyId::from_bytes(format!("{number:016}").as_bytes()).unwrap();
                server.change(*transaction, id);
            }
            Step::End {
                transaction,
                commits,
            } => server.end(*transaction, *commits),
            Step::Poll { feed, too_many } => feeds[*feed].poll(&mut server, *too_many),
            Step::Wait(seconds) => server.time += seconds,
            Step::Pass(seconds) => pass(*seconds, &mut server, &mut feeds),
            Step::Reconnect(feed) => {
                let feed = &mut feeds[*feed];
                (feed.seen, feed.horizon) = Default::default();
            }
            // A pooler keeps the connections of the feeds.
            Step::Restart => server.restart(number + 1),
            Step::Backup => backup = server.clone(),
            Step::Restore => {
                let time = server.time;
                server = backup.clone();
                server.time = time;
                server.restart(number + 1);
                for feed in &mut feeds {
                    feed.must_report_all = true;
                }
            }
        }
    }
    // When everything has ended and was reported, the rows are deleted.
    server.restart(u32::MAX);
    for _ in 0..3 * KEPT.as_secs() / 100 {
        pass(100, &mut server, &mut feeds);
    }
    assert_eq!(server.rows, []);
}

fn pass(seconds: u32, server: &mut Server, feeds: &mut [Observer]) {
    server.time += seconds;
    for feed in feeds {
        feed.poll(server, false);
    }
}

/// While the transaction is in progress, its row grows older than rows are kept. The feed that
/// polls first after its end must not delete the row before the other feed has seen it.
#[test]
fn a_transaction_that_ends_long_after_its_change_is_not_missed() {
    let wait = Step::Pass(250);
    run(&[
        Step::Begin,
        Step::Begin,
        Step::Change(0),
        Step::End {
            transaction: 1,
            commits: true,
        },
        wait.clone(),
        wait.clone(),
        wait.clone(),
        Step::End {
            transaction: 0,
            commits: true,
        },
        wait,
    ]);
}

#[test]
fn each_committed_change_is_reported_once_unless_all_copies_become_stale() {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1000;
        config.rng_seed = RngSeed::Fixed(1);
    }
    let outcome = TestRunner::new(config).run(&vec(step(), 1..100), |steps| {
        run(&steps);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn seen(end: u64, server: &str, server_time: f64) -> Seen {
    Seen {
        snapshot: Snapshot {
            begin: end,
            end,
            in_progress: Vec::new(),
        },
        server: server.into(),
        server_time,
    }
}

#[test]
fn a_poll_continues_only_on_the_same_server_and_before_rows_are_deleted() {
    let first = seen(10, "7000 00000001 1.5", 1000.0);
    for (end, server, time, continues) in [
        (10, "7000 00000001 1.5", 1000.1, true),
        (90, "7000 00000001 1.5", 1299.0, true),
        // A transaction number that moved back.
        (9, "7000 00000001 1.5", 1000.1, false),
        // Another database system, a promoted one, and one that was restarted.
        (90, "7001 00000001 1.5", 1000.1, false),
        (90, "7000 00000002 1.5", 1000.1, false),
        (90, "7000 00000001 1.6", 1000.1, false),
        // A poll that came too late, and a clock that was set back.
        (90, "7000 00000001 1.5", 1300.0, false),
        (90, "7000 00000001 1.5", 999.9, false),
    ] {
        let next = seen(end, server, time);
        assert_eq!(
            first.continues_in(&next),
            continues,
            "{end} {server} {time}"
        );
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "any time will do")]
fn a_store_that_is_not_used_for_two_minutes_is_idle_until_it_is_used() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let activity = Activity::new(start);
    assert!(!activity.is_idle(after(120)));
    assert!(activity.is_idle(after(121)));
    activity.mark(after(200));
    assert!(!activity.is_idle(after(320)));
    assert!(activity.is_idle(after(321)));
    // The operation wakes the feed.
    let mut resumed = std::pin::pin!(activity.resumed.notified());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(resumed.as_mut().poll(&mut context).is_ready());
}
