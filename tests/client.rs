//! A client that keeps its connection, measures time by its own clock, and knows when a server must
//! have heard of a change.

use std::{
    io::Write,
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::support::{Answer, Server};

/// How long after a change was acknowledged another process may still go by what was before.
pub(crate) const BOUND: Duration = Duration::from_millis(100);

#[expect(
    clippy::disallowed_methods,
    reason = "a client measures by its own clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A connection that is kept.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn of(server: &Server) -> Self {
        let stream = server.connect();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// The status of `GET /v1/whoami`.
    pub(crate) fn whoami(&mut self, token: &str) -> u16 {
        self.ask(token).status
    }

    /// The answer to `GET /v1/whoami`.
    pub(crate) fn ask(&mut self, token: &str) -> Answer {
        let request =
            format!("GET /v1/whoami HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        self.0.write_all(request.as_bytes()).unwrap();
        Answer::read(&mut self.0).unwrap()
    }

    /// Asks until a token that was withdrawn is refused, and tells how long after the
    /// acknowledgement the last request was sent that was not.
    pub(crate) fn staleness(&mut self, token: &str, acknowledged: Instant) -> Duration {
        let mut stale = Duration::ZERO;
        loop {
            // However late this is scheduled: what is sent after the bound must be refused.
            let sent = now();
            let status = self.whoami(token);
            if status == 401 {
                return stale;
            }
            assert_eq!(status, 200);
            let after = sent.saturating_duration_since(acknowledged);
            assert!(after <= BOUND, "a request sent {after:?} later was let in");
            stale = after;
        }
    }
}

/// Has clients use this token on all servers while something else is done.
pub(crate) fn under_load<T>(servers: &[&Server], token: &str, work: impl FnOnce() -> T) -> T {
    let done = Done(AtomicBool::new(false));
    thread::scope(|scope| {
        for server in servers {
            scope.spawn(|| {
                let mut client = Client::of(server);
                while !done.0.load(Ordering::Relaxed) {
                    assert_eq!(client.whoami(token), 200);
                    assert_eq!(server.create(token, r#"{"name":"load"}"#).status, 201);
                }
            });
        }
        // Also when the work panics.
        let _finished = Finished(&done);
        work()
    })
}

struct Done(AtomicBool);

struct Finished<'a>(&'a Done);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Times that are printed as a distribution, with `--nocapture`.
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
