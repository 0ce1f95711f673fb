//! Tests of the endpoints behind hyper, over a socket. Secrets are left only in hyper's buffers,
//! and counted.

use std::{collections::BTreeMap, sync::Arc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use keywright_core::{Issued, MemoryStore, Scheme};
use keywright_http_tower::ApiKeys;
use pollster::block_on;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use tower_service::Service;
use zeroize::Zeroizing;

use crate::{
    probe::Remnant,
    scenario::{ISSUING, Tokens, left_by, new_key, open, operator, scrub_stack},
};

/// The crates whose buffers may contain secrets.
const HTTP_STACK: [&str; 4] = ["bytes", "http", "hyper", "tokio"];

/// Returns the innermost function of the HTTP stack among those that freed the block.
fn freed_by(left: &Remnant) -> Option<&str> {
    let functions = left.freed_by.split(" < ");
    functions
        .map(|function| function.trim_start_matches(['<', '&']))
        .find(|function| HTTP_STACK.iter().any(|name| function.starts_with(name)))
}

/// Whether our code freed the block, or no code did. Hyper has freed its buffers at the end of a
/// scenario.
fn is_ours(left: &Remnant) -> bool {
    let inner = freed_by(left).and_then(|other| left.freed_by.split_once(other));
    inner.is_none_or(|(inner, _)| inner.contains("keywright"))
}

#[tokio::main(flavor = "current_thread")]
async fn scenario(rehearsal: bool) -> Tokens {
    let mut tokens = Tokens::default();
    let keys = open(Scheme::HmacSha256, Arc::new(MemoryStore::new()), ISSUING);
    let Issued { token, .. } = block_on(keys.issuer().create(&operator(), new_key())).unwrap();
    tokens.add(&token, rehearsal);
    let (mut client, server) = UnixStream::pair().unwrap();
    let endpoints = ApiKeys::at(&keys, "");
    let service = service_fn(move |request| {
        scrub_stack();
        endpoints.clone().call(request)
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let served = tokio::spawn(connection);
    for (path, body) in [
        ("/", r#"{"name":"n"}"#.to_owned()),
        ("/verify", r#"{"key":"not a token"}"#.to_owned()),
        ("/", r#"{"name":"m"}"#.to_owned()),
    ] {
        let mut request = Zeroizing::new(Vec::with_capacity(4096));
        for part in [
            "POST ",
            path,
            " HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ",
            token.expose(),
            "\r\ncontent-type: application/json\r\ncontent-length: ",
            &body.len().to_string(),
            "\r\n\r\n",
            &body,
        ] {
            request.extend_from_slice(part.as_bytes());
        }
        client.write_all(&request).await.unwrap();
        let mut response = Zeroizing::new(vec![0; 4096]);
        let mut length = 0;
        // The body is a JSON object.
        while !response[..length].ends_with(b"}") {
            let read = client.read(&mut response[length..]).await.unwrap();
            assert!(read > 0, "the server closed the connection");
            length += read;
        }
        let text = std::str::from_utf8(&response[..length]).unwrap();
        assert!(text.starts_with("HTTP/1.1 20"), "{text}");
        if let (true, Some((_, rest))) = (rehearsal, text.split_once(r#""secret":""#)) {
            tokens.add_text(&rest[..rest.find('"').unwrap()]);
        }
    }
    drop(client);
    served.await.unwrap().unwrap();
    tokens
}

#[test]
fn secrets_are_left_only_in_the_buffers_of_the_http_stack() {
    let left = left_by(scenario);
    let mut counts = BTreeMap::<String, usize>::new();
    for left in left {
        assert!(!is_ours(&left), "{left:?}");
        let function = freed_by(&left).unwrap_or_default();
        *counts
            .entry(format!("{}, freed by {function}", left.secret))
            .or_default() += 1;
    }
    println!("three requests and two responses with a token left these in freed blocks:");
    for (remnant, count) in counts {
        println!("{count:>4}  {remnant}");
    }
}
