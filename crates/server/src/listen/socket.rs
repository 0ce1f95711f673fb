//! A listening socket.

use std::{
    fmt::{self, Display, Formatter},
    fs, io,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

/// A stream of bytes from and to a client.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A listening socket.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix {
        /// The file that the server has created. Fields are dropped in order, so the file is
        /// removed before the socket closes: a program that finds the file finds it in use.
        _file: Option<SocketFile>,
        listener: UnixListener,
    },
}

impl Socket {
    pub(super) const fn unix(listener: UnixListener, file: Option<SocketFile>) -> Self {
        Self::Unix {
            _file: file,
            listener,
        }
    }

    /// Accepts a connection. Returns its stream, and the address of its client unless the socket is
    /// a Unix socket.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), Some(client.ip())))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), None))
            }
        }
    }
}

impl From<TcpListener> for Socket {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl Display for Socket {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(formatter, "http://{address}"),
                Err(_) => formatter.write_str("an unknown address"),
            },
            Self::Unix { listener, .. } => {
                let address = listener.local_addr().ok();
                match address.as_ref().and_then(|address| address.as_pathname()) {
                    Some(path) => write!(formatter, "unix:{}", path.display()),
                    None => formatter.write_str("a Unix socket without a path"),
                }
            }
        }
    }
}

/// Returns the addresses of sockets, separated by commas.
pub(crate) fn display_all(sockets: &[Socket]) -> String {
    let addresses: Vec<String> = sockets.iter().map(Socket::to_string).collect();
    addresses.join(", ")
}

/// The file of a Unix socket, removed when this is dropped.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The device and the inode, which another file at the same path does not have.
    identity: (u64, u64),
}

impl SocketFile {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
