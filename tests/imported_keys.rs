//! Imported keys in each kind of store, which two servers share.

use std::{any::Any, collections::BTreeMap, sync::Arc, time::Duration};

use keywright_core::{
    Caller, Config, Denied, EventKind, ForeignKey, ImportError, Imported, Importer, IssueError,
    KeyId, KeyUpdate, Keywright, ListEvents, ListKeys, Name, NewKey, NewRotation, Permissions,
    Prefix, Reach, Scheme, Timestamp, Verified, VerifyError, Workspace,
    copy::StoreCopy,
    foreign::{Digest, ForeignFormat},
    store::{KeyStore, Purge, Record, StoreErrorKind, StoredHash, Transfer},
};
use keywright_store_postgres::{PostgresConfig, PostgresStore, migrate};
use keywright_store_redis::{RedisConfig, RedisStore};
use keywright_store_sqlite::SqliteStore;
use sha2::{Digest as _, Sha256};
use tempfile::tempdir;

use crate::support::{Postgres, Redis, now};

/// A store that two servers have opened.
struct Shared {
    kind: &'static str,
    /// How long after the acknowledgement of a change the other server may use the previous state.
    bound: Duration,
    stores: [Arc<dyn KeyStore>; 2],
    transfer: Arc<dyn Transfer>,
    /// The database, which ends with this.
    _database: Box<dyn Any>,
}

impl Shared {
    fn new<S: KeyStore + Transfer>(
        kind: &'static str,
        bound_in_millis: u64,
        stores: [Arc<S>; 2],
        database: impl Any,
    ) -> Self {
        let [store, other] = stores;
        Self {
            kind,
            bound: Duration::from_millis(bound_in_millis),
            transfer: Arc::clone(&store) as _,
            stores: [store as _, other as _],
            _database: Box::new(database),
        }
    }

    fn sqlite() -> Self {
        let folder = tempdir().unwrap();
        let file = folder.path().join("keys.db");
        let stores = [(); 2].map(|()| Arc::new(SqliteStore::open(&file).unwrap()));
        Self::new("SQLite", 100, stores, folder)
    }

    async fn redis() -> Self {
        let folder = tempdir().unwrap();
        let redis = Redis::start(
            folder.path(),
            &["--appendonly", "yes", "--appendfsync", "no"],
        );
        let connect = async || {
            let connected = RedisStore::connect(RedisConfig::new(&redis.url)).await;
            Arc::new(connected.unwrap())
        };
        let stores = [connect().await, connect().await];
        Self::new("Redis", 1_100, stores, (redis, folder))
    }

    async fn postgres() -> Self {
        // It runs statements on a runtime that this one must not contain.
        let postgres = tokio::task::spawn_blocking(Postgres::new).await.unwrap();
        let config = PostgresConfig::new();
        let pool = keywright_store_postgres::connect(&postgres.url)
            .await
            .unwrap();
        migrate(&pool, &config).await.unwrap();
        let connect = async || {
            let connected = PostgresStore::connect(&postgres.url, config.clone()).await;
            Arc::new(connected.unwrap())
        };
        let stores = [connect().await, connect().await];
        Self::new("PostgreSQL", 500, stores, postgres)
    }

    async fn libraries(&self) -> [Keywright; 2] {
        let [here, there] = &self.stores;
        [open(here).await, open(there).await]
    }

    async fn record(&self, id: &KeyId) -> Record {
        self.stores[0].find(id).await.unwrap().unwrap()
    }

    /// Waits until the hash of an imported key is one of this library's.
    async fn wait_for_upgrade(&self, id: &KeyId) -> Record {
        eventually(
            &format!("{}: the hash is replaced", self.kind),
            async || {
                let record = self.record(id).await;
                let is_native = matches!(record.credential.hash, StoredHash::Native(_));
                is_native.then_some(record)
            },
        )
        .await
    }

    /// Verifies a token in the other server until it applies a change that was just acknowledged.
    /// No verification that begins after the bound may miss it.
    async fn wait_for_change<T>(
        &self,
        keys: &Keywright,
        token: &str,
        applied: impl Fn(&Result<Verified, Denied>) -> Option<T>,
    ) -> T {
        let acknowledged = now();
        eventually(self.kind, async || {
            let began = acknowledged.elapsed();
            let result = verify(keys, token).await;
            let change = applied(&result);
            assert!(
                change.is_some() || began <= self.bound,
                "{}: {result:?} after {began:?}",
                self.kind
            );
            change
        })
        .await
    }
}

