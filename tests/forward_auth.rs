//! Forward auth: nginx, configured as the guide shows, asks the server whether a request may pass.

use std::{
    fs,
    io::{BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use tempfile::{TempDir, tempdir};

use crate::support::{
    FAST, FAST_UNLIMITED, Nginx, Response, Server, SetOnDrop, assert_nowhere_in, connect, id_of,
    keys, keywright, operator_key, request, secret_of, wait_for, wait_for_staleness_bound,
};

/// The configuration in the guide, with these addresses.
fn guide(keywright: &str, service: SocketAddr) -> String {
    let guide = include_str!("../crates/server/FORWARD_AUTH.md");
    let (_, rest) = guide.split_once("```nginx\n").unwrap();
    let (configuration, _) = rest.split_once("```").unwrap();
    [
        ("server 127.0.0.1:8080;", keywright),
        ("127.0.0.1:3000", &service.to_string()),
        ("listen 80;", "listen {address};"),
    ]
    .into_iter()
    .fold(configuration.to_owned(), |configuration, (from, to)| {
        assert_eq!(configuration.matches(from).count(), 1, "{from}");
        configuration.replace(from, to)
    })
}

/// A service behind the proxy. It responds with the head of the request and the length of its
/// body.
struct Service {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                thread::spawn(|| echo(stream.unwrap()));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Responds to one request.
fn echo(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if reader.read_exact(&mut byte).is_err() {
            return;
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = format!("{head}body: {length}\r\n");
    let response = format!(
        "HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).unwrap();
}

/// Returns the value of a header in a head in lower case. Asserts that there is at most one.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut values = lines
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = values.next();
    assert_eq!(values.next(), None, "{name} is repeated: {head}");
    value
}

struct Story {
    service: Service,
    server: Server,
    nginx: Nginx,
    folder: TempDir,
}

impl Story {
    fn start(options: &[&str]) -> Self {
        Self::start_with(options, "")
    }

    /// Starts the server, and an nginx with further directives.
    fn start_with(options: &[&str], directives: &str) -> Self {
        let folder = tempdir().unwrap();
        let server = Server::start(folder.path(), &[&FAST_UNLIMITED[..], options].concat());
        let service = Service::start();
        let keywright = format!("server {};", server.address);
        let configuration = guide(&keywright, service.address);
        let nginx = Nginx::start(folder.path(), &format!("{directives}\n{configuration}"));
        Self {
            service,
            server,
            nginx,
            folder,
        }
    }

    fn key(&self, arguments: &[&str]) -> String {
        operator_key(self.folder.path(), &[&FAST[..], arguments].concat())
    }

    /// Sends a request through nginx.
    fn send(&self, method: &str, path: &str, token: &str, headers: &str, body: &str) -> Response {
        let mut stream = connect(self.nginx.address);
        let request = request(method, path, token, headers, body);
        stream.write_all(request.as_bytes()).unwrap();
        Response::read(&mut stream).unwrap()
    }

    fn get(&self, token: &str) -> Response {
        self.send("GET", "/calls/1", token, "", "")
    }

    /// Asserts that nginx passes a request of this key on.
    #[track_caller]
    fn assert_passes(&self, token: &str) {
        let before = self.service.requests();
        let response = self.get(token);
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(self.service.requests(), before + 1);
    }

    /// Asserts that nginx returns this status, and does not pass the request on.
    #[track_caller]
    fn assert_stopped(&self, token: &str, status: u16) -> Response {
        let before = self.service.requests();
        let response = self.get(token);
        assert_eq!(response.status, status, "{response:?}");
        assert_eq!(self.service.requests(), before);
        response
    }
}

#[test]
fn nginx_passes_on_requests_of_valid_keys_with_the_identity_of_the_caller() {
    let story = Story::start(&[]);
    let owned = story.key(&["--permissions", "calls:*", "--owner", "user:42"]);
    let plain = story.key(&["--workspace", "acme", "--environment", "test"]);
    let spoofed = "x-keywright-key-id: key_forged\r\nx-keywright-workspace: forged\r\n\
                   x-keywright-owner: forged\r\nX-Keywright-Environment: forged\r\n\
                   x_keywright_owner: forged\r\n";
    for (token, workspace, owner, environment) in [
        (&owned, "default", Some("user:42"), "live"),
        (&plain, "acme", None, "test"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let path = "/calls/1?permission=*&api_key=x";
            let response = story.send(method, path, token, spoofed, "body");
            assert_eq!(response.status, 200, "{response:?}");
            let head = &response.body;
            let line = format!("{} {path} http/1.0", method.to_lowercase());
            assert_eq!(head.lines().next(), Some(&*line));
            let id = id_of(token).to_lowercase();
            assert_eq!(header(head, "x-keywright-key-id"), Some(&*id));
            assert_eq!(header(head, "x-keywright-workspace"), Some(workspace));
            assert_eq!(header(head, "x-keywright-owner"), owner);
            assert_eq!(header(head, "x-keywright-environment"), Some(environment));
            assert_eq!(header(head, "authorization"), None);
            assert!(!head.contains("forged"), "{head}");
            assert_eq!(header(head, "body"), Some("4"));
        }
    }
}

#[test]
fn nginx_stops_requests_of_keys_that_are_invalid_revoked_or_lack_a_permission() {
    let story = Story::start(&[]);
    let token = story.key(&["--permissions", "calls:read"]);
    story.assert_passes(&token);
    let other = story.key(&["--permissions", "calls:write"]);
    story.assert_stopped(&other, 403);
    for invalid in ["", "x", &format!("{token}x")] {
        let response = story.assert_stopped(invalid, 401);
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge, r#"Bearer realm="api", error="invalid_token""#);
    }
    let mut stream = connect(story.nginx.address);
    stream
        .write_all(b"GET /calls/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let response = Response::read(&mut stream).unwrap();
    assert_eq!(response.status, 401);
    assert_eq!(response.header("www-authenticate"), r#"Bearer realm="api""#);
    // Another process revokes the key.
    keys(story.folder.path(), &["revoke", &id_of(&token)]);
    wait_for_staleness_bound();
    story.assert_stopped(&token, 401);
}

#[test]
fn several_permissions_are_all_required_and_a_typo_stops_every_request() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
    let service = Service::start();
    let [all, read] = ["*", "calls:read"].map(|permissions| {
        operator_key(
            folder.path(),
            &[&FAST[..], &["--permissions", permissions]].concat(),
        )
    });
    let guide = guide(&format!("server {};", server.address), service.address);
    let query = "permission=$permission";
    for (from, to, status_of_all, status_of_read) in [
        (
            "calls:read;",
            "calls:read&permission=calls:write;",
            200,
            403,
        ),
        (query, "permision=$permission", 503, 503),
        ("calls:read;", "Calls;", 503, 503),
        ("set $permission calls:read;", "", 503, 503),
        ("?permission=$permission", "", 200, 200),
    ] {
        assert_eq!(guide.matches(from).count(), 1, "{from}");
        let mut configuration = guide.replace(from, to);
        if to.is_empty() {
            // Another location declares the variable.
            configuration = configuration.replace(
                "location @undecided {",
                "location /other { set $permission calls:read; return 204; }\nlocation @undecided {",
            );
        }
        let nginx = Nginx::start(&folder.path().join("n"), &configuration);
        for (token, status) in [(&all, status_of_all), (&read, status_of_read)] {
            let mut stream = connect(nginx.address);
            let request = request("GET", "/calls/1", token, "", "");
            stream.write_all(request.as_bytes()).unwrap();
            let response = Response::read(&mut stream).unwrap();
            assert_eq!(response.status, status, "{to}: {response:?}");
        }
    }
}

#[test]
fn an_upload_gets_its_response_whether_or_not_it_may_pass() {
    let story = Story::start(&[]);
    let token = story.key(&[]);
    let body = " ".repeat(1_000_000);
    for chunked in [false, true] {
        for (token, status) in [(&*token, 200), ("x", 401)] {
            let mut stream = connect(story.nginx.address);
            let request = if chunked {
                format!(
                    "POST /calls/1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
                     transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                )
            } else {
                request("POST", "/calls/1", token, "", &body)
            };
            // The whole request is sent before the response is read.
            stream.write_all(request.as_bytes()).unwrap();
            let response = Response::read(&mut stream).unwrap();
            assert_eq!(response.status, status, "{response:?}");
            let passed = response.body.contains("body: 1000000");
            assert_eq!(passed, status == 200, "{response:?}");
        }
    }
}

#[test]
fn an_upload_that_the_proxy_passes_on_to_the_server_is_not_a_502() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
    let body = " ".repeat(1024 * 1024);
    for directives in ["", "proxy_http_version 1.1; proxy_request_buffering off;"] {
        let http = format!(
            "client_max_body_size 0; server {{\nlisten {{address}};\n\
             location / {{ proxy_pass http://{}/v1/auth; {directives} }}\n}}",
            server.address
        );
        let nginx = Nginx::start(&folder.path().join("n"), &http);
        for (token, status) in [(&*token, 200), ("x", 401)] {
            for _ in 0..5 {
                let mut stream = connect(nginx.address);
                let request = request("POST", "/", token, "", &body);
                stream.write_all(request.as_bytes()).unwrap();
                let response = Response::read(&mut stream).unwrap();
                assert_eq!(response.status, status, "{directives} {response:?}");
            }
        }
    }
}

/// A proxy that passes on `Content-Length` and not the body would otherwise let its client choose
/// where the next request begins.
#[test]
fn no_request_follows_a_body_on_a_connection_of_a_proxy() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
    let head = |headers: &str| {
        format!(
            "GET /v1/auth HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{headers}\r\n"
        )
    };
    for body in ["", "x", "GET /v1/auth HTTP/1.1\r\nx: "] {
        let mut stream = server.connect();
        let length = format!("content-length: {}\r\n", body.len());
        let requests = format!("{}{body}{}", head(&length), head("connection: close\r\n"));
        // The server may close the connection before it has read all.
        let _ = stream.write_all(requests.as_bytes());
        let mut responses = String::new();
        let _ = stream.read_to_string(&mut responses);
        let expected = if body.is_empty() { 2 } else { 1 };
        assert_eq!(
            responses.matches("HTTP/1.1 200").count(),
            expected,
            "{responses}"
        );
        assert_eq!(
            responses.matches("HTTP/1.1").count(),
            expected,
            "{responses}"
        );
    }
}

#[test]
fn nginx_reports_the_address_of_its_client() {
    // The server sees nginx at another address than the client's.
    let story = Story::start_with(&["--trust-proxy", "127.0.0.5"], "proxy_bind 127.0.0.5;");
    let local = story.key(&["--allowed-ips", "127.0.0.1"]);
    let remote = story.key(&["--allowed-ips", "127.0.0.5,192.0.2.0/24"]);
    for headers in [
        "",
        "x-forwarded-for: 192.0.2.7\r\n",
        "forwarded: for=192.0.2.7\r\n",
    ] {
        for (token, status) in [(&local, 200), (&remote, 403)] {
            let response = story.send("GET", "/calls/1", token, headers, "");
            assert_eq!(response.status, status, "{headers} {response:?}");
        }
    }
}

#[test]
fn nginx_stops_every_request_while_the_server_cannot_decide_or_is_down() {
    let story = Story::start(&[]);
    let token = story.key(&[]);
    story.assert_passes(&token);
    let path = story.folder.path();
    let (file, away) = (path.join("keywright.db"), path.join("away"));
    fs::rename(&file, &away).unwrap();
    wait_for("the server notices that the file is missing", || {
        (story.get(&token).status == 503).then_some(())
    });
    let response = story.assert_stopped(&token, 503);
    assert_eq!(response.header("retry-after"), "1");
    fs::rename(&away, &file).unwrap();
    wait_for("the server finds the file again", || {
        (story.get(&token).status == 200).then_some(())
    });
    story.server.signal("TERM");
    story.server.wait_until_closed();
    wait_for("the server closes its connections", || {
        (story.get(&token).status == 503).then_some(())
    });
    for token in [&*token, "x"] {
        story.assert_stopped(token, 503);
    }
}

#[test]
fn the_log_and_the_metrics_name_the_route_and_no_part_of_the_key() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST);
    let path = format!("/v1/auth?permission=calls:read&uri=/calls?key={token}");
    for _ in 0..2 {
        assert_eq!(server.send("POST", &path, &token, "").status, 200);
    }
    let wrong = format!("/v1/auth?{token}");
    let response = server.send("POST", &wrong, &token, "");
    assert_eq!(response.status, 400);
    let metrics = server.send("GET", "/metrics", "", "").body;
    let labels = r#"{method="POST",route="/v1/auth",status="200"} 2"#;
    assert!(metrics.contains(labels), "{metrics}");
    let (_, _, log) = server.stop();
    assert_eq!(log.matches("route=\"/v1/auth\"").count(), 3, "{log}");
    for text in [log, metrics, response.body] {
        let secret = secret_of(&token);
        assert!(!text.contains(&secret[..8]), "{text}");
    }
    assert_nowhere_in(folder.path(), &token);
}

/// Passes connections on to an address, and counts them.
fn count_connections(target: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let client = stream.unwrap();
            let server = TcpStream::connect(target).unwrap();
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    (address, connections)
}

#[test]
fn nginx_keeps_its_connection_to_the_server_also_after_rejections_and_uploads() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
    let service = Service::start();
    let (address, connections) = count_connections(server.address);
    let configuration = guide(&format!("server {address};"), service.address);
    let nginx = Nginx::start(folder.path(), &configuration);
    for _ in 0..10 {
        for (method, token, status) in [
            ("GET", &*token, 200),
            ("GET", "x", 401),
            ("POST", &token, 200),
            ("POST", "x", 401),
        ] {
            let mut stream = connect(nginx.address);
            let body = " ".repeat(100_000);
            let body = if method == "POST" { &*body } else { "" };
            let request = request(method, "/calls/1", token, "", body);
            stream.write_all(request.as_bytes()).unwrap();
            let response = Response::read(&mut stream).unwrap();
            assert_eq!(response.status, status, "{response:?}");
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// Starts a server on a loopback address that no other process uses, so that it can be started
/// again on the same port. A port of 0 is any port.
fn start_at(folder: &Path, port: u16) -> Server {
    let [_, a, b, c] = process::id().to_be_bytes();
    let address = SocketAddr::from((Ipv4Addr::new(127, a + 1, b, c), port));
    let mut command = keywright(folder, &["serve", "--listen", &address.to_string()]);
    Server::spawn(command.args(FAST_UNLIMITED))
}

/// The number of clients during a rolling restart.
const CLIENTS: usize = 4;

/// The number of requests that the clients send between two steps of a rolling restart.
const REQUESTS: usize = 200;

#[test]
fn a_rolling_restart_of_two_servers_behind_nginx_loses_no_request() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(
        path,
        &[&FAST[..], &["--permissions", "calls:read"]].concat(),
    );
    let other = operator_key(path, &[&FAST[..], &["--permissions", "x"]].concat());
    let mut servers = [start_at(path, 0), start_at(path, 0)];
    let service = Service::start();
    let upstream: String = servers
        .iter()
        .map(|server| format!("server {} max_fails=0;\n", server.address))
        .collect();
    // nginx also passes requests to the servers themselves.
    let api = "location /v1/ { proxy_pass http://keywright; proxy_http_version 1.1; \
               proxy_set_header Connection \"\"; }\nlocation @undecided {";
    let configuration = guide(&upstream, service.address).replace("location @undecided {", api);
    let nginx = Nginx::start(path, &configuration);
    let responses = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = [(); CLIENTS].map(|()| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for (method, path, token, status) in [
                        ("GET", "/calls/1", &*token, 200),
                        ("POST", "/calls/1", &token, 200),
                        ("GET", "/calls/1", &other, 403),
                        ("GET", "/calls/1", "x", 401),
                        ("GET", "/v1/whoami", &token, 200),
                    ] {
                        let mut stream = connect(nginx.address);
                        let request = request(method, path, token, "", "");
                        stream.write_all(request.as_bytes()).unwrap();
                        let response = Response::read(&mut stream).unwrap();
                        assert_eq!(response.status, status, "{response:?}");
                        responses.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        // The clients also stop if a step fails.
        let stop = SetOnDrop(&done);
        let serve_requests = || {
            let before = responses.load(Ordering::Relaxed);
            wait_for("the clients send requests", || {
                let failed = clients.iter().any(|client| client.is_finished());
                let sent = responses.load(Ordering::Relaxed) - before;
                (failed || sent >= REQUESTS).then_some(())
            });
        };
        for server in &mut servers {
            serve_requests();
            let port = server.address.port();
            server.signal("TERM");
            server.wait_for_exit();
            serve_requests();
            *server = start_at(path, port);
        }
        serve_requests();
        drop(stop);
    });
    assert!(responses.into_inner() >= 5 * REQUESTS);
}
