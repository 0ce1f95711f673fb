//! The OpenAPI document, compared with the responses of the service.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{Request, StatusCode};
use jsonschema::Validator;
use keywright_http_tower::{ApiKeys, AuthLayer, ForwardAuth};
use serde_json::{Value, json};

use crate::common::{Client, TestResponse, acme, issue, library, request, send};

fn document() -> Value {
    serde_json::to_value(keywright_http_tower::openapi("")).unwrap()
}

/// A validator of a schema in the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = document.clone();
    let members = whole.as_object_mut().unwrap();
    members.extend(schema.as_object().unwrap().clone());
    let options = jsonschema::draft202012::options();
    options.should_validate_formats(true).build(&whole).unwrap()
}

/// The target of a reference, or the value itself if it is not a reference.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap(),
        None => value,
    }
}

/// Calls `visit` with each object in a value, at any depth.
fn walk(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            visit(members);
            members.values().for_each(|member| walk(member, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

#[test]
fn the_document_has_version_3_1_and_every_reference_has_a_target() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut referenced = BTreeSet::new();
    walk(&document, &mut |members| {
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
            referenced.insert(pointer.to_owned());
        }
    });
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(name.starts_with("ApiKey"), "{name}");
            let pointer = format!("/components/{kind}/{name}");
            assert!(referenced.contains(&pointer), "nothing refers to {name}");
        }
    }
}

#[test]
fn every_schema_is_valid_and_every_example_matches_its_schema() {
    let document = document();
    for schema in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .values()
    {
        validator(&document, schema);
    }
    let mut examples = 0;
    walk(&document, &mut |members| {
        let Some(schema) = members.get("schema") else {
            return;
        };
        let validator = validator(&document, schema);
        if let Some(example) = members.get("example") {
            examples += 1;
            let error = validator.validate(example).err();
            assert!(error.is_none(), "{example}: {}", error.unwrap());
        }
    });
    // The successful responses, the request bodies, and the errors in two formats.
    assert_eq!(examples, 15 + 5 + 2 * 13);
}

/// The document avoids constructs that client generators do not support.
#[test]
fn no_schema_breaks_generated_clients() {
    let is_boolean = |value: &Value| value.is_boolean();
    let document = document();
    walk(&document, &mut |members| {
        // OpenAPI Generator supports only strings in an `enum`, and treats `const` as an `enum`.
        let values = members.get("enum").and_then(Value::as_array);
        assert!(
            !values.is_some_and(|values| values.iter().any(is_boolean)),
            "{members:?}"
        );
        assert!(!members.get("const").is_some_and(is_boolean), "{members:?}");
        // openapi-typescript makes a property with a default required, openapi-python-client sends
        // the default of a parameter, and OpenAPI Generator writes Go that does not compile.
        assert!(!members.contains_key("default"), "{members:?}");
        // OpenAPI Generator makes a separate type of it.
        assert!(!members.contains_key("not"), "{members:?}");
    });
    // OpenAPI Generator writes a Go constant for each value of a named `enum`, in upper case.
    let mut constants = BTreeSet::new();
    for schema in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .values()
    {
        let values = schema.get("enum").and_then(Value::as_array);
        for value in values.into_iter().flatten() {
            let constant = value.as_str().unwrap().to_uppercase();
            assert!(constants.insert(constant), "{value} is in two schemas");
        }
    }
    assert!(!constants.is_empty());
}

#[test]
fn operations_have_unique_ids_and_require_the_permissions_of_the_endpoints() {
    let document = document();
    let mut permissions = BTreeMap::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let Some(id) = operation.get("operationId").and_then(Value::as_str) else {
                continue;
            };
            let required = operation["security"][0]["api_key"].as_array().unwrap();
            let permission = required.first().map_or("", |name| name.as_str().unwrap());
            assert!(
                permissions
                    .insert(id.to_owned(), permission.to_owned())
                    .is_none(),
                "{id}"
            );
        }
    }
    let expected = [
        ("createApiKey", "api_keys:write"),
        ("getApiKey", "api_keys:read"),
        ("getOwnApiKey", ""),
        ("listApiKeyEvents", "api_keys:read"),
        ("listApiKeys", "api_keys:read"),
        ("reportApiKeys", "api_keys:read"),
        ("revokeApiKey", "api_keys:write"),
        ("revokeOwnApiKey", ""),
        ("rotateApiKey", "api_keys:write"),
        ("rotateOwnApiKey", "api_keys.self:rotate"),
        ("updateApiKey", "api_keys:write"),
        ("verifyApiKey", "api_keys:verify"),
    ];
    let expected = expected.map(|(id, permission)| (id.to_owned(), permission.to_owned()));
    assert_eq!(permissions, BTreeMap::from(expected));
    let scheme = &document["components"]["securitySchemes"]["api_key"];
    assert_eq!(
        (&scheme["type"], &scheme["scheme"]),
        (&json!("http"), &json!("bearer"))
    );
}

