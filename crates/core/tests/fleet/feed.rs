//! How a process learns of changes and keeps its lease, as the stores do it.

use std::{convert::Infallible, time::Duration};

use tokio::{
    join,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    process::Process,
    simulation::{Fault, Feed},
    store::Pushed,
};

/// The number of polls in the bound of a store that polls.
const POLLS_IN_BOUND: u32 = 5;

/// The number of heartbeats in the bound of a store that pushes.
const HEARTBEATS_IN_BOUND: u32 = 3;

impl Feed {
    /// How long a copy may be used after a request for changes was sent.
    pub(crate) const fn bound(self) -> Duration {
        match self {
            Self::Polls => Duration::from_millis(500),
            Self::Pushes => Duration::from_secs(1),
        }
    }
}

/// Keeps the lease of a process for ever.
pub(crate) async fn follow(process: &Process) -> Infallible {
    let bound = process.world.feed.bound();
    loop {
        match process.world.feed {
            Feed::Polls => poll(process, bound).await,
            Feed::Pushes => listen(process, bound).await,
        }
        // The connection is lost. The lease lapses, and each verification reads the store.
        sleep(bound / POLLS_IN_BOUND).await;
    }
}

/// Polls until a poll takes too long.
async fn poll(process: &Process, bound: Duration) {
    let Process {
        world, link, lease, ..
    } = process;
    let mut seen = None;
    loop {
        let sent_at = lease.now();
        let replied = async {
            link.travel(&world.random).await;
            let reply = world.database.poll(seen).await;
            link.travel(&world.random).await;
            reply
        };
        let Ok(reply) = timeout(bound, replied).await else {
            return;
        };
        process.resumed().await;
        match reply.changed {
            Some(changed) => changed.iter().for_each(|id| lease.changed(id)),
            None if world.is(Fault::NothingStaleAfterReconnect) => {}
            None => lease.changed_all(),
        }
        seen = Some(reply.seen);
        let from = if world.is(Fault::ExtendedFromReply) {
            lease.now()
        } else {
            sent_at
        };
        lease.extend(from + bound);
        sleep(bound / POLLS_IN_BOUND).await;
    }
}

/// Receives pushes, and sends heartbeats until one takes too long.
async fn listen(process: &Process, bound: Duration) {
    let Process {
        world, link, lease, ..
    } = process;
    let (sender, receiver) = unbounded_channel();
    let mut connection = Connection {
        process,
        receiver,
        next: None,
        last_arrival: Instant::now(),
    };
    let subscribed = async {
        link.travel(&world.random).await;
        world.database.subscribe(sender.clone());
        link.travel(&world.random).await;
    };
    if timeout(bound, subscribed).await.is_err() {
        return;
    }
    if !world.is(Fault::NothingStaleAfterReconnect) {
        lease.changed_all();
    }
    loop {
        let sent_at = lease.now();
        let beat = heartbeat(process, &sender);
        let replied = async { join!(beat, connection.receive()) };
        if timeout(bound, replied).await.is_err() {
            return;
        }
        let from = if world.is(Fault::ExtendedFromReply) {
            lease.now()
        } else {
            sent_at
        };
        lease.extend(from + bound);
        // Apply pushes until the next heartbeat.
        let _ = timeout(bound / HEARTBEATS_IN_BOUND, connection.receive()).await;
    }
}

/// Sends a heartbeat. The reply comes after all pushes that the store sent before it.
async fn heartbeat(process: &Process, sender: &UnboundedSender<Pushed>) {
    let Process { world, link, .. } = process;
    link.travel(&world.random).await;
    world.database.heartbeat().await;
    let _ = sender.send(Pushed::now(None));
}

/// A connection on which messages arrive in the order in which the store sent them.
struct Connection<'a> {
    process: &'a Process,
    receiver: UnboundedReceiver<Pushed>,
    /// The next message, with the time of its arrival.
    next: Option<(Instant, Pushed)>,
    last_arrival: Instant,
}

impl Connection<'_> {
    /// Applies pushes until the reply to a heartbeat.
    async fn receive(&mut self) {
        let Process {
            world, link, lease, ..
        } = self.process;
        loop {
            if self.next.is_none() {
                let Some(pushed) = self.receiver.recv().await else {
                    return;
                };
                let arrival = (pushed.sent_at + link.delay(&world.random)).max(self.last_arrival);
                self.last_arrival = arrival;
                self.next = Some((arrival, pushed));
            }
            // The message stays in place if the wait is cancelled.
            if let Some((arrival, _)) = &self.next {
                sleep_until(*arrival).await;
            }
            link.until_whole().await;
            self.process.resumed().await;
            match self.next.take() {
                Some((
                    _,
                    Pushed {
                        changed: Some(id), ..
                    },
                )) => lease.changed(&id),
                Some(_) => return,
                None => {}
            }
        }
    }
}
