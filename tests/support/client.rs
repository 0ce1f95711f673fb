//! A client that keeps its connection, measures time by its own clock, and knows when a server must
//! have applied a change.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    response::Response,
    server::{Server, connect},
    wait::until_available,
};

/// How long after a change was acknowledged another process may still use the state before it.
///
/// A request that is *sent* later must see the change, however slow the machine is, so that a test
/// may rely on the bound in this direction.
pub(crate) const STALENESS_BOUND: Duration = Duration::from_millis(100);

/// Waits until every server must have applied what another process has changed.
pub(crate) fn wait_for_staleness_bound() {
    thread::sleep(STALENESS_BOUND);
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client measures by its own clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A client with a persistent connection.
pub(crate) struct Client {
    address: SocketAddr,
    stream: TcpStream,
}

impl Client {
    pub(crate) fn connect(server: &Server) -> Self {
        let address = server.address;
        Self {
            address,
            stream: connect(address),
        }
    }

    /// Returns the status of `GET /v1/whoami`, repeated while the store is unavailable.
    pub(crate) fn whoami(&mut self, token: &str) -> u16 {
        until_available(|| self.whoami_once(token)).status
    }

    /// Returns the response to one `GET /v1/whoami`.
    pub(crate) fn whoami_once(&mut self, token: &str) -> Response {
        let request =
            format!("GET /v1/whoami HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        self.exchange(&request).unwrap_or_else(|| {
            // The server closes a connection that is idle for too long.
            self.stream = connect(self.address);
            self.exchange(&request).unwrap()
        })
    }

    fn exchange(&mut self, request: &str) -> Option<Response> {
        self.stream.write_all(request.as_bytes()).ok()?;
        Response::read(&mut self.stream)
    }

    /// Sends requests until a revoked token is rejected. Returns how long after `acknowledged` the
    /// last accepted request was sent.
    pub(crate) fn staleness(&mut self, token: &str, acknowledged: Instant) -> Duration {
        let mut stale = Duration::ZERO;
        loop {
            let sent = now();
            match self.whoami_once(token).status {
                401 => return stale,
                503 => continue,
                status => assert_eq!(status, 200),
            }
            let after = sent.saturating_duration_since(acknowledged);
            assert!(
                after <= STALENESS_BOUND,
                "a request that was sent {after:?} after the change was accepted"
            );
            stale = after;
        }
    }
}

/// Does `work` while clients use a token on all servers.
pub(crate) fn under_load<T>(servers: &[&Server], token: &str, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for server in servers {
            scope.spawn(|| {
                let mut client = Client::connect(server);
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(client.whoami(token), 200);
                    assert_eq!(server.create(token, r#"{"name":"load"}"#).status, 201);
                }
            });
        }
        // The clients stop also if the work panics.
        let _stop = SetOnDrop(&done);
        work()
    })
}

/// Sets a flag when dropped, also in a panic.
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Durations whose distribution is printed with `--nocapture`.
#[derive(Default)]
pub(crate) struct Times(Mutex<Vec<Duration>>);

impl Times {
    pub(crate) fn add(&self, time: Duration) {
        self.0.lock().unwrap().push(time);
    }

    pub(crate) fn print(&self, what: &str) {
        let mut times = self.0.lock().unwrap().clone();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!(
            "{what}: {} times, p50 {:?}, p99 {:?}, max {:?}",
            times.len(),
            at(50),
            at(99),
            at(100)
        );
    }
}
