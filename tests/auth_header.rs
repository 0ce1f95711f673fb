//! The header that contains the token.

use tempfile::tempdir;

use crate::support::{FAST, Server, assert_fails, get, operator_key, secret_of};

fn whoami(server: &Server, headers: &str) -> (u16, String) {
    let request =
        format!("GET /v1/whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    let response = server.raw(request);
    let code = match response.status {
        200 => String::new(),
        _ => response.text("code"),
    };
    (response.status, code)
}

#[test]
fn a_server_reads_the_token_from_the_headers_that_it_is_given() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &FAST);
    let other = operator_key(path, &FAST);
    let bearer = format!("authorization: Bearer {token}\r\n");
    let basic = "authorization: Basic eDp5\r\n".to_owned();
    let key = format!("x-api-key: {token}\r\n");
    let with_scheme = format!("x-api-key: Bearer {token}\r\n");
    let two = format!("{bearer}x-api-key: {other}\r\n");
    let twice = format!("{bearer}{key}");
    let ok = (200, "");
    let missing = (401, "missing_token");
    let invalid = (401, "invalid_token");
    let ambiguous = (400, "invalid_request");
    // The default, another header, and both.
    let expected = [
        (&bearer, [ok, missing, ok]),
        (&key, [missing, ok, ok]),
        (&with_scheme, [missing, invalid, invalid]),
        (&two, [ok, ok, ambiguous]),
        (&twice, [ok, ok, ambiguous]),
        // A proxy in front of the server may use the other header.
        (&format!("{basic}{key}"), [missing, ok, ambiguous]),
    ];
    let options: [&[&str]; 3] = [
        &[],
        &["--auth-header", "X-API-Key"],
        &["--auth-header", "Authorization,X-API-Key"],
    ];
    for (number, options) in options.into_iter().enumerate() {
        let arguments = [&FAST[..], options, &["--log-level", "trace"]].concat();
        let server = Server::start(path, &arguments);
        for (headers, expected) in &expected {
            let (status, code) = whoami(&server, headers);
            assert_eq!(
                (status, code.as_str()),
                expected[number],
                "{options:?} {headers}"
            );
        }
        let document = get(server.address, "/openapi.json").json();
        let schemes = document["components"]["securitySchemes"]
            .as_object()
            .unwrap();
        let whoami = document["paths"]["/v1/whoami"]["get"]["security"].as_array();
        let count = if number == 2 { 2 } else { 1 };
        assert_eq!((schemes.len(), whoami.unwrap().len()), (count, count));
        // The console sends `Authorization`.
        let console = get(server.address, "/console").status;
        assert_eq!(console == 404, number == 1, "{console}");
        let (_, _, log) = server.stop();
        for token in [&token, &other] {
            assert!(!log.contains(secret_of(token)), "{log}");
        }
    }
}

#[test]
fn a_header_with_another_meaning_is_an_error() {
    let folder = tempdir().unwrap();
    for header in ["X-Request-Id", "cookie", "X API Key", ""] {
        let arguments = ["--auth-header", header];
        assert_fails(folder.path(), &arguments, &["--auth-header"]);
    }
}
