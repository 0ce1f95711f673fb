//! Damages the files of a store, before it opens them and while it has them open. Data that cannot
//! be read is an error, and the store never replaces it with new data.
//!
//! SQLite has no page checksums. It cannot detect damage that leaves a page well formed, such as an
//! old version of the page.

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
    client::{Client, Mint, Verdicts, verify_all},
    cuts::check,
    disk::Image,
    machine::Machine,
    random::draw,
};

const PAGE: usize = 4096;
const FILE: &str = "keys.db";
const LOG: &str = "keys.db-wal";
const INDEX: &str = "keys.db-shm";

/// The files of a store, and the clients whose keys they contain.
struct Scenario {
    mint: Mint,
    clients: Vec<Client>,
    files: Image,
}

/// The way in which the store was shut down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shutdown {
    /// It was closed: the log is checkpointed and removed.
    Closed,
    /// It crashed, so the log is still there.
    Crashed,
}

impl Scenario {
    fn new(shutdown: Shutdown, writes: usize) -> Self {
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
        let open = match shutdown {
            Shutdown::Closed => {
                drop(store);
                None
            }
            Shutdown::Crashed => Some(store),
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

    /// Damages the files, once before the store opens them and once after, and verifies all tokens.
    ///
    /// No token of an inactive key may be accepted. With `detectable`, SQLite notices the damage,
    /// so no token of an active key may be denied either.
    fn damage(&self, detectable: bool, damage: impl Fn(&Machine), what: &str) {
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
            assert_eq!(verdicts.wrongly_accepted, 0, "{what}, running: {running}");
            if detectable {
                assert_eq!(verdicts.wrongly_denied, 0, "{what}, running: {running}");
            }
            // Writes may fail, but they must not make what can still be read wrong.
            write_some(&self.mint, &store);
            let verdicts = self.verify(&store);
            assert_eq!(verdicts.wrongly_accepted, 0, "{what}, running: {running}");
        }
    }
}

/// Writes with other clients, each until a write fails.
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
fn no_verdict_is_wrong_after_a_page_is_overwritten() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let scenario = Scenario::new(Shutdown::Closed, 120);
    let pages = scenario.files[FILE].len() / PAGE;
    assert!(pages > 15);
    for page in 0..pages {
        for bytes in [noise(&mut random, PAGE), vec![0; PAGE], vec![0xff; PAGE]] {
            let damage = |machine: &Machine| overwrite(&machine.path(FILE), page * PAGE, &bytes);
            let first = bytes[0];
            scenario.damage(true, damage, &format!("page {page} begins with {first}"));
        }
    }
}

#[test]
fn no_inactive_key_is_accepted_after_a_sector_is_overwritten() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let scenario = Scenario::new(Shutdown::Closed, 120);
    let sectors = scenario.files[FILE].len() / 512;
    for _ in 0..40 {
        let sector = draw(&mut random, sectors);
        let bytes = noise(&mut random, 512);
        let damage = |machine: &Machine| overwrite(&machine.path(FILE), sector * 512, &bytes);
        scenario.damage(false, damage, &format!("sector {sector}"));
    }
}

#[test]
fn no_verdict_is_wrong_after_the_log_of_an_open_store_is_overwritten() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let scenario = Scenario::new(Shutdown::Crashed, 40);
    let frame = 24 + PAGE;
    let frames = (scenario.files[LOG].len() - 32) / frame;
    let mut undecided = 0;
    for _ in 0..20 {
        let machine = Machine::boot(0, &scenario.files);
        let store = Arc::new(machine.open().unwrap());
        for _ in 0..frames / 4 {
            let offset = 32 + draw(&mut random, frames) * frame + 24;
            overwrite(&machine.path(LOG), offset, &noise(&mut random, PAGE));
        }
        let verdicts = scenario.verify(&store);
        assert_eq!((verdicts.wrongly_accepted, verdicts.wrongly_denied), (0, 0));
        undecided += verdicts.undecided;
    }
    assert!(undecided > 0);
}

#[test]
fn no_verdict_is_wrong_after_the_file_of_an_open_store_is_truncated() {
    let mut undecided = 0;
    for (shutdown, writes) in [
        (Shutdown::Closed, 3),
        (Shutdown::Closed, 120),
        (Shutdown::Crashed, 3),
        (Shutdown::Crashed, 120),
    ] {
        let scenario = Scenario::new(shutdown, writes);
        let length = scenario.files[FILE].len();
        let pages = (1..length / PAGE).map(|page| page * PAGE);
        for rest in [0, 1, 50, 100, 512].into_iter().chain(pages) {
            for afterwards in [Afterwards::Nothing, Afterwards::Write, Afterwards::Open] {
                let machine = Machine::boot(0, &scenario.files);
                let store = Arc::new(machine.open().unwrap());
                truncate(&machine.path(FILE), rest);
                match afterwards {
                    Afterwards::Nothing => {}
                    Afterwards::Write => write_some(&scenario.mint, &store),
                    Afterwards::Open => drop(machine.open()),
                }
                let verdicts = scenario.verify(&store);
                let what = format!("{rest} bytes of {shutdown:?}, then {afterwards:?}");
                assert_eq!(
                    (verdicts.wrongly_accepted, verdicts.wrongly_denied),
                    (0, 0),
                    "{what}"
                );
                undecided += verdicts.undecided;
            }
        }
    }
    assert!(undecided > 0);
}

