//! A server of a fleet over Redis or PostgreSQL, or its Redis, is killed during creations,
//! rotations and cascades. Each change that was made has its event.
//!
//! `KEYWRIGHT_TEST_ROUNDS=300 cargo test --test stories fleet_crash` kills more often.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use keywright_core::{
    Environment, Event, EventKind, ListEvents, Workspace,
    store::{KeyStore, StoreError},
};
use keywright_store_postgres::PostgresStore;
use keywright_store_redis::{RedisConfig, RedisStore};
use serde_json::Value;
use tempfile::tempdir;
use tokio::runtime::Runtime;

use crate::support::{
    FAST, PATIENCE, Postgres, Redis, Response, Server, operator_key, request, run, wait_for,
};

/// The number of kills, unless the environment says otherwise.
const ROUNDS: usize = 15;

/// The number of threads that create, that rotate, and that revoke families of keys.
const THREADS: usize = 2;

const KEYS: &str = "/v1/api-keys";

const BODY: &str = r#"{"name":"n"}"#;

/// A request before the crash, and the content of its response, if there was one.
enum Operation {
    Creation {
        idempotency_key: String,
        issued: Option<Issued>,
    },
    Rotation {
        old: Issued,
        idempotency_key: String,
        issued: Option<Issued>,
    },
    Cascade {
        root: Issued,
        descendants: Vec<Issued>,
        acknowledged: bool,
    },
}

/// A key that a response has issued.
struct Issued {
    id: String,
    token: String,
}

impl Issued {
    #[track_caller]
    fn from(response: &Response) -> Self {
        assert_eq!(response.status, 201, "{response:?}");
        Self {
            id: response.text("id"),
            token: response.text("secret"),
        }
    }
}

/// The results of repeating the operations of one kind after the crashes.
#[derive(Default, Debug)]
struct Tally {
    acknowledged: usize,
    /// Operations without a response that had been done.
    done: usize,
    /// Operations without a response that only the repeat has done.
    repeated: usize,
}

/// The number of acknowledged operations of each kind in a round.
#[derive(Default)]
struct Progress {
    creations: AtomicUsize,
    rotations: AtomicUsize,
    cascades: AtomicUsize,
}

impl Progress {
    fn add(counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether each kind has at least this many acknowledged operations.
    fn reaches(&self, count: usize) -> bool {
        [&self.creations, &self.rotations, &self.cascades]
            .iter()
            .all(|counter| counter.load(Ordering::Relaxed) >= count)
    }
}

/// The store of a fleet.
enum Store {
    Redis(Redis),
    Postgres(Postgres),
}

impl Store {
    fn redis(folder: &Path) -> Self {
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        Self::Redis(Redis::start(folder, &durable))
    }

    fn postgres(folder: &Path) -> Self {
        let postgres = Postgres::new();
        let migrated = run(folder, &["migrate", "--store", &postgres.url]);
        assert!(migrated.status.success(), "{migrated:?}");
        Self::Postgres(postgres)
    }

    fn url(&self) -> &str {
        match self {
            Self::Redis(redis) => &redis.url,
            Self::Postgres(postgres) => &postgres.url,
        }
    }

