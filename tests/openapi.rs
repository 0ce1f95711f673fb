//! The OpenAPI document of the server.

use tempfile::tempdir;

use crate::support::Server;

#[test]
fn the_document_has_every_route_and_response_of_the_server() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path(), &["--first-key", "none"]);
    let response = server.send("GET", "/openapi.json", "", "");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), "application/json");
    let document = response.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "Keywright");
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/healthz", &["get"][..]),
        ("/metrics", &["get"]),
        ("/openapi.json", &["get"]),
        ("/readyz", &["get"]),
        ("/v1/api-keys", &["get", "post"]),
        ("/v1/api-keys/events", &["get"]),
        ("/v1/api-keys/report", &["get"]),
        ("/v1/api-keys/self", &["delete", "get"]),
        ("/v1/api-keys/self/rotate", &["post"]),
        ("/v1/api-keys/verify", &["post"]),
        ("/v1/api-keys/{id}", &["delete", "get", "patch"]),
        ("/v1/api-keys/{id}/rotate", &["post"]),
        ("/v1/auth", &["get"]),
        ("/v1/whoami", &["get"]),
    ] {
        for method in methods {
            let responses = paths[path][method]["responses"].as_object().unwrap();
            // Any request may time out, so there is more than one response.
            assert!(responses.len() > 1, "{method} {path}");
            for (status, response) in responses {
                let reference = response["$ref"].as_str();
                let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
                let response = pointer.map_or(Some(response), |at| document.pointer(at));
                let description = response.and_then(|response| response["description"].as_str());
                assert!(description.is_some(), "{method} {path} {status}");
            }
        }
    }
    assert_eq!(paths.len(), 14);
    let responses = &paths["/v1/whoami"]["get"]["responses"];
    for status in ["200", "400", "401", "403", "408", "500", "503"] {
        assert!(responses.get(status).is_some(), "{status}");
    }
}
