//! A proxy in front of a server. It can go silent, cut connections in the middle of a reply, lose
//! connections, or switch to another server.

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

/// The time between two checks whether the proxy is still silent.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

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
    /// The number of further bytes of replies that pass before all connections are cut.
    budget: Mutex<Option<usize>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Starts a proxy in front of the server that listens on this port.
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

    /// Holds back everything in both directions without closing a connection, or passes it on
    /// again.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::SeqCst);
    }

    /// Connects new clients to the server that listens on this port. Existing connections continue.
    pub(crate) fn set_target(&self, target: u16) {
        self.state.target.store(target, Ordering::SeqCst);
    }

    /// While set, loses each connection on which a client sends `INFO`: it passes nothing more, and
    /// stays open.
    pub(crate) fn set_losing(&self, losing: bool) {
        self.state.losing.store(losing, Ordering::SeqCst);
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        self.state.cut();
    }

    /// Cuts all connections once this many more bytes of replies have passed.
    pub(crate) fn cut_after(&self, bytes: usize) {
        *self.state.budget.lock().unwrap() = Some(bytes);
    }

    /// Whether the requested cut has happened.
    pub(crate) fn has_cut(&self) -> bool {
        self.state.budget.lock().unwrap().is_none()
    }
}

impl State {
    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Passes a reply on as far as the budget goes.
    fn reply(&self, bytes: &[u8], to: &mut TcpStream) -> io::Result<()> {
        let mut budget = self.budget.lock().unwrap();
        let Some(count) = *budget else {
            drop(budget);
            return to.write_all(bytes);
        };
        if bytes.len() < count {
            *budget = Some(count - bytes.len());
            return to.write_all(bytes);
        }
        *budget = None;
        let written = to.write_all(&bytes[..count]);
        self.cut();
        written
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.cut();
        // Wake the thread that waits for a connection.
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
    for (from, to, direction) in [
        (client, server, Direction::Requests),
        (from_server, to_client, Direction::Replies),
    ] {
        let state = Arc::clone(state);
        thread::spawn(move || pass(from, to, direction, &state));
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Requests,
    Replies,
}

fn pass(mut from: TcpStream, mut to: TcpStream, direction: Direction, state: &State) {
    from.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut buffer = [0; 16 * 1024];
    while !state.ended.load(Ordering::SeqCst) {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                let bytes = &buffer[..length];
                if state.losing.load(Ordering::SeqCst)
                    && bytes.windows(5).any(|word| word == b"\nINFO")
                {
                    while !state.ended.load(Ordering::SeqCst) {
                        thread::sleep(50 * POLL_INTERVAL);
                    }
                }
                // Bytes that were read before the silence are also held back.
                while state.silent.load(Ordering::SeqCst) && !state.ended.load(Ordering::SeqCst) {
                    thread::sleep(POLL_INTERVAL);
                }
                let passed = match direction {
                    Direction::Requests => to.write_all(bytes),
                    Direction::Replies => state.reply(bytes, &mut to),
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
