//! Which servers, and how.

use std::{fmt, time::Duration};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError,
};

use crate::{names::Names, open_error::OpenError};

/// Which Redis servers hold the keys, and how they are used.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    urls: String,
    namespace: String,
    deadline: Duration,
    min_replicas: u32,
    tolerance: Tolerance,
    #[cfg(feature = "tls")]
    root_certificates: Option<Vec<u8>>,
}

/// What of a server that loses writes is accepted all the same.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tolerance {
    pub(crate) eviction: bool,
    pub(crate) no_append_only_file: bool,
}

impl RedisConfig {
    /// The servers of these URLs, with commas between them: one for a single server, and for Redis
    /// Cluster some of its nodes, of which the others are learnt.
    ///
    /// * `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`
    /// * `rediss://…`, the same over TLS, with the feature `tls`
    /// * `redis+unix:///PATH[?db=DATABASE&user=USER&pass=PASSWORD]`
    ///
    /// What a URL uses for itself is percent-encoded in a user's name or password, and so is a comma.
    #[must_use]
    pub fn new(urls: impl Into<String>) -> Self {
        Self {
            urls: urls.into(),
            namespace: "kw".into(),
            deadline: Duration::from_secs(2),
            min_replicas: 0,
            tolerance: Tolerance::default(),
            #[cfg(feature = "tls")]
            root_certificates: None,
        }
    }

    /// Begins all names with this and a colon, 1 to 32 of `a-z0-9_-`, instead of `kw`.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a call may take, retries included, before it is `Unavailable`; 2 seconds unless this
    /// is called. One of several steps may take that long for each that is answered late: to insert is
    /// to note the child, to list it and to store it, and a cascade has a step for each generation.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Waits after each change until that many replicas have it, for a quarter of the deadline; fewer
    /// is `NotConfirmed`. That a reservation or a time of last use is missing on replicas is not told.
    #[must_use]
    pub const fn with_min_replicas(mut self, replicas: u32) -> Self {
        self.min_replicas = replicas;
        self
    }

    /// Trusts these certificates, in PEM, and no others.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Accepts a server that evicts keys when its memory is full. An evicted key is gone, and so is
    /// the list of what it has created: a revocation of it and its descendants no longer reaches them.
    #[must_use]
    pub const fn danger_accept_eviction(mut self) -> Self {
        self.tolerance.eviction = true;
        self
    }

    /// Accepts a server without an append-only file. When it restarts, keys that were created are
    /// gone, and keys that were revoked since its last snapshot open everything again.
    #[must_use]
    pub const fn danger_accept_no_append_only_file(mut self) -> Self {
        self.tolerance.no_append_only_file = true;
        self
    }

    pub(crate) fn parse(&self) -> Result<Parsed, OpenError> {
        let names = Names::new(&self.namespace).ok_or(OpenError::Namespace)?;
        let clients = self
            .urls
            .split(',')
            .map(|url| self.client(url.trim()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Parsed {
            clients,
            names,
            terms: Terms {
                deadline: self.deadline,
                replicas: self.min_replicas,
                tolerance: self.tolerance,
            },
        })
    }

    fn client(&self, url: &str) -> Result<Client, OpenError> {
        let info = url.into_connection_info().map_err(OpenError::Url)?;
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("keywright", env!("CARGO_PKG_VERSION"));
        let info = info.set_redis_settings(settings);
        self.connect_to(info).map_err(OpenError::Url)
    }

    #[cfg(feature = "tls")]
    fn connect_to(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
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
        reason = "with the feature tls it needs the certificates"
    )]
    fn connect_to(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
        Client::open(info)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL may hold a password.
        f.debug_struct("RedisConfig")
            .field("namespace", &self.namespace)
            .field("deadline", &self.deadline)
            .field("min_replicas", &self.min_replicas)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// A configuration that makes sense.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) clients: Vec<Client>,
    pub(crate) names: Names,
    pub(crate) terms: Terms,
}

/// How each server is dealt with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) deadline: Duration,
    pub(crate) replicas: u32,
    pub(crate) tolerance: Tolerance,
}

/// The same server at another address, as a cluster tells of it.
pub(crate) fn at(client: &Client, host: &str, port: u16) -> Result<Client, RedisError> {
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
