//! An allocator that searches freed memory for secrets.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    backtrace::Backtrace,
    cell::Cell,
    collections::BTreeMap,
    slice,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use keywright_assurance::canary::Canaries;

/// The system's allocator, which also searches each freed block.
pub(crate) struct Probe;

static ARMED: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<State> = Mutex::new(State {
    canaries: None,
    allocated: BTreeMap::new(),
    left: Vec::new(),
});

/// Held while a scenario runs, because only one can run at a time.
static EXCLUSIVE: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread is searching. Its allocations are then ignored.
    static SEARCHING: Cell<bool> = const { Cell::new(false) };
}

struct State {
    canaries: Option<Canaries>,
    /// The address and length of each block that was allocated since the probe was armed, and not
    /// freed.
    allocated: BTreeMap<usize, usize>,
    left: Vec<Remnant>,
}

/// A piece of a secret that was left in a block.
#[derive(Debug)]
pub(crate) struct Remnant {
    pub(crate) secret: String,
    /// The functions that freed the block, innermost first. Empty if the block is still allocated.
    pub(crate) freed_by: String,
    pub(crate) bytes: String,
}

impl Remnant {
    fn find_all(canaries: &Canaries, block: &[u8], freed_by: impl Fn() -> String) -> Vec<Self> {
        let hits = canaries.find(block).into_iter();
        let left = hits.map(|hit| Self {
            secret: format!("{}, {}", hit.secret, hit.encoding),
            freed_by: freed_by(),
            bytes: String::from_utf8_lossy(&block[hit.at]).into_owned(),
        });
        left.collect()
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs work whose allocations are ignored.
fn unobserved<T>(work: impl FnOnce() -> T) -> T {
    let outer = SEARCHING.replace(true);
    let done = work();
    SEARCHING.set(outer);
    done
}

/// Whether the blocks of this thread are searched.
fn is_observed() -> bool {
    ARMED.load(Ordering::SeqCst) && !SEARCHING.get()
}

// SAFETY: all blocks come from the system's allocator, with the same layouts. The default `realloc`
// allocates, copies and frees, so that the old block is also searched.
unsafe impl GlobalAlloc for Probe {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that every byte is initialised when the block is searched.
        // SAFETY: required of the caller.
        let block = unsafe { System.alloc_zeroed(layout) };
        if is_observed() && !block.is_null() {
            unobserved(|| {
                state()
                    .allocated
                    .insert(block.expose_provenance(), layout.size())
            });
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_observed() {
            // SAFETY: the caller owns the block and gives it up, and every byte is initialised.
            let bytes = unsafe { slice::from_raw_parts_mut(block, layout.size()) };
            unobserved(|| {
                let mut state = state();
                state.allocated.remove(&block.addr());
                let State { canaries, left, .. } = &mut *state;
                if let Some(canaries) = canaries {
                    let trace = || trace(&Backtrace::force_capture().to_string());
                    left.extend(Remnant::find_all(canaries, bytes, trace));
                }
            });
            // Otherwise the same piece would be found again in the next block at this address.
            bytes.fill(0);
        }
        // SAFETY: required of the caller.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Returns the functions of a backtrace that called the allocator, innermost first.
fn trace(backtrace: &str) -> String {
    let functions: Vec<&str> = backtrace
        .lines()
        .filter_map(|line| {
            let (number, function) = line.trim_start().split_once(": ")?;
            number.parse::<u32>().ok().map(|_| function)
        })
        .collect();
    let probe = |function: &&str| function.contains("__rust_dealloc");
    let outside = functions.iter().position(probe).map_or(0, |at| at + 1);
    functions
        .into_iter()
        .skip(outside)
        .take(40)
        .collect::<Vec<_>>()
        .join(" < ")
}

/// Waits until no scenario runs, and prevents others from running until the guard is dropped.
pub(crate) fn exclusive() -> MutexGuard<'static, ()> {
    EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a scenario and searches its memory for these secrets.
///
/// Returns the pieces that were left, in freed blocks and in blocks that are still allocated, and
/// the result of the scenario. Call [`exclusive`] first.
pub(crate) fn observe<T>(canaries: Canaries, scenario: impl FnOnce() -> T) -> (Vec<Remnant>, T) {
    unobserved(|| {
        *state() = State {
            canaries: Some(canaries),
            allocated: BTreeMap::new(),
            left: Vec::new(),
        };
    });
    ARMED.store(true, Ordering::SeqCst);
    let result = scenario();
    let left = unobserved(|| {
        // While this guard is held, no listed block can be freed.
        let mut state = state();
        let State {
            canaries,
            allocated,
            left,
        } = &mut *state;
        let canaries = canaries.take().expect("the canaries were set above");
        for (address, length) in std::mem::take(allocated) {
            let block = std::ptr::with_exposed_provenance::<u8>(address);
            // SAFETY: a listed block was allocated with this length, is initialised, and is not
            // freed. Nothing writes to it, because the scenario is over.
            let block = unsafe { slice::from_raw_parts(block, length) };
            left.extend(Remnant::find_all(&canaries, block, String::new));
        }
        std::mem::take(left)
    });
    ARMED.store(false, Ordering::SeqCst);
    (left, result)
}

#[test]
fn an_unwiped_block_is_found_when_freed_grown_or_still_allocated() {
    let _guard = exclusive();
    let secret = "a secret of thirty-two characters";
    let canaries = || {
        let mut canaries = Canaries::new();
        canaries.add("the secret", secret.as_bytes());
        canaries
    };
    let (left, ()) = observe(canaries(), || drop(secret.to_owned()));
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].freed_by.contains("an_unwiped_block"), "{left:?}");
    let (left, mut grown) = observe(canaries(), || {
        let mut text = secret.to_owned();
        text.reserve(1000);
        text
    });
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().any(|left| left.freed_by.is_empty()), "{left:?}");
    grown.clear();
    let (left, ()) = observe(canaries(), || {
        drop(zeroize::Zeroizing::new(secret.to_owned()));
        let elsewhere = std::thread::spawn(|| drop(secret.to_owned()));
        elsewhere.join().expect("the thread does not panic");
    });
    assert_eq!(left.len(), 1, "{left:?}");
}
