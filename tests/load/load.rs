//! All clients at once, and what must hold for the server.

use std::{
    env, iter,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use crate::{
    caller::Caller,
    case::{self, Case},
    client::now,
    hostile, operator,
    program::{Program, Usage},
    slow,
    store::Store,
    tally::Tally,
};

/// The number of callers that manage and verify keys.
const CALLERS: u64 = 32;

/// The number of clients that send invalid requests.
const HOSTILE: usize = 4;

/// The duration of the load, unless the environment says otherwise. Slow clients take longer.
const SECONDS: u64 = 15;

/// The minimum duration for which the growth of memory is bounded, in seconds. By then the cache,
/// the page caches of SQLite and the allocator have reached their size.
const LONG: u64 = 300;

/// How much the memory may grow between a quarter and the end of the duration. In between are
/// millions of requests and a hundred thousand keys, so a leak of a few bytes for each would exceed
/// it. The allocator, with an arena for each thread, needs some of it.
const MAX_GROWTH_KIB: u64 = 16 * 1024;

/// The maximum memory at any time, many times what a cache of 2,000 keys and the buffers of a
/// hundred connections need.
const MAX_KIB: u64 = 256 * 1024;

pub(crate) fn run(store: &Store) {
    let seconds = env::var("KEYWRIGHT_LOAD_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let program = Program::start(store);
    let mut callers: Vec<Caller> = (0..CALLERS)
        .map(|number| {
            let created = operator::create(store, &format!("workspace-{number}"));
            Caller::new(program.address, &created, number)
        })
        .collect();
    let [token, other] = ["hostile", "other"].map(|workspace| {
        let created = operator::create(store, workspace);
        created["secret"].as_str().unwrap().to_owned()
    });
    let cases = case::all(&token, &other);

    check_all(&program, &mut callers);
    let before = program.usage();
    println!(
        "{}: {CALLERS} callers for {seconds} s; before: {before}",
        store.url
    );
    let (usage, tally) = load(store, &program, &mut callers, &cases, &token, seconds);
    println!(
        "after a quarter: {}\nat the end: {}",
        usage.after_a_quarter, usage.at_the_end
    );
    println!("{} responses\n{tally}", tally.total());
    check_all(&program, &mut callers);
    println!("without clients: {}", program.wait_until_settled(before));
    for case in &cases {
        assert_ne!(tally.count(case.what), 0, "{}", case.what);
    }
    assert!(usage.peak_kib < MAX_KIB, "{} KiB", usage.peak_kib);
    let growth = usage
        .at_the_end
        .resident_kib
        .saturating_sub(usage.after_a_quarter.resident_kib);
    assert!(
        seconds < LONG || growth < MAX_GROWTH_KIB,
        "{growth} KiB more"
    );

    program.stop();
    let program = Program::start(store);
    check_all(&program, &mut callers);
    program.stop();
}

/// Checks the keys of all callers, each on a new connection.
fn check_all(program: &Program, callers: &mut [Caller]) {
    for caller in callers {
        caller.reconnect(program.address);
        caller.check_all();
    }
}

fn load(
    store: &Store,
    program: &Program,
    callers: &mut [Caller],
    cases: &[Case],
    token: &str,
    seconds: u64,
) -> (UsageUnderLoad, Tally) {
    let over = AtomicBool::new(false);
    let running = || !over.load(Ordering::Relaxed);
    let running: &(dyn Fn() -> bool + Sync) = &running;
    let address = program.address;
    thread::scope(|scope| {
        // Also if this thread panics, since the scope then waits for the others.
        let over = SetOnDrop(&over);
        let callers = callers.iter_mut().map(|caller| {
            scope.spawn(move || {
                // The server closes a connection that has been idle for a long time.
                caller.reconnect(address);
                caller.work(running)
            })
        });
        let mut clients: Vec<ScopedJoinHandle<'_, Tally>> = callers.collect();
        clients.extend((0..HOSTILE).map(|number| {
            let first = number * cases.len() / HOSTILE;
            scope.spawn(move || hostile::work(address, cases, first, running))
        }));
        clients.extend(slow::ALL.map(|slow| {
            scope.spawn(move || {
                let mut tally = Tally::default();
                while running() {
                    slow(address, token, &mut tally);
                }
                tally
            })
        }));
        clients.push(scope.spawn(move || operator::work(store, program, running)));
        let failed = || clients.iter().any(ScopedJoinHandle::is_finished);
        let usage = watch(program, Duration::from_secs(seconds), failed);
        drop(over);
        let mut tally = Tally::default();
        for client in clients {
            tally.merge(client.join().unwrap());
        }
        (usage, tally)
    })
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The resource usage of the program under load.
struct UsageUnderLoad {
    after_a_quarter: Usage,
    at_the_end: Usage,
    peak_kib: u64,
}

/// Measures the program each second for a duration, or until a client has failed.
fn watch(program: &Program, duration: Duration, failed: impl Fn() -> bool) -> UsageUnderLoad {
    let start = now();
    let first = program.usage();
    let mut usage = UsageUnderLoad {
        after_a_quarter: first,
        at_the_end: first,
        peak_kib: first.resident_kib,
    };
    let seconds = iter::repeat_with(|| thread::sleep(Duration::from_secs(1)));
    for (second, ()) in (1_u64..).zip(seconds) {
        usage.at_the_end = program.usage();
        usage.peak_kib = usage.peak_kib.max(usage.at_the_end.resident_kib);
        if start.elapsed() <= duration / 4 {
            usage.after_a_quarter = usage.at_the_end;
        }
        if second % 30 == 0 {
            println!("{second} s: {}", usage.at_the_end);
        }
        if start.elapsed() >= duration || failed() {
            break;
        }
    }
    usage
}
