//! Stores that break clause 17, and a store without an event log.

mod append;
mod damage;
mod listing;
mod no_log;
mod purge;
mod stored;

pub(crate) use self::damage::DamagedEvents;
