//! The power is cut under load, and what was acknowledged is there afterwards.

use std::sync::Arc;

use keywright_core::KeyStore;
use keywright_store_sqlite::SqliteStore;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::{
    any_seed,
    chance::draw,
    client::{Client, Mint, verify_all},
    disk::{Image, Part},
    machine::Machine,
    setting,
};

/// Clients that write at once, so that they share transactions.
const CLIENTS: usize = 6;

/// After so many cuts a machine is given up for a new one.
const LIFE: usize = 12;

/// What came of a number of cuts.
#[derive(Default, Debug)]
struct Report {
    cuts: usize,
    writes: u64,
    keys: usize,
}

/// Cuts the power so many times, on one machine after another; each goes on with what the cut
/// before has left. With `lying`, that part's syncs do nothing. Fails at the first loss.
fn cut_often(seed: u64, cuts: usize, lying: Option<Part>) -> Result<Report, String> {
    let mint = Mint::new();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut report = Report::default();
    while report.cuts < cuts {
        let mut machine = Machine::boot(random.next_u64(), &Image::new());
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|number| Client::new(random.next_u64(), number))
            .collect();
        for _ in 0..LIFE.min(cuts - report.cuts) {
            if let Some(part) = lying {
                machine.disk.lie_about(part);
            }
            plan_cut(&mut random, &machine);
            run_until_cut(&mut random, &machine, &mint, &mut clients);
            machine = machine.cut(random.next_u64());
            report.cuts += 1;
            check(&machine, &mint, &mut clients)
                .map_err(|loss| format!("seed {seed}, cut {} of {cuts}: {loss}", report.cuts))?;
        }
        report.writes += clients.iter().map(|client| client.writes).sum::<u64>();
        report.keys += clients.iter().map(Client::keys).sum::<usize>();
    }
    Ok(report)
}

/// Most cuts come while the log is written, which is most of what is done; some while it is written
/// back, and some while the file is new.
fn plan_cut(random: &mut ChaCha8Rng, machine: &Machine) {
    let (part, most) = match draw(random, 10) {
        0..5 => (Part::Log, 600),
        5..9 => (Part::Database, 60),
        _ => (Part::Any, 30),
    };
    let steps = 1 + draw(random, most);
    machine.disk.cut_after(part, u32::try_from(steps).unwrap());
}

fn run_until_cut(random: &mut ChaCha8Rng, machine: &Machine, mint: &Mint, clients: &mut [Client]) {
    // The power may be cut while it is opened, but nothing else may be in the way.
    let store = match machine.open() {
        Ok(store) => store,
        Err(error) => {
            assert!(machine.disk.is_dead(), "{error:?}");
            return;
        }
    };
    let seed = random.next_u64();
    std::thread::scope(|scope| {
        for client in clients {
            let store = &store;
            scope.spawn(move || {
                while let Ok(()) = client.write(mint, store) {}
                assert!(machine.disk.is_dead(), "a write failed for another reason");
            });
        }
        scope.spawn(|| write_back(seed, machine));
    });
}

/// Another program writes the log back now and then, in each way that there is.
fn write_back(seed: u64, machine: &Machine) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    while !machine.disk.is_dead() {
        let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][draw(&mut random, 4)];
        if let Ok(sqlite) = machine.sqlite() {
            let sql = format!("PRAGMA wal_checkpoint({mode})");
            let _ = sqlite.query_row(&sql, (), |_| Ok(()));
        }
        std::thread::sleep(std::time::Duration::from_millis(
            draw(&mut random, 20) as u64
        ));
    }
}

/// Opens what is left as a store, and holds it against what the clients were told.
pub(crate) fn check(machine: &Machine, mint: &Mint, clients: &mut [Client]) -> Result<(), String> {
    let store = machine.open().map_err(|error| format!("{error:?}"))?;
    let store: Arc<SqliteStore> = Arc::new(store);
    for client in &mut *clients {
        client.settle(&*store)?;
    }
    let shared: Arc<dyn KeyStore> = Arc::clone(&store) as _;
    let verdicts = verify_all(mint, clients, shared);
    if verdicts.let_in + verdicts.locked_out + verdicts.undecided > 0 {
        return Err(format!("{verdicts:?}"));
    }
    let sqlite = machine.sqlite().map_err(|error| error.to_string())?;
    let verdict: String = sqlite
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .map_err(|error| error.to_string())?;
    if verdict != "ok" {
        return Err(verdict);
    }
    let rows: i64 = sqlite
        .query_row("SELECT count(*) FROM keys", (), |row| row.get(0))
        .map_err(|error| error.to_string())?;
    let keys: usize = clients.iter().map(Client::keys).sum();
    if usize::try_from(rows) == Ok(keys) {
        Ok(())
    } else {
        Err(format!("{rows} rows for {keys} keys"))
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut_at_any_moment() {
    let seed = setting("KEYWRIGHT_SEED", any_seed);
    let cuts = setting("KEYWRIGHT_CUTS", || 60);
    match cut_often(seed, usize::try_from(cuts).unwrap(), None) {
        Ok(report) => println!("seed {seed}: {report:?}"),
        Err(loss) => panic!("{loss}"),
    }
}

/// What the test above would say of a store that does not sync its log, or not its database, before
/// it says that it did.
#[test]
fn without_syncs_something_is_lost() {
    for part in [Part::Any, Part::Log, Part::Database] {
        let seed = setting("KEYWRIGHT_SEED", any_seed);
        let lost = cut_often(seed, 200, Some(part));
        let loss = lost.expect_err("no sync is needed");
        println!("{part:?}: {}", loss.lines().next().unwrap());
    }
}
