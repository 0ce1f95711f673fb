//! The network between a process and the store.

use std::{cell::Cell, future, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use crate::random::Random;

/// The connection of a process to the store.
pub(crate) struct Link {
    cut_until: Cell<Instant>,
    slow_until: Cell<Instant>,
    /// The time that each message takes in addition while the link is slow.
    slow_requests: Cell<Duration>,
    slow_replies: Cell<Duration>,
}

/// The minimum time that a message takes.
const MINIMUM: Duration = Duration::from_micros(200);

/// The mean time that a message takes in addition.
const JITTER: Duration = Duration::from_millis(1);

/// The mean time that messages of a slow link take in addition.
const SLOW: Duration = Duration::from_millis(150);

impl Link {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            cut_until: Cell::new(now),
            slow_until: Cell::new(now),
            slow_requests: Cell::default(),
            slow_replies: Cell::default(),
        }
    }

    /// Loses all messages for this time.
    pub(crate) fn cut(&self, span: Duration) {
        self.cut_until.set(Instant::now() + span);
    }

    /// Makes all messages slow for this time.
    pub(crate) fn slow_down(&self, span: Duration, random: &Random) {
        self.slow_until.set(Instant::now() + span);
        self.slow_requests.set(random.around(SLOW));
        self.slow_replies.set(random.around(SLOW));
    }

    /// Sends a request to the store, and waits for the reply. If either is lost, this never ends.
    pub(crate) async fn ask<T>(&self, random: &Random, work: impl Future<Output = T>) -> T {
        self.send(random).await;
        let reply = work.await;
        self.travel(self.reply_delay(random)).await;
        reply
    }

    /// Waits until a request arrives at the store. If it is lost, this never ends.
    pub(crate) async fn send(&self, random: &Random) {
        self.travel(self.delay(random, &self.slow_requests)).await;
    }

    /// Waits while all messages are lost. A stream of messages loses none: it sends them again.
    pub(crate) async fn until_whole(&self) {
        while self.is_cut() {
            sleep_until(self.cut_until.get()).await;
        }
    }

    /// Returns how long a message takes that the store sends now.
    pub(crate) fn reply_delay(&self, random: &Random) -> Duration {
        self.delay(random, &self.slow_replies)
    }

    fn delay(&self, random: &Random, slow: &Cell<Duration>) -> Duration {
        let usual = MINIMUM + random.around(JITTER);
        if Instant::now() < self.slow_until.get() {
            usual + slow.get()
        } else {
            usual
        }
    }

    fn is_cut(&self) -> bool {
        Instant::now() < self.cut_until.get()
    }

    async fn travel(&self, delay: Duration) {
        if self.is_cut() {
            future::pending::<()>().await;
        }
        sleep(delay).await;
        if self.is_cut() {
            future::pending::<()>().await;
        }
    }
}
