//! A private PgBouncer in a temporary folder.

use std::{
    env, fs,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Stdio},
    sync::Mutex,
};

use tempfile::TempDir;

use crate::cluster::{Cluster, shared_folder, unprivileged, url_in, wait_for};

/// A PgBouncer in transaction mode, before a cluster. It stops when this is dropped.
pub(crate) struct Bouncer {
    folder: TempDir,
    process: Mutex<Option<Child>>,
}

impl Bouncer {
    /// Starts a bouncer with this number of connections to the server.
    pub(crate) fn start(cluster: &Cluster, connections: u32) -> Self {
        let folder = shared_folder();
        let (own, server) = (folder.path().display(), cluster.folder().display());
        let settings = format!(
            "[databases]\n\
             postgres = host={server} port=5432 dbname=postgres user=keywright\n\
             [pgbouncer]\n\
             pool_mode = transaction\n\
             default_pool_size = {connections}\n\
             max_client_conn = 200\n\
             ignore_startup_parameters = extra_float_digits\n\
             auth_type = any\n\
             listen_port = 5432\n\
             unix_socket_dir = {own}\n\
             logfile = {own}/log\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(file, settings).unwrap();
        let bouncer = Self {
            folder,
            process: Mutex::new(None),
        };
        bouncer.restart();
        bouncer
    }

    /// Ends all connections and starts again.
    pub(crate) fn restart(&self) {
        self.stop();
        let process = unprivileged(&program())
            .arg(self.folder.path().join("pgbouncer.ini"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.process.lock().unwrap() = Some(process);
        let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        wait_for("PgBouncer", || {
            let mut process = self.process.lock().unwrap();
            let ended = process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "PgBouncer has ended: {}", log());
            UnixStream::connect(self.folder.path().join(".s.PGSQL.5432")).is_ok()
        });
    }

    pub(crate) fn url(&self) -> String {
        url_in(self.folder.path())
    }

    fn stop(&self) {
        let process = self.process.lock().map(|mut process| process.take());
        if let Ok(Some(mut process)) = process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the path of PgBouncer. Debian's folder for it is not on every user's `PATH`.
fn program() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join("pgbouncer"))
        .find(|file| file.exists())
        .expect("PgBouncer is not installed: install the package pgbouncer (Debian's name)")
}
