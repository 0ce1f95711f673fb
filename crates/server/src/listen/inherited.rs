//! Sockets that systemd has opened (socket activation, `sd_listen_fds(3)`).

use std::{env, io, os::fd::AsFd};

use anyhow::{Context, Result};
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use tokio::net::{TcpListener, UnixListener};

use super::Socket;

/// The name of a socket for probes: `FileDescriptorName=admin` in its socket unit.
const ADMIN: &str = "admin";

/// The file descriptors that the process has inherited as sockets.
pub(crate) struct Inherited {
    descriptors: ListenFd,
    names: Vec<String>,
}

/// The sockets of the server.
#[derive(Default)]
pub(crate) struct Sockets {
    pub(crate) clients: Vec<Socket>,
    pub(crate) probes: Vec<Socket>,
}

impl Inherited {
    /// Takes the number of descriptors that `LISTEN_FDS` gives, if `LISTEN_PID` names this process.
    ///
    /// This removes the variables, so call it before the process starts a thread.
    pub(crate) fn take() -> Self {
        let descriptors = ListenFd::from_env();
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        Self {
            descriptors,
            names: names.split(':').map(str::to_owned).collect(),
        }
    }

    /// Returns the sockets, which must be listening. Call this in the runtime.
    pub(crate) fn into_sockets(mut self) -> Result<Sockets> {
        let mut sockets = Sockets::default();
        for index in 0..self.descriptors.len() {
            let socket = self.socket(index);
            let socket = socket.context("cannot use a socket from LISTEN_FDS")?;
            let is_admin = self.names.get(index).is_some_and(|name| name == ADMIN);
            if is_admin {
                sockets.probes.push(socket);
            } else {
                sockets.clients.push(socket);
            }
        }
        Ok(sockets)
    }

    fn socket(&mut self, index: usize) -> Result<Socket> {
        // This fails without taking the descriptor if it is not of this kind.
        if let Ok(Some(listener)) = self.descriptors.take_unix_listener(index) {
            check_listening(&listener)?;
            listener.set_nonblocking(true)?;
            return Ok(Socket::unix(UnixListener::from_std(listener)?, None));
        }
        let listener = self.descriptors.take_tcp_listener(index)?;
        let listener = listener.context("the descriptor is missing")?;
        check_listening(&listener)?;
        listener.set_nonblocking(true)?;
        Ok(TcpListener::from_std(listener)?.into())
    }
}

fn check_listening(socket: impl AsFd) -> io::Result<()> {
    if socket_acceptconn(socket)? {
        return Ok(());
    }
    let message = "it is not listening; the socket unit needs Accept=no";
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
