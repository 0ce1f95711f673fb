//! HTTP/2 by prior knowledge, and its limits, with real frames.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    thread,
    time::Duration,
};

use axum::body::Bytes;
use h2::{Reason, RecvStream, SendStream, client::SendRequest};
use http::{Method, Request, Response};
use tempfile::{TempDir, tempdir};
use tokio::{
    net::TcpSocket,
    runtime::{self, Runtime},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::support::{FAST, PATIENCE, Server, operator_key};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const ENHANCE_YOUR_CALM: u32 = 0xb;
const REFUSED_STREAM: u32 = 0x7;

/// `GET /v1/whoami` without a token: `:method: GET`, `:scheme: http`, `:path` and `:authority` as
/// literals that are not indexed (RFC 7541, section 6.2.2).
const WHOAMI: &[u8] = b"\x82\x86\x04\x0a/v1/whoami\x01\x01x";

/// Returns the head of `POST /v1/api-keys` with a token and a JSON body.
fn create(token: &str) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let length = u8::try_from(bearer.len()).unwrap();
    [
        b"\x83\x86\x04\x0c/v1/api-keys\x01\x01x\x0f\x10\x10application/json\x0f\x08",
        &[length][..],
        bearer.as_bytes(),
    ]
    .concat()
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// Returns the four bytes at an offset: an error code, or the value of a setting.
    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// Returns the bytes of a frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// Opens a connection, and sends the preface and empty settings.
fn open(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(PREFACE).unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream
}

/// Reads a frame. Returns `None` if the server has closed the connection.
fn read(stream: &mut TcpStream) -> Option<Frame> {
    let mut head = [0; 9];
    if let Err(error) = stream.read_exact(&mut head) {
        let closed = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
        assert!(closed.contains(&error.kind()), "{error}");
        return None;
    }
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).ok()?;
    Some(Frame {
        kind: head[3],
        stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
        payload,
    })
}

/// Reads frames until there is one that `is_wanted`.
fn read_until(stream: &mut TcpStream, is_wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
    while let Some(frame) = read(stream) {
        if is_wanted(&frame) {
            return Some(frame);
        }
    }
    None
}

/// Sends the same bytes again and again until the server closes the connection, and returns the
/// code of its GOAWAY, if it arrives before a reset. Fails if the server accepts `limit` bytes.
fn flood(mut stream: TcpStream, bytes: impl Fn(u32) -> Vec<u8>, limit: usize) -> Option<u32> {
    let mut reader = stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let goaway = read_until(&mut reader, |frame| frame.kind == GOAWAY);
        goaway.map(|frame| frame.number(4))
    });
    let mut sent = 0;
    for round in 0.. {
        let bytes = bytes(round);
        if stream.write_all(&bytes).is_err() {
            break;
        }
        sent += bytes.len();
        assert!(sent < limit, "the server still accepts a flood");
    }
    reader.join().unwrap()
}

fn start(arguments: &[&str]) -> (TempDir, String, Server) {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &[&FAST[..], arguments].concat());
    (folder, token, server)
}

/// Asserts that the server still serves other clients, and closes only the flooded connection.
fn assert_serves(server: &Server, token: &str) {
    assert_eq!(server.whoami(token).status, 200);
}

#[test]
fn a_flood_of_requests_that_are_reset_at_once_ends_the_connection() {
    let (_folder, token, server) = start(&[]);
    let resets = |round: u32| {
        let pair = |number| {
            let stream = 2 * (100 * round + number) + 1;
            let head = frame(HEADERS, END_STREAM | END_HEADERS, stream, WHOAMI);
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [head, reset].concat()
        };
        (0..100).flat_map(pair).collect()
    };
    let code = flood(open(&server), resets, 1 << 28);
    assert!([Some(ENHANCE_YOUR_CALM), None].contains(&code), "{code:?}");
    assert_serves(&server, &token);
}

