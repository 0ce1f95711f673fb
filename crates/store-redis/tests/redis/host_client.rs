//! A store that connects with a client of the host.

use keywright_store_redis::{RedisConfig, RedisStore};
use redis::{Client, IntoConnectionInfo, ProtocolVersion};

use crate::{
    conformance::ACL,
    insert, is_revoked, revoke, sample,
    support::{Certificate, Copy, PATIENCE, Port, Server, connect, wait_until},
};

/// Changes keys through two stores, one of which uses a client of the host. Returns them.
#[track_caller]
fn assert_shared(client: Client, other: RedisConfig) -> [RedisStore; 2] {
    let here = connect(RedisConfig::from_client(client).with_deadline(PATIENCE));
    let there = connect(other.with_deadline(PATIENCE));
    for (from, to) in [(&here, &there), (&there, &here)] {
        let record = insert(from, sample::record());
        let copy = Copy::usable(to, record.key.id);
        revoke(from, &record);
        wait_until("the copy is stale", || !copy.is_usable());
        assert!(is_revoked(to, &record.key.id));
    }
    [here, there]
}

#[test]
fn the_user_password_and_database_of_a_client_are_used_on_connections_of_the_store() {
    let server = Server::start();
    let acl = format!("ACL SETUSER keys on >one {ACL} +select");
    let _: () = server.run(&acl).unwrap();
    let over_tcp = format!("redis://127.0.0.1:{}", server.port());
    for address in [over_tcp, server.socket_url()] {
        let info = address.into_connection_info().unwrap();
        let settings = info.redis_settings().clone();
        // RESP2 has no invalidation messages.
        let settings = settings
            .set_username("keys")
            .set_password("one")
            .set_db(3)
            .set_protocol(ProtocolVersion::RESP2);
        let client = Client::open(info.set_redis_settings(settings)).unwrap();
        let url = format!("redis://keys:one@127.0.0.1:{}/3", server.port());
        // The host's own connection stays as it is.
        let mut own = client.get_connection().unwrap();
        let _stores = assert_shared(client, RedisConfig::new(url));
        let size: i64 = server.run("DBSIZE").unwrap();
        assert_eq!(size, 0, "the first database is not empty");
        let clients: String = server.run("CLIENT LIST").unwrap();
        let others = clients
            .lines()
            .filter(|line| !line.contains("cmd=client|list"));
        let (mut count, mut strangers) = (0, Vec::new());
        for client in others {
            count += 1;
            if !(client.contains("user=keys") && client.contains(" db=3 ")) {
                strangers.push(client);
            }
        }
        assert!(count >= 3, "{clients}");
        assert_eq!(strangers, Vec::<&str>::new());
        let value = redis::cmd("GET")
            .arg("kw:x")
            .query::<Option<String>>(&mut own);
        assert_eq!(value, Ok(None));
    }
}

#[test]
fn the_certificates_of_a_client_are_used() {
    let certificate = Certificate::new();
    let port = Port::reserve();
    let number = port.number().to_string();
    let server = Server::in_folder(certificate.folder(), &Certificate::options(&number));
    assert_shared(certificate.client(&port), server.config());
}
