//! A running server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::{
    command::keywright,
    response::Response,
    wait::{PATIENCE, until_available, wait_at_most, wait_for},
};

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
    log_reader: Option<thread::JoinHandle<()>>,
    stop_reading: Arc<AtomicBool>,
    /// The reader of the log locks this for each line.
    log_gate: Arc<Mutex<()>>,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::spawn(keywright(folder, &["serve", "--listen", "127.0.0.1:0"]).args(arguments))
    }

    /// Starts a server with a limit on open files.
    pub(crate) fn start_with_open_files(folder: &Path, files: u32, arguments: &[&str]) -> Self {
        let program = keywright(folder, &[]);
        let mut command = Command::new("sh");
        let limited = format!(r#"ulimit -n {files} && exec "$@""#);
        command.args(["-c", &limited, "sh"]);
        command.arg(program.get_program());
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments).current_dir(folder);
        for (name, _) in program.get_envs() {
            command.env_remove(name);
        }
        Self::spawn(&mut command)
    }

    /// Starts a command that becomes a server, and waits until it listens. Starts it again while
    /// the store is unavailable.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        wait_for("the store is available", || Self::try_spawn(command))
    }

    fn try_spawn(command: &mut Command) -> Option<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, listening) = mpsc::channel();
        let stop_reading = Arc::new(AtomicBool::new(false));
        let log_gate = Arc::new(Mutex::new(()));
        let log_reader = thread::spawn({
            let log = Arc::clone(&log);
            let stop_reading = Arc::clone(&stop_reading);
            let log_gate = Arc::clone(&log_gate);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    drop(log_gate.lock().unwrap());
                    if let Some((_, rest)) = line.split_once("listening on ")
                        && let Some((_, rest)) = rest.split_once("http://")
                    {
                        // Other addresses may follow, and in a JSON log other members.
                        let address = rest.split(['"', ',']).next().unwrap_or(rest);
                        let _ = sender.send(address.parse().unwrap());
                    }
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                    if stop_reading.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
        });
        let Ok(address) = listening.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let _ = child.wait();
            let log = log.lock().unwrap();
            assert!(
                log.contains("unavailable"),
                "the server does not listen: {log}"
            );
            return None;
        };
        Some(Self {
            child,
            address,
            log,
            log_reader: Some(log_reader),
            stop_reading,
            log_gate,
        })
    }

    /// Returns a lock that keeps the log from being read while it is held, like a collector that
    /// stalls.
    pub(crate) fn log_gate(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.log_gate)
    }

    /// Closes the reading end of the log, as a log collector does when it crashes.
    pub(crate) fn close_log(&mut self) {
        self.stop_reading.store(true, Ordering::Relaxed);
        // The reader checks the flag after each line.
        assert_eq!(self.send("GET", "/healthz", "x", "").status, 200);
        if let Some(reader) = self.log_reader.take() {
            reader.join().unwrap();
        }
    }

    /// Returns the id of the process.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the server no longer listens.
    pub(crate) fn wait_until_closed(&self) {
        wait_for("the server closes its listener", || {
            TcpStream::connect(self.address).is_err().then_some(())
        });
    }

    /// Waits until the process exits, and returns its standard output and its log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String, String) {
        let mut printed = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut printed)
            .unwrap();
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.log_reader.take() {
            reader.join().unwrap();
        }
        let log = self.log.lock().unwrap().clone();
        (status, printed, log)
    }

    /// Waits until the log contains `text` or the process has exited. Returns whether the process
    /// is still running.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> bool {
        wait_for("the server logs a line", || {
            if self.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            self.log.lock().unwrap().contains(text).then_some(true)
        })
    }

    /// Waits for at most a minute until the process exits.
    pub(crate) fn wait_for_exit(&mut self) {
        wait_at_most(Duration::from_secs(60), "the server exits", || {
            self.child.try_wait().unwrap()
        });
    }

    /// Waits like [`wait_for_exit`](Self::wait_for_exit), and returns the process's standard output
    /// and log.
    pub(crate) fn wait_without_hanging(mut self) -> (ExitStatus, String, String) {
        self.wait_for_exit();
        self.wait()
    }

    /// Sends SIGTERM, and waits until the process exits.
    pub(crate) fn stop(self) -> (ExitStatus, String, String) {
        self.signal("TERM");
        self.wait()
    }

    /// Sends SIGTERM to a server that is stopping, until the process exits. The server counts a
    /// signal that arrives soon after the first one as the first.
    pub(crate) fn stop_at_once(mut self) -> (ExitStatus, String, String) {
        wait_for("the server exits at once", || {
            self.signal("TERM");
            self.child.try_wait().unwrap()
        });
        self.wait()
    }

    /// Returns the rest of the first line of the log that contains `text`.
    pub(crate) fn logged_after(&self, text: &str) -> String {
        wait_for("the server logs a line", || {
            let log = self.log.lock().unwrap();
            let line = log.lines().find_map(|line| line.split_once(text));
            line.map(|(_, rest)| rest.to_owned())
        })
    }

    /// Sends the head of a request to create a key on a new connection, and waits until the server
    /// reads the body, which has this length.
    pub(crate) fn start_create(&self, token: &str, length: usize) -> TcpStream {
        let mut stream = self.connect();
        let head = format!(
            "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\
             expect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(Response::read(&mut stream).unwrap().status, 100);
        stream
    }

    /// Sends `POST /v1/api-keys` with a JSON body.
    pub(crate) fn create(&self, token: &str, body: &str) -> Response {
        self.send("POST", "/v1/api-keys", token, body)
    }

    /// Sends `GET /v1/whoami`.
    pub(crate) fn whoami(&self, token: &str) -> Response {
        self.send("GET", "/v1/whoami", token, "")
    }

    /// Sends a request, and repeats it while the store is unavailable.
    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Response {
        until_available(|| self.send_once(method, path, token, body))
    }

    /// Sends a request once, even if the response is a 503.
    pub(crate) fn send_once(&self, method: &str, path: &str, token: &str, body: &str) -> Response {
        self.raw(request(method, path, token, "", body))
    }

    /// Sends bytes, and reads a response.
    pub(crate) fn raw(&self, request: impl AsRef<[u8]>) -> Response {
        let mut stream = self.connect();
        // If the server rejects a request before its end, it closes the connection and the write
        // fails.
        let _ = stream.write_all(request.as_ref());
        Response::read(&mut stream).unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends bytes to a server that may be killed in the meantime. Returns `None` unless it
    /// receives a complete response.
    pub(crate) fn try_raw(address: SocketAddr, request: &str) -> Option<Response> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        Response::read(&mut stream)
    }
}

/// Sends `GET` on a new connection.
pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    let mut stream = connect(address);
    let request = request("GET", path, "", "", "");
    stream.write_all(request.as_bytes()).unwrap();
    Response::read(&mut stream).unwrap()
}

/// Opens a connection on which no read or write blocks forever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Returns a request on a new connection. `headers` are further lines, each with a line end.
pub(crate) fn request(method: &str, path: &str, token: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
