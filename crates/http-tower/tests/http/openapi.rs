//! The OpenAPI document, held against what the service answers.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Request, StatusCode};
use jsonschema::Validator;
use keywright_http_tower::{ApiKeys, AuthLayer};
use serde_json::{Value, json};

use crate::common::{Answer, Client, acme, issue, library, request, send};

fn document() -> Value {
    serde_json::to_value(keywright_http_tower::openapi("")).unwrap()
}

/// A validator of a schema that stands somewhere in the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = document.clone();
    let members = whole.as_object_mut().unwrap();
    members.extend(schema.as_object().unwrap().clone());
    let options = jsonschema::draft202012::options();
    options.should_validate_formats(true).build(&whole).unwrap()
}

/// What stands behind a reference, or the value itself.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap(),
        None => value,
    }
}

/// Calls for each object of a value, at any depth.
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
fn it_is_of_version_3_1_and_every_reference_leads_somewhere() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut referred = std::collections::BTreeSet::new();
    walk(&document, &mut |members| {
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
            referred.insert(pointer.to_owned());
        }
    });
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(name.starts_with("ApiKey"), "{name}");
            let pointer = format!("/components/{kind}/{name}");
            assert!(
                referred.contains(&pointer),
                "{name} is referred to by nothing"
            );
        }
    }
}

#[test]
fn every_schema_is_one_and_every_example_is_valid() {
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
    // Each answer with a body that is no error, each body of a request, and each error in two forms.
    assert_eq!(examples, 9 + 4 + 2 * 11);
}

#[test]
fn operations_have_ids_of_their_own_and_ask_for_what_the_endpoints_ask_for() {
    let document = document();
    let mut needs = BTreeMap::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let Some(id) = operation.get("operationId").and_then(Value::as_str) else {
                continue;
            };
            let needed = operation["security"][0]["api_key"][0].as_str().unwrap();
            assert!(
                needs.insert(id.to_owned(), needed.to_owned()).is_none(),
                "{id}"
            );
        }
    }
    let expected = [
        ("createApiKey", "api_keys:write"),
        ("getApiKey", "api_keys:read"),
        ("listApiKeys", "api_keys:read"),
        ("renameApiKey", "api_keys:write"),
        ("revokeApiKey", "api_keys:write"),
        ("rotateApiKey", "api_keys:write"),
        ("verifyApiKey", "api_keys:verify"),
    ];
    let expected = expected.map(|(id, needed)| (id.to_owned(), needed.to_owned()));
    assert_eq!(needs, BTreeMap::from(expected));
    let scheme = &document["components"]["securitySchemes"]["api_key"];
    assert_eq!(
        (&scheme["type"], &scheme["scheme"]),
        (&json!("http"), &json!("bearer"))
    );
}

