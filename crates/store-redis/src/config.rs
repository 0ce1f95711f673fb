//! The configuration of a store.

use std::{fmt, time::Duration};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError,
};

use crate::{error::OpenError, names::Names};

/// The Redis servers that hold the keys, and how the store uses them. Only the servers are
/// required: their URLs, or a client of the host.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    seeds: Seeds,
    namespace: String,
    deadline: Duration,
    min_replicas: u32,
    list_limit: u32,
    tolerance: Tolerance,
    #[cfg(feature = "tls")]
    root_certificates: Option<Vec<u8>>,
}

/// The servers in the configuration.
#[derive(Clone)]
enum Seeds {
    /// URLs, which are separated by commas.
    Urls(String),
    Client(Box<Client>),
}

/// The settings of a server that are accepted although they lose writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tolerance {
    pub(crate) eviction: bool,
    pub(crate) no_append_only_file: bool,
}

impl RedisConfig {
    /// Uses the servers at these URLs, which are separated by commas.
    ///
    /// For a single server, give its URL. For a primary with replicas, give the URLs of all servers
    /// that can become the primary. For Redis Cluster, give the URLs of a few nodes: the store
    /// discovers the others.
    ///
    /// * `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`
    /// * `rediss://…`, the same over TLS, with the feature `tls`
    /// * `redis+unix:///PATH[?db=DATABASE&user=USER&pass=PASSWORD]`
    ///
    /// Percent-encode commas, and characters that have a meaning in a URL, in the user name and the
    /// password.
    #[must_use]
    pub fn new(urls: impl Into<String>) -> Self {
        Self::with_seeds(Seeds::Urls(urls.into()))
    }

    /// Uses the server of a client of the host: its address, TLS settings, user, password, database
    /// and TCP settings. For Redis Cluster, it is a client of one of the nodes.
    ///
    /// The store opens its own connections, so that its tracking and its `WAIT` do not affect those
    /// of the host. They use RESP3, whatever the protocol of the client is. For a primary with
    /// replicas, give the URLs of all servers to [`new`](Self::new).
    ///
    /// ```
    /// use keywright_store_redis::RedisConfig;
    ///
    /// let client = redis::Client::open("redis://keys:secret@127.0.0.1:6379/3")?;
    /// let config = RedisConfig::from_client(client);
    /// # Ok::<(), redis::RedisError>(())
    /// ```
    #[must_use]
    pub fn from_client(client: Client) -> Self {
        Self::with_seeds(Seeds::Client(Box::new(client)))
    }

    fn with_seeds(seeds: Seeds) -> Self {
        Self {
            seeds,
            namespace: "kw".into(),
            deadline: Duration::from_secs(2),
            min_replicas: 0,
            list_limit: 100_000,
            tolerance: Tolerance::default(),
            #[cfg(feature = "tls")]
            root_certificates: None,
        }
    }

    /// Sets the namespace: each name in Redis begins with it and a colon. It has 1 to 32 characters
    /// of `a-z0-9_-`. The default is `kw`.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets how long a step of a call may take, retries included, before the call fails with
    /// `Unavailable`. The default is 2 seconds.
    ///
    /// Most calls have one step. An insert has three: it registers the key with its parent, adds it
    /// to the index and stores the record. A rotation that a key requests has two: it registers the
    /// successor with that key, and stores the records. A cascading revocation has one for each
    /// generation.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Waits after each change until this many replicas have confirmed it, for at most a quarter of
    /// the deadline. If fewer confirm a change, the call returns `NotConfirmed`. The default is 0.
    ///
    /// The store does not wait for the confirmation of reservations and times of last use.
    #[must_use]
    pub const fn with_min_replicas(mut self, replicas: u32) -> Self {
        self.min_replicas = replicas;
        self
    }

    /// Sets the maximum number of keys that a list with `status` or `search` reads. At the limit,
    /// the list returns the keys that it has found, with a cursor to continue and without a total.
    /// The default is 100,000, and 0 counts as 1.
    #[must_use]
    pub const fn with_list_limit(mut self, keys: u32) -> Self {
        self.list_limit = if keys == 0 { 1 } else { keys };
        self
    }

    /// Trusts these root certificates, in PEM, instead of those of the operating system. This
    /// applies to URLs: a client of the host keeps its certificates.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Accepts a server that evicts keys when its memory is full.
    ///
    /// The server may evict a record, an index, or the list of the keys that a key has created. A
    /// list, a revocation of all keys of an owner or a cascading revocation then no longer reaches
    /// those keys.
    #[must_use]
    pub const fn danger_accept_eviction(mut self) -> Self {
        self.tolerance.eviction = true;
        self
    }

    /// Accepts a server without an append-only file.
    ///
    /// A restart of such a server undoes all changes since its last snapshot: keys that were
    /// created are gone, and keys that were revoked are active again.
    #[must_use]
    pub const fn danger_accept_no_append_only_file(mut self) -> Self {
        self.tolerance.no_append_only_file = true;
        self
    }

    pub(crate) fn parse(&self) -> Result<ParsedConfig, OpenError> {
        let names = Names::new(&self.namespace).ok_or(OpenError::Namespace)?;
        let clients = match &self.seeds {
            Seeds::Urls(urls) => urls
                .split(',')
                .map(|url| self.client(url.trim()))
                .collect::<Result<_, _>>(),
            Seeds::Client(client) => {
                let info = client.get_connection_info().clone();
                Client::open(with_settings(info)).map(|client| vec![client])
            }
        };
        Ok(ParsedConfig {
            clients: clients.map_err(OpenError::Url)?,
            names,
            options: ServerOptions {
                deadline: self.deadline,
                min_replicas: self.min_replicas,
                list_limit: self.list_limit,
                tolerance: self.tolerance,
            },
        })
    }

    fn client(&self, url: &str) -> Result<Client, RedisError> {
        self.open_client(with_settings(url.into_connection_info()?))
    }

    #[cfg(feature = "tls")]
    fn open_client(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
        match (&self.root_certificates, info.addr()) {
            (Some(pem), ConnectionAddr::TcpTls { .. }) => Client::build_with_tls(
                info,
                redis::TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem.clone()),
                },
            ),
            _ => Client::open(info),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(
        clippy::unused_self,
        reason = "with the feature `tls` this reads the certificates"
    )]
    fn open_client(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
        Client::open(info)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs and the client may contain passwords.
        f.debug_struct("RedisConfig")
            .field("namespace", &self.namespace)
            .field("deadline", &self.deadline)
            .field("min_replicas", &self.min_replicas)
            .field("list_limit", &self.list_limit)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// Sets what the store needs on each connection: RESP3, which has invalidation messages.
fn with_settings(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("keywright", env!("CARGO_PKG_VERSION"));
    info.set_redis_settings(settings)
}

/// A validated configuration.
#[derive(Debug)]
pub(crate) struct ParsedConfig {
    pub(crate) clients: Vec<Client>,
    pub(crate) names: Names,
    pub(crate) options: ServerOptions,
}

/// The options that apply to each server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerOptions {
    pub(crate) deadline: Duration,
    pub(crate) min_replicas: u32,
    pub(crate) list_limit: u32,
    pub(crate) tolerance: Tolerance,
}

/// Returns a client for another node of the same cluster, with the same user and TLS settings.
pub(crate) fn client_at(client: &Client, host: &str, port: u16) -> Result<Client, RedisError> {
    let info = client.get_connection_info().clone();
    let addr = match info.addr() {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host: host.into(),
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host.into(), port),
    };
    Client::open(info.set_addr(addr))
}
