//! Files that were damaged, while nobody has them open and under a store that does: what cannot be
//! read is an error, and nothing is made anew in its place.
//!
//! SQLite keeps no checksum of a page. Damage that leaves a page well-formed, such as a page from a
//! year ago, is not seen by anybody.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use keywright_store_sqlite::{OpenError, SqliteStore};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::{
    chance::draw,
    client::{Client, Mint, Verdicts, verify_all},
    cuts::check,
    disk::Image,
    machine::Machine,
};

const PAGE: usize = 4096;
const FILE: &str = "keys.db";
const LOG: &str = "keys.db-wal";
const INDEX: &str = "keys.db-shm";

/// The files of a store, and whose keys are in them.
struct Story {
    mint: Mint,
    clients: Vec<Client>,
    files: Image,
}

/// How the files were left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    /// The log was written back and removed.
    Closed,
    /// As a crash leaves them.
    Crashed,
}

impl Story {
    fn new(left: Left, writes: usize) -> Self {
        let mint = Mint::new();
        let machine = Machine::boot(0, &Image::new());
        let store = machine.open().unwrap();
        let mut clients: Vec<_> = (0..3)
            .map(|number| Client::new(number as u64, number))
            .collect();
        for client in &mut clients {
            for _ in 0..writes {
                client.write(&mint, &store).unwrap();
            }
        }
        let open = match left {
            Left::Closed => {
                drop(store);
                None
            }
            Left::Crashed => Some(store),
        };
        let mut files = Image::new();
        for name in [FILE, LOG, INDEX] {
            if let Ok(bytes) = fs::read(machine.path(name)) {
                files.insert(name.into(), bytes);
            }
        }
        drop(open);
        Self {
            mint,
            clients,
            files,
        }
    }

    fn verify(&self, store: &Arc<SqliteStore>) -> Verdicts {
        verify_all(&self.mint, &self.clients, Arc::clone(store) as _)
    }

    /// Damages the files before they are opened and after, and verifies all tokens. None may be let
    /// in that must not be, and with `known` none be locked out.
    fn damage(&self, known: bool, damage: impl Fn(&Machine), what: &str) {
        for running in [false, true] {
            let machine = Machine::boot(0, &self.files);
            let before = running.then(|| machine.open().unwrap());
            damage(&machine);
            let store = match before {
                Some(store) => store,
                None => match machine.open() {
                    Ok(store) => store,
                    Err(error) => {
                        assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
                        continue;
                    }
                },
            };
            let store = Arc::new(store);
            let verdicts = self.verify(&store);
            assert_eq!(verdicts.let_in, 0, "{what}, running: {running}");
            if known {
                assert_eq!(verdicts.locked_out, 0, "{what}, running: {running}");
            }
            // Writes fail or do not, and what can still be read stays right.
            write_some(&self.mint, &store);
            let verdicts = self.verify(&store);
            assert_eq!(verdicts.let_in, 0, "{what}, running: {running}");
        }
    }
}

/// Has other clients write, each until it fails.
fn write_some(mint: &Mint, store: &SqliteStore) {
    for number in 100..103 {
        let mut other = Client::new(number as u64, number);
        while other.writes < 10 && other.write(mint, store).is_ok() {}
    }
}

fn overwrite(path: &Path, offset: usize, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset as u64).unwrap();
}

fn truncate(path: &Path, length: usize) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(length as u64).unwrap();
}

fn noise(random: &mut ChaCha8Rng, length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    random.fill_bytes(&mut noise);
    noise
}

#[test]
fn a_page_of_garbage_lets_nobody_in_and_locks_nobody_out() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let story = Story::new(Left::Closed, 120);
    let pages = story.files[FILE].len() / PAGE;
    assert!(pages > 15);
    for page in 0..pages {
        for bytes in [noise(&mut random, PAGE), vec![0; PAGE], vec![0xff; PAGE]] {
            let damage = |machine: &Machine| overwrite(&machine.path(FILE), page * PAGE, &bytes);
            let first = bytes[0];
            story.damage(true, damage, &format!("page {page} begins with {first}"));
        }
    }
}

#[test]
fn a_sector_of_garbage_lets_nobody_in() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let story = Story::new(Left::Closed, 120);
    let sectors = story.files[FILE].len() / 512;
    for _ in 0..40 {
        let sector = draw(&mut random, sectors);
        let bytes = noise(&mut random, 512);
        let damage = |machine: &Machine| overwrite(&machine.path(FILE), sector * 512, &bytes);
        story.damage(false, damage, &format!("sector {sector}"));
    }
}

#[test]
fn garbage_in_the_log_under_a_store_lets_nobody_in_and_locks_nobody_out() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let story = Story::new(Left::Crashed, 40);
    let frame = 24 + PAGE;
    let frames = (story.files[LOG].len() - 32) / frame;
    let mut undecided = 0;
    for _ in 0..20 {
        let machine = Machine::boot(0, &story.files);
        let store = Arc::new(machine.open().unwrap());
        for _ in 0..frames / 4 {
            let offset = 32 + draw(&mut random, frames) * frame + 24;
            overwrite(&machine.path(LOG), offset, &noise(&mut random, PAGE));
        }
        let verdicts = story.verify(&store);
        assert_eq!((verdicts.let_in, verdicts.locked_out), (0, 0));
        undecided += verdicts.undecided;
    }
    assert!(undecided > 0);
}

