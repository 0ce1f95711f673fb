//! A real nginx in front of a server.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::wait::wait_for;

/// A running nginx, killed when dropped.
pub(crate) struct Nginx {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// Starts nginx on a free port, with all its files in `folder`, and waits until it listens.
    /// `http` is the content of its block `http`, in which `{address}` stands for the address to
    /// listen on.
    pub(crate) fn start(folder: &Path, http: &str) -> Self {
        let folder = folder.join("nginx");
        fs::create_dir_all(&folder).unwrap();
        wait_for("nginx gets a free port", || {
            // nginx cannot select a free port, and another process may take the port that is free
            // here.
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            let http = http.replace("{address}", &address.to_string());
            fs::write(folder.join("nginx.conf"), configuration(&http)).unwrap();
            let process = Command::new("nginx")
                .arg("-p")
                .arg(&folder)
                .args(["-c", "nginx.conf", "-e", "error.log"])
                .stdin(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| {
                    panic!("nginx (also the name of the Debian package): {error}")
                });
            let mut nginx = Self { process, address };
            nginx.wait_until_listening().then_some(nginx)
        })
    }

    /// Waits until nginx listens. Returns `false` if it has exited.
    fn wait_until_listening(&mut self) -> bool {
        wait_for("nginx listens", || {
            if self.process.try_wait().unwrap().is_some() {
                return Some(false);
            }
            TcpStream::connect(self.address).is_ok().then_some(true)
        })
    }
}

/// Returns a configuration for a single process without privileges, so that killing it ends nginx.
fn configuration(http: &str) -> String {
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        temporary += &format!("{kind}_temp_path {kind};\n");
    }
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{http}\n}}\n"
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
