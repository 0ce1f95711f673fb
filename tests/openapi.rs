//! The document that the server serves.

use tempfile::tempdir;

use crate::support::Server;

#[test]
fn it_has_all_that_the_server_answers() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path(), &["--first-key", "none"]);
    let answer = server.send("GET", "/openapi.json", "", "");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "Keywright");
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/healthz", &["get"][..]),
        ("/metrics", &["get"]),
        ("/openapi.json", &["get"]),
        ("/readyz", &["get"]),
        ("/v1/api-keys", &["get", "post"]),
        ("/v1/api-keys/verify", &["post"]),
        ("/v1/api-keys/{id}", &["delete", "get", "patch"]),
        ("/v1/api-keys/{id}/rotate", &["post"]),
        ("/v1/whoami", &["get"]),
    ] {
        for method in methods {
            let answers = paths[path][method]["responses"].as_object().unwrap();
            // Any request may take too long.
            assert!(answers.len() > 1, "{method} {path}");
            for (status, answer) in answers {
                let reference = answer["$ref"].as_str();
                let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
                let answer = pointer.map_or(Some(answer), |at| document.pointer(at));
                let description = answer.and_then(|answer| answer["description"].as_str());
                assert!(description.is_some(), "{method} {path} {status}");
            }
        }
    }
    assert_eq!(paths.len(), 9);
    let answers = &paths["/v1/whoami"]["get"]["responses"];
    for status in ["200", "400", "401", "408", "500", "503"] {
        assert!(answers.get(status).is_some(), "{status}");
    }
}
