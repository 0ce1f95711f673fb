//! A store in the database of a host, next to its tables.

use std::{fs, sync::Arc};

use futures_executor::block_on;
use keywright_core::{
    Caller, Config, Issued, Keywright, Name, NewKey, Permissions, Prefix, Scheme, Token,
    VerifyError, Workspace,
    store::{KeyStore, Purge},
};
use keywright_store_sqlite::{OpenError, Sharing, SqliteConfig, SqliteStore};
use rusqlite::Connection;

use crate::{Folder, insert, sample};

/// The tables of a host. Its header, its encoding and its rollback journal differ from those of a
/// file that the store has created.
const HOST: &str = "
    PRAGMA encoding = 'UTF-16';
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA application_id = 7;
    PRAGMA user_version = 42;
    CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, key_id TEXT);
    CREATE TABLE keys (id BLOB PRIMARY KEY);
    INSERT INTO users (name) VALUES ('ada');
";

/// A file with the tables of a host.
pub(crate) struct HostFile(pub(crate) Folder);

impl HostFile {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        folder.sqlite().execute_batch(HOST).unwrap();
        Self(folder)
    }

    pub(crate) fn open(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_with(self.0.file(), SqliteConfig::in_existing_database())
    }

    pub(crate) fn library(&self) -> (Arc<SqliteStore>, Keywright) {
        let store = Arc::new(self.open().unwrap());
        let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
        let keys = block_on(Keywright::open(config, store.clone())).unwrap();
        (store, keys)
    }

    pub(crate) fn users(&self) -> Vec<String> {
        let sqlite = self.0.sqlite();
        let mut select = sqlite
            .prepare("SELECT name FROM users ORDER BY id")
            .unwrap();
        let names = select.query_map((), |row| row.get(0)).unwrap();
        names.collect::<rusqlite::Result<_>>().unwrap()
    }
}

pub(crate) fn operator() -> Caller {
    Caller::operator(Workspace::parse("default").unwrap())
}

pub(crate) fn new_key() -> NewKey {
    NewKey::new(Name::parse("CI").unwrap()).with_permissions(Permissions::all())
}

pub(crate) fn create(keys: &Keywright) -> Issued {
    block_on(keys.issuer().create(&operator(), new_key())).unwrap()
}

/// Verifies a token. `None` if the verifier could not decide.
pub(crate) fn is_accepted(keys: &Keywright, token: &Token) -> Option<bool> {
    match block_on(keys.verifier().verify(token.expose().as_bytes())) {
        Ok(_) => Some(true),
        Err(VerifyError::Denied(_)) => Some(false),
        Err(_) => None,
    }
}

fn pragma(sqlite: &Connection, name: &str) -> String {
    let sql = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
    sqlite.query_one(&sql, (), |row| row.get(0)).unwrap()
}

#[test]
fn a_store_leaves_the_tables_and_the_header_and_the_mode_of_a_host_unchanged() {
    let host = HostFile::new();
    let open = host.0.sqlite();
    let names = [
        "application_id",
        "user_version",
        "schema_version",
        "encoding",
        "auto_vacuum",
        "page_size",
    ];
    let before = names.map(|name| pragma(&open, name));
    #[cfg(unix)]
    let mode = {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(host.0.file(), fs::Permissions::from_mode(0o640)).unwrap();
        || fs::metadata(host.0.file()).unwrap().permissions().mode() & 0o777
    };
    let (store, keys) = host.library();
    let issued = create(&keys);
    // Each table of the store has changed the version of the schema that SQLite counts.
    for (name, before) in names.into_iter().zip(before) {
        let is_changed = pragma(&open, name) != before;
        assert_eq!(is_changed, name == "schema_version", "{name}");
    }
    #[cfg(unix)]
    assert_eq!(mode(), 0o640);
    // The switch to a write-ahead log stays in the file.
    assert_eq!(pragma(&open, "journal_mode"), "wal");
    open.execute("INSERT INTO users (name) VALUES ('grace')", ())
        .unwrap();
    assert_eq!(host.users(), ["ada", "grace"]);

    // A file that contains a store needs no option, and a backup contains the tables of the host.
    drop((store, keys));
    let restored = HostFile(Folder::new());
    block_on(host.0.store().backup(&restored.0.file())).unwrap();
    let (_store, keys) = restored.library();
    assert_eq!(is_accepted(&keys, &issued.token), Some(true));
    assert_eq!(restored.users(), ["ada", "grace"]);
    restored.0.assert_intact();
    host.0.assert_intact();
}