/// Asserts that a response matches the document for its path and method.
#[track_caller]
fn check(document: &Value, path: &str, method: &str, response: &TestResponse) {
    let status = response.status.as_str();
    let documented = &document["paths"][path][method]["responses"][status];
    let description = resolve(document, documented);
    assert!(
        description.is_object(),
        "{method} {path} {status} is not documented"
    );
    let media_type = response.header("content-type");
    let schema = &description["content"][media_type]["schema"];
    assert!(
        schema.is_object(),
        "{method} {path} {status} {media_type} is not documented"
    );
    let body = response.json();
    let error = validator(document, schema)
        .validate(&body)
        .err()
        .map(|error| error.to_string());
    assert_eq!(error, None, "{method} {path} {status}: {body}");
    // A schema accepts unknown members, so validation does not notice an undocumented one.
    for name in body.as_object().unwrap().keys() {
        assert!(
            names(document, schema).contains(name),
            "{name} is not documented"
        );
    }
    let documented = description["headers"].as_object().unwrap();
    for (name, header) in documented {
        let value = response.header(name);
        assert!(
            !value.is_empty() || header["required"] != true,
            "{status} has no {name}"
        );
        if !value.is_empty() {
            let value = value
                .parse()
                .map_or(json!(value), |number: u64| json!(number));
            assert!(
                validator(document, &header["schema"]).is_valid(&value),
                "{name}: {value}"
            );
        }
    }
    for name in response
        .headers
        .keys()
        .filter(|name| *name != "content-type")
    {
        let known = documented
            .keys()
            .any(|known| name.as_str().eq_ignore_ascii_case(known));
        assert!(known, "{method} {path} {status}: {name} is not documented");
    }
}

/// The members in a schema.
fn names(document: &Value, schema: &Value) -> Vec<String> {
    let schema = resolve(document, schema);
    let mut found: Vec<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .map_or_else(Vec::new, |properties| properties.keys().cloned().collect());
    for parts in ["allOf", "oneOf"] {
        let parts = schema.get(parts).and_then(Value::as_array);
        found.extend(
            parts
                .into_iter()
                .flatten()
                .flat_map(|part| names(document, part)),
        );
    }
    found
}

/// A client that checks every response against the document.
struct Checked {
    document: Value,
    client: Client,
}

impl Checked {
    async fn send(&self, method: &str, path: &str, id: &str, body: Option<Value>) -> TestResponse {
        let (template, query) = path
            .split_once('?')
            .map_or((path, ""), |(path, query)| (path, query));
        let path = format!("{}?{query}", template.replace("{id}", id));
        let response = self.client.send(method, &path, body).await;
        check(&self.document, template, &method.to_lowercase(), &response);
        response
    }
}