#[test]
fn a_flood_of_continuation_frames_ends_the_connection() {
    let (_folder, token, server) = start(&[]);
    // A header `a: a…`, in frames of the maximum length, of one byte, and of none.
    let header = [&b"\x00\x01a\x7f\x81\x7c"[..], &[b'a'; 16_000]].concat();
    for length in [header.len(), 1, 0] {
        let mut stream = open(&server);
        stream.write_all(&frame(HEADERS, 0, 1, WHOAMI)).unwrap();
        let piece = frame(CONTINUATION, 0, 1, &header[..length]);
        flood(stream, |_| piece.repeat(10), 1 << 28);
        assert_serves(&server, &token);
    }
}

#[test]
fn the_server_states_its_limits_and_rejects_further_streams() {
    let (_folder, token, server) = start(&[]);
    let mut stream = open(&server);
    let settings = read_until(&mut stream, |frame| frame.kind == SETTINGS).unwrap();
    let setting = |wanted: u16| {
        let mut settings = settings.payload.chunks(6);
        let setting = settings.find(|setting| setting[..2] == wanted.to_be_bytes());
        setting.map(|setting| u32::from_be_bytes(setting[2..].try_into().unwrap()))
    };
    // SETTINGS_MAX_CONCURRENT_STREAMS, _INITIAL_WINDOW_SIZE and _MAX_HEADER_LIST_SIZE.
    assert_eq!(
        [3, 4, 6].map(setting),
        [Some(100), Some(65_536), Some(32_768)]
    );
    stream.write_all(&frame(SETTINGS, 1, 0, &[])).unwrap();
    // The server reads the acknowledgement first, and a limit applies to the client from then on.
    stream.write_all(&frame(PING, 0, 0, &[0; 8])).unwrap();
    read_until(&mut stream, |frame| frame.kind == PING).unwrap();
    for number in 0..101 {
        let head = frame(HEADERS, END_HEADERS, 2 * number + 1, &create(&token));
        stream.write_all(&head).unwrap();
    }
    let reset = read_until(&mut stream, |frame| {
        frame.kind == RST_STREAM && frame.stream == 201
    });
    assert_eq!(reset.unwrap().number(0), REFUSED_STREAM);
    assert_serves(&server, &token);
}

/// A client, and the task of its connection.
struct Client {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    /// Connects from an address of this machine.
    async fn connect(server: &Server, from: Ipv4Addr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let stream = socket.connect(server.address).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        Self {
            requests: requests.ready().await.unwrap(),
            connection: tokio::spawn(connection),
        }
    }

    /// Sends the head of a request.
    fn send(
        &mut self,
        method: Method,
        path: &str,
        token: &str,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://x{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        self.requests
            .send_request(request.body(()).unwrap(), false)
            .unwrap()
    }

    /// Sends a request and returns its response.
    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        token: &str,
        body: &'static str,
    ) -> Response<RecvStream> {
        let (response, mut stream) = self.send(method, path, token);
        stream.send_data(body.into(), true).unwrap();
        response.await.unwrap()
    }
}

fn runtime() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

const KEY: &str = r#"{"name":"n"}"#;

#[test]
fn a_port_serves_http_1_and_http_2() {
    let (_folder, token, server) = start(&[]);
    assert_eq!(server.whoami(&token).status, 200);
    runtime().block_on(async {
        let mut client = Client::connect(&server, Ipv4Addr::LOCALHOST).await;
        for (method, path, token, body, status) in [
            (Method::GET, "/v1/whoami", token.as_str(), "", 200),
            (Method::POST, "/v1/api-keys", &token, KEY, 201),
            (Method::GET, "/v1/whoami", "wrong", "", 401),
            (Method::GET, "/readyz", "", "", 200),
        ] {
            let response = client.exchange(method, path, token, body).await;
            assert_eq!(response.status(), status, "{path}");
        }
    });
    let (_, _, log) = server.stop();
    assert!(log.contains("route=\"/v1/api-keys\""), "{log}");
}

