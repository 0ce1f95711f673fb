//! A private PostgreSQL cluster, which the tests of a process share.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tempfile::TempDir;

/// A cluster in a temporary folder that listens on a socket in this folder. It is stopped when this
/// is dropped.
pub(crate) struct Cluster {
    folder: TempDir,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Cluster {
    /// Returns the cluster that the tests of this process share.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Self::start(false));
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    /// Starts a separate cluster that survives a crash.
    pub(crate) fn durable() -> Self {
        Self::start(true)
    }

    fn start(durable: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            // PostgreSQL does not run as root.
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        }
        let cluster = Self { folder };
        cluster.run(
            "initdb",
            &[
                "--auth=trust",
                "--username=keywright",
                "--encoding=UTF8",
                "--no-sync",
                "--pgdata",
            ],
        );
        let setting = if durable { "on" } else { "off" };
        cluster.start_server(&format!("-c fsync={setting} -c full_page_writes={setting}"));
        cluster
    }

    fn start_server(&self, options: &str) {
        let folder = self.folder.path().display();
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=300 {options}"
        );
        let log = format!("{folder}/log");
        self.run(
            "pg_ctl",
            &[
                "start",
                "--wait",
                "--silent",
                "--log",
                &log,
                "--options",
                &options,
                "--pgdata",
            ],
        );
    }

    /// Stops the server without a checkpoint, as a crash does.
    pub(crate) fn crash(&self) {
        self.run(
            "pg_ctl",
            &["stop", "--mode=immediate", "--silent", "--pgdata"],
        );
    }

    /// Starts the server again after a crash.
    pub(crate) fn restart(&self) {
        self.start_server("-c fsync=on -c full_page_writes=on");
    }

    /// Returns the URL of the database.
    pub(crate) fn url(&self) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://keywright@{folder}/postgres")
    }

    /// Runs a program of PostgreSQL with the data folder as its last argument.
    fn run(&self, program: &str, arguments: &[&str]) {
        let program = bin_folder().join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args([
                    "--reuid=postgres",
                    "--regid=postgres",
                    "--clear-groups",
                    "--",
                ])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(arguments)
            .arg(self.folder.path().join("data"))
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run(
            "pg_ctl",
            &["stop", "--mode=immediate", "--silent", "--pgdata"],
        );
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| {
        use std::os::unix::fs::MetadataExt as _;
        metadata.uid() == 0
    })
}

/// Returns the folder with the programs of the newest installed version.
fn bin_folder() -> PathBuf {
    if let Some(folder) = env::var_os("PG_BIN") {
        return folder.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| Path::new(&folder.join("postgres")).exists())
        .collect();
    folders.sort();
    folders.pop().expect("PostgreSQL is not installed")
}
