//! Connections that are cut in the middle of a reply, with many calls in flight.

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Environment, EventKind, IdempotencyKey, IssueError, IssueOutcome, Issuer, Key, KeyId, ListKeys,
    Name, NewKey, Timestamp, VersionedKey,
    store::{KeyStore, Record, Reservation, Reserved, StoreErrorKind},
};
use keywright_store_redis::{RedisConfig, RedisStore};
use tokio::task::JoinSet;

use crate::{
    history, insert, is_revoked, revoked, sample,
    support::{Copy, PATIENCE, Proxy, Server, connect, library_over, now, operator, retry},
    try_revoke, try_update,
};

fn store_behind(proxy: &Proxy) -> Arc<RedisStore> {
    let config = RedisConfig::new(proxy.url()).with_deadline(PATIENCE);
    Arc::new(connect(config))
}

/// Runs the calls concurrently.
fn run_together(calls: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let running: JoinSet<()> = calls.collect();
        running.join_all().await
    });
}

/// Waits until the store has its connections. The replies to its handshakes would use up the bytes
/// until the cut.
fn await_connections(store: &RedisStore, stored: &Record) {
    Copy::usable(store, stored.key.id);
}

#[test]
fn concurrent_reads_find_their_own_records_when_replies_are_cut_off() {
    const ROUNDS: usize = 25;
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let store = store_behind(&proxy);
    let wanted: Vec<(Record, bool)> = (0..60)
        .map(|number| (sample::record(), number % 3 > 0))
        .collect();
    for (record, _) in wanted.iter().filter(|(_, stored)| *stored) {
        insert(&store, record.clone());
    }
    let mut cut = 0;
    for round in 0..ROUNDS {
        await_connections(&store, &wanted[1].0);
        proxy.cut_after(round * 397);
        run_together(wanted.iter().cloned().map(|(record, stored)| {
            let store = Arc::clone(&store);
            async move {
                let found = store.find(&record.key.id).await.unwrap();
                assert_eq!(found, stored.then_some(record), "cut off in round {round}");
            }
        }));
        cut += usize::from(proxy.has_cut());
    }
    // All replies of a round together are longer than half of the longest budget.
    assert!(cut > ROUNDS / 2, "{cut} of {ROUNDS} rounds are cut off");
}

#[derive(Clone)]
enum Change {
    Insert(Record),
    Revoke(Record),
    Pause(Record),
    Reserve(Reservation),
}

/// The store's report on a change.
#[derive(Debug, PartialEq, Eq)]
enum Report {
    /// This call made it.
    Made,
    /// An earlier call made it.
    MadeEarlier,
    /// The reply was lost, so this call may have made it.
    Unknown,
}

impl Change {
    async fn make(&self, store: &RedisStore) -> Report {
        let now = sample::now();
        let result = match self {
            Self::Insert(record) => {
                let event = sample::event(&record.key, EventKind::Created);
                let inserted = store.insert(record, now, Some(&event)).await;
                inserted.map(|()| true)
            }
            Self::Revoke(record) => try_revoke(store, record).await.map(|it| it.first),
            Self::Pause(record) => {
                let mut paused = record.key.clone();
                paused.enabled = false;
                let updated = try_update(store, record, &paused).await;
                updated.map(|updated| {
                    assert_eq!(updated, VersionedKey::new(paused, record.version + 1));
                    true
                })
            }
            Self::Reserve(reservation) => store.reserve(reservation, now).await.map(|reserved| {
                if let Reserved::Earlier { id, .. } = reserved {
                    assert_eq!(id, reservation.id, "this is the reply to another change");
                }
                reserved == Reserved::New
            }),
        };
        match result {
            Ok(true) => Report::Made,
            Ok(false) => Report::MadeEarlier,
            Err(error) => match error.kind() {
                StoreErrorKind::AlreadyExists => Report::MadeEarlier,
                // The record has the version after the one that was read.
                StoreErrorKind::Conflict if matches!(self, Self::Pause(_)) => Report::MadeEarlier,
                StoreErrorKind::Unavailable => Report::Unknown,
                _ => panic!("{error:?}"),
            },
        }
    }

    fn is_made(&self, store: &RedisStore) -> bool {
        match self {
            Self::Insert(record) => crate::find(store, &record.key.id).as_ref() == Some(record),
            Self::Revoke(record) => is_revoked(store, &record.key.id),
            Self::Pause(record) => {
                let found = crate::find(store, &record.key.id).unwrap();
                assert_eq!(found.version, 1 + u64::from(!found.key.enabled));
                !found.key.enabled
            }
            // Only a repeat shows whether a reservation was made.
            Self::Reserve(_) => true,
        }
    }
}

impl Change {
    /// Asserts that the change of a key has one event, although it was repeated.
    fn assert_recorded_once(&self, store: &RedisStore) {
        let (record, kinds) = match self {
            Self::Insert(record) => (record, vec![EventKind::Created]),
            Self::Revoke(record) => (record, vec![EventKind::Created, revoked(false, 1)]),
            Self::Pause(record) => (record, vec![EventKind::Created, EventKind::Updated]),
            Self::Reserve(_) => return,
        };
        assert_eq!(history(store, &record.key.id), kinds);
    }
}

