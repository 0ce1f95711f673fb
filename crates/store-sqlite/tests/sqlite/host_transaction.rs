//! Changes in a transaction of the host.

use std::{fs, sync::Arc, thread, time::Duration};

use futures_executor::block_on;
use keywright_core::{
    Event, EventKind, Issued, KeyId, KeyUpdate, Keywright, ListEvents, PreparedKey, Reach,
    store::{KeyStore, StoreErrorKind},
};
use keywright_store_sqlite::SqliteStore;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{
    Folder, error_chain, eventually,
    host::{HostFile, create, is_accepted, new_key, operator},
    insert, sample,
};

/// A host with a connection, and two handles of its store, each with a verifier.
struct Host {
    file: HostFile,
    database: Connection,
    store: Arc<SqliteStore>,
    keys: Keywright,
    others: Keywright,
}

impl Host {
    fn new() -> Self {
        let file = HostFile::new();
        let (store, keys) = file.library();
        let (_, others) = file.library();
        Self {
            database: file.0.sqlite(),
            file,
            store,
            keys,
            others,
        }
    }

    fn prepare(&self) -> PreparedKey {
        block_on(self.keys.issuer().prepare(&operator(), new_key())).unwrap()
    }

    /// Creates a key that both verifiers have cached.
    fn cached(&self) -> Issued {
        let issued = create(&self.keys);
        for keys in [&self.keys, &self.others] {
            assert_eq!(is_accepted(keys, &issued.token), Some(true));
        }
        issued
    }

    fn events(&self, id: KeyId) -> Vec<Event> {
        let list = ListEvents::new().with_key(id);
        let page = block_on(self.keys.issuer().events(&operator(), list));
        page.unwrap().events
    }
}

fn begin(database: &mut Connection) -> Transaction<'_> {
    database
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap()
}

/// Creates the user of a key.
fn insert_user(transaction: &Transaction<'_>, name: &str) {
    transaction
        .execute("INSERT INTO users (name) VALUES (?1)", [name])
        .unwrap();
}

#[test]
fn a_user_and_a_key_exist_after_the_commit_of_the_host_and_not_before() {
    let mut host = Host::new();
    let prepared = host.prepare();
    let id = prepared.key().id;
    let transaction = begin(&mut host.database);
    insert_user(&transaction, "grace");
    host.store.insert_in(&transaction, &prepared).unwrap();
    assert!(block_on(host.keys.issuer().find(&operator(), &id)).is_err());
    assert_eq!(host.file.users(), ["ada"]);
    transaction.commit().unwrap();

    let issued = host.keys.issuer().committed(prepared);
    for keys in [&host.keys, &host.others] {
        assert_eq!(is_accepted(keys, &issued.token), Some(true));
    }
    assert_eq!(host.file.users(), ["ada", "grace"]);
    let kinds: Vec<_> = host.events(id).iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Created]);
    // A second insert of the same key leaves the rest of its transaction in place.
    let again = block_on(host.store.find(&id)).unwrap().unwrap();
    let twice = insert(&host.store, &again).unwrap_err();
    assert_eq!(twice.kind(), StoreErrorKind::AlreadyExists);
    // The store checkpoints the commit of the host, so that a copy of the file has the key.
    let copy = Folder::new();
    assert!(eventually(|| {
        fs::copy(host.file.0.file(), copy.file()).unwrap();
        // A copy during a checkpoint may be damaged.
        SqliteStore::open(copy.file())
            .is_ok_and(|store| matches!(block_on(store.find(&id)), Ok(Some(_))))
    }));
}

#[test]
fn a_key_of_a_transaction_that_was_rolled_back_verifies_nowhere() {
    let mut host = Host::new();
    let prepared = host.prepare();
    let id = prepared.key().id;
    let transaction = begin(&mut host.database);
    insert_user(&transaction, "grace");
    host.store.insert_in(&transaction, &prepared).unwrap();
    transaction.rollback().unwrap();
    // A host must not call this after a rollback. It returns a token that is not valid.
    let issued = host.keys.issuer().committed(prepared);
    for keys in [&host.keys, &host.others] {
        assert_eq!(is_accepted(keys, &issued.token), Some(false));
    }
    assert!(host.events(id).is_empty());
    assert_eq!(host.file.users(), ["ada"]);
    let (_, reopened) = host.file.library();
    assert_eq!(is_accepted(&reopened, &issued.token), Some(false));
}

