//! A store that keeps API keys in the PostgreSQL of the host, through its `sqlx` pool.

mod batch;
mod change;
mod config;
mod connect;
mod database;
mod error;
mod feed;
mod finder;
mod heartbeat;
mod held;
mod identity;
mod in_transaction;
mod lane;
mod migrate;
mod open;
mod open_error;
mod operations;
mod queue;
mod record;
mod schema;
mod schema_name;
mod snapshot;
mod statements;
mod store;
mod transaction;
mod transfer;
mod unlogged;
mod values;
mod writer;

// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// The public interface is:
pub use crate::{
    config::PostgresConfig,
    connect::connect,
    migrate::{migrate, migration_sql},
    open_error::OpenError,
    store::PostgresStore,
};