#[test]
fn a_database_that_is_missing_or_has_taken_names_is_rejected_and_not_changed() {
    let missing = Folder::new();
    let in_existing = SqliteConfig::in_existing_database();
    let rejected = SqliteStore::open_with(missing.file(), in_existing);
    assert!(matches!(rejected, Err(OpenError::Missing { .. })));
    assert_eq!(fs::read_dir(missing.0.path()).unwrap().count(), 0);

    for set_up in [
        "CREATE TABLE keywright_keys (id)",
        "CREATE TABLE t (a); CREATE INDEX Keywright_KEYS_live ON t (a)",
        "CREATE TABLE keywright_settings (name TEXT, value TEXT)",
        "CREATE TABLE keywright_settings (version INTEGER)",
    ] {
        let host = HostFile::new();
        host.0.sqlite().execute_batch(set_up).unwrap();
        let before = fs::read(host.0.file()).unwrap();
        let rejected = host.open();
        assert!(
            matches!(rejected, Err(OpenError::NamesTaken { .. })),
            "{set_up}: {rejected:?}"
        );
        assert_eq!(fs::read(host.0.file()).unwrap(), before, "{set_up}");
        assert!(!host.0.0.path().join("keys.db-lock").exists());
    }
}

#[test]
fn a_copy_of_a_host_without_its_log_never_becomes_a_new_store() {
    let original = Folder::new();
    let open = original.sqlite();
    // All tables of the host are in the log.
    open.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE users (name)")
        .unwrap();
    let copy = Folder::new();
    let copy_file = || fs::copy(original.file(), copy.file()).unwrap();
    let in_existing = SqliteConfig::in_existing_database();
    copy_file();
    let rejected = SqliteStore::open_with(copy.file(), in_existing);
    assert!(matches!(rejected, Err(OpenError::WithoutLog { .. })));

    // Once a store was opened in the database, the file itself contains the store.
    let store = SqliteStore::open_with(original.file(), in_existing).unwrap();
    copy_file();
    fs::remove_file(copy.0.path().join("keys.db-wal")).unwrap();
    assert!(SqliteStore::open(copy.file()).is_ok());
    drop(store);
}

#[test]
fn triggers_and_foreign_keys_of_a_host_do_not_apply_to_changes_of_the_store() {
    let host = HostFile::new();
    let store = host.open().unwrap();
    host.0
        .sqlite()
        .execute_batch(
            "CREATE TABLE uses (key BLOB REFERENCES keywright_keys (id));
             CREATE TRIGGER no_keys BEFORE INSERT ON keywright_keys
             BEGIN SELECT raise(ABORT, 'no keys'); END;",
        )
        .unwrap();
    let mut record = sample::record(1);
    record.key.revoked_at = Some(sample::now());
    insert(&store, &record).unwrap();
    let refer = "INSERT INTO uses VALUES (?1)";
    host.0
        .sqlite()
        .execute(refer, [record.key.id.as_bytes()])
        .unwrap();
    let mut purge = Purge::new(10);
    purge.revoked_before = Some(keywright_core::Timestamp::MAX);
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 1);
    assert!(block_on(store.is_empty()).unwrap());
}

#[test]
fn a_host_uses_its_connections_next_to_an_exclusive_store() {
    let host = HostFile::new();
    let exclusive = SqliteConfig::in_existing_database().with_sharing(Sharing::Exclusive);
    let _store = SqliteStore::open_with(host.0.file(), exclusive).unwrap();
    host.0
        .sqlite()
        .execute("INSERT INTO users (name) VALUES ('grace')", ())
        .unwrap();
    assert_eq!(host.users(), ["ada", "grace"]);
    assert!(matches!(host.open(), Err(OpenError::InUse { .. })));
}