    /// Whether an interrupted cascade has revoked all keys of the family or none.
    const fn has_atomic_cascades(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Starts Redis again if it was killed.
    fn recover(&mut self) {
        if let Self::Redis(redis) = self
            && TcpStream::connect(redis.address()).is_err()
        {
            redis.restart();
        }
    }
}

#[test]
fn acknowledged_operations_survive_and_none_is_half_done_when_a_server_is_killed() {
    kill_under_load(Store::redis, |_, server| server.kill());
}

#[test]
fn acknowledged_operations_survive_and_none_is_half_done_when_redis_is_killed() {
    kill_under_load(Store::redis, |store, _| match store {
        Store::Redis(redis) => redis.kill(),
        Store::Postgres(_) => unreachable!("the store is Redis"),
    });
}

#[test]
fn acknowledged_operations_survive_and_none_is_half_done_when_a_server_over_postgres_is_killed() {
    kill_under_load(Store::postgres, |_, server| server.kill());
}

fn kill_under_load(open: impl Fn(&Path) -> Store, kill: impl Fn(&mut Store, &mut Server)) {
    let folder = tempdir().unwrap();
    let mut store = open(folder.path());
    let url = store.url().to_owned();
    let options = [&FAST[..], &["--store", &url]].concat();
    let serving = [&options[..], &["--rate-limit", "0"]].concat();
    let survivor = Server::start(folder.path(), &serving);
    let log = EventLog::open(&store);
    let rounds = std::env::var("KEYWRIGHT_TEST_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut tallies = [(); 3].map(|()| Tally::default());
    for round in 0..rounds {
        let mut victim = Server::start(folder.path(), &serving);
        let workspace = format!("round-{round}");
        let arguments = [&options[..], &["--workspace", &workspace]].concat();
        let admin = operator_key(folder.path(), &arguments);
        let progress = Progress::default();
        let operations = thread::scope(|scope| {
            let address = victim.address;
            let (admin, progress) = (admin.as_str(), &progress);
            let threads: Vec<_> = (0..THREADS)
                .flat_map(|number| {
                    [
                        scope.spawn(move || create(address, admin, number, progress)),
                        scope.spawn(move || rotate(address, admin, number, progress)),
                        scope.spawn(move || revoke(address, admin, progress)),
                    ]
                })
                .collect();
            let stopped = || threads.iter().all(thread::ScopedJoinHandle::is_finished);
            wait_for("operations of each kind are acknowledged", || {
                // A stalled disk ends the threads early, with a 503.
                (progress.reaches(1 + round % 3) || stopped()).then_some(())
            });
            // Kill at a different moment of the operations in each round.
            thread::sleep(Duration::from_micros(317 * (round as u64 % 40)));
            kill(&mut store, &mut victim);
            let operations = threads.into_iter();
            let operations = operations.flat_map(|thread| thread.join().unwrap());
            operations.collect::<Vec<Operation>>()
        });
        store.recover();
        drop(victim);
        let ready = survivor.send("GET", "/readyz", "", "");
        assert_eq!(ready.status, 200, "{ready:?}");
        let (listed, events) = log.read_with_keys(&workspace, || list(&survivor, &admin));
        assert_one_event_for_each_change(&events, &listed, &operations, 0);
        if store.has_atomic_cascades() {
            assert_no_cascade_is_half_done(&listed, &operations);
        }
        for operation in &operations {
            check(&survivor, &admin, operation, &listed, &mut tallies);
        }
        let (listed, events) = log.read_with_keys(&workspace, || list(&survivor, &admin));
        // In Redis, a cascade that was interrupted has an event, and its repeat may have one as
        // well.
        let repeats = usize::from(!store.has_atomic_cascades());
        assert_one_event_for_each_change(&events, &listed, &operations, repeats);
    }
    println!("creations, rotations, cascades after {rounds} crashes: {tallies:?}");
    assert!(tallies.iter().all(|tally| tally.acknowledged > 0));
}

/// Sends a request to a server that may be killed in the meantime. Returns `None` unless a response
/// reports the outcome.
fn try_send(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    idempotency_key: Option<&str>,
    body: &str,
) -> Option<Response> {
    let header = idempotency_key.map(|key| format!("idempotency-key: {key}\r\n"));
    let request = request(method, path, token, &header.unwrap_or_default(), body);
    Server::try_raw(address, &request).filter(|response| response.status != 503)
}

fn create(address: SocketAddr, admin: &str, thread: usize, progress: &Progress) -> Vec<Operation> {
    let mut operations = Vec::new();
    loop {
        let idempotency_key = format!("create-{thread}-{}", operations.len());
        let response = try_send(address, "POST", KEYS, admin, Some(&idempotency_key), BODY);
        let issued = response.as_ref().map(Issued::from);
        let killed = issued.is_none();
        operations.push(Operation::Creation {
            idempotency_key,
            issued,
        });
        if killed {
            return operations;
        }
        Progress::add(&progress.creations);
    }
}

fn rotate(address: SocketAddr, admin: &str, thread: usize, progress: &Progress) -> Vec<Operation> {
    let mut operations = Vec::new();
    while let Some(old) = try_send(address, "POST", KEYS, admin, None, BODY) {
        let old = Issued::from(&old);
        let idempotency_key = format!("rotate-{thread}-{}", operations.len());
        let path = format!("{KEYS}/{}/rotate", old.id);
        let response = try_send(address, "POST", &path, admin, Some(&idempotency_key), "{}");
        let issued = response.as_ref().map(Issued::from);
        let killed = issued.is_none();
        operations.push(Operation::Rotation {
            old,
            idempotency_key,
            issued,
        });
        if killed {
            break;
        }
        Progress::add(&progress.rotations);
    }
    operations
}

/// Revokes one family of keys after another, while the family is still growing.
fn revoke(address: SocketAddr, admin: &str, progress: &Progress) -> Vec<Operation> {
    let mut operations = Vec::new();
    while let Some(root) = try_send(address, "POST", KEYS, admin, None, BODY) {
        let root = Issued::from(&root);
        let (descendants, acknowledged) = revoke_family(address, admin, &root);
        operations.push(Operation::Cascade {
            root,
            descendants,
            acknowledged,
        });
        if !acknowledged {
            break;
        }
        Progress::add(&progress.cascades);
    }
    operations
}

/// Revokes a key and its descendants once it has some. Returns the descendants, and whether the
/// revocation was acknowledged.
fn revoke_family(address: SocketAddr, admin: &str, root: &Issued) -> (Vec<Issued>, bool) {
    let created = AtomicUsize::new(0);
    thread::scope(|scope| {
        let growing = scope.spawn(|| grow(address, root, &created));
        wait_for("the family has descendants", || {
            (created.load(Ordering::Relaxed) >= 2 || growing.is_finished()).then_some(())
        });
        let path = format!("{KEYS}/{}?cascade=true", root.id);
        let response = try_send(address, "DELETE", &path, admin, None, "");
        let descendants = growing.join().unwrap();
        let acknowledged = response.is_some_and(|response| {
            assert_eq!(response.status, 200, "{response:?}");
            true
        });
        (descendants, acknowledged)
    })
}

/// Creates descendants of a key until one is rejected.
fn grow(address: SocketAddr, root: &Issued, count: &AtomicUsize) -> Vec<Issued> {
    let mut created: Vec<Issued> = Vec::new();
    loop {
        // The parent is the newest key, and each third time the root.
        let parent = match created.last() {
            Some(last) if !created.len().is_multiple_of(3) => last.token.as_str(),
            _ => root.token.as_str(),
        };
        match try_send(address, "POST", KEYS, parent, None, BODY) {
            Some(response) if response.status == 201 => created.push(Issued::from(&response)),
            _ => return created,
        }
        count.store(created.len(), Ordering::Relaxed);
    }
}

/// Returns all keys of the caller's workspace by id.
fn list(server: &Server, admin: &str) -> HashMap<String, Value> {
    let mut keys = HashMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{KEYS}?limit=100{cursor}");
        let page = server.send("GET", &path, admin, "");
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        for key in page["data"].as_array().unwrap() {
            let id = key["id"].as_str().unwrap().to_owned();
            assert!(
                keys.insert(id, key.clone()).is_none(),
                "{key} is listed twice"
            );
        }
        match page["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return keys,
        }
    }
}

fn check(
    server: &Server,
    admin: &str,
    operation: &Operation,
    listed: &HashMap<String, Value>,
    [creations, rotations, cascades]: &mut [Tally; 3],
) {
    match operation {
        Operation::Creation {
            idempotency_key,
            issued,
        } => {
            let repeat = || {
                try_send(
                    server.address,
                    "POST",
                    KEYS,
                    admin,
                    Some(idempotency_key),
                    BODY,
                )
            };
            check_repeat(server, repeat, issued.as_ref(), creations);
            if let Some(issued) = issued {
                assert!(listed.contains_key(&issued.id));
            }
        }
        Operation::Rotation {
            old,
            idempotency_key,
            issued,
        } => {
            assert_eq!(server.whoami(&old.token).status, 200, "in the overlap");
            let path = format!("{KEYS}/{}/rotate", old.id);
            let repeat = || {
                try_send(
                    server.address,
                    "POST",
                    &path,
                    admin,
                    Some(idempotency_key),
                    "{}",
                )
            };
            let id = check_repeat(server, repeat, issued.as_ref(), rotations);
            let old = server.send("GET", &format!("{KEYS}/{}", old.id), admin, "");
            assert_eq!(old.text("successor_id"), id, "{old:?}");
        }
        Operation::Cascade {
            root,
            descendants,
            acknowledged,
        } => {
            let path = format!("{KEYS}/{}?cascade=true", root.id);
            let repeated = server.send("DELETE", &path, admin, "").status;
            match (acknowledged, repeated) {
                (true, 404) => cascades.acknowledged += 1,
                (false, 404) => cascades.done += 1,
                (false, 200) => cascades.repeated += 1,
                _ => panic!("acknowledged: {acknowledged}, but the repeat returned {repeated}"),
            }
            for key in [root].into_iter().chain(descendants) {
                let status = server.whoami(&key.token).status;
                assert_eq!(status, 401, "{} is not revoked", key.id);
            }
            assert_family_revoked(&root.id, &list(server, admin));
        }
    }
}

/// Asserts that a key and all its descendants are revoked, including keys that no response has
/// returned.
fn assert_family_revoked(root: &str, listed: &HashMap<String, Value>) {
    for id in family_of(root, listed) {
        assert!(listed[id]["revoked_at"].is_string(), "{id} is not revoked");
    }
}

/// Returns the ids of a key and all its descendants.
fn family_of<'a>(root: &'a str, listed: &'a HashMap<String, Value>) -> Vec<&'a str> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        let children = listed.iter().filter(|(_, key)| key["parent_id"] == parent);
        family.extend(children.map(|(id, _)| id.as_str()));
        next += 1;
    }
    family
}

