//! All of them at once, and what must hold then.

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

/// How many callers manage and verify keys, each on a connection of its own.
const CALLERS: u64 = 32;

/// How many clients send garbage at a time.
const HOSTILE: usize = 4;

/// How long it takes unless that is said; the slow clients are waited for.
const SECONDS: u64 = 15;

/// From how many seconds on the growth of memory is bounded: by then the cache, the page caches of
/// SQLite and the allocator have what they need.
const LONG: u64 = 300;

/// How much more memory may be in use at the end than after a quarter of the time. Between them lie
/// millions of requests and a hundred thousand keys: a few bytes of each would be more. An allocator
/// between threads takes some, too.
const GROWTH_KIB: u64 = 16 * 1024;

/// Most memory that may be in use at any time: many times what a cache of 2,000 keys and the buffers
/// of a hundred connections need.
const MOST_KIB: u64 = 256 * 1024;

pub(crate) fn run(store: &Store) {
    let seconds = env::var("KEYWRIGHT_LOAD_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let program = Program::start(store);
    let created = |number| operator::create(store, &format!("workspace-{number}"));
    let mut callers: Vec<Caller> = (0..CALLERS)
        .map(|number| Caller::new(&created(number), number))
        .collect();
    let [token, other] = ["hostile", "other"].map(|workspace| {
        let created = operator::create(store, workspace);
        created["secret"].as_str().unwrap().to_owned()
    });
    let cases = case::all(&token, &other);

    look_at_all(&program, &mut callers);
    let before = program.usage();
    println!(
        "{}: {CALLERS} callers for {seconds} s; before: {before}",
        store.url
    );
    let (watched, tally) = load(store, &program, &mut callers, &cases, &token, seconds);
    println!(
        "after a quarter: {}\nat the end: {}",
        watched.warm, watched.end
    );
    println!("{} answers\n{tally}", tally.total());
    look_at_all(&program, &mut callers);
    println!("when they have gone: {}", program.settle(before));
    for case in &cases {
        assert_ne!(tally.count(case.what), 0, "{}", case.what);
    }
    assert!(watched.most_kib < MOST_KIB, "{} KiB", watched.most_kib);
    let growth = watched
        .end
        .resident_kib
        .saturating_sub(watched.warm.resident_kib);
    assert!(seconds < LONG || growth < GROWTH_KIB, "{growth} KiB more");

    program.stop();
    let program = Program::start(store);
    look_at_all(&program, &mut callers);
    program.stop();
}

/// The callers are connected then, and nobody else.
fn look_at_all(program: &Program, callers: &mut [Caller]) {
    for caller in callers {
        caller.connect(program.address);
        caller.look_at_all();
    }
}

fn load(
    store: &Store,
    program: &Program,
    callers: &mut [Caller],
    cases: &[Case],
    token: &str,
    seconds: u64,
) -> (Watched, Tally) {
    let over = AtomicBool::new(false);
    let goes_on = || !over.load(Ordering::Relaxed);
    let goes_on: &(dyn Fn() -> bool + Sync) = &goes_on;
    let address = program.address;
    thread::scope(|scope| {
        // Also where this thread panics, which waits for the others then.
        let over = Over(&over);
        let callers = callers
            .iter_mut()
            .map(|caller| scope.spawn(move || caller.work(goes_on)));
        let mut clients: Vec<ScopedJoinHandle<'_, Tally>> = callers.collect();
        clients.extend((0..HOSTILE).map(|number| {
            let first = number * cases.len() / HOSTILE;
            scope.spawn(move || hostile::work(address, cases, first, goes_on))
        }));
        clients.extend(slow::ALL.map(|slow| {
            scope.spawn(move || {
                let mut tally = Tally::default();
                while goes_on() {
                    slow(address, token, &mut tally);
                }
                tally
            })
        }));
        clients.push(scope.spawn(move || operator::work(store, program, goes_on)));
        let fails = || clients.iter().any(ScopedJoinHandle::is_finished);
        let watched = watch(program, Duration::from_secs(seconds), fails);
        drop(over);
        let mut tally = Tally::default();
        for client in clients {
            tally.add(client.join().unwrap());
        }
        (watched, tally)
    })
}

/// Tells everybody that it is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the program has used under load.
struct Watched {
    warm: Usage,
    end: Usage,
    most_kib: u64,
}

/// Looks at the program each second, for that time or until something fails.
fn watch(program: &Program, time: Duration, fails: impl Fn() -> bool) -> Watched {
    let start = now();
    let first = program.usage();
    let mut watched = Watched {
        warm: first,
        end: first,
        most_kib: first.resident_kib,
    };
    let seconds = iter::repeat_with(|| thread::sleep(Duration::from_secs(1)));
    for (second, ()) in (1_u64..).zip(seconds) {
        watched.end = program.usage();
        watched.most_kib = watched.most_kib.max(watched.end.resident_kib);
        if start.elapsed() <= time / 4 {
            watched.warm = watched.end;
        }
        if second % 30 == 0 {
            println!("{second} s: {}", watched.end);
        }
        if start.elapsed() >= time || fails() {
            break;
        }
    }
    watched
}
