//! A server and its clients in one process, connected by TCP.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, serve::ListenerExt};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput,
    measurement::{Measurement, WallTime},
};
use keywright_benches::{Subject, compare_in_turn};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle, Runtime},
};

/// The number of clients. Each keeps one connection open.
const CONNECTIONS: usize = 64;

/// A server with its own threads, and clients that share one thread.
///
/// To cost little, the clients send prepared bytes, and only check the status and find the end of a
/// response. Both sides of a comparison use the same server and the same connections.
pub(crate) struct Loopback {
    clients: Runtime,
    connections: Vec<Connection>,
    server: Runtime,
}

impl Loopback {
    pub(crate) fn serve(router: Router) -> Self {
        let server = Builder::new_multi_thread().enable_io().build().unwrap();
        let clients = Builder::new_current_thread().enable_io().build().unwrap();
        let listener = server.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        server.spawn(axum::serve(listener, router).into_future());
        let connections = clients.block_on(async {
            let mut connections = Vec::with_capacity(CONNECTIONS);
            for _ in 0..CONNECTIONS {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let buffer = Vec::with_capacity(4096);
                connections.push(Connection { stream, buffer });
            }
            connections
        });
        Self {
            clients,
            connections,
            server,
        }
    }

    /// Returns a handle to the threads of the server.
    pub(crate) fn server(&self) -> Handle {
        self.server.handle().clone()
    }

    /// Compares requests. Their responses must have bodies of the same length.
    pub(crate) fn compare<const N: usize>(
        mut self,
        criterion: &mut Criterion,
        row: &str,
        requests: [(&'static str, Arc<str>); N],
    ) {
        let mut lengths = requests.iter().map(|(_, request)| self.body(request).len());
        let first = lengths.next();
        assert!(lengths.all(|length| Some(length) == first));
        let loopback = RefCell::new(self);
        let bench = |group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, request: &_| {
            group.throughput(Throughput::Elements(1));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|count| loopback.borrow_mut().time(request, count));
            });
        };
        let mut benches = requests.map(|(name, request)| {
            let bench = &bench;
            (name, move |group: &mut BenchmarkGroup<'_, WallTime>, id| {
                bench(group, id, &request)
            })
        });
        let mut subjects = benches
            .each_mut()
            .map(|(name, bench)| -> Subject<'_> { (*name, bench) });
        compare_in_turn(criterion, row, &mut subjects);
    }

    /// Measures how long the clients together take for this many requests.
    fn time(&mut self, request: &Arc<str>, requests: u64) -> Duration {
        let remaining = Arc::new(AtomicU64::new(requests));
        let start = WallTime.start();
        let tasks: Vec<_> = self
            .connections
            .drain(..)
            .map(|connection| {
                let share = connection.send_share(Arc::clone(request), Arc::clone(&remaining));
                self.clients.spawn(share)
            })
            .collect();
        self.clients.block_on(async {
            for task in tasks {
                self.connections.push(task.await.unwrap());
            }
        });
        WallTime.end(start)
    }

    /// Sends a request, and returns the body of the response.
    pub(crate) fn body(&mut self, request: &str) -> Vec<u8> {
        let connection = self.connections.first_mut().unwrap();
        self.clients.block_on(connection.send(request));
        let head = head_length(&connection.buffer).unwrap();
        connection.buffer.split_off(head)
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends requests until `remaining` is zero.
    async fn send_share(mut self, request: Arc<str>, remaining: Arc<AtomicU64>) -> Self {
        let take = |remaining: u64| remaining.checked_sub(1);
        while remaining
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
        {
            self.send(&request).await;
        }
        self
    }

    async fn send(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.buffer.clear();
        while response_length(&self.buffer).is_none_or(|length| self.buffer.len() < length) {
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "the server closed the connection");
        }
        assert!(
            self.buffer.starts_with(b"HTTP/1.1 20"),
            "{}",
            String::from_utf8_lossy(&self.buffer)
        );
    }
}

/// Returns the length of the response, or `None` if its head is incomplete.
fn response_length(response: &[u8]) -> Option<usize> {
    let head = head_length(response)?;
    let lines = str::from_utf8(response.get(..head)?).unwrap().lines();
    let body: usize = lines
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| *name == "content-length")
        .map(|(_, length)| length.parse().unwrap())
        .unwrap();
    Some(head + body)
}

fn head_length(response: &[u8]) -> Option<usize> {
    let end = b"\r\n\r\n";
    let index = response.windows(end.len()).position(|bytes| bytes == end)?;
    Some(index + end.len())
}
