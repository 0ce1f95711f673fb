//! The addresses that a server listens on.

use std::{
    fs,
    io::{BufReader, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Stdio},
};

use tempfile::tempdir;

use crate::support::{
    FAST, PATIENCE, Response, Server, assert_fails, get, keywright, operator_key, request,
};

/// Sends a request through a Unix socket.
fn send(socket: &Path, request: &str) -> Response {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    Response::read_next(&mut BufReader::new(stream))
        .unwrap()
        .unwrap()
}

fn get_unix(socket: &Path, path: &str) -> u16 {
    send(socket, &request("GET", path, "", "", "")).status
}

#[test]
fn a_server_listens_on_a_port_a_host_name_and_a_unix_socket_at_the_same_time() {
    let folder = tempdir().unwrap();
    let mut command = keywright(folder.path(), &["serve"]);
    command.env("KEYWRIGHT_LISTEN", "localhost:0, :0,unix:k.sock\r\n");
    let server = Server::spawn(&mut command);
    let addresses = server.logged_after("listening on ");
    let addresses: Vec<&str> = addresses.split(", ").collect();
    let (unix, tcp) = addresses.split_last().unwrap();
    assert_eq!(*unix, "unix:k.sock");
    assert_eq!(get_unix(&folder.path().join("k.sock"), "/healthz"), 200);
    let mut every = 0;
    for address in tcp {
        let address: SocketAddr = address.strip_prefix("http://").unwrap().parse().unwrap();
        if address.ip().is_loopback() {
            assert_eq!(get(address, "/healthz").status, 200, "{address}");
            continue;
        }
        every += 1;
        let port = address.port();
        assert_eq!(
            get((Ipv4Addr::LOCALHOST, port).into(), "/healthz").status,
            200
        );
        if address.is_ipv6() {
            assert_eq!(
                get((Ipv6Addr::LOCALHOST, port).into(), "/healthz").status,
                200
            );
        }
    }
    assert!(every == 1 && tcp.len() >= 2, "{addresses:?}");
}

#[test]
fn a_unix_socket_is_replaced_only_if_no_process_listens_on_it() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let socket = path.join("k.sock");
    let listen = ["--listen", "unix:k.sock"];
    let mut live = Server::start(path, &listen);
    let serve = [&["serve"], &listen[..]].concat();
    assert_fails(
        path,
        &serve,
        &["unix:k.sock", "--listen", "another process"],
    );
    assert_eq!(get_unix(&socket, "/healthz"), 200);
    live.kill();
    assert!(socket.exists());
    let next = Server::start(path, &listen);
    assert_eq!(get_unix(&socket, "/healthz"), 200);
    let (status, _, log) = next.stop();
    assert!(status.success(), "{log}");
    assert!(!socket.exists());

    fs::write(&socket, "precious").unwrap();
    assert_fails(path, &serve, &["unix:k.sock", "not a socket"]);
    assert_eq!(fs::read(&socket).unwrap(), b"precious");
    assert_fails(
        path,
        &["--listen", "unix:no/k.sock"],
        &["unix:no/k.sock", "No such file"],
    );
}

#[test]
fn a_server_does_not_remove_a_file_that_has_replaced_its_unix_socket() {
    let folder = tempdir().unwrap();
    let socket = folder.path().join("k.sock");
    let server = Server::start(folder.path(), &["--listen", "unix:k.sock"]);
    fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    assert!(server.stop().0.success());
    assert!(socket.exists());
}

#[test]
fn an_address_that_cannot_be_used_is_an_error_with_its_option() {
    let folder = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("localhost:{}", taken.local_addr().unwrap().port());
    for option in ["--listen", "--admin-listen"] {
        for (address, words) in [
            (taken.as_str(), &[taken.as_str(), "in use"][..]),
            ("host.invalid:80", &["host.invalid:80"]),
            ("8080", &["8080", "HOST:PORT"]),
            ("unix:", &["path"]),
        ] {
            let words = [words, &[option]].concat();
            let arguments = ["--listen", "127.0.0.1:0", option, address];
            assert_fails(folder.path(), &arguments, &words);
        }
    }
}

