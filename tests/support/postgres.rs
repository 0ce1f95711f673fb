//! Private PostgreSQL clusters.

use std::{
    fs,
    net::TcpListener,
    panic::catch_unwind,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use super::{
    cluster::{self, Cluster},
    wait::wait_for,
};

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A database.
pub(crate) struct Postgres {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) url: String,
    database: String,
}

impl Postgres {
    /// Creates a database in the cluster that the stories share.
    pub(crate) fn new() -> Self {
        Self::in_cluster(Cluster::shared())
    }

    /// Creates a database in a cluster that survives a crash.
    pub(crate) fn durable() -> Self {
        Self::in_cluster(Arc::new(Cluster::durable()))
    }

    fn in_cluster(cluster: Arc<Cluster>) -> Self {
        let database = format!("story_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        execute(&cluster.url(), &format!("CREATE DATABASE {database}"));
        Self::at(cluster, database)
    }

    fn at(cluster: Arc<Cluster>, database: String) -> Self {
        let url = cluster.url();
        let server = url.strip_suffix("postgres").unwrap();
        Self {
            url: format!("{server}{database}"),
            cluster,
            database,
        }
    }

    /// Starts a standby of the cluster, and returns the same database there.
    pub(crate) fn standby(&self) -> Self {
        Self::at(Arc::new(self.cluster.standby()), self.database.clone())
    }

    /// Returns the URL for a role, which may include a password.
    pub(crate) fn url_of(&self, role: &str) -> String {
        self.url.replace("keywright@", &format!("{role}@"))
    }

    /// Executes statements as the superuser.
    pub(crate) fn execute(&self, sql: &str) {
        execute(&self.url, sql);
    }
}

fn execute(url: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
    });
}

/// A server that accepts TLS connections, with a certificate for `localhost` that the operating
/// system does not trust.
pub(crate) struct TlsPostgres {
    _cluster: Cluster,
    folder: TempDir,
    port: u16,
}

impl TlsPostgres {
    pub(crate) fn start() -> Self {
        let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = cluster::shared_folder();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("cert.pem"), generated.cert.pem()).unwrap();
        fs::write(path("key"), generated.signing_key.serialize_pem()).unwrap();
        // The server rejects a key that belongs to another user.
        let mut install = cluster::unprivileged(Path::new("install"));
        let install = install.args(["-m", "600", &path("key"), &path("key.pem")]);
        assert!(install.status().unwrap().success());
        let options = format!(
            "-c ssl=on -c ssl_cert_file={} -c ssl_key_file={} -c listen_addresses=127.0.0.1",
            path("cert.pem"),
            path("key.pem")
        );
        let (cluster, port) = wait_for("PostgreSQL gets a free port", || {
            // Another process may take the port that was free here.
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let options = format!("{options} -c port={port}");
            let cluster = catch_unwind(|| Cluster::with_options(&options)).ok()?;
            Some((cluster, port))
        });
        Self {
            _cluster: cluster,
            folder,
            port,
        }
    }

    /// Returns the URL with a name of this host and with parameters.
    pub(crate) fn url(&self, host: &str, parameters: &str) -> String {
        let port = self.port;
        format!("postgres://keywright@{host}:{port}/postgres?{parameters}")
    }

    /// Returns the parameter that makes a client trust the certificate.
    pub(crate) fn trusted(&self) -> String {
        format!("sslrootcert={}/cert.pem", self.folder.path().display())
    }
}