/// The events of the fleet, read from its store.
struct EventLog {
    runtime: Runtime,
    store: Box<dyn KeyStore>,
}

impl EventLog {
    fn open(store: &Store) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let store: Box<dyn KeyStore> = match store {
            Store::Redis(redis) => {
                let config = RedisConfig::new(&redis.url).with_deadline(PATIENCE);
                Box::new(runtime.block_on(RedisStore::connect(config)).unwrap())
            }
            Store::Postgres(postgres) => Box::new(runtime.block_on(async {
                let pool = keywright_store_postgres::connect(&postgres.url).await;
                PostgresStore::new(pool.unwrap()).await.unwrap()
            })),
        };
        Self { runtime, store }
    }

    /// Returns the keys and the events of a workspace at one moment. The store may still make
    /// changes that a killed server has sent.
    fn read_with_keys<K>(&self, workspace: &str, keys: impl Fn() -> K) -> (K, Vec<Event>) {
        wait_for("no change is in progress", || {
            let before = self.read(workspace);
            let keys = keys();
            let after = self.read(workspace);
            (before == after).then_some((keys, after))
        })
    }

    fn read(&self, workspace: &str) -> Vec<Event> {
        let workspace = Workspace::parse(workspace).unwrap();
        let mut list = ListEvents::new().with_limit(1000);
        let mut events = Vec::new();
        loop {
            let page = self.store.events(&workspace, Environment::Live, &list);
            let page: Result<_, StoreError> = self.runtime.block_on(page);
            let page = page.unwrap();
            events.extend(page.events);
            if page.next.is_none() {
                return events;
            }
            list.after = page.next;
        }
    }
}

