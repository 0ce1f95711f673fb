//! Heartbeats: commits that prove that a synchronous standby still follows this primary.

/// Begins a transaction that writes to the log of the server and to nothing else. Its commit waits
/// for a standby. A time limit of statements, which the role may have, does not end this wait.
pub(crate) const BEGIN_HEARTBEAT: &str = "BEGIN READ WRITE; SET LOCAL synchronous_commit = on; \
     SELECT pg_logical_emit_message(true, 'keywright', '')";