#[test]
fn an_update_and_a_revocation_apply_in_every_handle_after_the_commit_of_the_host() {
    let mut host = Host::new();
    let pause = KeyUpdate::new().with_enabled(false);
    // Without a report of the commit, the change takes effect through the file.
    for is_reported in [true, false] {
        let issued = host.cached();
        let id = issued.key.id;
        let prepared = host.keys.issuer();
        let prepared = block_on(prepared.prepare_update(&operator(), &id, &pause)).unwrap();
        let transaction = begin(&mut host.database);
        host.store.update_in(&transaction, &prepared).unwrap();
        transaction.rollback().unwrap();
        assert_eq!(host.events(id).len(), 1);
        assert_eq!(is_accepted(&host.keys, &issued.token), Some(true));

        let transaction = begin(&mut host.database);
        let updated = host.store.update_in(&transaction, &prepared).unwrap();
        assert!(!updated.key.enabled);
        transaction.commit().unwrap();
        if is_reported {
            host.keys.issuer().committed_update(&prepared);
            assert_eq!(is_accepted(&host.keys, &issued.token), Some(false));
        }
        for keys in [&host.keys, &host.others] {
            assert!(eventually(
                || is_accepted(keys, &issued.token) == Some(false)
            ));
        }
        assert_eq!(host.events(id).len(), 2);
        // The version has changed since the update was prepared.
        let transaction = begin(&mut host.database);
        let conflict = host.store.update_in(&transaction, &prepared).unwrap_err();
        assert_eq!(conflict.kind(), StoreErrorKind::Conflict);

        drop(transaction);
        for reach in [Reach::Key, Reach::Descendants] {
            let issued = host.cached();
            let id = issued.key.id;
            let prepared = host.keys.issuer();
            let prepared = block_on(prepared.prepare_revocation(&operator(), &id, reach)).unwrap();
            let transaction = begin(&mut host.database);
            let revocation = host.store.revoke_in(&transaction, &prepared).unwrap();
            assert_eq!(revocation.count, 1);
            transaction.commit().unwrap();
            if is_reported {
                let issuer = host.keys.issuer();
                issuer.committed_revocation(prepared, revocation);
                assert_eq!(is_accepted(&host.keys, &issued.token), Some(false));
            }
            for keys in [&host.keys, &host.others] {
                assert!(eventually(
                    || is_accepted(keys, &issued.token) == Some(false)
                ));
            }
            assert_eq!(host.events(id).len(), 2);
        }
    }
}

/// Opens a connection to the file of the host, or to another one.
type Connect = fn(&HostFile, &Folder) -> Connection;

#[test]
fn a_transaction_that_would_lose_or_hide_a_change_is_rejected() {
    let mut host = Host::new();
    let prepared = host.prepare();
    let other = Folder::new();
    drop(other.store());
    let rejections: [(&str, Connect); 4] = [
        ("no open transaction", |host, _| host.0.sqlite()),
        ("not in the file", |_, other| other.sqlite()),
        ("not in the file", |_, _| {
            Connection::open_in_memory().unwrap()
        }),
        ("synchronous = FULL", |host, _| {
            let lax = host.0.sqlite();
            lax.pragma_update(None, "synchronous", "NORMAL").unwrap();
            lax
        }),
    ];
    for (reason, connect) in rejections {
        let mut connection = connect(&host.file, &other);
        let transaction = begin(&mut connection);
        if reason == "no open transaction" {
            transaction.execute_batch("COMMIT").unwrap();
        }
        let rejected = host.store.insert_in(&transaction, &prepared).unwrap_err();
        assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
        assert!(error_chain(&rejected).contains(reason), "{rejected:?}");
    }
    host.file.0.set_version(2);
    let transaction = begin(&mut host.database);
    let rejected = host.store.insert_in(&transaction, &prepared).unwrap_err();
    assert!(error_chain(&rejected).contains("newer program"));
    drop(transaction);
    host.file.0.set_version(1);

    let transaction = begin(&mut host.database);
    let file = host.file.0.file();
    fs::rename(&file, file.with_extension("old")).unwrap();
    let rejected = host.store.insert_in(&transaction, &prepared).unwrap_err();
    assert!(error_chain(&rejected).contains("removed or replaced"));
    fs::rename(file.with_extension("old"), &file).unwrap();
    // The connection is a good one.
    host.store.insert_in(&transaction, &prepared).unwrap();
    transaction.commit().unwrap();
    let issued = host.keys.issuer().committed(prepared);
    assert_eq!(is_accepted(&host.keys, &issued.token), Some(true));
}

