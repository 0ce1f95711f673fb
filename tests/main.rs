//! Stories across the crates: the real program, real files and real sockets.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod auth_header;
mod backup;
mod bad_requests;
mod client_address;
mod cold_start;
mod command_line;
mod concurrency;
mod copy;
mod crash;
mod create;
mod crowded;
mod early_rejections;
mod event_retention;
mod events;
mod exposed_files;
mod first_run;
mod fleet;
mod fleet_crash;
mod follow;
mod forward_auth;
mod full_disk;
mod http2;
mod import;
mod import_guide;
mod imported_keys;
mod incident;
mod isolation;
mod keys_command;
mod last_use;
mod listen;
mod lost_file;
mod members;
mod methods;
mod metrics;
mod openapi;
mod operator_session;
mod postgres;
mod purge;
mod rate_limit;
mod read_only;
mod rehash;
mod report;
mod revocation;
mod rotation;
mod sharing;
mod shutdown;
mod staleness;
mod stalled_log;
mod support;
mod terminal;
mod updates;
mod vendor_contract;
mod verify_command;
mod wrong_secrets;