#[tokio::test]
async fn successful_responses_match_the_document() {
    let (keys, client) = acme().await;
    let client = Checked {
        document: document(),
        client,
    };
    let everything = json!({
        "name": "n", "permissions": ["a:b", "c:*"], "environment": "test",
        "expires_at": "2999-01-01T00:00:00+02:00", "metadata": {"deep": [{"x": null}]},
    });
    let created = client.send("POST", "/", "", Some(everything)).await.json();
    let plain = client
        .send("POST", "/", "", Some(json!({"name": "p"})))
        .await
        .json();
    let id = created["id"].as_str().unwrap();
    for query in [
        "",
        "page=2&limit=1",
        "search=n&status=active",
        "status=expired",
    ] {
        client.send("GET", &format!("/?{query}"), "", None).await;
    }
    let first = client.send("GET", "/?limit=1", "", None).await.json();
    let cursor = first["meta"]["nextCursor"].as_str().unwrap();
    client
        .send("GET", &format!("/?cursor={cursor}"), "", None)
        .await;
    client.send("GET", "/{id}", id, None).await;
    for change in [
        json!({"name": "other", "metadata": {}, "permissions": ["a:b"], "enabled": false}),
        json!({"enabled": true, "metadata": null, "expires_at": null, "allowed_ips": null}),
        json!({"expires_at": "2998-01-01T00:00:00Z", "allowed_ips": ["10.0.0.1", "fd00::/8"]}),
    ] {
        client.send("PATCH", "/{id}", id, Some(change)).await;
    }
    client.send("GET", "/self", "", None).await;
    let rotation = json!({"expire_previous": 60});
    let rotated = client
        .send("POST", "/{id}/rotate", id, Some(rotation))
        .await
        .json();
    client.send("GET", "/{id}", id, None).await;
    client
        .send("GET", "/{id}", rotated["id"].as_str().unwrap(), None)
        .await;
    let verify = |token: &Value| json!({"key": token, "permission": "a:b"});
    for token in [&plain["secret"], &rotated["secret"], &json!("nonsense")] {
        client
            .send("POST", "/verify", "", Some(verify(token)))
            .await;
    }
    client.send("DELETE", "/{id}?cascade=true", id, None).await;
    client
        .send("DELETE", "/{id}", plain["id"].as_str().unwrap(), None)
        .await;
    let revoked = client
        .send("POST", "/verify", "", Some(verify(&plain["secret"])))
        .await;
    assert_eq!(revoked.json()["code"], "REVOKED");
    client.send("GET", "/{id}", id, None).await;
    client.send("POST", "/self/rotate", "", None).await;
    client.send("GET", "/report", "", None).await;
    client.send("GET", "/events?limit=100", "", None).await;
    let first = client.send("GET", "/events?limit=1", "", None).await.json();
    let cursor = first["meta"]["nextCursor"].as_str().unwrap();
    client
        .send("GET", &format!("/events?cursor={cursor}"), "", None)
        .await;
    client.send("DELETE", "/self", "", None).await;
    drop(keys);
}

