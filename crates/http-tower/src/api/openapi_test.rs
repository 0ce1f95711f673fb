//! Compares the requests that the OpenAPI document describes with those that the endpoints read.

use std::collections::BTreeSet;

use keywright_core::KeyId;
use serde_json::{Map, Value};

use super::{
    context::Target,
    create, events,
    fields::FIELDS_READ,
    list, query, report, revoke, rotate,
    router::{self, Route},
    update, verify,
};
use crate::error::ApiError;

fn document() -> Value {
    serde_json::to_value(crate::openapi::openapi("")).unwrap()
}

/// The fields of a schema in the document.
fn fields(document: &Value, schema: &str) -> BTreeSet<String> {
    let properties = &document["components"]["schemas"][schema]["properties"];
    properties.as_object().unwrap().keys().cloned().collect()
}

/// The fields that a parser reads.
fn fields_read<T>(parse: impl FnOnce(Map<String, Value>) -> T) -> BTreeSet<String> {
    FIELDS_READ.take();
    parse(Map::new());
    FIELDS_READ.take().into_iter().map(String::from).collect()
}

#[test]
fn bodies_have_exactly_the_fields_that_are_read() {
    let document = document();
    for (schema, read) in [
        ("ApiKeyToCreate", fields_read(create::parse)),
        ("ApiKeyChange", fields_read(update::parse)),
        ("ApiKeyRotation", fields_read(rotate::parse)),
        ("ApiKeyToVerify", fields_read(verify::parse)),
    ] {
        assert_eq!(fields(&document, schema), read, "{schema}");
        let additional = &document["components"]["schemas"][schema]["additionalProperties"];
        assert_eq!(additional, false, "{schema}");
    }
}

#[test]
fn queries_have_exactly_the_parameters_that_are_read() {
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
    let expected = [
        vec![],
        list::PARAMETERS.to_vec(),
        events::PARAMETERS.to_vec(),
        report::PARAMETERS.to_vec(),
        revoke::PARAMETERS.to_vec(),
    ];
    assert_eq!(queries, BTreeSet::from(expected));
    // A name in the list of parameters could still be missing from the match.
    let is_unknown = |error: ApiError| format!("{error:?}").contains(query::UNKNOWN);
    for name in list::PARAMETERS {
        let result = list::parse(Some(&format!("{name}=")));
        assert!(!result.is_err_and(is_unknown), "{name}");
    }
    for name in events::PARAMETERS {
        let result = events::parse(Some(&format!("{name}=")));
        assert!(!result.is_err_and(is_unknown), "{name}");
    }
    for name in report::PARAMETERS {
        let result = report::parse(Some(&format!("{name}=")));
        assert!(!result.is_err_and(is_unknown), "{name}");
    }
    for name in revoke::PARAMETERS {
        let result = revoke::parse(Some(&format!("{name}=")));
        assert!(!result.is_err_and(is_unknown), "{name}");
    }
}

#[test]
fn paths_are_the_routes_and_have_their_methods() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let id = Target::Key(KeyId::parse("key_0U5lKtf600000000").unwrap());
    let routes = [
        Route::Keys,
        Route::Verify,
        Route::Events,
        Route::Report,
        Route::Key(id),
        Route::Key(Target::Itself),
        Route::Rotate(id),
        Route::Rotate(Target::Itself),
    ];
    assert_eq!(paths.len(), routes.len());
    let mut templates = router::TEMPLATES.map(|path| if path.is_empty() { "/" } else { path });
    templates.sort_unstable();
    assert_eq!(paths.keys().collect::<Vec<_>>(), templates);
    for route in routes {
        // The compiler rejects this match without a new route. Also add the route to `routes`.
        let path = match route {
            Route::Keys => "/",
            Route::Verify => "/verify",
            Route::Events => "/events",
            Route::Report => "/report",
            Route::Key(Target::Key(_)) => "/{id}",
            Route::Key(Target::Itself) => "/self",
            Route::Rotate(Target::Key(_)) => "/{id}/rotate",
            Route::Rotate(Target::Itself) => "/self/rotate",
        };
        let documented = paths[path].as_object().unwrap().keys();
        let documented = documented.filter(|key| *key != "parameters").cloned();
        let methods = route.allow().split(", ").map(str::to_lowercase);
        // HTTP defines these two for every resource, so the document leaves them out.
        let methods = methods.filter(|method| method != "head" && method != "options");
        assert_eq!(
            documented.collect::<BTreeSet<_>>(),
            methods.collect(),
            "{path}"
        );
    }
}
