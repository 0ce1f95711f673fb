//! How a process learns of changes and keeps its lease, as the stores do it.

use std::{convert::Infallible, time::Duration};

use tokio::{
    join,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    parameters::{Fault, Feed},
    process::Process,
    store::Pushed,
};

/// Keeps the lease of a process, and connects again after each failure.
pub(crate) async fn follow(process: &Process) -> Infallible {
    let feed = process.world.feed;
    loop {
        match feed {
            Feed::Polls => poll(process, feed.bound(), feed.interval()).await,
            Feed::Pushes => listen(process, feed.bound(), feed.interval()).await,
        }
        // The connection is lost. The lease lapses, and each verification reads the store.
        sleep(feed.interval()).await;
    }
}

/// Polls until a poll takes too long.
async fn poll(process: &Process, bound: Duration, interval: Duration) {
    let Process {
        world, link, lease, ..
    } = process;
    let mut seen = None;
    loop {
        let sent_at = lease.now();
        let replied = link.ask(&world.random, world.database.poll(seen));
        let Ok(reply) = timeout(bound, replied).await else {
            return;
        };
        process.resumed().await;
        match reply.changed {
            Some(changed) => changed.iter().for_each(|id| lease.changed(id)),
            None if world.has(Fault::NothingStaleAfterReconnect) => {}
            None => lease.changed_all(),
        }
        seen = Some(reply.seen);
        let from = if world.has(Fault::ExtendedFromReply) {
            lease.now()
        } else {
            sent_at
        };
        lease.extend(from + bound);
        sleep(interval).await;
    }
}

/// Receives pushes, and sends heartbeats until one takes too long.
async fn listen(process: &Process, bound: Duration, interval: Duration) {
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
    let subscribed = link.ask(&world.random, async {
        world.database.subscribe(sender.clone());
    });
    if timeout(bound, subscribed).await.is_err() {
        return;
    }
    if !world.has(Fault::NothingStaleAfterReconnect) {
        lease.changed_all();
    }
    loop {
        let sent_at = lease.now();
        let heartbeat = async {
            link.send(&world.random).await;
            world.database.heartbeat(&sender).await;
        };
        let replied = async { join!(heartbeat, connection.receive()) };
        if timeout(bound, replied).await.is_err() {
            return;
        }
        let from = if world.has(Fault::ExtendedFromReply) {
            lease.now()
        } else {
            sent_at
        };
        lease.extend(from + bound);
        // Apply pushes until the next heartbeat.
        let _ = timeout(interval, connection.receive()).await;
    }
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
                let arrival =
                    (pushed.sent_at + link.reply_delay(&world.random)).max(self.last_arrival);
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
