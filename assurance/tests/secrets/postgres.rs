//! Searches what the program and PostgreSQL write, and what the types of the store print.

#[path = "../../../crates/store-postgres/tests/postgres/cluster.rs"]
#[expect(dead_code, reason = "the tests of the store use the rest")]
mod cluster;

use std::{fs, sync::Arc};

use keywright_assurance::canary::{Canaries, PIECE};
use keywright_core::store::KeyStore;
use keywright_store_postgres::{OpenError, PostgresConfig, PostgresStore, migrate};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::runtime::Runtime;

use self::cluster::Cluster;
use crate::{
    fixture::{Fixture, PASSWORD, constant_canaries, new_key},
    lifecycle::{attack, run_lifecycle, search_output, search_proc, start},
    printing::{Printed, print_all},
    redis::read_all,
    server::{folder, program, request},
};

/// A cluster that logs each statement with its parameters, and a role with a password.
struct Postgres {
    cluster: Cluster,
    runtime: Runtime,
    /// The URL for the role, with its password.
    url: String,
}

impl Postgres {
    fn start() -> Self {
        let cluster = Cluster::with_options("-c log_statement=all -c log_min_duration_statement=0");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let url = cluster
            .url()
            .replace("keywright@", &format!("app:{PASSWORD}@"));
        let postgres = Self {
            cluster,
            runtime,
            url,
        };
        // Otherwise the log would contain the statement that sets the password.
        let create = format!(
            "CREATE ROLE passwords; CREATE ROLE app LOGIN PASSWORD '{PASSWORD}' IN ROLE passwords; \
             GRANT CREATE ON DATABASE postgres TO app"
        );
        postgres.execute(&[
            "SET log_statement = none",
            "SET log_min_duration_statement = -1",
            &create,
        ]);
        postgres
    }

    /// Executes statements as the superuser, on one connection.
    fn execute(&self, statements: &[&str]) {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.cluster.url()).await.unwrap();
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe((*statement).to_owned()))
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
        });
    }

    /// Migrates and opens the store as the role.
    fn open(&self) -> Arc<PostgresStore> {
        let config = PostgresConfig::new;
        self.runtime.block_on(async {
            let pool = keywright_store_postgres::connect(&self.url).await.unwrap();
            migrate(&pool, &config()).await.unwrap();
            Arc::new(PostgresStore::connect(&self.url, config()).await.unwrap())
        })
    }

    fn log(&self) -> String {
        let log = fs::read(self.cluster.folder().join("log")).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Returns all files of the cluster: its tables, its write-ahead log, and its log.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.execute(&["CHECKPOINT"]);
        let mut files = Vec::new();
        read_all(self.cluster.folder(), &mut files);
        for wanted in ["/pg_wal/", "/base/", "/log"] {
            assert!(
                files.iter().any(|(name, _)| name.contains(wanted)),
                "{wanted}"
            );
        }
        files
    }
}

/// Makes the insertion of each key with this name fail, with its row in the details of the error.
const FORBID: &str = "ALTER TABLE keywright.keys ADD CHECK (name <> 'forbidden')";

/// Returns a search for the hashes in a text.
fn hashes_in(text: &str) -> Canaries {
    let mut canaries = Canaries::new();
    let hashes = text.split("$hmac-sha256$").skip(1);
    for hash in hashes.filter_map(|rest| rest.split([',', '\'', '"', '}', ')']).next()) {
        if hash.len() >= PIECE {
            canaries.add("a hash", hash.as_bytes());
        }
    }
    canaries
}