/// The event that follows the truncation of a file.
#[derive(Clone, Copy, Debug)]
enum Afterwards {
    Nothing,
    Write,
    /// Another program opens the file.
    Open,
}

#[test]
fn a_truncated_file_is_rejected_and_left_unchanged() {
    let scenario = Scenario::new(Shutdown::Closed, 120);
    let length = scenario.files[FILE].len();
    let pages = (1..length / PAGE).map(|page| page * PAGE);
    for rest in [50, 100, 512].into_iter().chain(pages) {
        let mut files = scenario.files.clone();
        files.get_mut(FILE).unwrap().truncate(rest);
        let machine = Machine::boot(0, &files);
        let rejected = machine.open();
        assert!(
            matches!(rejected, Err(OpenError::NotADatabase { .. })),
            "{rest}"
        );
        assert_eq!(fs::read(machine.path(FILE)).unwrap(), files[FILE]);
    }
}

/// SQLite treats an empty file as a new database and deletes its log, which contains the most
/// recent acknowledged writes.
#[test]
fn bug_an_emptied_or_removed_file_was_recreated_and_its_log_deleted() {
    let mut scenario = Scenario::new(Shutdown::Crashed, 20);
    for rest in [None, Some(0), Some(1)] {
        for log in [0, scenario.files[LOG].len()] {
            let mut files = scenario.files.clone();
            match rest {
                None => drop(files.remove(FILE)),
                Some(rest) => files.get_mut(FILE).unwrap().truncate(rest),
            }
            files.get_mut(LOG).unwrap().truncate(log);
            let machine = Machine::boot(0, &files);
            let rejected = machine.open();
            assert!(
                matches!(rejected, Err(OpenError::OnlyLog { .. })),
                "{rejected:?}"
            );
            for name in [FILE, LOG] {
                assert_eq!(fs::read(machine.path(name)).ok().as_ref(), files.get(name));
            }
        }
    }
    // With the file restored, every acknowledged write is there.
    let machine = Machine::boot(0, &scenario.files);
    assert_eq!(
        check(&machine, &scenario.mint, &mut scenario.clients),
        Ok(())
    );
}

#[test]
fn a_damaged_index_of_the_log_is_rebuilt() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut scenario = Scenario::new(Shutdown::Crashed, 60);
    let length = scenario.files[INDEX].len();
    for index in [vec![], noise(&mut random, 100), noise(&mut random, length)] {
        scenario.files.insert(INDEX.into(), index);
        let machine = Machine::boot(0, &scenario.files);
        assert_eq!(
            check(&machine, &scenario.mint, &mut scenario.clients),
            Ok(())
        );
    }
}

/// A truncated log looks like a log after a crash. SQLite uses the intact transactions at its
/// start, and drops the rest, acknowledged or not. The remaining state is consistent, and older
/// than the latest writes.
#[test]
fn a_truncated_or_damaged_log_yields_a_consistent_earlier_state() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let scenario = Scenario::new(Shutdown::Crashed, 60);
    let length = scenario.files[LOG].len();
    for round in 0..60 {
        let mut files = scenario.files.clone();
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
            // Only the log contained the first pages of the file.
            Err(error) => {
                assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
                continue;
            }
        };
        let sqlite = machine.sqlite().unwrap();
        for (sql, expected) in [
            ("PRAGMA integrity_check", "ok"),
            (
                "SELECT CAST(count(*) AS TEXT) FROM keywright_keys AS key
                 WHERE successor NOT IN (SELECT id FROM keywright_keys)
                    OR parent NOT IN (SELECT id FROM keywright_keys)
                    OR rotated_by NOT IN (SELECT id FROM keywright_keys)",
                "0",
            ),
            // Each key has the event that created it.
            (
                "SELECT CAST((SELECT count(*) FROM keywright_keys) - count(*) AS TEXT)
                 FROM keywright_events
                 WHERE event ->> 'type' IN ('api_key.created', 'api_key.rotated')",
                "0",
            ),
            // Each change of a key has its event, and a cascade has one.
            (
                "SELECT CAST((SELECT total(version - 1) FROM keywright_keys)
                    = total(CASE event ->> 'type'
                        WHEN 'api_key.created' THEN 0
                        WHEN 'api_key.revoked' THEN event ->> 'count'
                        ELSE 1 END) AS TEXT)
                 FROM keywright_events",
                "1",
            ),
        ] {
            let actual: String = sqlite.query_row(sql, (), |row| row.get(0)).unwrap();
            assert_eq!(actual, expected);
        }
        assert_eq!(scenario.verify(&Arc::new(store)).undecided, 0);
    }
}
