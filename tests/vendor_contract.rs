//! A client of the vendor's API works unchanged. It knows the vendor's four operations and their
//! fields, and none of Keywright's additions.

use std::{cell::RefCell, io::Write, net::TcpStream};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{FAST, Response, Server, operator_key};

/// A client with a persistent connection.
struct Vendor {
    connection: RefCell<TcpStream>,
    token: String,
}

impl Vendor {
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} /v1/api-keys{path} HTTP/1.1\r\nHost: api.example.com\r\n\
             Accept: application/json, */*\r\nUser-Agent: vendor-client/1.0\r\n\
             Authorization: Bearer {}\r\nContent-Type: application/json; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let mut connection = self.connection.borrow_mut();
        connection.write_all(request.as_bytes()).unwrap();
        let response = Response::read(&mut connection).unwrap();
        assert_eq!(
            response.header("content-type"),
            "application/json",
            "{response:?}"
        );
        (response.status, response.json())
    }

    /// Creates a key, and returns the fields that the vendor documents.
    fn create(&self, body: &Value) -> [String; 4] {
        let (status, created) = self.call("POST", "", Some(body));
        assert_eq!(status, 201, "{created}");
        ["id", "name", "secret", "created_at"].map(|field| created[field].as_str().unwrap().into())
    }

    /// Lists a page, and returns the names of its keys and `meta`.
    fn list(&self, query: &str) -> (Vec<String>, [u64; 4]) {
        let (status, page) = self.call("GET", query, None);
        assert_eq!(status, 200, "{page}");
        let keys = page["data"].as_array().unwrap().iter();
        let names = keys.map(|key| {
            assert!(
                key["id"].is_string() && key["is_expired"].is_boolean(),
                "{key}"
            );
            assert!(key.get("last_used_at").is_some(), "{key}");
            assert!(key.get("secret").is_none(), "{key}");
            assert_time(key["created_at"].as_str().unwrap());
            key["name"].as_str().unwrap().to_owned()
        });
        let meta = ["page", "limit", "total", "totalPages"];
        (
            names.collect(),
            meta.map(|field| page["meta"][field].as_u64().unwrap()),
        )
    }

    /// Sends a request that must fail, and returns its error.
    fn error(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String, String) {
        let (status, envelope) = self.call(method, path, body);
        assert_eq!(envelope["statusCode"], status, "{envelope}");
        let text = |field| envelope[field].as_str().unwrap().to_owned();
        (status, text("message"), text("error"))
    }
}

/// Asserts that a time has the form `2024-03-01T10:00:00.000Z`.
fn assert_time(text: &str) {
    let shape: String = text
        .chars()
        .map(|character| {
            if character.is_ascii_digit() {
                '0'
            } else {
                character
            }
        })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
}

fn expected(status: u16, message: &str, error: &str) -> (u16, String, String) {
    (status, message.into(), error.into())
}

#[test]
fn a_client_of_the_vendors_api_works_unchanged() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST);
    let client = |token: &str| Vendor {
        connection: RefCell::new(server.connect()),
        token: token.to_owned(),
    };
    let vendor = client(&token);

    // Create.
    let [id, name, secret, created_at] =
        vendor.create(&json!({"name": "Production Server", "expire_now": false}));
    assert_eq!(name, "Production Server");
    assert_time(&created_at);
    for number in 1..=23 {
        vendor.create(&json!({"name": format!("Staging {number:02}")}));
    }
    vendor.create(&json!({"name": "Ended", "expire_now": true}));

    // The new key can send the same requests.
    assert_eq!(client(&secret).list("?limit=1").1, [1, 1, 26, 26]);

    // List: the 25 keys that the client has created and its own, in pages.
    let mut names = Vec::new();
    for (page, count) in [(1, 10), (2, 10), (3, 6), (4, 0)] {
        let (listed, meta) = vendor.list(&format!("?page={page}&limit=10"));
        assert_eq!((listed.len(), meta), (count, [page, 10, 26, 3]));
        names.extend(listed);
    }
    let mut all_names = vec!["Ended".to_owned()];
    all_names.extend((1..=23).rev().map(|number| format!("Staging {number:02}")));
    all_names.extend([
        "Production Server".to_owned(),
        "from the operator".to_owned(),
    ]);
    names.sort_unstable();
    all_names.sort_unstable();
    assert_eq!(names, all_names);
    assert_eq!(vendor.list("").1, [1, 20, 26, 2]);
    assert_eq!(
        vendor.list("?search=staging%201&limit=100").1,
        [1, 100, 10, 1]
    );
    let (found, meta) = vendor.list("?search=PRODUCTION&page=1&limit=5");
    assert_eq!((found, meta), (vec![name], [1, 5, 1, 1]));
    assert_eq!(vendor.list("?search=nothing"), (vec![], [1, 20, 0, 0]));

    // Rename.
    let path = format!("/{id}");
    let (status, renamed) = vendor.call("PATCH", &path, Some(&json!({"name": "Old Server"})));
    assert_eq!((status, &renamed["name"]), (200, &json!("Old Server")));
    assert_eq!(
        (&renamed["id"], &renamed["created_at"]),
        (&json!(id), &json!(created_at))
    );
    assert_eq!(vendor.list("?search=old+server").0, ["Old Server"]);
    assert_eq!(vendor.list("?search=production").0, [""; 0]);

    // Revoke.
    let (status, revoked) = vendor.call("DELETE", &path, None);
    assert_eq!(
        (status, revoked),
        (200, json!({"message": "API key revoked."}))
    );

    // Every error has the same form.
    let gone = client(&secret).error("GET", "", None);
    assert_eq!(
        gone,
        expected(401, "the API key is not valid", "Unauthorized")
    );
    let again = vendor.error("DELETE", &path, None);
    assert_eq!(again, expected(404, "there is nothing here", "Not Found"));
    let named = vendor.error("PATCH", &path, Some(&json!({"name": "x"})));
    assert_eq!(named, expected(404, "there is nothing here", "Not Found"));
    let empty = vendor.error("POST", "", Some(&json!({"name": ""})));
    assert_eq!(
        empty,
        expected(400, "name should not be empty", "Bad Request")
    );
    let long = vendor.error("POST", "", Some(&json!({"name": "x".repeat(256)})));
    let message = "name must be 255 characters or shorter";
    assert_eq!(long, expected(400, message, "Bad Request"));
    let page = vendor.error("GET", "?page=0", None);
    assert_eq!(
        page,
        expected(400, "page must be a whole number from 1", "Bad Request")
    );
}
