//! The network between a process and the store.

use std::{cell::Cell, future, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use crate::random::Random;

/// The connection of a process to the store.
pub(crate) struct Link {
    /// The mean time that a message takes beyond the minimum.
    delay: Cell<Duration>,
    /// Until when all messages are lost.
    cut_until: Cell<Instant>,
}

/// The minimum time that a message takes.
const MINIMUM: Duration = Duration::from_micros(200);

/// The mean delay of a usual link.
const USUAL: Duration = Duration::from_millis(1);

/// The mean delay of a slow link.
const SLOW: Duration = Duration::from_millis(150);

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            delay: Cell::new(USUAL),
            cut_until: Cell::new(Instant::now()),
        }
    }

    /// Makes each message slow, or as fast as usual again.
    pub(crate) fn set_slow(&self, is_slow: bool) {
        self.delay.set(if is_slow { SLOW } else { USUAL });
    }

    /// Loses all messages for this time.
    pub(crate) fn cut(&self, span: Duration) {
        self.cut_until.set(Instant::now() + span);
    }

    fn is_cut(&self) -> bool {
        Instant::now() < self.cut_until.get()
    }

    /// Waits while all messages are lost. A stream of messages loses none: it sends them again.
    pub(crate) async fn until_whole(&self) {
        while self.is_cut() {
            sleep_until(self.cut_until.get()).await;
        }
    }

    /// Returns how long a message takes that is sent now.
    pub(crate) fn delay(&self, random: &Random) -> Duration {
        MINIMUM + random.around(self.delay.get())
    }

    /// Waits until a message arrives. One that is lost never does.
    pub(crate) async fn travel(&self, random: &Random) {
        let delay = self.delay(random);
        if self.is_cut() {
            future::pending::<()>().await;
        }
        sleep(delay).await;
        if self.is_cut() {
            future::pending::<()>().await;
        }
    }
}