#[test]
fn no_secret_leaks_over_postgres_which_logs_each_statement() {
    let postgres = Postgres::start();
    let settings = [("KEYWRIGHT_STORE", postgres.url.as_str())];
    let empty = folder();
    let mut migrate = program(empty.path(), &["migrate"]);
    let migrated = migrate.envs(settings).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    let arguments = ["--hash", "hmac-sha256", "--log-format", "json"];
    let (mut server, first, mut canaries) = start(&arguments, &settings);
    let token = run_lifecycle(&server, &first, &mut canaries);
    attack(&server, &first, &token);
    postgres.execute(&[FORBID]);
    let body = r#"{"name":"forbidden"}"#;
    let failed = server.send(request("POST", "/v1/api-keys", &first, body));
    assert_eq!(failed.status(), 503, "{}", failed.body());
    search_proc(&server, &canaries);
    search_output(&server, &canaries, "while it runs");
    server.stop();
    search_output(&server, &canaries, "after it stopped");
    canaries.assert_absent(
        "the output of a migration",
        [migrated.stdout, migrated.stderr].concat(),
    );

    // The log of PostgreSQL contains the parameters of each statement, and the row that failed.
    let log = postgres.log();
    for wanted in [
        "INSERT INTO \"keywright\".keys",
        "pg_current_snapshot",
        "Failing row contains",
    ] {
        assert!(log.contains(wanted), "{wanted}");
    }
    let ours = server.log();
    assert!(ours.contains("violates check constraint"), "{ours}");
    let hashes = hashes_in(&log);
    assert!(!hashes.find(log.as_bytes()).is_empty());
    hashes.assert_absent("the log of the program", &ours);
    hashes.assert_absent("a response", server.responses());
    for (name, bytes) in postgres.files() {
        canaries.assert_absent(&name, bytes);
    }
}

#[test]
fn no_type_of_the_postgres_store_prints_a_secret() {
    let mut printed = Printed::default();
    let postgres = Postgres::start();
    let config = PostgresConfig::new;
    let connect = |url: &str| {
        let connected = PostgresStore::connect(url, config());
        postgres.runtime.block_on(connected).map(drop)
    };
    let url = postgres.url.as_str();
    for wrong in [
        url.replace("postgres://", "http://"),
        url.replace("postgres://", "postgres:"),
        PASSWORD.to_owned(),
        format!("{url}?pasword={PASSWORD}"),
        format!("{url}?{PASSWORD}"),
        format!("postgres://app:{PASSWORD}@127.0.0.1:port/postgres"),
        format!("postgres://127.0.0.1:1/{PASSWORD}@127.0.0.1/postgres"),
        // A role and a database that do not exist, the wrong password, no server, no TLS.
        url.replace("app:", "stranger:"),
        format!("{url}_absent"),
        url.replace(PASSWORD, &PASSWORD[1..]),
        format!("postgres://app:{PASSWORD}@127.0.0.1:1/postgres"),
        format!("{url}?sslmode=require"),
        // No tables.
        url.to_owned(),
    ] {
        let error = connect(&wrong).expect_err(&wrong);
        print_all!(printed; error);
    }
    let store = postgres.open();
    let fixture = Fixture::over(Arc::clone(&store) as Arc<dyn KeyStore>);
    print_all!(printed; store, config());

    // A row that violates a constraint of the host, which the server adds to the error.
    let new = new_key();
    let prepared = fixture.keys.issuer().prepare(&fixture.operator, new);
    let prepared = postgres.runtime.block_on(prepared).unwrap();
    postgres.execute(&["ALTER TABLE keywright.keys ADD CHECK (version < 0) NOT VALID"]);
    let inserted = store.insert(prepared.record(), prepared.now(), None);
    let error = postgres.runtime.block_on(inserted).unwrap_err();
    print_all!(printed; error);
    assert!(postgres.log().contains("Failing row contains"));
    assert!(
        printed.text.contains("violates check constraint"),
        "{}",
        printed.text
    );
    let mut hashes = Canaries::new();
    hashes.add(
        "the hash",
        prepared.record().credential.hash.to_string().as_bytes(),
    );
    hashes.assert_absent("the output of the store", &printed.text);

    // A row that cannot be read, with a token in place of its hash.
    let damage = format!(
        "UPDATE keywright.keys SET version = -1, hash = '{}'",
        fixture.token()
    );
    postgres.execute(&["SET log_statement = none", &damage]);
    let id = fixture.issued.key.id;
    let error = postgres
        .runtime
        .block_on(store.find(&id))
        .map(drop)
        .unwrap_err();
    print_all!(printed; error);
    postgres.cluster.crash();
    let error = postgres.runtime.block_on(store.is_empty()).unwrap_err();
    print_all!(printed; error, OpenError::Parameter);
    let lib = include_str!("../../../crates/store-postgres/src/lib.rs");
    assert_eq!(printed.missing("keywright_store_postgres", lib), [""; 0]);
    let mut canaries = fixture.canaries;
    let constants = constant_canaries();
    constants.assert_absent("the output of the store", &printed.text);
    canaries.add_token(
        "the prepared key",
        fixture.keys.issuer().committed(prepared).token.expose(),
    );
    canaries.assert_absent("the output of the store", &printed.text);
}