/// Holds an answer against what the document says of a path and a method.
#[track_caller]
fn check(document: &Value, path: &str, method: &str, answer: &Answer) {
    let status = answer.status.as_str();
    let documented = &document["paths"][path][method]["responses"][status];
    let response = resolve(document, documented);
    assert!(
        response.is_object(),
        "{method} {path} {status} is not documented"
    );
    let media_type = answer.header("content-type");
    let schema = &response["content"][media_type]["schema"];
    assert!(
        schema.is_object(),
        "{method} {path} {status} {media_type} is not documented"
    );
    let body = answer.json();
    let error = validator(document, schema)
        .validate(&body)
        .err()
        .map(|error| error.to_string());
    assert_eq!(error, None, "{method} {path} {status}: {body}");
    // A schema without a member that is sent does not say what is sent.
    for name in body.as_object().unwrap().keys() {
        assert!(
            names(document, schema).contains(name),
            "{name} is not documented"
        );
    }
    let documented = response["headers"].as_object().unwrap();
    for (name, header) in documented {
        let value = answer.header(name);
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
    for name in answer.headers.keys().filter(|name| *name != "content-type") {
        let known = documented
            .keys()
            .any(|known| name.as_str().eq_ignore_ascii_case(known));
        assert!(known, "{method} {path} {status}: {name} is not documented");
    }
}

/// All members that a schema knows.
fn names(document: &Value, schema: &Value) -> Vec<String> {
    let schema = resolve(document, schema);
    let mut known: Vec<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .map_or_else(Vec::new, |properties| properties.keys().cloned().collect());
    for parts in ["allOf", "oneOf"] {
        let parts = schema.get(parts).and_then(Value::as_array);
        known.extend(
            parts
                .into_iter()
                .flatten()
                .flat_map(|part| names(document, part)),
        );
    }
    known
}

/// A client whose every answer is held against the document.
struct Checked {
    document: Value,
    client: Client,
}

impl Checked {
    async fn ask(&self, method: &str, path: &str, id: &str, body: Option<Value>) -> Answer {
        let (template, query) = path
            .split_once('?')
            .map_or((path, ""), |(path, query)| (path, query));
        let asked = format!("{}?{query}", template.replace("{id}", id));
        let answer = self.client.ask(method, &asked, body).await;
        check(&self.document, template, &method.to_lowercase(), &answer);
        answer
    }
}

#[tokio::test]
async fn answers_are_what_it_says() {
    let (keys, client) = acme().await;
    let client = Checked {
        document: document(),
        client,
    };
    let everything = json!({
        "name": "n", "permissions": ["a:b", "c:*"], "environment": "test",
        "expires_at": "2999-01-01T00:00:00+02:00", "metadata": {"deep": [{"x": null}]},
    });
    let created = client.ask("POST", "/", "", Some(everything)).await.json();
    let plain = client
        .ask("POST", "/", "", Some(json!({"name": "p"})))
        .await
        .json();
    let id = created["id"].as_str().unwrap();
    for query in [
        "",
        "page=2&limit=1",
        "search=n&status=active",
        "status=expired",
    ] {
        client.ask("GET", &format!("/?{query}"), "", None).await;
    }
    let first = client.ask("GET", "/?limit=1", "", None).await.json();
    let cursor = first["meta"]["next_cursor"].as_str().unwrap();
    client
        .ask("GET", &format!("/?cursor={cursor}"), "", None)
        .await;
    client.ask("GET", "/{id}", id, None).await;
    let change = json!({"name": "other", "metadata": {}});
    client.ask("PATCH", "/{id}", id, Some(change)).await;
    let rotation = json!({"expire_previous": 60});
    let rotated = client
        .ask("POST", "/{id}/rotate", id, Some(rotation))
        .await
        .json();
    client.ask("GET", "/{id}", id, None).await;
    client
        .ask("GET", "/{id}", rotated["id"].as_str().unwrap(), None)
        .await;
    let verify = |token: &Value| json!({"key": token});
    for token in [&plain["secret"], &rotated["secret"], &json!("nonsense")] {
        client.ask("POST", "/verify", "", Some(verify(token))).await;
    }
    client.ask("DELETE", "/{id}?cascade=true", id, None).await;
    client
        .ask("DELETE", "/{id}", plain["id"].as_str().unwrap(), None)
        .await;
    let revoked = client
        .ask("POST", "/verify", "", Some(verify(&plain["secret"])))
        .await;
    assert_eq!(revoked.json()["code"], "REVOKED");
    client.ask("GET", "/{id}", id, None).await;
    drop(keys);
}

#[tokio::test]
async fn errors_are_what_it_says() {
    let (keys, client) = acme().await;
    let (rotated, _) = client.create(json!({"name": "n"})).await;
    client
        .ask("POST", &format!("/{rotated}/rotate"), None)
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
        ("DELETE", "/{id}", no_key, None, StatusCode::NOT_FOUND),
        (
            "DELETE",
            "/{id}?cascade=1",
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
        let answer = client.ask(method, path, id, body).await;
        assert_eq!(answer.status, status, "{method} {path}");
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
                let asked = path.replace("{id}", no_key);
                let asked = request(&method.to_uppercase(), &asked, &token, None);
                let answer = send(service.clone(), asked).await;
                assert_eq!(answer.status, status, "{method} {path}");
                check(&client.document, path, method, &answer);
            }
        }
    }
}

#[tokio::test]
async fn a_repeat_a_mismatch_a_form_and_a_problem_are_what_it_says() {
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
        let answer = send(service.clone(), create).await;
        assert_eq!(answer.status, status);
        check(&document, "/", "post", &answer);
    }
}

#[tokio::test]
async fn the_document_of_a_service_knows_its_path_and_its_header() {
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
