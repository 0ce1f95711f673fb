//! A proxy before a server, which may fall silent, cut all connections, at once or in the middle of an
//! answer, or lead to another server.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread,
    time::Duration,
};

/// How often a thread looks whether the proxy is silent.
const LOOK: Duration = Duration::from_millis(1);

pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    target: AtomicU16,
    silent: AtomicBool,
    losing: AtomicBool,
    ended: AtomicBool,
    /// How many bytes of answers are left until all connections are cut.
    left: Mutex<Option<usize>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Before the server that listens on this port.
    pub(crate) fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<State>::default();
        state.target.store(target, Ordering::SeqCst);
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    break;
                }
                join(stream.unwrap(), &shared);
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lets nothing through in either direction, and tells nobody; or lets everything through again.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::SeqCst);
    }

    /// Leads new connections to the server that listens on this port, and those that there are go on.
    pub(crate) fn lead_to(&self, target: u16) {
        self.state.target.store(target, Ordering::SeqCst);
    }

    /// Loses connections on which a client says `INFO` meanwhile: nothing comes through on them ever
    /// after, and nobody is told.
    pub(crate) fn set_losing(&self, losing: bool) {
        self.state.losing.store(losing, Ordering::SeqCst);
    }

    /// Ends all connections that there are.
    pub(crate) fn cut(&self) {
        self.state.cut();
    }

    /// Ends them once so many bytes of answers have come through from now on.
    pub(crate) fn cut_after(&self, bytes: usize) {
        *self.state.left.lock().unwrap() = Some(bytes);
    }

    /// Whether that is still to come.
    pub(crate) fn is_to_cut(&self) -> bool {
        self.state.left.lock().unwrap().is_some()
    }
}

impl State {
    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets an answer through as far as it may come.
    fn answer(&self, bytes: &[u8], to: &mut TcpStream) -> io::Result<()> {
        let mut left = self.left.lock().unwrap();
        let Some(count) = *left else {
            drop(left);
            return to.write_all(bytes);
        };
        if bytes.len() < count {
            *left = Some(count - bytes.len());
            return to.write_all(bytes);
        }
        *left = None;
        let written = to.write_all(&bytes[..count]);
        self.cut();
        written
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.cut();
        // Whoever waits for a connection gets one.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn join(client: TcpStream, state: &Arc<State>) {
    let target = state.target.load(Ordering::SeqCst);
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
        let copy = stream.try_clone().unwrap();
        state.streams.lock().unwrap().push(copy);
    }
    let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    for (from, to, what) in [
        (client, server, What::Questions),
        (from_server, to_client, What::Answers),
    ] {
        let state = Arc::clone(state);
        thread::spawn(move || pass(from, to, what, &state));
    }
}

#[derive(Clone, Copy)]
enum What {
    Questions,
    Answers,
}

fn pass(mut from: TcpStream, mut to: TcpStream, what: What, state: &State) {
    from.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut bytes = [0; 16 * 1024];
    while !state.ended.load(Ordering::SeqCst) {
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => {
                let said = &bytes[..length];
                if state.losing.load(Ordering::SeqCst)
                    && said.windows(5).any(|word| word == b"\nINFO")
                {
                    while !state.ended.load(Ordering::SeqCst) {
                        thread::sleep(50 * LOOK);
                    }
                }
                // What has been read before the silence is held back, too.
                while state.silent.load(Ordering::SeqCst) && !state.ended.load(Ordering::SeqCst) {
                    thread::sleep(LOOK);
                }
                let passed = match what {
                    What::Questions => to.write_all(&bytes[..length]),
                    What::Answers => state.answer(&bytes[..length], &mut to),
                };
                if passed.is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
