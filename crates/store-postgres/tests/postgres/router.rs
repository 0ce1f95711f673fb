//! A pooler that has both servers of a failover, and sends each transaction to one of them.

use std::{io, path::PathBuf};

use tempfile::TempDir;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

use crate::{
    cluster::{Cluster, url_in},
    proxy::{SOCKET, read_message, read_startup},
};

pub(crate) struct Router {
    folder: TempDir,
    task: JoinHandle<()>,
}

impl Router {
    /// Sends messages that begin a transaction to `transactions`, and statements outside of one to
    /// `statements`.
    pub(crate) fn start(statements: &Cluster, transactions: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let servers = [statements, transactions].map(|server| server.folder().join(SOCKET));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let servers = servers.clone();
                tokio::spawn(async move { serve(client, servers).await });
            }
        });
        Self { folder, task }
    }

    pub(crate) fn url(&self) -> String {
        url_in(self.folder.path())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: UnixStream, [first, second]: [PathBuf; 2]) -> io::Result<()> {
    let mut statements = UnixStream::connect(first).await?;
    let mut transactions = UnixStream::connect(second).await?;
    let startup = read_startup(&mut client).await?;
    transactions.write_all(&startup).await?;
    forward_reply(&mut transactions, &mut tokio::io::sink()).await?;
    statements.write_all(&startup).await?;
    forward_reply(&mut statements, &mut client).await?;
    let mut is_in_transaction = false;
    loop {
        let message = read_message(&mut client).await?;
        let begins = message
            .get(5..)
            .is_some_and(|body| body.starts_with(b"BEGIN"));
        let is_transaction = is_in_transaction || begins;
        let server = if is_transaction {
            &mut transactions
        } else {
            &mut statements
        };
        server.write_all(&message).await?;
        // The server replies to `Query` and `Sync`.
        if matches!(message.first(), Some(b'Q' | b'S')) {
            is_in_transaction = forward_reply(server, &mut client).await?;
        }
    }
}

/// Forwards messages up to `ReadyForQuery`, and returns whether a transaction is open.
async fn forward_reply(
    server: &mut UnixStream,
    client: &mut (impl AsyncWrite + Unpin),
) -> io::Result<bool> {
    loop {
        let message = read_message(server).await?;
        client.write_all(&message).await?;
        if message.first() == Some(&b'Z') {
            return Ok(message.last() != Some(&b'I'));
        }
    }
}
