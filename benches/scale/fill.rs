//! Fills a file without using the store. Creating the keys durably would take hours.

use std::{fs::File, path::Path, sync::Arc};

use futures_executor::block_on;
use keywright_core::{
    Caller, Config, Environment, Key, Keywright, MemoryStore, Minted, Name, Permissions, Scheme,
    Workspace,
};
use keywright_store_sqlite::SqliteStore;
use rusqlite::{Connection, params};

use crate::issued::{self, TokenBytes};

/// The number of keys in a workspace.
pub(crate) const WORKSPACE: usize = 1_000;

pub(crate) const NAME: &str = "a name of 20 letters";
const PERMISSIONS: &str = "api_keys:*,calls:read";

/// The number of keys that can be verified in the large file. The other keys have a hash that does
/// not match. In the small file, one key in ten can be verified. In the large file, each such key
/// is on a different page.
const VERIFIED: usize = 10_000;

/// Inserts a new key. The columns are those of the store's schema that a new key sets.
const INSERT: &str = "
    INSERT INTO keywright_keys
        (id, workspace, environment, name, permissions, enabled, parent, hash, tag, version)
    VALUES (?1, ?2, 0, ?3, ?4, 1, ?5, ?6, ?7, 1)";

/// No journal, and the indexes in memory. If filling fails, the file is discarded.
const SETTINGS: &str = "
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = DELETE;
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -1500000;";

/// The callers of all workspaces, and the tokens that can be verified.
pub(crate) struct Contents {
    pub(crate) callers: Vec<Caller>,
    pub(crate) tokens: Vec<TokenBytes>,
}

/// Fills a new file with this many keys. The first key of each workspace is the parent of the
/// others.
pub(crate) fn fill(file: &Path, count: usize) -> Contents {
    drop(SqliteStore::open(file).unwrap());
    let minting = |scheme| {
        let config = Config::new(issued::prefix()).with_scheme(scheme);
        block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap()
    };
    let keys = minting(Scheme::HmacSha256);
    let mint = |keys: &Keywright, workspace: &Workspace| -> Minted {
        block_on(keys.issuer().mint(workspace, Environment::Live)).unwrap()
    };
    let workspaces: Vec<Workspace> = (0..count / WORKSPACE)
        .map(|number| Workspace::parse(&format!("org_{number:012}")).unwrap())
        .collect();
    let argon2id = mint(&minting(Scheme::default()), workspaces.first().unwrap());
    let argon2id = argon2id.credential.hash.to_string();

    let database = Connection::open(file).unwrap();
    database.execute_batch(SETTINGS).unwrap();
    let mut contents = Contents {
        callers: Vec::with_capacity(workspaces.len()),
        tokens: Vec::new(),
    };
    let verified = (count / VERIFIED).max(10);
    database.execute_batch("BEGIN").unwrap();
    let mut insert = database.prepare(INSERT).unwrap();
    for (number, workspace) in (0..count).zip(workspaces.iter().cycle()) {
        let minted = mint(&keys, workspace);
        let hash = if number % verified == 0 {
            let token = minted.token.expose().as_bytes();
            contents.tokens.push(token.try_into().unwrap());
            &minted.credential.hash.to_string()
        } else {
            &argon2id
        };
        let index = number % workspaces.len();
        let parent = contents.callers.get(index).and_then(Caller::key);
        insert
            .execute(params![
                minted.id.as_bytes(),
                workspace.as_str(),
                NAME,
                PERMISSIONS,
                parent.map(|id| id.as_bytes()),
                hash,
                minted.credential.tag.as_bytes(),
            ])
            .unwrap();
        if parent.is_none() {
            let key = Key::new(
                minted.id,
                workspace.clone(),
                Environment::Live,
                Name::parse(NAME).unwrap(),
                PERMISSIONS.parse::<Permissions>().unwrap(),
            );
            contents.callers.push(Caller::from(&key));
        }
    }
    drop(insert);
    database.execute_batch("COMMIT").unwrap();
    drop(database);
    // Otherwise the system would write the data during the measurement.
    File::open(file).unwrap().sync_all().unwrap();
    issued::shuffle(&mut contents.tokens);
    contents
}
