//! One `redis-server`.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_store_redis::{RedisConfig, RedisStore};
use tempfile::TempDir;

/// How often the server is asked whether it has started, every 10 ms.
const PATIENCE: u32 = 1000;

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A store on servers that are there.
#[track_caller]
pub(crate) fn connect(config: RedisConfig) -> RedisStore {
    block_on(RedisStore::connect(config)).unwrap()
}

/// A server with an append-only file that is synced at each write, unless it was started otherwise.
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    port: u16,
    options: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With further options, as in its configuration file.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), options)
    }

    pub(crate) fn in_folder(mut folder: TempDir, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.into()).collect();
        // Another one may take the port before the server does.
        for _ in 0..5 {
            let port = free_port();
            let process = spawn(&folder, port, &options);
            let mut server = Self {
                process,
                folder,
                port,
                options: options.clone(),
            };
            if server.answers() {
                return server;
            }
            folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
        }
        panic!("redis-server does not start: is it installed?");
    }

    /// Waits until it answers; `false` if it has ended.
    fn answers(&mut self) -> bool {
        for _ in 0..PATIENCE {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            let answer = redis::Client::open(self.socket_url())
                .unwrap()
                .get_connection()
                .and_then(|mut connection| redis::cmd("DBSIZE").query::<i64>(&mut connection));
            match answer {
                Ok(_) => return true,
                Err(error) if error.code() == Some("NOPERM") => return true,
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
        panic!("redis-server does not answer");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub(crate) fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub(crate) fn store(&self) -> RedisStore {
        connect(RedisConfig::new(self.url()))
    }

    /// A connection behind the store's back, past any proxy.
    pub(crate) fn redis(&self) -> redis::Connection {
        redis::Client::open(self.socket_url())
            .unwrap()
            .get_connection()
            .unwrap()
    }

    /// Has the server do something, given as on its command line, with `EMPTY` for no text.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, line: &str) -> redis::RedisResult<T> {
        let mut words = line.split_whitespace();
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(if word == "EMPTY" { "" } else { word });
        }
        command.query(&mut self.redis())
    }

    /// The connections that it has over TCP, as `CLIENT LIST` tells them.
    pub(crate) fn clients(&self) -> Vec<String> {
        self.clients_that(|flags| !flags.contains('U'))
    }

    /// The ids of those that are told of changes.
    pub(crate) fn hearing_clients(&self) -> Vec<String> {
        ids(&self.clients_that(|flags| flags.contains('t')))
    }

    /// The ids of those that only ask: over TCP, no replicas, and not told of changes.
    pub(crate) fn asking_clients(&self) -> Vec<String> {
        ids(&self.clients_that(|flags| flags == "N"))
    }

    fn clients_that(&self, are_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let clients: String = self.run("CLIENT LIST").unwrap();
        let meant = |client: &&str| are_meant(field(client, "flags="));
        clients.lines().filter(meant).map(String::from).collect()
    }

    /// How many connections it has taken so far.
    pub(crate) fn connections(&self) -> u64 {
        let stats: String = self.run("INFO stats").unwrap();
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse().unwrap()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Has it do nothing, until it is told to go on; its connections stay.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.process.id());
        let status = Command::new("sh").args(["-c", &line]).status().unwrap();
        assert!(status.success(), "{line}");
    }

    /// Starts it again after that, on the same port and file.
    pub(crate) fn restart(&mut self) {
        self.restart_without_waiting();
        assert!(self.answers(), "redis-server does not start again");
    }

    /// The same, and what it has is still to be loaded.
    pub(crate) fn restart_without_waiting(&mut self) {
        self.process = spawn(&self.folder, self.port, &self.options);
    }
}

fn spawn(folder: &TempDir, port: u16, options: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string()])
        .args(["--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(["--enable-debug-command", "yes"])
        .args(["--unixsocket", "redis.sock"])
        .arg("--dir")
        .arg(folder.path())
        .args(options)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .spawn()
        .expect("redis-server must be installed (Debian: redis-server)")
}

/// The ids of clients.
fn ids(clients: &[String]) -> Vec<String> {
    let ids = clients.iter().map(|client| field(client, "id="));
    ids.map(String::from).collect()
}

fn field<'c>(client: &'c str, name: &str) -> &'c str {
    client
        .split_whitespace()
        .find_map(|field| field.strip_prefix(name))
        .unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