#[test]
fn a_deferred_transaction_that_read_an_older_state_cannot_change_keys() {
    let mut host = Host::new();
    let prepared = host.prepare();
    let transaction = host.database.transaction().unwrap();
    let _: i64 = transaction
        .query_one("SELECT count(*) FROM users", (), |row| row.get(0))
        .unwrap();
    create(&host.keys);
    let rejected = host.store.insert_in(&transaction, &prepared).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
    assert!(error_chain(&rejected).contains("locked"), "{rejected:?}");
    transaction.rollback().unwrap();
    let transaction = begin(&mut host.database);
    host.store.insert_in(&transaction, &prepared).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn an_open_transaction_of_the_host_delays_writes_for_five_seconds_and_reads_not_at_all() {
    let mut host = Host::new();
    let issued = create(&host.keys);
    let prepared = host.prepare();
    let transaction = begin(&mut host.database);
    host.store.insert_in(&transaction, &prepared).unwrap();
    thread::scope(|scope| {
        let store = &host.store;
        let writing = scope.spawn(move || insert(store, &sample::record(1)));
        while !writing.is_finished() {
            assert_eq!(is_accepted(&host.keys, &issued.token), Some(true));
            let found = block_on(host.store.find(&prepared.key().id)).unwrap();
            assert!(found.is_none());
            thread::sleep(Duration::from_millis(10));
        }
        let rejected = writing.join().unwrap().unwrap_err();
        assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
    });
    transaction.commit().unwrap();
    insert(&host.store, &sample::record(1)).unwrap();
    let issued = host.keys.issuer().committed(prepared);
    assert_eq!(is_accepted(&host.keys, &issued.token), Some(true));
}

/// The rule is that of `keywright_core`, and a test of the PostgreSQL store covers each case.
#[test]
fn a_caller_that_was_revoked_since_a_change_was_prepared_does_not_make_it() {
    let mut host = Host::new();
    let (issued, target) = (host.cached(), host.cached().key.id);
    let verified = block_on(
        host.keys
            .verifier()
            .verify(issued.token.expose().as_bytes()),
    );
    let caller = verified.unwrap().caller();
    let issuer = host.keys.issuer();
    let key = block_on(issuer.prepare(&caller, new_key())).unwrap();
    let pause = KeyUpdate::new().with_enabled(false);
    let update = block_on(issuer.prepare_update(&caller, &target, &pause)).unwrap();
    let revocation = block_on(issuer.prepare_revocation(&caller, &target, Reach::Key)).unwrap();
    let change = |store: &SqliteStore, database: &mut Connection| {
        let transaction = begin(database);
        [
            store.insert_in(&transaction, &key),
            store.update_in(&transaction, &update).map(drop),
            store.revoke_in(&transaction, &revocation).map(drop),
        ]
    };
    let results = change(&host.store, &mut host.database);
    assert!(results.iter().all(Result::is_ok), "{results:?}");

    block_on(issuer.revoke(&operator(), &issued.key.id, Reach::Key)).unwrap();
    for result in change(&host.store, &mut host.database) {
        let kind = result.map_err(|error| error.kind());
        assert_eq!(kind, Err(StoreErrorKind::Conflict));
    }
}
