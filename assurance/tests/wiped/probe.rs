//! An allocator that looks for secrets in what is freed.

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

/// The allocator of the system, with a look at each block that is given back.
pub(crate) struct Probe;

static ARMED: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<State> = Mutex::new(State {
    canaries: None,
    living: BTreeMap::new(),
    left: Vec::new(),
});

/// Only one scene is played at a time.
static STAGE: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread is looking, and what it allocates for that is nobody's concern.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

struct State {
    canaries: Option<Canaries>,
    /// Address and length of each block that was allocated since the probe was armed.
    living: BTreeMap<usize, usize>,
    left: Vec<Left>,
}

/// A secret that was left in a block.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) secret: String,
    /// Where the block was freed, innermost first; nothing if it is still there.
    pub(crate) freed_by: String,
    pub(crate) bytes: String,
}

impl Left {
    fn all_in(canaries: &Canaries, block: &[u8], freed_by: impl Fn() -> String) -> Vec<Self> {
        let hits = canaries.find(block).into_iter();
        let left = hits.map(|hit| Self {
            secret: format!("{}, {}", hit.secret, hit.form),
            freed_by: freed_by(),
            bytes: String::from_utf8_lossy(&block[hit.at]).into_owned(),
        });
        left.collect()
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something that is not looked at.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    let outer = LOOKING.replace(true);
    let done = work();
    LOOKING.set(outer);
    done
}

/// Whether a block is looked at.
fn is_watched() -> bool {
    ARMED.load(Ordering::SeqCst) && !LOOKING.get()
}

// SAFETY: blocks are the system's own, of the same layouts. Growing a block is left to the default, which
// allocates, copies and frees, so that the old one is looked at, too.
unsafe impl GlobalAlloc for Probe {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that each byte of a block can be read when it is freed.
        // SAFETY: the caller's promise.
        let block = unsafe { System.alloc_zeroed(layout) };
        if is_watched() && !block.is_null() {
            aside(|| {
                state()
                    .living
                    .insert(block.expose_provenance(), layout.size())
            });
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_watched() {
            // SAFETY: the block is the caller's, who gives it back, and each of its bytes was zeroed.
            let bytes = unsafe { slice::from_raw_parts_mut(block, layout.size()) };
            aside(|| {
                let mut state = state();
                state.living.remove(&block.addr());
                let State { canaries, left, .. } = &mut *state;
                if let Some(canaries) = canaries {
                    let trace = || trace(&Backtrace::force_capture().to_string());
                    left.extend(Left::all_in(canaries, bytes, trace));
                }
            });
            // Not found again in the next block that is put here.
            bytes.fill(0);
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The functions of a backtrace that lie outside this probe, the innermost first.
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

/// What is done on the stage is not seen by a probe that another test has armed.
pub(crate) fn stage() -> MutexGuard<'static, ()> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a scene with the probe looking for these secrets. What was left, in freed blocks and in ones that
/// are still there, and what the scene has made.
/// To be done on the [`stage`].
pub(crate) fn watch<T>(canaries: Canaries, scene: impl FnOnce() -> T) -> (Vec<Left>, T) {
    aside(|| {
        *state() = State {
            canaries: Some(canaries),
            living: BTreeMap::new(),
            left: Vec::new(),
        };
    });
    ARMED.store(true, Ordering::SeqCst);
    let made = scene();
    let left = aside(|| {
        // While this is held, no block that is listed can be freed.
        let mut state = state();
        let State {
            canaries,
            living,
            left,
        } = &mut *state;
        let canaries = canaries.take().expect("it was put there");
        for (address, length) in std::mem::take(living) {
            let block = std::ptr::with_exposed_provenance::<u8>(address);
            // SAFETY: a block that is listed was allocated with this length, zeroed, and is not freed.
            // Nothing writes to it: the scene is over.
            let block = unsafe { slice::from_raw_parts(block, length) };
            left.extend(Left::all_in(&canaries, block, String::new));
        }
        std::mem::take(left)
    });
    ARMED.store(false, Ordering::SeqCst);
    (left, made)
}

#[test]
fn a_block_that_was_not_wiped_is_found_freed_grown_and_alive() {
    let _stage = stage();
    let secret = "a secret of thirty-two characters";
    let canaries = || {
        let mut canaries = Canaries::new();
        canaries.add("it", secret.as_bytes());
        canaries
    };
    let (left, ()) = watch(canaries(), || drop(secret.to_owned()));
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(
        left[0].freed_by.contains("a_block_that_was_not_wiped"),
        "{left:?}"
    );
    let (left, mut grown) = watch(canaries(), || {
        let mut text = secret.to_owned();
        text.reserve(1000);
        text
    });
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().any(|left| left.freed_by.is_empty()), "{left:?}");
    grown.clear();
    let (left, ()) = watch(canaries(), || {
        drop(zeroize::Zeroizing::new(secret.to_owned()));
        let elsewhere = std::thread::spawn(|| drop(secret.to_owned()));
        elsewhere.join().expect("a thread ends");
    });
    assert_eq!(left.len(), 1, "{left:?}");
}