#[test]
fn the_address_of_a_client_of_a_unix_socket_is_the_word_of_a_trusted_proxy_only() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let restricted = [&FAST[..], &["--allowed-ips", "192.0.2.0/24"]].concat();
    let token = operator_key(path, &restricted);
    let forwarded = "x-forwarded-for: 192.0.2.7\r\n";
    for (name, trusted) in [("a.sock", false), ("b.sock", true)] {
        let listen = format!("unix:{name}");
        let proxy: &[&str] = if trusted {
            &["--trust-proxy", "unix"]
        } else {
            &[]
        };
        let server = Server::start(path, &[&FAST[..], &["--listen", &listen], proxy].concat());
        let whoami = |headers| request("GET", "/v1/whoami", &token, headers, "");
        let socket = path.join(name);
        let expected = if trusted { 200 } else { 403 };
        assert_eq!(send(&socket, &whoami(forwarded)).status, expected, "{name}");
        assert_eq!(send(&socket, &whoami("")).status, 403, "{name}");
        assert_eq!(server.raw(whoami(forwarded)).status, 403, "{name}");
    }
}

/// Returns a command that becomes a server with an inherited socket, as systemd passes it on.
/// `process` is the id of the process that the socket is for, as the shell spells it.
fn activated(
    folder: &Path,
    socket: impl Into<OwnedFd>,
    process: &str,
    name: &str,
    arguments: &[&str],
) -> Command {
    let program = keywright(folder, arguments);
    let mut command = Command::new("sh");
    let activate = format!(
        "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_FDNAMES={name} LISTEN_PID={process}; \
         exec \"$@\""
    );
    command
        .args(["-c", &activate, "sh"])
        .arg(program.get_program());
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::from(socket.into()));
    for (name, _) in program.get_envs() {
        command.env_remove(name);
    }
    command
}

#[test]
fn a_socket_from_systemd_replaces_the_default_address() {
    let folder = tempdir().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let server = Server::spawn(&mut activated(folder.path(), socket, "$$", "x", &["serve"]));
    assert_eq!(server.address, address);
    assert_eq!(
        server.logged_after("listening on "),
        format!("http://{address}")
    );
    assert_eq!(get(address, "/healthz").status, 200);
    assert!(server.stop().0.success());
}

#[test]
fn a_unix_socket_from_systemd_adds_to_the_options_and_keeps_its_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("k.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let server = Server::spawn(&mut activated(folder.path(), socket, "$$", "x", &arguments));
    assert_eq!(get_unix(&path, "/healthz"), 200);
    assert_eq!(get(server.address, "/healthz").status, 200);
    assert!(server.stop().0.success());
    assert!(path.exists());
}

#[test]
fn a_socket_from_systemd_with_the_name_admin_serves_the_probes() {
    let folder = tempdir().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = socket.local_addr().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let server = Server::spawn(&mut activated(
        folder.path(),
        socket,
        "$$",
        "admin",
        &arguments,
    ));
    assert_eq!(get(admin, "/readyz").status, 200);
    assert_eq!(get(admin, "/v1/whoami").status, 404);
    assert_eq!(get(server.address, "/readyz").status, 404);
    assert_eq!(get(server.address, "/v1/whoami").status, 401);
}

#[test]
fn a_socket_for_another_process_is_not_used() {
    let folder = tempdir().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let server = Server::spawn(&mut activated(folder.path(), socket, "1", "x", &arguments));
    let listening = server.logged_after("listening on ");
    assert_eq!(listening, format!("http://{}", server.address));
}

#[test]
fn an_inherited_descriptor_that_does_not_listen_is_an_error() {
    let folder = tempdir().unwrap();
    let (socket, _other) = UnixStream::pair().unwrap();
    let mut command = activated(folder.path(), socket, "$$", "x", &["serve"]);
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("LISTEN_FDS") && error.contains("Accept=no"),
        "{error}"
    );
}