/// Returns changes of each kind. The keys to be revoked are inserted past the proxy.
fn changes(direct: &RedisStore, round: u8) -> Vec<Change> {
    let mut changes = Vec::new();
    for number in 0..10 {
        changes.push(Change::Insert(sample::record()));
        changes.push(Change::Revoke(insert(direct, sample::record())));
        let mut key = [round; 32];
        key[0] = number;
        let id = sample::record().key.id;
        let reservation = Reservation::new(key, [number; 32], id, Timestamp::MAX);
        changes.push(Change::Reserve(reservation));
    }
    changes
}

/// Makes changes whose replies are cut off after a number of bytes that grows by `bytes` from round
/// to round, and repeats each change. Returns the number of rounds.
fn repeat_changes(
    server: &Server,
    bytes: usize,
    changes: impl Fn(&RedisStore, u8) -> Vec<Change>,
) -> u8 {
    const ROUNDS: u8 = 25;
    let proxy = Proxy::before(server.port());
    let (store, direct) = (store_behind(&proxy), server.store());
    let kept = insert(&store, sample::record());
    let (mut acknowledged, mut made, mut not_made) = (0, 0, 0);
    let mut round = 0;
    // Heartbeats use up some of the bytes, so a cut may come too early or too late for a change.
    while round < ROUNDS || (acknowledged == 0 || made == 0) && round < u8::MAX {
        let changes = changes(&direct, round);
        let (sender, reports) = std::sync::mpsc::channel();
        await_connections(&store, &kept);
        proxy.cut_after(usize::from(round % ROUNDS) * bytes);
        run_together(changes.iter().cloned().map(|change| {
            let (store, sender) = (Arc::clone(&store), sender.clone());
            async move {
                let report = change.make(&store).await;
                sender.send((change, report)).unwrap();
            }
        }));
        drop(sender);
        for (change, first) in reports {
            assert_ne!(first, Report::MadeEarlier, "no earlier call made it");
            if first == Report::Made {
                assert!(change.is_made(&direct), "it was never made");
            }
            // The second handle repeats the change, as a server does after a crash of the first.
            let second = block_on(change.make(&direct));
            assert!(change.is_made(&direct));
            change.assert_recorded_once(&direct);
            match (&first, &second) {
                (Report::Made, Report::MadeEarlier) => acknowledged += 1,
                (Report::Unknown, Report::MadeEarlier) => made += 1,
                (Report::Unknown, Report::Made) => not_made += 1,
                other => panic!("{other:?}"),
            }
        }
        round += 1;
    }
    println!(
        "{acknowledged} changes were acknowledged. Of the others {made} were made and {not_made} were not."
    );
    assert!(
        acknowledged > 0 && made > 0,
        "all or no replies are cut off"
    );
    round
}

#[test]
fn a_repeat_reports_whether_a_change_with_a_lost_reply_was_made() {
    let server = Server::start();
    let rounds = repeat_changes(&server, 9, changes);
    let listing = ListKeys::new().with_limit(1);
    let page = block_on(server.store().list(
        &sample::workspace(),
        Environment::Live,
        &listing,
        sample::now(),
    ))
    .unwrap();
    assert_eq!(page.total, Some(1 + u64::from(rounds) * 20));
}

#[test]
fn a_repeat_of_an_update_with_a_lost_reply_is_a_conflict_if_it_was_made() {
    const UPDATES: usize = 8;
    let server = Server::start();
    // An update also reads the record before and after its write. In the last round, all replies
    // are about to pass.
    repeat_changes(&server, 220, |direct, _| {
        let records = std::iter::repeat_with(|| insert(direct, sample::record()));
        records.take(UPDATES).map(Change::Pause).collect()
    });
}

fn create_once(issuer: &Issuer, name: &str) -> Result<Key, IssueError> {
    let operator = operator();
    let new = NewKey::new(Name::parse(name).unwrap());
    let idempotency = IdempotencyKey::parse(name).unwrap();
    let created = issuer.create_once(&operator, new, &idempotency, name.as_bytes());
    Ok(match block_on(created)? {
        IssueOutcome::Issued(issued) => issued.key,
        IssueOutcome::Replayed(key) => key,
    })
}

#[test]
fn a_creation_whose_reply_is_lost_makes_one_key_however_often_it_is_repeated() {
    const ROUNDS: usize = 20;
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let keys = library_over(store_behind(&proxy));
    let direct = server.store();
    let mut lost = 0;
    let start = now();
    for round in 0.. {
        // Heartbeats use up some of the bytes, so a cut may come too early for a creation.
        if round >= ROUNDS && (lost > 0 || now() - start > PATIENCE) {
            break;
        }
        let name = format!("round-{round}");
        proxy.cut_after(round % ROUNDS);
        let mut attempts = 0;
        let created = retry(|| {
            attempts += 1;
            create_once(keys.issuer(), &name)
        });
        lost += attempts - 1;
        let listing = ListKeys::new().with_limit(100);
        let page = block_on(direct.list(
            &sample::workspace(),
            Environment::Live,
            &listing,
            sample::now(),
        ))
        .unwrap();
        let named: Vec<KeyId> = page
            .keys
            .iter()
            .filter(|key| key.name.as_str() == name)
            .map(|key| key.id)
            .collect();
        assert_eq!(named, [created.unwrap().id]);
    }
    assert!(lost > 0, "no reply is cut off");
}
