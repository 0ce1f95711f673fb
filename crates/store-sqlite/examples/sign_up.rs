//! A host that keeps its users and their API keys in one SQLite file. A sign-up creates a user and
//! the key of the user in one transaction, so neither exists without the other.
//!
//! Run it with `cargo run -p keywright-store-sqlite --example sign_up -- users.db`.

use std::{path::Path, sync::Arc};

use keywright_core::{
    Caller, Config, Issued, Keywright, Name, NewKey, Owner, Permissions, Prefix, Workspace,
};
use keywright_store_sqlite::{SqliteConfig, SqliteStore};
use rusqlite::{Connection, TransactionBehavior};

type Error = Box<dyn std::error::Error>;

const SCHEMA: &str = "
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS users (
        name TEXT NOT NULL PRIMARY KEY,
        key_id TEXT NOT NULL
    ) STRICT;
";

/// The users and their keys.
pub(crate) struct Users {
    database: Connection,
    store: Arc<SqliteStore>,
    keys: Keywright,
}

impl Users {
    /// Opens the database of the host, and creates its tables before those of the store.
    pub(crate) async fn open(file: &Path) -> Result<Self, Error> {
        let database = Connection::open(file)?;
        database.execute_batch(SCHEMA)?;
        let config = SqliteConfig::in_existing_database();
        let store = Arc::new(SqliteStore::open_with(file, config)?);
        let keys = Keywright::open(Config::new(Prefix::parse("acme")?), store.clone()).await?;
        Ok(Self {
            database,
            store,
            keys,
        })
    }

    /// Creates a user and the user's key, or neither of them.
    pub(crate) async fn sign_up(&mut self, name: &str) -> Result<Issued, Error> {
        let user = Caller::operator(Workspace::parse("default")?)
            .with_owner(Owner::parse(&format!("user:{name}"))?);
        let new = NewKey::new(Name::parse("first key")?).with_permissions(Permissions::all());
        // Prepare before the transaction begins: this hashes the secret, and may write.
        let prepared = self.keys.issuer().prepare(&user, new).await?;

        let immediate = TransactionBehavior::Immediate;
        let transaction = self.database.transaction_with_behavior(immediate)?;
        let insert_user = "INSERT INTO users (name, key_id) VALUES (?1, ?2)";
        transaction.execute(insert_user, (name, prepared.key().id.to_string()))?;
        self.store.insert_in(&transaction, &prepared)?;
        transaction.commit()?;

        Ok(self.keys.issuer().committed(prepared))
    }

    /// Returns the library, which verifies tokens.
    pub(crate) const fn keys(&self) -> &Keywright {
        &self.keys
    }
}

fn main() -> Result<(), Error> {
    let file = std::env::args().nth(1).ok_or("usage: sign_up FILE")?;
    futures_executor::block_on(async {
        let mut users = Users::open(Path::new(&file)).await?;
        let issued = users.sign_up("ada").await?;
        println!("The token of ada: {}", issued.token.expose());
        let token = issued.token.expose().as_bytes();
        let verified = users.keys().verifier().verify(token).await?;
        println!("It is the key {}.", verified.key().id);
        Ok(())
    })
}
