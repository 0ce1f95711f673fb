//! A library on a store in memory, and requests to a service without a network.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, Response, StatusCode};
use keywright_core::{
    Caller, Config, Issued, Keywright, MemoryStore, Name, NewKey, Prefix, Scheme, Workspace,
    store::KeyStore,
};
use keywright_http_tower::ApiKeys;
use keywright_store_sqlite::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::{Service, ServiceExt};

pub(crate) async fn library() -> Keywright {
    open(Arc::new(MemoryStore::new())).await
}

pub(crate) async fn open(store: Arc<dyn KeyStore>) -> Keywright {
    let config = Config::new(Prefix::parse("sk").unwrap()).with_scheme(Scheme::HmacSha256);
    Keywright::open(config, store).await.unwrap()
}

/// A store in memory, and a store in a file with the folder that contains it.
pub(crate) fn stores() -> [(Arc<dyn KeyStore>, Option<TempDir>); 2] {
    let folder = tempfile::tempdir().unwrap();
    let file = SqliteStore::open(folder.path().join("keywright.db")).unwrap();
    [
        (Arc::new(MemoryStore::new()), None),
        (Arc::new(file), Some(folder)),
    ]
}

/// Creates a key of the workspace `acme` with these permissions.
pub(crate) async fn issue(keys: &Keywright, permissions: &str) -> Issued {
    let caller = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    let new =
        NewKey::new(Name::parse("parent").unwrap()).with_permissions(permissions.parse().unwrap());
    keys.issuer().create(&caller, new).await.unwrap()
}

/// A response whose body was read.
pub(crate) struct TestResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl TestResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The value of a header, or `""` if the response does not have it.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Asserts that a response is 400 with an error of one field.
pub(crate) fn assert_invalid(response: &TestResponse, field: &str, message: &str, case: &str) {
    assert_eq!(response.status, StatusCode::BAD_REQUEST, "{case}");
    let error = response.json();
    assert_eq!(error["message"], message, "{case}");
    assert_eq!(error["code"], "validation_failed", "{case}");
    assert_eq!(
        error["errors"],
        json!([{"field": field, "message": message}]),
        "{case}"
    );
}

/// Sends a request and reads the whole response.
pub(crate) async fn send<S, B>(service: S, request: Request<Body>) -> TestResponse
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    let bytes = to_bytes(Body::new(body), usize::MAX).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    TestResponse {
        status: parts.status,
        headers: parts.headers,
        text,
    }
}

/// A `POST /` with a bearer token and a JSON body.
pub(crate) fn post(token: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

/// A request with a bearer token and an optional JSON body.
pub(crate) fn request(
    method: &str,
    path: &str,
    token: &str,
    body: Option<&Value>,
) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"));
    match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    }
    .unwrap()
}

/// A client that sends a token with each request.
pub(crate) struct Client {
    service: ApiKeys,
    pub(crate) token: String,
}

impl Client {
    pub(crate) fn new(keys: &Keywright, token: &str) -> Self {
        Self {
            service: ApiKeys::nested(keys, ""),
            token: token.to_owned(),
        }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> TestResponse {
        self.send_request(request(method, path, &self.token, body.as_ref()))
            .await
    }

    /// Updates a key if it has the version in an `ETag`.
    pub(crate) async fn update_if(&self, path: &str, etag: &str, body: Value) -> TestResponse {
        let mut request = request("PATCH", path, &self.token, Some(&body));
        let etag = etag.parse().unwrap();
        request.headers_mut().insert("if-match", etag);
        self.send_request(request).await
    }

    pub(crate) async fn send_request(&self, request: Request<Body>) -> TestResponse {
        send(self.service.clone(), request).await
    }

    /// Creates a key. Returns its id and its token.
    pub(crate) async fn create(&self, body: Value) -> (String, String) {
        let response = self.send("POST", "/", Some(body)).await;
        assert_eq!(response.status, StatusCode::CREATED, "{}", response.text);
        let created = response.json();
        let member = |name| {
            created
                .get(name)
                .and_then(Value::as_str)
                .unwrap()
                .to_owned()
        };
        (member("id"), member("secret"))
    }
}

/// A library, and a client with a key of the workspace `acme` that has all permissions.
pub(crate) async fn acme() -> (Keywright, Client) {
    acme_on(Arc::new(MemoryStore::new())).await
}

/// A library on this store, and a client with a key of the workspace `acme` that has all
/// permissions.
pub(crate) async fn acme_on(store: Arc<dyn KeyStore>) -> (Keywright, Client) {
    let keys = open(store).await;
    let token = issue(&keys, "*").await.token.expose().to_owned();
    let client = Client::new(&keys, &token);
    (keys, client)
}
