//! The endpoints behind hyper, over a socket: what is left then is in hyper's buffers, and is counted.

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
    probe::Left,
    scene::{ISSUING, Tokens, left_by, new_key, open, operator, scrub_stack},
};

/// Crates that have freed a block; what lies further out has only asked them to.
const OTHERS: [&str; 4] = ["bytes", "http", "hyper", "tokio"];

/// The innermost function of another crate, without what the standard library does for it.
fn freed_by(left: &Left) -> Option<&str> {
    let functions = left.freed_by.split(" < ");
    functions
        .map(|function| function.trim_start_matches(['<', '&']))
        .find(|function| OTHERS.iter().any(|name| function.starts_with(name)))
}

/// Whether one of our types or functions comes before it, or nobody has freed it: hyper is gone by then.
fn is_ours(left: &Left) -> bool {
    let inner = freed_by(left).and_then(|other| left.freed_by.split_once(other));
    inner.is_none_or(|(inner, _)| inner.contains("keywright"))
}

#[tokio::main(flavor = "current_thread")]
async fn scene(rehearsal: bool) -> Tokens {
    let mut tokens = Tokens::default();
    let keys = open(Scheme::HmacSha256, Arc::new(MemoryStore::new()), ISSUING);
    let Issued { token, .. } = block_on(keys.issuer().create(&operator(), new_key())).unwrap();
    tokens.note(&token, rehearsal);
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
        let mut answer = Zeroizing::new(vec![0; 4096]);
        let length = client.read(&mut answer).await.unwrap();
        let text = std::str::from_utf8(&answer[..length]).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 20") && text.ends_with('}'),
            "it came in one piece"
        );
        if let (true, Some((_, rest))) = (rehearsal, text.split_once(r#""secret":""#)) {
            tokens.note_text(&rest[..rest.find('"').unwrap()]);
        }
    }
    drop(client);
    served.await.unwrap().unwrap();
    tokens
}

#[test]
fn what_hyper_leaves_is_counted_and_none_of_it_is_ours() {
    let left = left_by(scene);
    let mut counts = BTreeMap::<String, usize>::new();
    for left in left {
        assert!(!is_ours(&left), "{left:?}");
        let function = freed_by(&left).unwrap_or_default();
        *counts
            .entry(format!("{}, freed by {function}", left.secret))
            .or_default() += 1;
    }
    println!("three requests with a token, two answers with one, left in freed blocks:");
    for (what, count) in counts {
        println!("{count:>4}  {what}");
    }
}
