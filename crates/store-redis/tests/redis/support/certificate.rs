//! A certificate of the test's own, which the operating system does not know.

use std::fs;

use keywright_store_redis::RedisConfig;
use tempfile::TempDir;

/// It is for servers on this host, by name and by address.
pub(crate) struct Certificate {
    pem: String,
    key: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let names = ["localhost", "127.0.0.1"].map(String::from);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    /// A folder with it, for a server.
    pub(crate) fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cert.pem"), &self.pem).unwrap();
        fs::write(folder.path().join("key.pem"), &self.key).unwrap();
        folder
    }

    /// How a store reaches that server.
    pub(crate) fn config(&self, port: &str) -> RedisConfig {
        RedisConfig::new(format!("rediss://localhost:{port}"))
            .with_root_certificates(self.pem.as_str())
    }

    /// What has it take TLS on a port.
    pub(crate) const fn options(port: &str) -> [&str; 10] {
        [
            "--tls-port",
            port,
            "--tls-cert-file",
            "cert.pem",
            "--tls-key-file",
            "key.pem",
            "--tls-ca-cert-file",
            "cert.pem",
            "--tls-auth-clients",
            "no",
        ]
    }
}
