//! The store keeps its contract over every kind of connection to its servers.

use std::sync::Arc;

use keywright_core::{EventId, KeyId, conformance::Harness, conformance_tests, store::KeyStore};
use keywright_store_redis::RedisConfig;
use redis::Commands;

use crate::{
    names,
    support::{Certificate, Cluster, PATIENCE, Port, Server, connect},
};

/// A store on one server.
struct OnServer {
    server: Server,
    config: RedisConfig,
    /// The port for TLS.
    _port: Option<Port>,
}

impl OnServer {
    fn new(server: Server, config: RedisConfig) -> Self {
        Self {
            server,
            config,
            _port: None,
        }
    }

    fn unix() -> Self {
        let server = Server::start();
        let config = RedisConfig::new(server.socket_url()).with_deadline(PATIENCE);
        Self::new(server, config)
    }

    fn tls() -> Self {
        let certificate = Certificate::new();
        let port = Port::reserve();
        let number = port.number().to_string();
        let server = Server::in_folder(certificate.folder(), &Certificate::options(&number));
        let config = certificate.config(&port);
        Self {
            server,
            config,
            _port: Some(port),
        }
    }

    /// Connects as a user with the rights that the documentation of the crate lists, and no others.
    fn limited_user() -> Self {
        let server = Server::start();
        let () = server
            .run(&format!("ACL SETUSER keys on >se%cret {ACL}"))
            .unwrap();
        let url = format!("redis://keys:se%25cret@127.0.0.1:{}", server.port());
        let config = RedisConfig::new(url).with_deadline(PATIENCE);
        Self::new(server, config)
    }
}

/// The rights that a user needs, as the documentation of the crate lists them.
pub(crate) const ACL: &str = "resetkeys ~kw:* resetchannels -@all +get +getex +mget +set +setnx +exists +del +persist +sadd +srem \
    +smembers +zadd +zrem +zcard +zrange +zrangebyscore +zscore +hget +hset +hdel +eval +evalsha +scan +info \
    +client|tracking +wait +asking +cluster|slots";

impl Harness for OnServer {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(connect(self.config.clone()))
    }

    fn damage(&self, id: &KeyId) -> bool {
        // Cut off the end.
        let name = names::record(id);
        let mut redis = self.server.redis();
        let bytes: Vec<u8> = redis.get(&name).unwrap();
        redis.set(&name, &bytes[..bytes.len() - 5]).unwrap()
    }

    fn damage_event(&self, id: &EventId) -> bool {
        let name = names::event(id);
        self.server.redis().set(&name, "no event").unwrap()
    }
}

/// A store on a cluster.
struct OnCluster(Cluster);

impl Harness for OnCluster {
    fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(self.0.store())
    }

    fn damage(&self, id: &KeyId) -> bool {
        self.0.servers.iter().any(|server| {
            let set: redis::RedisResult<()> = server.redis().set(names::record(id), "no record");
            set.is_ok()
        })
    }

    fn damage_event(&self, id: &EventId) -> bool {
        self.0.servers.iter().any(|server| {
            let set: redis::RedisResult<()> = server.redis().set(names::event(id), "no event");
            set.is_ok()
        })
    }
}

/// The whole suite over TCP. The other tests use the default user, who has every right.
mod limited_user {
    super::conformance_tests!(super::OnServer::limited_user());
}

mod cluster {
    super::conformance_tests!(super::OnCluster(super::Cluster::start()));
}

// Commands and replies are the same over each kind of connection. These clauses write, read back
// through another handle, and receive invalidations.

mod tls {
    super::conformance_tests!(super::OnServer::tls() => atomic_insert changes durable events);
}

mod unix {
    super::conformance_tests!(super::OnServer::unix() => atomic_insert changes durable events);
}
