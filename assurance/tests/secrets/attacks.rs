//! Requests with a token in wrong places.

use keywright_assurance::canary::secret_of;

/// Returns requests that contain `token` or its secret in wrong places.
///
/// Where a request needs authentication, it presents `valid`, the token of a key with all
/// permissions.
pub(crate) fn requests(valid: &str, token: &str) -> Vec<Vec<u8>> {
    let secret = secret_of(token);
    let base = "/v1/api-keys";
    let head = |line: &str, headers: &str| {
        format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").into_bytes()
    };
    let bearer = format!("authorization: Bearer {valid}\r\n");
    let mut requests = Vec::new();

    // A secret alone may be the name of an owner, and the store then looks for its keys.
    requests.push(head(&format!("GET {base}?owner={token}"), &bearer));
    for text in [token, secret] {
        // In the path, in the query, as the method, and as the version.
        for path in [
            format!("/{text}"),
            format!("{base}/{text}"),
            format!("{base}/key_{text}"),
            format!("{base}/{text}/rotate"),
            format!("{base}?token={text}"),
            format!("{base}?search={text}"),
            format!("{base}?cursor={text}"),
            format!("{base}?page={text}&limit={text}&status={text}"),
            format!("{base}/self/{text}"),
            format!("{base}?{text}"),
            format!("/v1/whoami?access_token={text}"),
            format!("/v1/whoami/{text}"),
            format!("/metrics?{text}"),
            format!("http://{text}/{text}?{text}"),
            format!("/%{text}#{text}"),
        ] {
            for method in ["GET", "POST", "DELETE", "PATCH", "OPTIONS", text] {
                let body = "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                requests.push(head(&format!("{method} {path}"), &bearer));
                requests.push(head(
                    &format!("{method} {path}"),
                    &format!("{bearer}{body}"),
                ));
            }
        }
        requests.push(format!("GET / HTTP/{text}\r\n\r\n").into_bytes());
        requests.push(format!("{text}\r\n\r\n").into_bytes());

        // In wrong headers, and in the right header, but malformed, too long, repeated, or not
        // ASCII.
        for headers in [
            format!("x-api-key: {text}\r\n"),
            format!("cookie: token={text}\r\n"),
            format!("{text}: 1\r\n"),
            format!("{text}\r\n"),
            format!("x-request-id: {text}\r\n{bearer}"),
            format!("accept: {text}\r\n{bearer}"),
            format!("idempotency-key: {text}\r\n"),
            format!("if-match: {text}\r\n{bearer}"),
            format!("forwarded: for={text}\r\n{bearer}"),
            format!("x-forwarded-for: {text}\r\n{bearer}"),
            format!("content-type: {text}\r\n"),
            format!("content-length: {text}\r\n"),
            format!("transfer-encoding: {text}\r\n"),
            format!("expect: {text}\r\n"),
            format!("upgrade: {text}\r\nconnection: upgrade\r\n"),
            format!("authorization: {text}\r\n"),
            format!("authorization: Basic {text}\r\n"),
            format!("authorization: Bearer{text}\r\n"),
            format!("authorization: Bearer {text}x\r\n"),
            format!("authorization: Bearer {text} {text}\r\n"),
            format!("authorization: Bearer \u{e9}{text}\r\n"),
            format!("authorization: Bearer {text}\0\r\n"),
            format!("authorization: Bearer {}\r\n", text.repeat(12)),
            format!("authorization: Bearer {}\r\n", text.repeat(4000)),
            format!("authorization: Bearer {text}\r\nauthorization: Bearer {text}\r\n"),
            format!("proxy-authorization: Bearer {text}\r\n"),
        ] {
            for line in ["GET /v1/whoami", "GET /v1/api-keys", "POST /v1/api-keys"] {
                requests.push(head(line, &headers));
            }
        }

        // In bodies.
        for body in [
            text.to_owned(),
            format!("\"{text}\""),
            format!("[\"{text}\"]"),
            format!("{{\"{text}\":1}}"),
            format!("{{\"{text}\":1,\"{text}\":2}}"),
            format!("{{\"name\":5,\"expires_at\":\"{text}\"}}"),
            format!("{{\"name\":[\"{text}\"]}}"),
            format!("{{\"name\":\"{text}\\u0000\"}}"),
            format!("{{\"name\":\"n\",\"permissions\":[\"{text}\"]}}"),
            format!("{{\"name\":\"n\",\"permissions\":\"{text}\"}}"),
            format!("{{\"name\":\"n\",\"environment\":\"{text}\"}}"),
            format!("{{\"name\":\"n\",\"metadata\":\"{text}\"}}"),
            format!("{{\"name\":\"n\",\"allowed_ips\":[\"{text}\"]}}"),
            format!("{{\"name\":\"n\",\"allowed_ips\":\"{text}\"}}"),
            format!("{{\"name\":\"n\",\"attributes\":{{\"plan\":\"{text}\"}}}}"),
            format!("{{\"enabled\":\"{text}\"}}"),
            format!("{{\"name\":\"n\",\"secret\":\"{text}\"}}"),
            format!("{{\"name\":\"n\",\"expire_now\":\"{text}\"}}"),
            format!("{{\"key\":\"{text}x\"}}"),
            format!("{{\"key\":\"x{text}\"}}"),
            format!("{{\"key\":\"x\",\"client_ip\":\"{text}\"}}"),
            format!("{{\"key\":\"x\",\"permission\":\"{text}\"}}"),
            format!("{{\"key\":\"\\u0073\\u006b{}\"}}", &text[2..]),
            format!("{{\"key\":{{\"{text}\":1}}}}"),
            format!("{{\"key\":\"{text}\""),
            format!("{{\"expire_previous\":\"{text}\"}}"),
            format!("{{\"key\":\"{}\"}}", text.repeat(200)),
            format!("{{\"key\":\"{}\"}}", text.repeat(2000)),
        ] {
            for line in [
                "POST /v1/api-keys",
                "POST /v1/api-keys/verify",
                "POST /v1/api-keys/key_0U5lKtf600000000/rotate",
                "PATCH /v1/api-keys/key_0U5lKtf600000000",
            ] {
                let headers = format!(
                    "{bearer}content-type: application/json\r\ncontent-length: {}\r\n",
                    body.len()
                );
                requests.push([head(line, &headers), body.clone().into()].concat());
            }
        }
    }
    requests
}

/// Returns incomplete requests that contain `token`.
pub(crate) fn incomplete_requests(valid: &str, token: &str) -> Vec<Vec<u8>> {
    let start = format!(
        "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {valid}\r\n\
         content-type: application/json\r\n"
    );
    let requests = [
        format!("GET /v1/whoami HTTP/1.1\r\nauthorization: Bearer {token}"),
        format!("GET /{token}"),
        format!("{start}content-length: 999\r\n\r\n{{\"key\":\"{token}"),
        format!("{start}transfer-encoding: chunked\r\n\r\n{token}"),
        format!("{start}transfer-encoding: chunked\r\n\r\n99\r\n{token}"),
    ];
    requests.map(String::into_bytes).into()
}
