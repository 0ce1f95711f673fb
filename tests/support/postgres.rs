//! A database in a private PostgreSQL cluster.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::cluster::Cluster;

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty database.
pub(crate) struct Postgres {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) url: String,
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
        let name = format!("story_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        execute(&cluster.url(), &format!("CREATE DATABASE {name}"));
        let url = cluster.url();
        let server = url.strip_suffix("postgres").unwrap();
        Self {
            url: format!("{server}{name}"),
            cluster,
        }
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
