//! Heartbeats: commits that prove that a synchronous standby still follows this primary.

/// Begins a transaction that writes to the log of the server and to nothing else. Its commit waits
/// for a standby.
///
/// A time limit of a statement would end this wait, and the commit would then succeed without the
/// standby.
pub(crate) const BEGIN_HEARTBEAT: &str = "BEGIN READ WRITE; SET LOCAL synchronous_commit = on; \
     SET LOCAL statement_timeout = 0; SELECT pg_logical_emit_message(true, 'keywright', '')";
