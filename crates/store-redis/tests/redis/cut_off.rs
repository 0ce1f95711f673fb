//! Connections that are cut in the middle of an answer, and what becomes of all that waits for one.

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Environment, IdempotencyKey, IssueOutcome, Issuer, Key, KeyId, KeyStore, ListKeys, Name,
    NewKey, Reach, Record, Reservation, Reserved, StoreErrorKind, Timestamp,
};
use keywright_store_redis::{RedisConfig, RedisStore};
use tokio::task::JoinSet;

use crate::{
    insert, sample,
    support::{Copy, Proxy, Server, comes_to, connect, open, operator},
};

fn store_at(url: String) -> Arc<RedisStore> {
    Arc::new(connect(RedisConfig::new(url)))
}

/// Has all of them wait at the same time.
fn together(calls: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let running: JoinSet<()> = calls.collect();
        running.join_all().await
    });
}

/// What is sent to make them would count among the answers.
fn await_connections(store: &RedisStore, stored: &Record) {
    Copy::usable(store, stored.key.id);
}

#[test]
fn each_of_many_reads_that_are_cut_off_finds_its_own_record_or_none() {
    const ROUNDS: usize = 25;
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let store = store_at(proxy.url());
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
        together(wanted.iter().cloned().map(|(record, stored)| {
            let store = Arc::clone(&store);
            async move {
                let found = store.find(&record.key.id).await.unwrap();
                assert_eq!(found, stored.then_some(record), "cut off in round {round}");
            }
        }));
        cut += usize::from(!proxy.is_to_cut());
    }
    assert!(cut > ROUNDS / 2, "{cut} of {ROUNDS} rounds are cut off");
}

/// A change, of which some are made together.
#[derive(Clone)]
enum Change {
    Insert(Record),
    Revoke(Record),
    Reserve(Reservation),
}

/// What the store tells of one.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// That it was made.
    Made,
    /// That it had been made before.
    Earlier,
    /// Nothing: it was made or was not.
    Unknown,
}

impl Change {
    async fn make(&self, store: &RedisStore) -> Told {
        let now = sample::now();
        let outcome = match self {
            Self::Insert(record) => store.insert(record, now).await.map(|()| true),
            Self::Revoke(Record { key, .. }) => {
                let revoked = store.revoke(&key.workspace, &key.id, Reach::Key, now).await;
                revoked.map(|revoked| revoked.first)
            }
            Self::Reserve(reservation) => store.reserve(reservation, now).await.map(|reserved| {
                if let Reserved::Earlier { id, .. } = reserved {
                    assert_eq!(id, reservation.id, "this is the answer to another change");
                }
                reserved == Reserved::New
            }),
        };
        match outcome {
            Ok(true) => Told::Made,
            Ok(false) => Told::Earlier,
            Err(error) => match error.kind() {
                StoreErrorKind::AlreadyExists => Told::Earlier,
                StoreErrorKind::Unavailable => Told::Unknown,
                _ => panic!("{error:?}"),
            },
        }
    }

    fn is_made(&self, store: &RedisStore) -> bool {
        let find = |id: &KeyId| block_on(store.find(id)).unwrap();
        match self {
            Self::Insert(record) => find(&record.key.id).as_ref() == Some(record),
            Self::Revoke(record) => find(&record.key.id).unwrap().key.revoked_at.is_some(),
            // Only asking again tells it.
            Self::Reserve(_) => true,
        }
    }
}

/// Some changes of each kind, of what is there already where it must be.
fn changes(behind: &RedisStore, round: u8) -> Vec<Change> {
    let mut changes = Vec::new();
    for number in 0..10 {
        changes.push(Change::Insert(sample::record()));
        changes.push(Change::Revoke(insert(behind, sample::record())));
        let mut key = [round; 32];
        key[0] = number;
        let id = sample::record().key.id;
        let reservation = Reservation::new(key, [number; 32], id, Timestamp::MAX);
        changes.push(Change::Reserve(reservation));
    }
    changes
}

#[test]
fn a_change_that_is_cut_off_was_made_or_was_not_and_a_repeat_tells_which() {
    const ROUNDS: u8 = 25;
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let (store, behind) = (store_at(proxy.url()), server.store());
    let kept = insert(&store, sample::record());
    let (mut answered, mut made, mut not_made) = (0, 0, 0);
    for round in 0..ROUNDS {
        let changes = changes(&behind, round);
        let (sender, told) = std::sync::mpsc::channel();
        await_connections(&store, &kept);
        proxy.cut_after(usize::from(round) * 9);
        together(changes.iter().cloned().map(|change| {
            let (store, sender) = (Arc::clone(&store), sender.clone());
            async move {
                let told = change.make(&store).await;
                sender.send((change, told)).unwrap();
            }
        }));
        drop(sender);
        for (change, first) in told {
            assert_ne!(first, Told::Earlier, "it was not made before");
            if first == Told::Made {
                assert!(change.is_made(&behind), "it was never made");
            }
            // The second handle asks: it does so as well after a crash of the first.
            let second = block_on(change.make(&behind));
            assert!(change.is_made(&behind));
            match (&first, &second) {
                (Told::Made, Told::Earlier) => answered += 1,
                (Told::Unknown, Told::Earlier) => made += 1,
                (Told::Unknown, Told::Made) => not_made += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    println!(
        "{answered} changes were answered; of others {made} were made and {not_made} were not"
    );
    assert!(answered > 0 && made > 0, "all or nothing is cut off");
    let list = ListKeys::new().with_limit(1);
    let page = block_on(behind.list(
        &sample::workspace(),
        Environment::Live,
        &list,
        sample::now(),
    ))
    .unwrap();
    assert_eq!(page.total, Some(1 + u64::from(ROUNDS) * 20));
}

fn create_once(issuer: &Issuer, name: &str) -> Result<Key, Option<StoreErrorKind>> {
    let operator = operator();
    let new = NewKey::new(Name::parse(name).unwrap());
    let idempotency = IdempotencyKey::parse(name).unwrap();
    let created = issuer.create_once(&operator, new, &idempotency, name.as_bytes());
    match block_on(created) {
        Ok(IssueOutcome::Issued(issued)) => Ok(issued.key),
        Ok(IssueOutcome::Replayed(key)) => Ok(key),
        Err(keywright_core::IssueError::Store(error)) => Err(Some(error.kind())),
        Err(_) => Err(None),
    }
}

#[test]
fn a_creation_that_is_cut_off_anywhere_and_repeated_makes_one_key() {
    let server = Server::start();
    let proxy = Proxy::before(server.port());
    let keys = open(store_at(proxy.url()));
    let behind = server.store();
    let mut lost = 0;
    for bytes in 0..20 {
        let name = format!("cut-off-after-{bytes}");
        proxy.cut_after(bytes);
        let mut created = create_once(keys.issuer(), &name);
        assert!(comes_to(|| match &created {
            Ok(_) => true,
            Err(kind) => {
                assert_eq!(*kind, Some(StoreErrorKind::Unavailable));
                lost += 1;
                created = create_once(keys.issuer(), &name);
                false
            }
        }));
        let key = created.unwrap();
        let list = ListKeys::new().with_limit(100);
        let page = block_on(behind.list(
            &sample::workspace(),
            Environment::Live,
            &list,
            sample::now(),
        ))
        .unwrap();
        let named: Vec<KeyId> = page
            .keys
            .iter()
            .filter(|key| key.name.as_str() == name)
            .map(|key| key.id)
            .collect();
        assert_eq!(named, [key.id]);
    }
    assert!(lost > 0, "nothing is cut off");
}
