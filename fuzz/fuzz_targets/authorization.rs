//! Fuzzes the headers of a request: the token in `Authorization` or `X-API-Key`, and the address of
//! the client. Only the token of an active key is accepted, and a client cannot choose its address.

#![no_main]

mod library;

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use bytes::Bytes;
use futures_executor::block_on;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use keywright_core::{AllowedIps, Caller, KeyUpdate, MemoryStore, Name, NewKey, Reach, Workspace};
use keywright_http_tower::{AuthLayer, ClientIp, ClientIpLayer};
use libfuzzer_sys::fuzz_target;
use tower_layer::Layer;
use tower_service::Service;

/// The maximum length of a header that the layer reads, in bytes.
const MAX_LENGTH: usize = 512;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

// The first byte of the input selects the header and how often it is sent, and whether it starts
// with a scheme and ends with a token. The rest is the text between.
fuzz_target!(|input: &[u8]| {
    let Some((&flags, text)) = input.split_first() else {
        return;
    };
    token_in_header(flags, text);
    client_behind_proxy(text);
});

fn token_in_header(flags: u8, text: &[u8]) {
    let keys = library::open(library::config(), &Arc::new(MemoryStore::new()));
    let caller = Caller::new(
        Workspace::parse("acme").expect("the workspace is valid"),
        "*".parse().expect("the permissions are valid"),
    );
    let issue = || {
        let new = NewKey::new(Name::parse("n").expect("the name is valid"));
        block_on(keys.issuer().create(&caller, new)).expect("the call succeeds")
    };
    let [active, revoked, disabled] = [issue(), issue(), issue()];
    block_on(keys.issuer().revoke(&caller, &revoked.key.id, Reach::Key))
        .expect("the call succeeds");
    let pause = KeyUpdate::new().with_enabled(false);
    block_on(keys.issuer().update(&caller, &disabled.key.id, &pause)).expect("the call succeeds");

    let mut value = Vec::new();
    if flags & 1 != 0 {
        value.extend_from_slice(b"Bearer ");
    }
    value.extend_from_slice(text);
    match flags & 6 {
        2 => value.extend_from_slice(active.token.expose().as_bytes()),
        4 => value.extend_from_slice(revoked.token.expose().as_bytes()),
        6 => value.extend_from_slice(disabled.token.expose().as_bytes()),
        _ => {}
    }
    let Ok(header) = HeaderValue::from_bytes(&value) else {
        return;
    };
    let is_repeated = flags & 8 != 0;
    let is_bare = flags & 16 != 0;
    let (first, second) = if is_bare {
        (X_API_KEY, header::AUTHORIZATION)
    } else {
        (header::AUTHORIZATION, X_API_KEY)
    };
    let mut request = Request::new(Full::<Bytes>::default());
    request.headers_mut().append(&first, header.clone());
    if is_repeated {
        let name = if flags & 32 != 0 { second } else { first };
        request.headers_mut().append(name, header.clone());
    }

    let auth = AuthLayer::new(keys.verifier().clone()).also_header(X_API_KEY);
    let auth = if flags & 64 != 0 {
        auth.optional()
    } else {
        auth
    };
    let mut service = auth.layer(Inner);
    let response = block_on(service.call(request)).expect("the service is infallible");
    let status = response.status();
    let challenge = response.headers().contains_key(header::WWW_AUTHENTICATE);
    let body = block_on(response.into_body().collect())
        .expect("the body is readable")
        .to_bytes();
    let sent = if is_bare {
        Some(value.as_slice())
    } else {
        token(&value)
    };
    let expected = if is_repeated || value.len() > MAX_LENGTH {
        StatusCode::BAD_REQUEST
    } else if sent == Some(active.token.expose().as_bytes()) {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    };
    assert_eq!(status, expected, "{header:?}");
    assert!(challenge || status != StatusCode::UNAUTHORIZED);
    let all = [&active, &revoked, &disabled];
    for secret in all.map(|issued| &issued.token.expose().as_bytes()[30..]) {
        assert!(!body.windows(secret.len()).any(|window| window == secret));
    }
}

/// Sends the text of a client in the headers for its address. From an untrusted peer it has no
/// effect. Behind a proxy that appends the address of the client, the address is that one or
/// unknown.
fn client_behind_proxy(text: &[u8]) {
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let client = IpAddr::from([192, 0, 2, 1]);
    let x_forwarded_for = HeaderName::from_static("x-forwarded-for");
    for (name, appended) in [
        (&x_forwarded_for, "192.0.2.1"),
        (&header::FORWARDED, "for=192.0.2.1"),
        (&header::FORWARDED, r#"for="192.0.2.1:4711";proto=https"#),
    ] {
        let Ok(own) = HeaderValue::from_bytes(text) else {
            return;
        };
        let line = [text, b", ", appended.as_bytes()].concat();
        let line = HeaderValue::from_bytes(&line).expect("the line is valid");
        let appended = HeaderValue::from_static(appended);
        assert_eq!(address(client, name, [own.clone()]), Some(client));
        for lines in [vec![line], vec![own, appended]] {
            let found = address(proxy, name, lines);
            assert!(found.is_none_or(|found| found == client), "{found:?}");
        }
    }
}

/// Returns the address of the client of a request with these header lines.
fn address(
    peer: IpAddr,
    name: &HeaderName,
    lines: impl IntoIterator<Item = HeaderValue>,
) -> Option<IpAddr> {
    let proxies = AllowedIps::parse(["10.0.0.0/8"]).expect("the prefix is valid");
    let mut request = Request::new(Full::<Bytes>::default());
    request.extensions_mut().insert(ClientIp(peer));
    for line in lines {
        request.headers_mut().append(name, line);
    }
    let mut service = ClientIpLayer::trusting(proxies).layer(Inner);
    let response = block_on(service.call(request)).expect("the service is infallible");
    let address = response.extensions().get::<ClientIp>();
    address.map(|ClientIp(address)| *address)
}

/// Returns the token in a header value according to RFC 6750: the scheme in any case, white space,
/// and the token.
fn token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let space = rest
        .iter()
        .take_while(|&&byte| byte == b' ' || byte == b'\t')
        .count();
    (scheme.eq_ignore_ascii_case(b"bearer") && space > 0).then(|| &rest[space..])
}

/// The service behind the layer. Its response has the address of the client as an extension.
#[derive(Clone)]
struct Inner;

impl Service<Request<Full<Bytes>>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let mut response = Response::new(Full::default());
        if let Some(address) = request.extensions().get::<ClientIp>() {
            response.extensions_mut().insert(*address);
        }
        std::future::ready(Ok(response))
    }
}
