//! The program, started and stopped, and a plain HTTP client.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use keywright_core::{Environment, KeyId, Prefix, Secret, Token, TokenRef};

pub(crate) use crate::answer::Answer;

/// Longest that anything in a story may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until all servers over one file know what another process has changed: after that time none
/// of them uses a copy from before.
pub(crate) fn await_the_bound() {
    thread::sleep(Duration::from_millis(100));
}

/// The program with these arguments, in a folder, without the environment's settings for it.
pub(crate) fn keywright(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    command
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KEYWRIGHT_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    keywright(folder, arguments).output().unwrap()
}

/// Runs the program to its end, with this on its standard input.
pub(crate) fn run_with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = keywright(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read closes its end.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A key that the operator creates on the command line.
pub(crate) fn operator_key(folder: &Path, arguments: &[&str]) -> String {
    try_operator_key(folder, arguments).unwrap_or_else(|error| panic!("{error}"))
}

/// The same, or what was said against it.
pub(crate) fn try_operator_key(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut all = vec!["keys", "create", "--name", "from the operator"];
    all.extend(arguments);
    let output = run(folder, &all);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let printed = String::from_utf8(output.stdout).unwrap();
    Ok(printed.trim_end().to_owned())
}

/// Tries again until there is something.
pub(crate) fn at_last<T>(what: &str, attempt: impl Fn() -> Option<T>) -> T {
    let step = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(waited < PATIENCE, "it never comes to this: {what}");
        thread::sleep(step);
        waited += step;
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
    log_reader: Option<thread::JoinHandle<()>>,
    stop_reading: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::spawn(keywright(folder, &["serve", "--listen", "127.0.0.1:0"]).args(arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, listening) = mpsc::channel();
        let stop_reading = Arc::new(AtomicBool::new(false));
        let log_reader = thread::spawn({
            let log = Arc::clone(&log);
            let stop_reading = Arc::clone(&stop_reading);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    if let Some((_, rest)) = line.split_once("listening on http://") {
                        // A log line in JSON goes on after the address.
                        let address = rest.split('"').next().unwrap_or(rest);
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
        let address = listening.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("the server does not listen: {}", log.lock().unwrap())
        });
        Self {
            child,
            address,
            log,
            log_reader: Some(log_reader),
            stop_reading,
        }
    }

    /// Closes the other end of the log, as a collector that dies.
    pub(crate) fn close_log(&mut self) {
        self.stop_reading.store(true, Ordering::Relaxed);
        // The reader looks when a line comes.
        assert_eq!(self.send("GET", "/healthz", "x", "").status, 200);
        if let Some(reader) = self.log_reader.take() {
            reader.join().unwrap();
        }
    }

    /// The id of the process.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM or another signal.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Kills the process without a word: kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end; what it printed and what it logged.
    pub(crate) fn end(mut self) -> (ExitStatus, String, String) {
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

    /// Asks it to stop, and waits.
    pub(crate) fn stop(self) -> (ExitStatus, String, String) {
        self.signal("TERM");
        self.end()
    }

    /// `POST /v1/api-keys` with a JSON body.
    pub(crate) fn create(&self, token: &str, body: &str) -> Answer {
        self.send("POST", "/v1/api-keys", token, body)
    }

    /// `GET /v1/whoami`.
    pub(crate) fn whoami(&self, token: &str) -> Answer {
        self.send("GET", "/v1/whoami", token, "")
    }

    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        self.raw(request(method, path, token, body))
    }

    /// Sends bytes as they are, and reads the answer to its end.
    pub(crate) fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect();
        // A server that refuses a request before its end closes the connection under the writer.
        let _ = stream.write_all(request.as_ref());
        Answer::read(&mut stream).unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request where the server may be dying: `None` unless an answer came whole.
    pub(crate) fn try_send(
        address: SocketAddr,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> Option<Answer> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream
            .write_all(request(method, path, token, body).as_bytes())
            .ok()?;
        Answer::read(&mut stream)
    }
}

fn request(method: &str, path: &str, token: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
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

/// Asserts that no file of a folder holds any 16 bytes in a row of a token's secret.
pub(crate) fn assert_nowhere_in(folder: &Path, token: &str) {
    let secret = secret_of(token);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let contents = std::fs::read(&path).unwrap();
        for piece in secret.as_bytes().windows(16) {
            let found = contents.windows(16).any(|window| window == piece);
            assert!(!found, "a piece of the secret is in {}", path.display());
        }
    }
}

/// The 43 characters of the secret.
pub(crate) fn secret_of(token: &str) -> &str {
    let tail = token.rsplit_once('_').unwrap().1;
    &tail[..43]
}

/// The parts of a token with the prefix `sk`.
pub(crate) fn parse(token: &str) -> TokenRef<'_> {
    let prefix = Prefix::parse("sk").unwrap();
    TokenRef::parse(token.as_bytes(), &prefix)
        .map_err(|error| error.to_string())
        .unwrap()
}

/// A token with the prefix `sk` of parts that do not belong together, with the right checksum.
pub(crate) fn forge(environment: Environment, id: &KeyId, secret: &Secret) -> String {
    let prefix = Prefix::parse("sk").unwrap();
    Token::assemble(&prefix, environment, id, secret)
        .expose()
        .to_owned()
}
