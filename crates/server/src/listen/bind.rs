//! Binds to addresses.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::FileTypeExt,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{io::Errno, net::sockopt::set_ipv6_v6only};
use tokio::{
    net::{TcpListener, TcpSocket, UnixListener, UnixStream, lookup_host},
    time::{sleep, timeout},
};

use super::{ListenAddress, Socket, socket::SocketFile};

/// The number of connections that the system keeps until the server accepts them.
const BACKLOG: u32 = 1024;

/// How long to wait for another program that binds to a Unix socket in the same folder.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Binds to addresses. `option` is the option that names them, for errors.
pub(crate) async fn bind(addresses: &[ListenAddress], option: &str) -> Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for address in addresses {
        let bound = bind_one(address).await.with_context(|| {
            format!("cannot listen on {address} (choose another address with {option})")
        })?;
        sockets.extend(bound);
    }
    Ok(sockets)
}

async fn bind_one(address: &ListenAddress) -> io::Result<Vec<Socket>> {
    match address {
        ListenAddress::Port(port) => bind_port(*port).await.map(|socket| vec![socket.into()]),
        ListenAddress::Ip(address) => {
            let socket = TcpListener::bind(address).await?;
            Ok(vec![socket.into()])
        }
        ListenAddress::Host(host, port) => bind_host(host, *port).await,
        ListenAddress::Unix(path) => bind_unix(path).await.map(|socket| vec![socket]),
    }
}

/// Binds to a port of every address. One socket accepts IPv6 and IPv4, unless the machine has no
/// IPv6.
async fn bind_port(port: u16) -> io::Result<TcpListener> {
    let all: SocketAddr = (Ipv4Addr::UNSPECIFIED, port).into();
    let socket = match TcpSocket::new_v6() {
        Ok(socket) => socket,
        Err(error) if is_missing(&error) => return TcpListener::bind(all).await,
        Err(error) => return Err(error),
    };
    set_ipv6_v6only(&socket, false)?;
    socket.set_reuseaddr(true)?;
    match socket.bind(([0; 16], port).into()) {
        Ok(()) => socket.listen(BACKLOG),
        Err(error) if is_missing(&error) => TcpListener::bind(all).await,
        Err(error) => Err(error),
    }
}

/// Binds to a port of every address of a host name. Skips addresses that the machine does not have:
/// a container without IPv6 may still list `::1` as an address of `localhost`.
async fn bind_host(host: &str, port: u16) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    let mut missing = None;
    let mut bound: Vec<SocketAddr> = Vec::new();
    for address in lookup_host((host, port)).await? {
        if bound.contains(&address) {
            continue;
        }
        match TcpListener::bind(address).await {
            Ok(socket) => {
                bound.push(address);
                sockets.push(socket.into());
            }
            Err(error) if is_missing(&error) => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    if sockets.is_empty() {
        return Err(missing.unwrap_or_else(|| {
            let message = "the host name has no address";
            io::Error::new(ErrorKind::AddrNotAvailable, message)
        }));
    }
    Ok(sockets)
}

/// Whether the machine lacks an address, or its whole family.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable
        || Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

/// Binds to a Unix socket. Replaces the file of a process that no longer listens.
///
/// A lock on the folder prevents two programs that start at the same time from replacing each
/// other's socket: a socket that is bound and does not listen yet looks like a stale one.
async fn bind_unix(path: &Path) -> io::Result<Socket> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let _lock = lock(folder).await?;
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path).await?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    let file = SocketFile::of(path)?;
    Ok(Socket::unix(listener, Some(file)))
}

/// Locks a folder until the result is dropped.
async fn lock(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    let locked = async {
        while let Err(error) = folder.try_lock() {
            match error {
                TryLockError::WouldBlock => sleep(Duration::from_millis(10)).await,
                TryLockError::Error(error) => return Err(error),
            }
        }
        Ok(())
    };
    timeout(LOCK_TIMEOUT, locked).await.map_err(|_| {
        let message = "another process keeps the folder locked";
        io::Error::new(ErrorKind::TimedOut, message)
    })??;
    Ok(folder)
}

/// Removes the file of a Unix socket if no process listens on it.
async fn remove_stale(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let message = "the file exists and is not a socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, message));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // The socket of a process that listens may also be full or forbidden.
        _ => {
            let message = "another process listens on this socket";
            Err(io::Error::new(ErrorKind::AddrInUse, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_unix_socket_is_created_under_the_lock_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let other = lock(folder.path()).await.unwrap();
        let error = bind_unix(&path).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(!path.exists());
        drop(other);
        assert!(bind_unix(&path).await.is_ok());
    }
}
