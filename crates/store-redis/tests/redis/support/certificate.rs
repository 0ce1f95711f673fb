//! A self-signed certificate, which the operating system does not trust.

use std::fs;

use keywright_store_redis::RedisConfig;
use tempfile::TempDir;

use super::{PATIENCE, Port};

/// A certificate for servers on this host, by name and by address.
pub(crate) struct Certificate {
    pem: String,
    key: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let names = ["localhost", "127.0.0.1"].map(String::from);
        let generated = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            pem: generated.cert.pem(),
            key: generated.signing_key.serialize_pem(),
        }
    }

    /// Creates a server's folder with the certificate and its key.
    pub(crate) fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cert.pem"), &self.pem).unwrap();
        fs::write(folder.path().join("key.pem"), &self.key).unwrap();
        folder
    }

    /// Returns the configuration of a store that trusts the certificate and connects to this port.
    pub(crate) fn config(&self, port: &Port) -> RedisConfig {
        RedisConfig::new(format!("rediss://localhost:{}", port.number()))
            .with_root_certificates(self.pem.as_str())
            .with_deadline(PATIENCE)
    }

    /// Returns a client of a host that trusts the certificate and connects to this port.
    pub(crate) fn client(&self, port: &Port) -> redis::Client {
        let certificates = redis::TlsCertificates {
            client_tls: None,
            root_cert: Some(self.pem.clone().into_bytes()),
        };
        let url = format!("rediss://localhost:{}", port.number());
        redis::Client::build_with_tls(url, certificates).unwrap()
    }

    /// Returns the options of a server that accepts TLS on a port.
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
