//! Stops the server or a long command: the first signal requests a shutdown, and a second signal or
//! a deadline ends the process.

use std::{io, pin::pin, process, thread, time::Duration};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::sleep,
};

/// How long the process may take to end after the first signal and the shutdown delay. A stalled
/// log adds up to two seconds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How long further signals count as the first one. A supervisor may signal a process and also its
/// group, and a terminal that closes sends SIGHUP with another signal.
const BURST: Duration = Duration::from_millis(50);

/// A request to stop the server or the command, made by SIGTERM, SIGINT (Ctrl-C) or SIGHUP.
#[derive(Clone)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Catches signals from now on. The server continues to serve for `delay` after the first one.
    /// `report` receives the reason before the process ends at once.
    ///
    /// A separate thread with a separate runtime waits for them. So a second signal ends the
    /// process at any point, even while every thread of the server waits for the store, or while
    /// the store is being closed.
    pub(crate) fn listen(
        delay: Duration,
        report: impl FnOnce(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut signals = {
            let _context = runtime.enter();
            Signals::listen()?
        };
        let (requested, shutdown) = watch::channel(false);
        thread::Builder::new()
            .name("kw-signals".into())
            .spawn(move || {
                let next = async || signals.recv().await;
                let overdue = runtime.block_on(supervise(next, requested, delay));
                report(overdue);
                process::exit(1)
            })?;
        Ok(Self(shutdown))
    }

    /// Whether the server was asked to stop.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the request to stop.
    pub(crate) async fn requested(&mut self) {
        // The sender is dropped only with the process.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}

/// Requests the shutdown at the first signal. At a second signal, which arrives after [`BURST`], or
/// at the deadline, returns the reason why the process must end now.
async fn supervise(
    mut next_signal: impl AsyncFnMut(),
    requested: watch::Sender<bool>,
    delay: Duration,
) -> &'static str {
    next_signal().await;
    let mut burst = pin!(sleep(BURST));
    requested.send_replace(true);
    let second = async {
        loop {
            tokio::select! {
                biased;
                () = &mut burst => break,
                () = next_signal() => {}
            }
        }
        next_signal().await;
    };
    tokio::select! {
        () = second => "a second signal arrived",
        () = sleep(delay + DEADLINE) => "stopping took too long",
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::mpsc, time::timeout};

    use super::*;

    const DELAY: Duration = Duration::from_secs(30);

    const LIMIT: Duration = DEADLINE.saturating_add(DELAY);

    const ALMOST: Duration = LIMIT.saturating_sub(Duration::from_millis(10));

    #[tokio::test(start_paused = true)]
    async fn a_stop_that_hangs_ends_after_the_delay_and_the_deadline() {
        let (signals, mut received) = mpsc::channel(1);
        let (requested, shutdown) = watch::channel(false);
        let mut overdue = pin!(supervise(
            async || received.recv().await.unwrap(),
            requested,
            DELAY
        ));
        assert!(timeout(2 * LIMIT, &mut overdue).await.is_err());
        assert!(!*shutdown.borrow());
        signals.send(()).await.unwrap();
        assert!(timeout(ALMOST, &mut overdue).await.is_err());
        assert!(*shutdown.borrow());
        assert_eq!(overdue.await, "stopping took too long");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_ends_a_stop_that_hangs() {
        let (signals, mut received) = mpsc::channel(1);
        let (requested, _shutdown) = watch::channel(false);
        let mut overdue = pin!(supervise(
            async || received.recv().await.unwrap(),
            requested,
            DELAY
        ));
        signals.send(()).await.unwrap();
        assert!(timeout(ALMOST, &mut overdue).await.is_err());
        signals.send(()).await.unwrap();
        assert_eq!(overdue.await, "a second signal arrived");
    }

    #[tokio::test(start_paused = true)]
    async fn signals_that_arrive_together_count_once() {
        let (signals, mut received) = mpsc::channel(3);
        let (requested, _shutdown) = watch::channel(false);
        let mut overdue = pin!(supervise(
            async || received.recv().await.unwrap(),
            requested,
            DELAY
        ));
        for _ in 0..3 {
            signals.send(()).await.unwrap();
        }
        assert!(timeout(ALMOST, &mut overdue).await.is_err());
        signals.send(()).await.unwrap();
        assert_eq!(overdue.await, "a second signal arrived");
    }
}
