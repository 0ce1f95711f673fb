//! A proxy before a server, which can lead to another server, and cut a connection at any message.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

use crate::cluster::{Cluster, url_in};

/// Where a connection is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// The message does not reach the server.
    Before,
    /// The message reaches the server, and its reply does not reach the client.
    After,
}

#[derive(Debug)]
struct State {
    /// The socket of the server for new connections.
    server: PathBuf,
    /// Where to cut, and the number of messages until then.
    cut: Option<(Cut, usize)>,
}

impl State {
    /// Counts a message, and returns where to cut the connection.
    fn next_cut(&mut self) -> Option<Cut> {
        let (cut, messages) = self.cut.as_mut()?;
        *messages -= 1;
        if *messages > 0 {
            return None;
        }
        let cut = *cut;
        self.cut = None;
        Some(cut)
    }
}

pub(crate) struct Proxy {
    folder: TempDir,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

pub(crate) const SOCKET: &str = ".s.PGSQL.5432";

impl Proxy {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let state = Arc::new(Mutex::new(State {
            server: cluster.folder().join(SOCKET),
            cut: None,
        }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { serve(client, &shared).await });
            }
        });
        Self {
            folder,
            state,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        url_in(self.folder.path())
    }

    /// Makes new connections lead to this server. The others continue.
    pub(crate) fn lead_to(&self, cluster: &Cluster) {
        lock(&self.state).server = cluster.folder().join(SOCKET);
    }

    /// Cuts the connection on which a client sends the `n`th message from now on, counted from 1
    /// over all connections.
    pub(crate) fn cut(&self, cut: Cut, n: usize) {
        lock(&self.state).cut = Some((cut, n));
    }

    /// Returns whether the connection was cut. If it was not, it no longer will be.
    pub(crate) fn was_cut(&self) -> bool {
        lock(&self.state).cut.take().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a connection until either side closes it or it is cut. Both sides are closed then.
async fn serve(mut client: UnixStream, state: &Mutex<State>) -> io::Result<()> {
    let server = lock(state).server.clone();
    let mut server = connect(&server).await?;
    let startup = read_startup(&mut client).await?;
    server.write_all(&startup).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    // The number of requests, and of those to which the server has replied.
    let requests = AtomicU64::new(1);
    let (replies, mut replied) = watch::channel(0_u64);
    let silent = std::sync::atomic::AtomicBool::new(false);
    let upstream = async {
        let mut idle = true;
        loop {
            let message = read_message(&mut from_client).await?;
            // The pool tests an idle connection with `Sync`. When it does so depends on chance, so
            // this does not count.
            let is_test = idle && message.first() == Some(&b'S');
            let cut = (!is_test).then(|| lock(state).next_cut()).flatten();
            if cut == Some(Cut::Before) {
                return Ok(());
            }
            silent.store(cut.is_some(), Ordering::SeqCst);
            // The server replies to `Query` and `Sync`.
            let is_request = matches!(message.first(), Some(b'Q' | b'S'));
            idle = is_request;
            let request = requests.fetch_add(is_request.into(), Ordering::SeqCst);
            to_server.write_all(&message).await?;
            if cut == Some(Cut::After) {
                if is_request {
                    let _ = replied.wait_for(|replies| *replies > request).await;
                }
                return Ok(());
            }
        }
    };
    let downstream = async {
        loop {
            let message = read_message(&mut from_server).await?;
            if !silent.load(Ordering::SeqCst) {
                to_client.write_all(&message).await?;
            }
            if message.first() == Some(&b'Z') {
                replies.send_modify(|replies| *replies += 1);
            }
        }
    };
    tokio::select! {
        ended = upstream => ended,
        ended = downstream => ended,
    }
}

async fn connect(server: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(server).await
}

/// Reads the first message of a client, after a request for TLS, which the proxy declines.
pub(crate) async fn read_startup(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<Vec<u8>> {
    const TLS: u32 = 80_877_103;
    loop {
        let length = client.read_u32().await?;
        let code = client.read_u32().await?;
        let mut message = [length.to_be_bytes(), code.to_be_bytes()].concat();
        let rest = u64::from(length) - message.len() as u64;
        client.take(rest).read_to_end(&mut message).await?;
        if code != TLS {
            return Ok(message);
        }
        client.write_all(b"N").await?;
    }
}

/// Reads a message: its type, its length without the type, and its body.
pub(crate) async fn read_message(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut message = vec![kind];
    message.extend(length.to_be_bytes());
    let whole = length as usize + 1;
    let rest = whole - message.len();
    from.take(rest as u64).read_to_end(&mut message).await?;
    if message.len() < whole {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message)
}
