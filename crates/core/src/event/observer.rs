//! A callback for events.

use super::Event;

/// A callback for the events of this process. See
/// [`Config::with_observer`](crate::Config::with_observer).
///
/// A closure is an observer:
///
/// ```
/// use std::sync::mpsc;
///
/// use keywright_core::{Config, Event, Prefix};
///
/// let (sender, events) = mpsc::sync_channel(1_000);
/// let config = Config::new(Prefix::parse("acme")?).with_observer(move |event: &Event| {
///     // Do not block: if the channel is full, the log still has the event.
///     let _ = sender.try_send(event.clone());
/// });
/// # drop((config, events));
/// # Ok::<(), keywright_core::error::PrefixError>(())
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Takes the event of a change. It is called once for each change that this process makes,
    /// after the store has committed the change and before the caller learns of it. If the process
    /// crashes in between, or the caller drops its future, it is not called.
    ///
    /// The call is on the path of the change, so it must not block. A panic is caught and logged.
    fn recorded(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn recorded(&self, event: &Event) {
        self(event);
    }
}