#[test]
fn a_client_of_http_2_that_is_still_sending_receives_an_early_rejection() {
    let (_folder, token, server) = start(&[]);
    runtime().block_on(async {
        let mut client = Client::connect(&server, Ipv4Addr::LOCALHOST).await;
        for (token, status) in [("wrong", 401), (token.as_str(), 413)] {
            let (response, mut body) = client.send(Method::POST, "/v1/api-keys", token);
            // The client sends as much as the server allows, and never ends the body.
            body.reserve_capacity(1 << 20);
            body.send_data(vec![b' '; 1 << 20].into(), false).unwrap();
            assert_eq!(response.await.unwrap().status(), status);
        }
        // The connection still has its whole window.
        let created = client
            .exchange(Method::POST, "/v1/api-keys", &token, KEY)
            .await;
        assert_eq!(created.status(), 201);
    });
}

#[test]
fn a_client_with_many_streams_leaves_the_share_of_others_free() {
    let (_folder, token, server) = start(&["--max-connections", "10"]);
    runtime().block_on(async {
        let mut greedy = Client::connect(&server, Ipv4Addr::LOCALHOST).await;
        // One request for the connection, and half of the ten further ones.
        let mut open = Vec::new();
        for _ in 0..6 {
            open.push(greedy.send(Method::POST, "/v1/api-keys", &token));
        }
        let rejected = greedy.exchange(Method::GET, "/v1/whoami", &token, "").await;
        assert_eq!(rejected.status(), 503);
        assert_eq!(rejected.headers()["retry-after"], "1");
        for probe in ["/healthz", "/readyz", "/metrics"] {
            let probe = greedy.exchange(Method::GET, probe, "", "").await;
            assert_eq!(probe.status(), 200);
        }
        // Another client still has several requests in progress at a time.
        let mut other = Client::connect(&server, Ipv4Addr::new(127, 0, 0, 2)).await;
        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(other.send(Method::POST, "/v1/api-keys", &token));
        }
        for (response, mut body) in others.into_iter().chain(open) {
            body.send_data(KEY.into(), true).unwrap();
            assert_eq!(response.await.unwrap().status(), 201);
        }
        // The server may end a request a moment after the client has its response.
        let accepted = async {
            let mut whoami = async || greedy.exchange(Method::GET, "/v1/whoami", &token, "").await;
            while whoami().await.status() != 200 {}
        };
        timeout(PATIENCE, accepted).await.unwrap();
    });
}

#[test]
fn a_stop_finishes_the_streams_of_http_2_and_announces_the_end() {
    let (_folder, token, server) = start(&[]);
    runtime().block_on(async {
        let mut client = Client::connect(&server, Ipv4Addr::LOCALHOST).await;
        let (response, mut body) = client.send(Method::POST, "/v1/api-keys", &token);
        // The server has this request, because it has responded to the next one.
        let probe = client.exchange(Method::GET, "/healthz", "", "").await;
        assert_eq!(probe.status(), 200);
        server.signal("TERM");
        let announced = async {
            loop {
                match client.requests.clone().ready().await {
                    Ok(_) => sleep(Duration::from_millis(5)).await,
                    Err(error) => break error,
                }
            }
        };
        let error = timeout(PATIENCE, announced).await.unwrap();
        assert!(error.is_go_away() && error.is_remote(), "{error}");
        assert_eq!(error.reason(), Some(Reason::NO_ERROR));
        body.send_data(KEY.into(), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 201);
        drop(client.requests);
        client.connection.await.unwrap().unwrap();
    });
    let (status, _, log) = server.wait();
    assert!(status.success(), "{log}");
}

/// A client that does not acknowledge anything.
#[test]
fn an_idle_connection_of_http_2_does_not_keep_the_server_from_stopping() {
    let (_folder, _, server) = start(&[]);
    let mut stream = open(&server);
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, WHOAMI);
    stream.write_all(&request).unwrap();
    read_until(&mut stream, |frame| frame.kind == DATA).unwrap();
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
    let goaway = read_until(&mut stream, |frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(goaway.number(4), 0);
}
