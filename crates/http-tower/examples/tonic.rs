//! A tonic service behind API keys: its calls require a key with the permission `calls:read`, in
//! the metadata `authorization: Bearer <token>`.
//!
//! Run it with `cargo run -p keywright-http-tower --example tonic`. On its first run it creates a
//! key and prints it. It also prints commands to try.
//!
//! The health service of gRPC takes the place of the service that `tonic-prost-build` generates
//! from your `.proto`.

use std::sync::Arc;

use keywright_core::{Caller, Config, Keywright, Name, NewKey, Permissions, Prefix, Workspace};
use keywright_http_tower::AuthLayer;
use keywright_store_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    codegen::BoxStream,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Serves the guarded service. A call without a key gets `UNAUTHENTICATED`, and a call whose key
/// lacks the permission gets `PERMISSION_DENIED`. Returns only on an error.
pub(crate) async fn serve(listener: TcpListener, keys: &Keywright) -> Result<(), Error> {
    let readers = AuthLayer::new(keys.verifier().clone())
        .require("calls:read".parse()?)
        .for_grpc();
    Server::builder()
        .layer(readers)
        .add_service(HealthServer::new(Guarded))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

struct Guarded;

#[tonic::async_trait]
impl Health for Guarded {
    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        // `AuthLayer` has put the caller there.
        let caller = request.extensions().get::<Caller>();
        let workspace = caller.map_or("unknown", |caller| caller.workspace().as_str());
        println!("checked by {workspace}");
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("this example implements only check"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let store = Arc::new(SqliteStore::open("acme.db")?);
    let keys = Keywright::open(Config::new(Prefix::parse("acme")?), store).await?;
    let operator = Caller::new(Workspace::parse("default")?, Permissions::all());
    let first = NewKey::new(Name::parse("First key")?);
    if let Some(issued) = keys.issuer().create_first(&operator, first).await? {
        println!("KEY={}", issued.token.expose());
    }
    println!(
        r#"grpc_health_probe -addr 127.0.0.1:3000 -rpc-header "authorization: Bearer $KEY"
printf '\0\0\0\0\0' | curl -i --http2-prior-knowledge --data-binary @- --output - \
  http://127.0.0.1:3000/grpc.health.v1.Health/Check -H "Content-Type: application/grpc" \
  -H "TE: trailers" -H "Authorization: Bearer $KEY""#
    );
    serve(TcpListener::bind("127.0.0.1:3000").await?, &keys).await
}
