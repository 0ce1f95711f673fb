//! A certificate of the test's own, which the operating system does not know.

use std::{fs, path::Path};

/// It is for servers on this host, by name and by address.
pub(crate) struct Certificate {
    pub(crate) pem: String,
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

    /// Puts it into a server's folder.
    pub(crate) fn write(&self, folder: &Path) {
        fs::write(folder.join("cert.pem"), &self.pem).unwrap();
        fs::write(folder.join("key.pem"), &self.key).unwrap();
    }

    /// What has that server take TLS on a port.
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
