//! Private PostgreSQL clusters in temporary folders.

use std::{
    env, fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a test waits for a state before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster in a temporary folder. Its server listens on a socket in this folder, and stops when
/// this is dropped.
pub(crate) struct Cluster {
    folder: TempDir,
    options: String,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

/// The options of each server.
const OPTIONS: &str = "-c listen_addresses= -c max_connections=300 -c wal_keep_size=256";

impl Cluster {
    /// Returns the cluster that the tests of this process share. It does not survive a crash.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Self::with_options("-c fsync=off -c full_page_writes=off"));
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    /// Starts a separate cluster that survives a crash.
    pub(crate) fn durable() -> Self {
        Self::with_options("")
    }

    /// Starts a separate cluster with options of its server.
    pub(crate) fn with_options(options: &str) -> Self {
        let cluster = Self {
            folder: shared_folder(),
            options: format!("{OPTIONS} {options}"),
        };
        cluster.run(
            "initdb",
            &[
                "--auth=trust",
                "--username=keywright",
                "--encoding=UTF8",
                "--no-sync",
                // In MiB. A full disk is simulated by a limit on the size of each file.
                "--wal-segsize=1",
                "--pgdata",
            ],
        );
        // The members of this role need a password.
        let access = cluster.data().join("pg_hba.conf");
        let rest = fs::read_to_string(&access).unwrap();
        fs::write(
            &access,
            format!("local all +passwords scram-sha-256\n{rest}"),
        )
        .unwrap();
        cluster.restart();
        cluster
    }

    /// Starts a streaming standby of this cluster.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self {
            folder: shared_folder(),
            options: self.options.clone(),
        };
        let folder = self.folder.path().display().to_string();
        standby.run(
            "pg_basebackup",
            &[
                "--host",
                &folder,
                "--username=keywright",
                "--checkpoint=fast",
                "--write-recovery-conf",
                "--no-sync",
                "--pgdata",
            ],
        );
        standby.restart();
        standby
    }

    /// Makes a standby a primary.
    pub(crate) fn promote(&self) {
        self.run("pg_ctl", &["promote", "--wait", "--silent", "--pgdata"]);
    }

    /// Stops the server without a checkpoint, as a crash does.
    pub(crate) fn crash(&self) {
        let output = self.try_stop();
        assert!(output.status.success(), "{output:?}");
    }

    fn try_stop(&self) -> Output {
        let arguments = ["stop", "--mode=immediate", "--silent", "--pgdata"];
        self.command("pg_ctl", &arguments).output().unwrap()
    }

    /// Stops the server, which may have stopped already.
    pub(crate) fn stop(&self) {
        self.try_stop();
        wait_for("the end of the server", || self.processes().is_empty());
    }

    /// Starts the server.
    pub(crate) fn restart(&self) {
        let folder = self.folder.path().display();
        let options = format!("-c unix_socket_directories={folder} {}", self.options);
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

    /// Suspends the processes of the server, which then respond to nothing.
    pub(crate) fn suspend(&self) {
        // The first process, which starts the others, is suspended first.
        let mut suspended = 0;
        loop {
            let processes = self.processes();
            if processes.len() == suspended {
                break;
            }
            suspended = processes.len();
            signal(&processes, Signal::STOP);
        }
    }

    /// Continues the processes of the server.
    pub(crate) fn resume(&self) {
        signal(&self.processes(), Signal::CONT);
    }

    /// Limits the size of each file that the server writes, as a full disk does. `None` removes the
    /// limit.
    pub(crate) fn limit_file_size(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".into(), |bytes| bytes.to_string());
        for process in self.processes() {
            // Only the user of a process may change its limits. A process may have ended.
            let pid = process.as_raw_nonzero().to_string();
            let output = unprivileged(Path::new("prlimit"))
                .args(["--pid", &pid, &format!("--fsize={limit}:")])
                .output()
                .unwrap();
            let has_ended = !Path::new("/proc").join(&pid).exists();
            assert!(output.status.success() || has_ended, "{output:?}");
        }
    }

    /// Whether the server has stopped because it could not write its log of changes.
    pub(crate) fn has_panicked(&self) -> bool {
        let log = fs::read_to_string(self.folder.path().join("log"));
        log.unwrap().contains("PANIC:")
    }

    /// Returns the processes of the server, the parent of the others first.
    fn processes(&self) -> Vec<Pid> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let Some(Ok(first)) = file.lines().next().map(str::parse::<i32>) else {
            return Vec::new();
        };
        let stat = |process: i32| fs::read_to_string(format!("/proc/{process}/stat")).ok();
        if stat(first).is_none() {
            return Vec::new();
        }
        let children = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let process: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = stat(process)?;
            // The name of the program, which ends with a parenthesis, the state, and the parent.
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?;
            (parent.parse() == Ok(first)).then_some(process)
        });
        let all = std::iter::once(first).chain(children);
        all.filter_map(Pid::from_raw).collect()
    }

    /// Returns the URL of the database.
    pub(crate) fn url(&self) -> String {
        url_in(self.folder.path())
    }

    /// Returns the folder with the socket of the server.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a program of PostgreSQL with the data folder as its last argument.
    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program, arguments).output().unwrap();
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(output.status.success(), "{output:?} {log}");
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = unprivileged(&bin_folder().join(program));
        command
            .args(arguments)
            .arg(self.data())
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A test that has failed may have left the server suspended.
        self.resume();
        let processes = self.processes();
        self.try_stop();
        signal(&processes, Signal::KILL);
    }
}

fn signal(processes: &[Pid], signal: Signal) {
    for process in processes {
        // It may have ended.
        let _ = kill_process(*process, signal);
    }
}

/// Returns the URL of the database behind the socket in a folder.
pub(crate) fn url_in(folder: &Path) -> String {
    let folder = folder.display().to_string().replace('/', "%2F");
    format!("postgres://keywright@{folder}/postgres")
}

/// Creates a temporary folder that PostgreSQL and PgBouncer can write to. They do not run as root.
pub(crate) fn shared_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    if is_root() {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }
    folder
}

/// Returns a command that runs a program, as the user `postgres` if this is root.
pub(crate) fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
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
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Waits until a condition is true.
#[expect(clippy::disallowed_methods, reason = "this is a deadline of a test")]
#[track_caller]
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the folder with the programs of the newest installed version.
fn bin_folder() -> PathBuf {
    if let Some(folder) = env::var_os("PG_BIN") {
        return folder.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/initdb").exists().then_some((version, path))
        })
        .max();
    let (_, path) = newest.expect(
        "PostgreSQL is not installed: install the package postgresql (Debian's name), or set PG_BIN \
         to the folder with initdb",
    );
    path.join("bin")
}