#[test]
fn a_file_that_is_truncated_under_a_store_lets_nobody_in_and_locks_nobody_out() {
    let mut undecided = 0;
    for (left, writes) in [
        (Left::Closed, 3),
        (Left::Closed, 120),
        (Left::Crashed, 3),
        (Left::Crashed, 120),
    ] {
        let story = Story::new(left, writes);
        let length = story.files[FILE].len();
        let pages = (1..length / PAGE).map(|page| page * PAGE);
        for rest in [0, 1, 50, 100, 512].into_iter().chain(pages) {
            for then in [Then::Nothing, Then::Write, Then::Open] {
                let machine = Machine::boot(0, &story.files);
                let store = Arc::new(machine.open().unwrap());
                truncate(&machine.path(FILE), rest);
                match then {
                    Then::Nothing => {}
                    Then::Write => write_some(&story.mint, &store),
                    Then::Open => drop(machine.open()),
                }
                let verdicts = story.verify(&store);
                let what = format!("{rest} bytes of {left:?}, then {then:?}");
                assert_eq!((verdicts.let_in, verdicts.locked_out), (0, 0), "{what}");
                undecided += verdicts.undecided;
            }
        }
    }
    assert!(undecided > 0);
}

/// What happens next to a file that was truncated.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Write,
    /// Another program opens it.
    Open,
}

#[test]
fn what_is_left_of_a_truncated_file_is_refused_or_an_error() {
    let story = Story::new(Left::Closed, 120);
    let length = story.files[FILE].len();
    let pages = (1..length / PAGE).map(|page| page * PAGE);
    for rest in [50, 100, 512].into_iter().chain(pages) {
        let mut files = story.files.clone();
        files.get_mut(FILE).unwrap().truncate(rest);
        let machine = Machine::boot(0, &files);
        let refused = machine.open();
        assert!(
            matches!(refused, Err(OpenError::NotADatabase { .. })),
            "{rest}"
        );
        assert_eq!(fs::read(machine.path(FILE)).unwrap(), files[FILE]);
    }
}

/// SQLite takes an empty file for a new one, removes the log, which has all that was acknowledged
/// last, and begins anew.
#[test]
fn a_file_that_was_emptied_or_removed_was_begun_anew_and_its_log_thrown_away() {
    let mut story = Story::new(Left::Crashed, 20);
    for rest in [None, Some(0), Some(1)] {
        for log in [0, story.files[LOG].len()] {
            let mut files = story.files.clone();
            match rest {
                None => drop(files.remove(FILE)),
                Some(rest) => files.get_mut(FILE).unwrap().truncate(rest),
            }
            files.get_mut(LOG).unwrap().truncate(log);
            let machine = Machine::boot(0, &files);
            let refused = machine.open();
            assert!(
                matches!(refused, Err(OpenError::OnlyLog { .. })),
                "{refused:?}"
            );
            for name in [FILE, LOG] {
                assert_eq!(fs::read(machine.path(name)).ok().as_ref(), files.get(name));
            }
        }
    }
    // All is there once the file is.
    let machine = Machine::boot(0, &story.files);
    assert_eq!(check(&machine, &story.mint, &mut story.clients), Ok(()));
}

#[test]
fn an_index_of_garbage_is_made_anew() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut story = Story::new(Left::Crashed, 60);
    let length = story.files[INDEX].len();
    for index in [vec![], noise(&mut random, 100), noise(&mut random, length)] {
        story.files.insert(INDEX.into(), index);
        let machine = Machine::boot(0, &story.files);
        assert_eq!(check(&machine, &story.mint, &mut story.clients), Ok(()));
    }
}

/// A log that ends early looks like one after a crash: SQLite goes by what is whole in it, and what
/// comes after is gone, acknowledged or not. What is left is of one moment.
#[test]
fn a_log_that_was_cut_off_or_damaged_gives_a_whole_state_from_before() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let story = Story::new(Left::Crashed, 60);
    let length = story.files[LOG].len();
    for round in 0..60 {
        let mut files = story.files.clone();
        let log = files.get_mut(LOG).unwrap();
        let place = draw(&mut random, length);
        if round % 2 == 0 {
            log.truncate(place);
        } else {
            let end = length.min(place + 600);
            log[place..end].copy_from_slice(&noise(&mut random, end - place));
        }
        let machine = Machine::boot(0, &files);
        let store = match machine.open() {
            Ok(store) => store,
            // The first pages of the file were in the log alone.
            Err(error) => {
                assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
                continue;
            }
        };
        let sqlite = machine.sqlite().unwrap();
        for (sql, expected) in [
            ("PRAGMA integrity_check", "ok"),
            (
                "SELECT CAST(count(*) AS TEXT) FROM keys AS key
                 WHERE successor NOT IN (SELECT id FROM keys) OR parent NOT IN (SELECT id FROM keys)",
                "0",
            ),
        ] {
            let answer: String = sqlite.query_row(sql, (), |row| row.get(0)).unwrap();
            assert_eq!(answer, expected);
        }
        assert_eq!(story.verify(&Arc::new(store)).undecided, 0);
    }
}
