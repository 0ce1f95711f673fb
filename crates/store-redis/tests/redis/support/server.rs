//! A real `redis-server` process, which ends with the test.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use futures_executor::block_on;
use keywright_store_redis::{OpenError, RedisConfig, RedisStore};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// The maximum time that a test waits, which is far longer than needed on a slow and busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two polls of a server.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The number of polls before a test gives up.
const POLLS: u128 = PATIENCE.as_millis() / POLL_INTERVAL.as_millis();

/// A TCP port of this host that no other program gets while this value exists.
///
/// The socket is bound and never listens, so connections are refused until a server listens on the
/// port. On Linux the server may bind the port as well, because both sockets set `SO_REUSEADDR` and
/// only one of them listens. Elsewhere the port is free again as soon as it is chosen.
pub(crate) struct Port {
    number: u16,
    _reserved: Option<TcpSocket>,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        Self {
            number: socket.local_addr().unwrap().port(),
            _reserved: cfg!(target_os = "linux").then_some(socket),
        }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

/// Connects a store, and retries while no server can be reached.
#[track_caller]
pub(crate) fn connect(config: RedisConfig) -> RedisStore {
    let mut failure = None;
    for _ in 0..POLLS {
        match block_on(RedisStore::connect(config.clone())) {
            Ok(store) => return store,
            Err(error @ OpenError::Unreachable(_)) => failure = Some(error),
            Err(error) => panic!("the store does not open: {error:?}"),
        }
        thread::sleep(POLL_INTERVAL);
    }
    panic!("the store does not connect: {failure:?}");
}

/// Connects a store, which must fail, until it fails with the expected error.
///
/// A slow machine may make any attempt end with a timeout instead.
#[track_caller]
pub(crate) fn connect_error(
    config: &RedisConfig,
    is_expected: impl Fn(&OpenError) -> bool,
) -> OpenError {
    let mut last = None;
    for _ in 0..POLLS {
        let error = block_on(RedisStore::connect(config.clone())).unwrap_err();
        if is_expected(&error) {
            return error;
        }
        let is_timeout = matches!(error, OpenError::Unreachable(_));
        assert!(is_timeout, "{error:?}");
        last = Some(error);
        thread::sleep(POLL_INTERVAL);
    }
    panic!("the store does not report the expected error: {last:?}");
}

/// A server that syncs its append-only file at each write, unless the options say otherwise.
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    port: Port,
    options: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with further command-line options.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), options)
    }

    /// Starts a server whose files, and the socket, are in this folder.
    pub(crate) fn in_folder(folder: TempDir, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.into()).collect();
        let port = Port::reserve();
        let process = spawn(&folder, &port, &options);
        let mut server = Self {
            process,
            folder,
            port,
            options,
        };
        server.await_answer();
        server
    }

    /// Waits until the server has loaded its file and replies.
    #[track_caller]
    fn await_answer(&mut self) {
        for _ in 0..POLLS {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("redis-server ends with {status}");
            }
            let answer = redis::Client::open(self.socket_url())
                .unwrap()
                .get_connection()
                .and_then(|mut connection| redis::cmd("DBSIZE").query::<i64>(&mut connection));
            match answer {
                Ok(_) => return,
                Err(error) if error.code() == Some("NOPERM") => return,
                Err(_) => thread::sleep(POLL_INTERVAL),
            }
        }
        panic!("redis-server does not reply");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub(crate) fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Returns the configuration of a store whose calls wait for a slow machine.
    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::new(self.url()).with_deadline(PATIENCE)
    }

    /// Connects a store whose calls wait for a slow machine.
    #[track_caller]
    pub(crate) fn store(&self) -> RedisStore {
        connect(self.config())
    }

    /// Connects a store with the default deadline, for a test in which the server stops replying.
    #[track_caller]
    pub(crate) fn store_with_default_deadline(&self) -> RedisStore {
        connect(RedisConfig::new(self.url()))
    }

    /// Opens a connection that bypasses the store and any proxy.
    pub(crate) fn redis(&self) -> redis::Connection {
        redis::Client::open(self.socket_url())
            .unwrap()
            .get_connection()
            .unwrap()
    }

    /// Runs a command, written as for `redis-cli`, with `EMPTY` for an empty argument.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, line: &str) -> redis::RedisResult<T> {
        let mut words = line.split_whitespace();
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(if word == "EMPTY" { "" } else { word });
        }
        command.query(&mut self.redis())
    }

    /// Returns the connections over TCP, as lines of `CLIENT LIST`.
    pub(crate) fn clients(&self) -> Vec<String> {
        self.clients_with(|flags| !flags.contains('U'))
    }

    /// Returns the ids of the connections that receive invalidations.
    pub(crate) fn tracking_clients(&self) -> Vec<String> {
        ids(&self.clients_with(|flags| flags.contains('t')))
    }

    /// Returns the ids of the connections that only send commands: over TCP, no replica, no
    /// tracking.
    pub(crate) fn command_clients(&self) -> Vec<String> {
        ids(&self.clients_with(|flags| flags == "N"))
    }

    /// Returns the last command of each connection that only sends commands, oldest first.
    pub(crate) fn last_commands(&self) -> Vec<String> {
        let clients = self.clients_with(|flags| flags == "N");
        let commands = clients.iter().map(|client| field(client, "cmd="));
        commands.map(String::from).collect()
    }

    fn clients_with(&self, matches: impl Fn(&str) -> bool) -> Vec<String> {
        let clients: String = self.run("CLIENT LIST").unwrap();
        let wanted = |client: &&str| matches(field(client, "flags="));
        clients.lines().filter(wanted).map(String::from).collect()
    }

    /// Returns the number of connections that the server has accepted since it started.
    pub(crate) fn connections(&self) -> u64 {
        let stats: String = self.run("INFO stats").unwrap();
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse().unwrap()
    }

    /// Kills the process, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Stops the process until [`resume`](Self::resume). Its connections stay open.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.process.id());
        let status = Command::new("sh").args(["-c", &line]).status().unwrap();
        assert!(status.success(), "{line}");
    }

    /// Starts a killed server again, on the same port and file.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.restart_without_waiting();
        self.await_answer();
    }

    /// Starts a killed server again as a replica, so that it is never a second primary.
    #[track_caller]
    pub(crate) fn restart_as_replica_of(&mut self, port: u16) {
        let mut options = self.options.clone();
        options.extend(["--replicaof", "127.0.0.1"].map(String::from));
        options.push(port.to_string());
        self.process = spawn(&self.folder, &self.port, &options);
        self.await_answer();
    }

    /// Starts a killed server again, and returns while it still loads its file.
    pub(crate) fn restart_without_waiting(&mut self) {
        self.process = spawn(&self.folder, &self.port, &self.options);
    }
}

fn spawn(folder: &TempDir, port: &Port, options: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.number().to_string()])
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