/// Asserts that each cascade has revoked all keys of its family, or none.
fn assert_no_cascade_is_half_done(listed: &HashMap<String, Value>, operations: &[Operation]) {
    let is_revoked = |id: &str| listed[id]["revoked_at"].is_string();
    for operation in operations {
        if let Operation::Cascade { root, .. } = operation {
            for id in family_of(&root.id, listed) {
                assert_eq!(is_revoked(id), is_revoked(&root.id), "{id} of {}", root.id);
            }
        }
    }
}

/// Asserts that each key has one event of its creation, that each cascade has one event, and that
/// each event has its change. A cascade that was not acknowledged may have some `repeats`.
fn assert_one_event_for_each_change(
    events: &[Event],
    listed: &HashMap<String, Value>,
    operations: &[Operation],
    repeats: usize,
) {
    let mut origins: HashMap<String, usize> = HashMap::new();
    let mut revocations: HashMap<String, Vec<Option<u64>>> = HashMap::new();
    for event in events {
        let id = event.key.to_string();
        let key = listed.get(&id);
        let key = key.unwrap_or_else(|| panic!("{event:?} has no change"));
        match event.kind {
            EventKind::Created => *origins.entry(id).or_default() += 1,
            EventKind::Rotated { successor } => {
                assert_eq!(key["successor_id"], successor.to_string(), "{event:?}");
                *origins.entry(successor.to_string()).or_default() += 1;
            }
            EventKind::Revoked { cascade, count } => {
                assert!(cascade && key["revoked_at"].is_string(), "{event:?}");
                revocations.entry(id).or_default().push(count);
            }
            _ => panic!("{event:?} has no change"),
        }
    }
    for id in listed.keys() {
        assert_eq!(origins.remove(id), Some(1), "the origin of {id}");
    }
    assert_eq!(origins, HashMap::new(), "these keys do not exist");
    for operation in operations {
        if let Operation::Cascade {
            root, acknowledged, ..
        } = operation
        {
            let counts = revocations.remove(&root.id).unwrap_or_default();
            let revoked = usize::from(listed[&root.id]["revoked_at"].is_string());
            let repeats = if *acknowledged { 0 } else { repeats };
            let expected = revoked..=revoked + repeats;
            assert!(expected.contains(&counts.len()), "{}: {counts:?}", root.id);
            if *acknowledged {
                let family = family_of(&root.id, listed).len() as u64;
                // Without a count, Redis was killed between the cascade and the count.
                let as_expected = matches!(counts[..], [None]) || counts == [Some(family)];
                assert!(as_expected, "{counts:?} of {family} from {}", root.id);
            }
        }
    }
    assert_eq!(revocations, HashMap::new(), "these keys were not revoked");
}

/// Repeats a request with its idempotency key, and returns the id of the key that it has issued.
fn check_repeat(
    server: &Server,
    repeat: impl Fn() -> Option<Response>,
    issued: Option<&Issued>,
    tally: &mut Tally,
) -> String {
    let repeat = || wait_for("the store is available", &repeat);
    let first = repeat();
    let id = first.text("id");
    match (issued, first.status) {
        (Some(issued), 200) => {
            tally.acknowledged += 1;
            assert_eq!(issued.id, id, "{first:?}");
            assert_eq!(server.whoami(&issued.token).status, 200, "{id} is lost");
        }
        (None, 200) => tally.done += 1,
        (None, 201) => {
            tally.repeated += 1;
            assert_eq!(server.whoami(&first.text("secret")).status, 200);
        }
        _ => panic!("unexpected response to a repeat: {first:?}"),
    }
    let second = repeat();
    assert_eq!((second.status, second.text("id")), (200, id.clone()));
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert!(second.json()["secret"].is_null());
    id
}
