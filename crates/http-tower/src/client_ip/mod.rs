//! The address of the client, for keys that are restricted to addresses.

mod forwarded;
mod layer;
mod service;

use std::net::IpAddr;

pub use self::{layer::ClientIpLayer, service::ClientIpService};

/// The address of the client, as an extension of a request. [`AuthLayer`](crate::AuthLayer) and
/// [`ApiKeys`](crate::ApiKeys) compare it with the addresses that a key is restricted to. Without
/// it, they reject every restricted key.
///
/// The host puts it into the request, from the connection and not from a header. Behind a proxy,
/// the connection has the proxy's address, and [`ClientIpLayer`] derives the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an address and nothing else")]
pub struct ClientIp(pub IpAddr);
