//! Hearing of changes: what the lease of the store rests on.
//!
//! Each primary has a connection that it tells of every change of a record. The lease is extended by an
//! answer to a write on that very connection, from the time at which the write was sent: what was
//! changed before it was answered has been told before, on the same connection. Where a primary cannot
//! be heard, or refuses to write, copies are not used, and what it reads is not believed either.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use keywright_core::Lease;
use redis::{PushInfo, PushKind, Value, aio::MultiplexedConnection, cmd};
use tokio::{sync::Notify, task::AbortHandle, time};

use crate::{
    backoff::Backoff,
    error::{Error, Result},
    names::Names,
    node::{self, Heard, Node, answer, within},
    server::Facts,
    servers::Servers,
};

/// How long a primary is trusted to tell of all changes after it was last heard.
pub(crate) const LEASE: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_millis(333);

/// The lease, and the primaries that it rests on.
#[derive(Debug)]
pub(crate) struct Hearing {
    lease: Arc<Lease>,
    primaries: Mutex<HashMap<String, Primary>>,
}

#[derive(Debug)]
struct Primary {
    node: Arc<Node>,
    until: Option<Instant>,
    task: AbortHandle,
}

impl Hearing {
    pub(crate) fn new() -> Self {
        Self {
            lease: Arc::new(Lease::lapsed()),
            primaries: Mutex::default(),
        }
    }

    pub(crate) const fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Listens to these primaries, and to no others any more.
    pub(crate) fn listen_to(&self, servers: &Arc<Servers>, nodes: &[Arc<Node>]) {
        let mut primaries = self.primaries();
        let before = primaries.len();
        primaries.retain(|_, primary| {
            let stays = nodes.iter().any(|node| Arc::ptr_eq(node, &primary.node));
            if !stays {
                primary.task.abort();
                primary.node.set_heard(None);
            }
            stays
        });
        let some_left = primaries.len() < before;
        for node in nodes {
            primaries.entry(node.address()).or_insert_with(|| Primary {
                node: Arc::clone(node),
                until: None,
                task: tokio::spawn(keep_listening(Arc::downgrade(servers), Arc::clone(node)))
                    .abort_handle(),
            });
        }
        if some_left {
            self.lease.changed_all();
        }
        self.settle(&primaries);
    }

    /// A primary is heard until then, or from now on no more.
    fn heard(&self, node: &Arc<Node>, until: Option<Instant>) {
        let mut primaries = self.primaries();
        if let Some(primary) = primaries
            .values_mut()
            .find(|primary| Arc::ptr_eq(&primary.node, node))
        {
            primary.until = until;
            self.settle(&primaries);
        }
    }

    /// The lease holds as long as all primaries are heard.
    fn settle(&self, primaries: &HashMap<String, Primary>) {
        let ends = primaries.values().map(|primary| primary.until);
        match ends.min().flatten() {
            Some(until) => self.lease.extend(until),
            None => self.lease.end(),
        }
    }

    fn primaries(&self) -> MutexGuard<'_, HashMap<String, Primary>> {
        self.primaries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn keep_listening(servers: std::sync::Weak<Servers>, node: Arc<Node>) {
    let mut backoff = Backoff::new();
    loop {
        backoff.pause().await;
        let Some(servers) = servers.upgrade() else {
            return;
        };
        let connected = listen(&servers, &node).await.is_ok();
        node.set_heard(None);
        servers.hearing().heard(&node, None);
        // What this connection has met is met by the other one too, and perhaps by the whole server.
        node.suspect();
        servers.refresh().await;
        if connected {
            backoff.succeed();
        }
        backoff.fail();
    }
}

/// Listens until the primary is not heard any more; an error if it never was.
async fn listen(servers: &Arc<Servers>, node: &Arc<Node>) -> Result<()> {
    let hearing = servers.hearing();
    let lease = hearing.lease();
    let closed = Arc::new(Notify::new());
    let receiver = receiver(Arc::clone(lease), Arc::clone(&closed));
    let mut connection = node.open(node::config().set_push_sender(receiver)).await?;
    let facts = within(LEASE, Facts::ask(&mut connection)).await??;
    let run: Arc<str> = facts.run.into();
    let mut track = cmd("CLIENT");
    track
        .arg("TRACKING")
        .arg("ON")
        .arg("BCAST")
        .arg("PREFIX")
        .arg(servers.names().records());
    let tracking = connection.send_packed_command(&track);
    answer(within(LEASE, tracking).await??)?;
    // Nothing that was copied before is known to be as it was.
    lease.changed_all();
    let mut was_heard = false;
    loop {
        let sent = lease.now();
        match beat(&mut connection, node).await {
            Ok(()) => {
                let until = sent + LEASE;
                let run = Arc::clone(&run);
                node.set_heard(Some(Heard { run, until }));
                hearing.heard(node, Some(until));
                was_heard = true;
            }
            Err(_) if was_heard => return Ok(()),
            Err(error) => return Err(error),
        }
        let next = time::Instant::from_std(sent + HEARTBEAT);
        if time::timeout_at(next, closed.notified()).await.is_ok() {
            return Ok(());
        }
    }
}

/// Whoever may not write may not do this either, and it needs no memory.
async fn beat(connection: &mut MultiplexedConnection, node: &Node) -> Result<()> {
    let mut beat = cmd("DEL");
    beat.arg(node.own_name());
    match answer(within(LEASE, connection.send_packed_command(&beat)).await??)? {
        Value::Int(_) => Ok(()),
        _ => Err(Error::Unexpected("answer to DEL")),
    }
}

/// Takes what the primary tells, in the order in which it comes, before any answer that comes after it.
fn receiver(
    lease: Arc<Lease>,
    closed: Arc<Notify>,
) -> impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + Send + Sync + 'static {
    move |push| {
        match push.kind {
            PushKind::Invalidate => invalidate(&lease, &push.data),
            PushKind::Disconnection => {
                lease.end();
                closed.notify_one();
            }
            _ => {}
        }
        Ok(())
    }
}

fn invalidate(lease: &Lease, data: &[Value]) {
    let Some(Value::Array(names)) = data.first() else {
        // Null: all of the database is gone.
        lease.changed_all();
        return;
    };
    for name in names {
        match name {
            Value::BulkString(name) => match Names::id_of_record(name) {
                Some(id) => lease.changed(&id),
                None => lease.changed_all(),
            },
            _ => lease.changed_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use keywright_core::KeyId;

    use super::*;

    /// The slots of a primary that leaves are another one's by then, and what its connection had still
    /// to tell nobody hears.
    #[tokio::test]
    async fn copies_from_before_a_primary_left_are_trusted_no_more() {
        let servers = Servers::of_cluster();
        let [stays, leaves] = [1, 2].map(|port| servers.node_at_port(port));
        let hearing = servers.hearing();
        let lease = hearing.lease();
        hearing.listen_to(&servers, &[Arc::clone(&stays), Arc::clone(&leaves)]);
        // Their tasks do nothing as long as this one goes on.
        let until = Some(lease.now() + 3600 * LEASE);
        hearing.heard(&stays, until);
        let id = KeyId::parse("key_0U50000000000000").unwrap();
        assert!(!lease.holds(&id, lease.stamp(&id)), "one is not heard yet");
        hearing.heard(&leaves, until);
        let stamp = lease.stamp(&id);
        assert!(lease.holds(&id, stamp));
        hearing.listen_to(&servers, &[stays]);
        assert!(!lease.holds(&id, stamp), "a copy outlives its primary");
        assert!(lease.holds(&id, lease.stamp(&id)), "nothing is trusted");
    }
}