async fn all() -> [Shared; 3] {
    [
        Shared::sqlite(),
        Shared::redis().await,
        Shared::postgres().await,
    ]
}

fn format() -> ForeignFormat {
    ForeignFormat::digest(Digest::Sha256).with_token_prefix("old_")
}

/// Opens a server.
async fn open(store: &Arc<dyn KeyStore>) -> Keywright {
    let config = Config::new(Prefix::parse("acme").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_foreign(format());
    Keywright::open(config, Arc::clone(store)).await.unwrap()
}

fn workspace() -> Workspace {
    Workspace::parse("default").unwrap()
}

fn operator() -> Caller {
    Caller::operator(workspace())
}

fn token(number: usize) -> String {
    format!("old_{number:032}")
}

/// The line of a key in the file to import.
fn foreign_key(number: usize) -> ForeignKey {
    let digest = Sha256::digest(token(number));
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = Name::parse(&format!("key {number}")).unwrap();
    let mut key = ForeignKey::new(hash, name, Permissions::all());
    key.created_at = Some(Timestamp::parse("2023-05-01T08:00:00Z").unwrap());
    key
}

fn importer(keys: &Keywright) -> Importer {
    Importer::new(keys.issuer().clone(), workspace(), format())
}

async fn import(keys: &Keywright, number: usize) -> KeyId {
    match importer(keys).import(&foreign_key(number)).await.unwrap() {
        Imported::New(id) => id,
        Imported::Present(id) => panic!("{id} is present"),
    }
}

/// Imports a key at the same time as another importer. On a slow machine, Redis may have to be
/// asked again.
async fn import_together(importer: &Importer, number: usize) -> Imported {
    for _ in 0..100 {
        match importer.import(&foreign_key(number)).await {
            Ok(imported) => return imported,
            Err(ImportError::Issue(IssueError::Store(error))) => {
                assert_eq!(error.kind(), StoreErrorKind::AlreadyExists);
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("key {number} was not imported");
}

/// Verifies a token. Repeats it while the store is unavailable.
async fn verify(keys: &Keywright, token: &str) -> Result<Verified, Denied> {
    eventually("the store is available", async || {
        match keys.verifier().verify(token.as_bytes()).await {
            Ok(verified) => Some(Ok(verified)),
            Err(VerifyError::Denied(denied)) => Some(Err(denied)),
            Err(VerifyError::Undecided(_)) => None,
        }
    })
    .await
}

async fn accepted(keys: &Keywright, token: &str) -> KeyId {
    match verify(keys, token).await {
        Ok(verified) => verified.key().id,
        Err(denied) => panic!("{denied:?}"),
    }
}

/// Calls `attempt` until it returns a value.
async fn eventually<T>(what: &str, attempt: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..12_000 {
        if let Some(value) = attempt().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("gave up waiting: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_of_one_file_at_once_create_each_key_once() {
    const KEYS: usize = 90;
    for shared in all().await {
        let libraries = shared.libraries().await;
        let mut tasks = Vec::new();
        // Each importer has several tasks, and the two begin at different ends of the file.
        for (side, keys) in libraries.iter().enumerate() {
            for share in 0..6 {
                let importer = importer(keys);
                tasks.push(tokio::spawn(async move {
                    let mut imported = Vec::new();
                    for step in 0..KEYS / 6 {
                        let number = 6 * step + share;
                        let number = if side == 0 { number } else { KEYS - 1 - number };
                        imported.push((number, import_together(&importer, number).await));
                    }
                    imported
                }));
            }
        }
        let mut outcomes: BTreeMap<usize, Vec<Imported>> = BTreeMap::new();
        for task in tasks {
            for (number, imported) in task.await.unwrap() {
                outcomes.entry(number).or_default().push(imported);
            }
        }
        assert_eq!(outcomes.len(), KEYS);
        let [here, there] = &libraries;
        for (number, outcome) in outcomes {
            let ([Imported::New(new), Imported::Present(id)]
            | [Imported::Present(id), Imported::New(new)]) = outcome[..]
            else {
                panic!("{}: {number}: {outcome:?}", shared.kind);
            };
            assert_eq!(new, id);
            for keys in [here, there] {
                assert_eq!(accepted(keys, &token(number)).await, id, "{}", shared.kind);
            }
        }
        let list = ListKeys::new().imported().with_limit(100);
        let page = here.issuer().list(&operator(), list).await.unwrap();
        assert_eq!(
            (page.keys.len(), page.next),
            (KEYS, None),
            "{}",
            shared.kind
        );
        let list = ListEvents::new().with_limit(100);
        let page = here.issuer().events(&operator(), list).await.unwrap();
        assert_eq!(page.events.len(), KEYS, "{}", shared.kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_use_in_two_servers_at_once_replaces_the_hash_and_keeps_the_alias() {
    for shared in all().await {
        let [here, there] = shared.libraries().await;
        for number in 0..10 {
            let id = import(&here, number).await;
            let alias = shared.record(&id).await.alias;
            assert!(alias.is_some());
            let token = token(number);
            if number == 0 {
                // This server ends before it has replaced the hash, or soon after.
                let brief = open(&shared.stores[0]).await;
                assert_eq!(accepted(&brief, &token).await, id);
            }
            let both = tokio::join!(accepted(&here, &token), accepted(&there, &token));
            assert_eq!(both, (id, id), "{}", shared.kind);
            let record = shared.wait_for_upgrade(&id).await;
            assert_eq!(record.alias, alias, "{}", shared.kind);
            // The servers have cached the key with its foreign hash, and a new one has not.
            let restarted = open(&shared.stores[1]).await;
            for keys in [&here, &there, &restarted] {
                assert_eq!(accepted(keys, &token).await, id, "{}", shared.kind);
                let wrong = verify(keys, &format!("{token}0")).await.unwrap_err();
                assert_eq!(wrong, Denied::NotImported);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_imported_key_in_one_server_is_applied_by_the_other() {
    for shared in all().await {
        let [here, there] = shared.libraries().await;
        let issuer = here.issuer();
        let mut ids = Vec::new();
        for number in 0..6 {
            ids.push(import(&here, number).await);
        }
        // The last key is never used.
        for (number, id) in ids.iter().enumerate().take(5) {
            for keys in [&here, &there] {
                assert_eq!(accepted(keys, &token(number)).await, *id);
            }
            shared.wait_for_upgrade(id).await;
        }
        let update = async |number: usize, update: KeyUpdate| {
            let updated = issuer.update(&operator(), &ids[number], &update).await;
            updated.unwrap();
        };
        let is = |expected: Denied| {
            move |result: &Result<Verified, Denied>| {
                (result.as_ref().err() == Some(&expected)).then_some(())
            }
        };
        let changed = async |number: usize, expected: Denied| {
            let token = token(number);
            let applied = is(expected);
            assert_eq!(applied(&verify(&here, &token).await), Some(()), "at once");
            shared.wait_for_change(&there, &token, applied).await;
        };

        update(0, KeyUpdate::new().with_enabled(false)).await;
        changed(0, Denied::Disabled(ids[0])).await;
        update(0, KeyUpdate::new().with_enabled(true)).await;
        let resumed = |result: &Result<Verified, Denied>| result.is_ok().then_some(());
        shared.wait_for_change(&there, &token(0), resumed).await;

        let read: Permissions = "calls:read".parse().unwrap();
        update(0, KeyUpdate::new().with_permissions(read.clone())).await;
        let narrowed = |result: &Result<Verified, Denied>| {
            let key = result.as_ref().unwrap().key();
            (key.permissions == read).then_some(())
        };
        shared.wait_for_change(&there, &token(0), narrowed).await;

        let end = issuer.now().as_millis() + 300;
        let end = Timestamp::from_millis(end).unwrap();
        update(0, KeyUpdate::new().with_expires_at(end)).await;
        for keys in [&here, &there] {
            eventually("the key expires", async || {
                is(Denied::Expired(ids[0]))(&verify(keys, &token(0)).await)
            })
            .await;
        }

        let revoked = issuer.revoke(&operator(), &ids[1], Reach::Key).await;
        revoked.unwrap();
        changed(1, Denied::Revoked(ids[1])).await;

        // A cascade from an imported key reaches what its holder has created.
        let holder = verify(&there, &token(2)).await.unwrap();
        let new = NewKey::new(Name::parse("child").unwrap());
        let child = there.issuer().create(&holder.caller(), new).await.unwrap();
        assert_eq!(accepted(&here, child.token.expose()).await, child.key.id);
        let reach = Reach::Descendants;
        let revoked = there.issuer().revoke(&operator(), &ids[2], reach).await;
        assert_eq!(revoked.unwrap().count, 2, "{}", shared.kind);
        for (token, id) in [(&*token(2), ids[2]), (child.token.expose(), child.key.id)] {
            shared
                .wait_for_change(&here, token, is(Denied::Revoked(id)))
                .await;
        }

        // A rotation gives the customer a token of this library. The old one is accepted until the
        // overlap ends.
        let overlaps = [(3, Duration::from_secs(3600)), (4, Duration::ZERO)];
        for (number, overlap) in overlaps {
            let rotation = NewRotation::new().with_overlap(overlap);
            let rotated = issuer.rotate(&operator(), &ids[number], &rotation).await;
            let rotated = rotated.unwrap();
            assert!(rotated.token.expose().starts_with("acme_live_"));
            let successor = rotated.key.id;
            assert!(!rotated.key.imported);
            for keys in [&here, &there] {
                assert_eq!(accepted(keys, rotated.token.expose()).await, successor);
            }
            if overlap.is_zero() {
                changed(number, Denied::Revoked(ids[number])).await;
                continue;
            }
            let retired = |result: &Result<Verified, Denied>| {
                let key = result.as_ref().unwrap().key();
                assert_eq!(key.id, ids[number]);
                (key.successor == Some(successor) && key.expires_at.is_some()).then_some(())
            };
            shared
                .wait_for_change(&there, &token(number), retired)
                .await;
        }

        // Events and last uses belong to the id of the key.
        let events = ListEvents::new().with_key(ids[0]).with_limit(100);
        let events = issuer.events(&operator(), events).await.unwrap().events;
        assert_eq!(events.len(), 5, "{}: {events:?}", shared.kind);
        assert!(matches!(events.last().unwrap().kind, EventKind::Created));
        assert!(!serde_json::to_string(&events).unwrap().contains("old_"));
        for keys in [&here, &there] {
            keys.flush().await.unwrap();
        }
        for (number, id) in ids.iter().enumerate() {
            let key = shared.record(id).await.key;
            assert!(key.imported);
            assert_eq!(key.last_used_at.is_some(), number != 5, "{}", shared.kind);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_through_every_kind_of_store_keeps_imported_keys_working() {
    let [sqlite, redis, postgres] = all().await;
    let [here, there] = sqlite.libraries().await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(import(&here, number).await);
    }
    assert_eq!(accepted(&there, &token(0)).await, ids[0]);
    sqlite.wait_for_upgrade(&ids[0]).await;
    let issuer = here.issuer();
    let revoked = issuer.revoke(&operator(), &ids[1], Reach::Key).await;
    revoked.unwrap();
    let rotation = NewRotation::new().with_overlap(Duration::from_secs(3600));
    let rotated = issuer
        .rotate(&operator(), &ids[2], &rotation)
        .await
        .unwrap();
    drop((here, there));

    let last = Shared::sqlite();
    for (source, target) in [(&sqlite, &redis), (&redis, &postgres), (&postgres, &last)] {
        let name = format!("{} to {}", source.kind, target.kind);
        let copy = || StoreCopy::new(&*source.transfer, &*target.transfer);
        copy().run().await.unwrap();
        // Between two runs, two keys are purged, and their tokens imported again.
        let keys = open(&source.stores[0]).await;
        let issuer = keys.issuer();
        let purged = issuer.revoke(&operator(), &ids[3], Reach::Key).await;
        purged.unwrap();
        let purge = Purge::new(10).with_revoked_before(Timestamp::MAX);
        let purged = source.stores[0].purge(&purge).await;
        assert_eq!(purged.unwrap(), 2, "{name}");
        let again = import(&keys, 3).await;
        assert_ne!(again, ids[3]);
        ids[3] = again;
        ids[1] = import(&keys, 1).await;
        let revoked = issuer.revoke(&operator(), &ids[1], Reach::Key).await;
        revoked.unwrap();
        drop(keys);

        let report = copy().with_stopped_source().finish().await.unwrap();
        assert_eq!((report.keys, report.differing), (5, 0), "{name}");
        let [here, there] = target.libraries().await;
        for keys in [&here, &there] {
            for number in [0, 2, 3] {
                assert_eq!(accepted(keys, &token(number)).await, ids[number], "{name}");
            }
            let denied = verify(keys, &token(1)).await.unwrap_err();
            assert_eq!(denied, Denied::Revoked(ids[1]), "{name}");
            let successor = accepted(keys, rotated.token.expose()).await;
            assert_eq!(successor, rotated.key.id, "{name}");
        }
        let present = importer(&here).import(&foreign_key(3)).await.unwrap();
        assert_eq!(present, Imported::Present(ids[3]), "{name}");
    }
}
