//! The tonic example, and the responses of the auth layer to gRPC clients.

#[path = "../../examples/tonic.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use tokio::net::TcpListener;
use tonic::{Code, Request, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::common::{issue, library};

/// Calls the service with these values of the metadata `authorization`.
async fn check(channel: &Channel, authorization: &[&str]) -> Result<i32, Status> {
    let mut request = Request::new(HealthCheckRequest::default());
    for value in authorization {
        let value = value.parse().unwrap();
        request.metadata_mut().append("authorization", value);
    }
    let response = HealthClient::new(channel.clone()).check(request).await?;
    Ok(response.into_inner().status)
}

#[tokio::test]
async fn grpc_clients_receive_the_grpc_status_of_each_rejection() {
    let keys = library().await;
    let bearer = async |permissions| {
        let issued = issue(&keys, permissions).await;
        format!("Bearer {}", issued.token.expose())
    };
    let (reader, other) = (bearer("calls:read").await, bearer("billing:read").await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { example::serve(listener, &keys).await.unwrap() });
    let channel = Channel::from_shared(address).unwrap();
    let channel = channel.connect().await.unwrap();
    let status = check(&channel, &[reader.as_str()]).await.unwrap();
    assert_eq!(status, i32::from(ServingStatus::Serving));

    for (authorization, code, message, challenge) in [
        (
            vec![],
            Code::Unauthenticated,
            "an API key is required, as Authorization: Bearer <token>",
            r#"Bearer realm="api""#,
        ),
        (
            vec!["Bearer x"],
            Code::Unauthenticated,
            "the API key is not valid",
            r#"Bearer realm="api", error="invalid_token""#,
        ),
        (
            vec![other.as_str()],
            Code::PermissionDenied,
            "the permission calls:read is required",
            r#"Bearer realm="api", error="insufficient_scope", scope="calls:read""#,
        ),
        (
            vec![reader.as_str(), &reader],
            Code::InvalidArgument,
            "more than one API key was sent",
            r#"Bearer realm="api", error="invalid_request""#,
        ),
    ] {
        let status = check(&channel, &authorization).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
        let metadata = |name| status.metadata().get(name).unwrap().to_str().unwrap();
        assert_eq!(metadata("www-authenticate"), challenge);
        assert!(metadata("x-request-id").starts_with("req_"));
    }
}
