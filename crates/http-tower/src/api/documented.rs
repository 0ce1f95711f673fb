//! What the OpenAPI document says of requests, held against what is read of them.

use std::collections::BTreeSet;

use keywright_core::KeyId;
use serde_json::{Map, Value};

use super::{bodies, create, fields::ASKED_FOR, query, service::Route};

fn document() -> Value {
    serde_json::to_value(crate::openapi::openapi("")).unwrap()
}

/// The members that a schema has, and the names that something is known by.
fn members(document: &Value, schema: &str) -> BTreeSet<String> {
    let properties = &document["components"]["schemas"][schema]["properties"];
    properties.as_object().unwrap().keys().cloned().collect()
}

/// The members that are asked for by whoever reads a body.
fn read<T>(reader: impl FnOnce(Map<String, Value>) -> T) -> BTreeSet<String> {
    ASKED_FOR.take();
    reader(Map::new());
    ASKED_FOR.take().into_iter().map(String::from).collect()
}

#[test]
fn bodies_have_the_members_that_are_read_and_no_other() {
    let document = document();
    for (schema, read) in [
        ("ApiKeyToCreate", read(create::new_key)),
        ("ApiKeyChange", read(bodies::rename)),
        ("ApiKeyRotation", read(bodies::rotation)),
        ("ApiKeyToVerify", read(bodies::presented)),
    ] {
        assert_eq!(members(&document, schema), read, "{schema}");
        let further = &document["components"]["schemas"][schema]["additionalProperties"];
        assert_eq!(further, false, "{schema}");
    }
}

#[test]
fn queries_have_the_parameters_that_are_known_and_no_other() {
    let document = document();
    let mut queries = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let parameters = operation.get("parameters").and_then(Value::as_array);
            let names: Vec<&str> = parameters
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            queries.insert(names);
        }
    }
    let expected = [vec![], query::LIST.to_vec(), query::REVOKE.to_vec()];
    assert_eq!(queries, BTreeSet::from(expected));
    // That they are known is not enough: they are read.
    let unread = |error: crate::error::ApiError| format!("{error:?}").contains("not known");
    for name in query::LIST {
        let read = query::list(Some(&format!("{name}=")));
        assert!(!read.is_err_and(unread), "{name}");
    }
    for name in query::REVOKE {
        let read = query::revoke(Some(&format!("{name}=")));
        assert!(!read.is_err_and(unread), "{name}");
    }
}

#[test]
fn paths_are_the_routes_and_have_their_methods() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let id = KeyId::parse("key_0U5lKtf600000000").unwrap();
    let routes = [
        Route::Keys,
        Route::Verify,
        Route::Key(id),
        Route::Rotate(id),
    ];
    assert_eq!(paths.len(), routes.len());
    for route in routes {
        // Whoever adds a route here adds it above, too.
        let path = match route {
            Route::Keys => "/",
            Route::Verify => "/verify",
            Route::Key(_) => "/{id}",
            Route::Rotate(_) => "/{id}/rotate",
        };
        let documented = paths[path].as_object().unwrap().keys();
        let documented = documented.filter(|key| *key != "parameters").cloned();
        let methods = route.allow().split(", ").map(str::to_lowercase);
        // Those two are the protocol's.
        let methods = methods.filter(|method| method != "head" && method != "options");
        assert_eq!(
            documented.collect::<BTreeSet<_>>(),
            methods.collect(),
            "{path}"
        );
    }
}