#[tokio::test]
async fn error_responses_match_the_document() {
    let (keys, client) = acme().await;
    let (rotated, _) = client.create(json!({"name": "n"})).await;
    client
        .send("POST", &format!("/{rotated}/rotate"), None)
        .await;
    let powerless = issue(&keys, "a").await.token.expose().to_owned();
    let client = Checked {
        document: document(),
        client,
    };
    let no_key = "key_0000000000000000";
    for (method, path, id, body, status) in [
        (
            "POST",
            "/",
            "",
            Some(json!({"name": 1, "nam": 2})),
            StatusCode::BAD_REQUEST,
        ),
        (
            "POST",
            "/",
            "",
            Some(json!("x".repeat(20_000))),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        ("GET", "/?page=0", "", None, StatusCode::BAD_REQUEST),
        ("GET", "/{id}", no_key, None, StatusCode::NOT_FOUND),
        (
            "PATCH",
            "/{id}",
            no_key,
            Some(json!({"name": "n"})),
            StatusCode::NOT_FOUND,
        ),
        (
            "PATCH",
            "/{id}",
            no_key,
            Some(json!({"name": null})),
            StatusCode::BAD_REQUEST,
        ),
        ("DELETE", "/{id}", no_key, None, StatusCode::NOT_FOUND),
        (
            "DELETE",
            "/{id}?cascade=yes",
            no_key,
            None,
            StatusCode::BAD_REQUEST,
        ),
        ("POST", "/{id}/rotate", no_key, None, StatusCode::NOT_FOUND),
        ("POST", "/{id}/rotate", &rotated, None, StatusCode::CONFLICT),
        (
            "POST",
            "/verify",
            "",
            Some(json!({})),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let response = client.send(method, path, id, body).await;
        assert_eq!(response.status, status, "{method} {path}");
    }
    let service = ApiKeys::nested(&keys, "");
    for (token, status) in [
        (powerless, StatusCode::FORBIDDEN),
        ("x".into(), StatusCode::UNAUTHORIZED),
    ] {
        for (path, item) in client.document["paths"].as_object().unwrap() {
            for method in item
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| *key != "parameters")
            {
                if (method.as_str(), path.as_str()) == ("delete", "/self") {
                    // It would succeed, and the caller is needed for the others.
                    continue;
                }
                let target = path.replace("{id}", no_key);
                let request = request(&method.to_uppercase(), &target, &token, None);
                let response = send(service.clone(), request).await;
                // A key finds itself without a permission.
                let status = match (method.as_str(), path.as_str(), status) {
                    ("get", "/self", StatusCode::FORBIDDEN) => StatusCode::OK,
                    _ => status,
                };
                assert_eq!(response.status, status, "{method} {path}");
                check(&client.document, path, method, &response);
            }
        }
    }
}

#[tokio::test]
async fn repeats_mismatches_other_media_types_and_problems_match_the_document() {
    let (keys, client) = acme().await;
    let service = ApiKeys::nested(&keys, "");
    let document = document();
    for (name, media_type, accept, status) in [
        ("n", "application/json", "*/*", StatusCode::CREATED),
        ("n", "application/json", "*/*", StatusCode::OK),
        (
            "m",
            "application/json",
            "*/*",
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        ("m", "text/plain", "*/*", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (
            "",
            "application/json",
            "application/problem+json",
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let create = Request::post("/")
            .header("authorization", format!("Bearer {}", client.token))
            .header("idempotency-key", "k")
            .header("content-type", media_type)
            .header("accept", accept)
            .body(Body::from(json!({"name": name}).to_string()))
            .unwrap();
        let response = send(service.clone(), create).await;
        assert_eq!(response.status, status);
        check(&document, "/", "post", &response);
    }
}

#[tokio::test]
async fn the_document_of_a_service_has_its_path_and_its_header() {
    let keys = library().await;
    let auth = AuthLayer::new(keys.verifier().clone());
    let auth = auth.with_header(http::HeaderName::from_static("x-api-key"));
    let service = ApiKeys::at(&keys, "/admin/keys/").with_auth(auth);
    let document = serde_json::to_value(service.openapi()).unwrap();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/admin/keys",
            "/admin/keys/events",
            "/admin/keys/report",
            "/admin/keys/self",
            "/admin/keys/self/rotate",
            "/admin/keys/verify",
            "/admin/keys/{id}",
            "/admin/keys/{id}/rotate"
        ]
    );
    let scheme = &document["components"]["securitySchemes"]["api_key"];
    assert_eq!(
        (&scheme["type"], &scheme["in"], &scheme["name"]),
        (&json!("apiKey"), &json!("header"), &json!("x-api-key"))
    );
}

#[tokio::test]
async fn a_service_that_reads_two_headers_has_a_security_scheme_for_each() {
    let keys = library().await;
    let auth = AuthLayer::new(keys.verifier().clone());
    let auth = auth.also_header(http::HeaderName::from_static("x-api-key"));
    let service = ApiKeys::nested(&keys, "").with_auth(auth);
    let document = serde_json::to_value(service.openapi()).unwrap();
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(schemes["api_key"]["scheme"], "bearer");
    assert_eq!(schemes["api_key_2"]["name"], "x-api-key");
    // Either of them is enough.
    let required = &document["paths"]["/self/rotate"]["post"]["security"];
    let permission = "api_keys.self:rotate";
    let expected = json!([{"api_key": [permission]}, {"api_key_2": [permission]}]);
    assert_eq!(*required, expected);
}

#[tokio::test]
async fn the_document_of_forward_auth_has_a_target_for_every_reference_and_its_headers() {
    let keys = library().await;
    let service = ForwardAuth::new(AuthLayer::new(keys.verifier().clone()));
    let document = serde_json::to_value(service.openapi("/auth")).unwrap();
    walk(&document, &mut |members| {
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    });
    let operation = &document["paths"]["/auth"]["get"];
    let token = issue(&keys, "calls:read").await;
    let token = token.token.expose();
    for (query, token, status) in [
        ("", token, "200"),
        ("?x", token, "400"),
        ("", "x", "401"),
        ("?permission=calls:write", token, "403"),
    ] {
        let request = request("GET", &format!("/auth{query}"), token, None);
        let response = send(service.clone(), request).await;
        assert_eq!(response.status.as_str(), status);
        let described = resolve(&document, &operation["responses"][status]);
        for (name, header) in described["headers"].as_object().unwrap() {
            let value = response.headers.get(name);
            assert!(
                value.is_some() || header["required"] != true,
                "{status} {name}"
            );
        }
    }
    for name in [
        ForwardAuth::KEY_ID,
        ForwardAuth::WORKSPACE,
        ForwardAuth::OWNER,
        ForwardAuth::ENVIRONMENT,
    ] {
        let headers = operation["responses"]["200"]["headers"]
            .as_object()
            .unwrap();
        assert!(
            headers
                .keys()
                .any(|header| *header.to_lowercase() == *name.as_str())
        );
    }
}
