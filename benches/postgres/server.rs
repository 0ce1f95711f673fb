//! A private PostgreSQL cluster with the default settings, so it is durable. It listens on the
//! loopback and runs as long as the benchmark.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
    process::{Command, Output},
};

use keywright_store_postgres::{PostgresConfig, PostgresStore, migrate};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;

pub(crate) struct Server {
    folder: TempDir,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        // On the disk of the target folder. On many machines `/tmp` is in memory, where syncs are
        // free.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        if is_root() {
            // PostgreSQL does not run as root.
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        }
        let mut server = Self { folder, port: 0 };
        let initdb = ["--auth=trust", "--username=keywright", "--encoding=UTF8"];
        let created = server.run("initdb", &initdb);
        assert!(created.status.success(), "{created:?}");
        for _ in 0..5 {
            // Another process may take the port before the server does. Then the server exits.
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            server.port = listener.local_addr().unwrap().port();
            drop(listener);
            if server.listen() {
                return server;
            }
        }
        panic!("PostgreSQL exits after it starts");
    }

    fn listen(&self) -> bool {
        let log = self.folder.path().join("log");
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c port={}",
            self.port
        );
        let options = ["start", "--silent", "--options", &options, "--log"];
        let started = self.run("pg_ctl", &[&options, &[log.to_str().unwrap()][..]].concat());
        started.status.success()
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://keywright@127.0.0.1:{}/postgres", self.port)
    }

    /// Connects with a pool of the size that is sqlx's default.
    pub(crate) async fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(10)
            .connect(&self.url())
            .await
            .unwrap()
    }

    /// Opens a store with its tables in this schema.
    pub(crate) async fn store(&self, pool: &PgPool, schema: &str) -> PostgresStore {
        let config = PostgresConfig::new().with_schema(schema).unwrap();
        migrate(pool, &config).await.unwrap();
        PostgresStore::with_config(pool.clone(), config)
            .await
            .unwrap()
    }

    /// Runs a program of PostgreSQL on the data folder.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = programs().join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(arguments)
            .arg("--pgdata")
            .arg(self.folder.path().join("data"))
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/");
        command.output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["stop", "--mode=immediate", "--silent"]);
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Returns the folder with the programs of the newest installed version.
fn programs() -> PathBuf {
    if let Some(folder) = env::var_os("PG_BIN") {
        return folder.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let folders = versions.map(|version| version.unwrap().path().join("bin"));
    let newest = folders
        .filter(|folder| folder.join("postgres").exists())
        .max();
    newest.expect("PostgreSQL is not installed")
}
