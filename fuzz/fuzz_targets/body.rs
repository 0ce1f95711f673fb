//! Fuzzes the JSON bodies. A valid body has exactly the requested effect. Any other body is
//! rejected with 400 and has no effect.

#![no_main]

mod endpoint;
mod library;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_executor::block_on;
use http::{Request, header};
use keywright_assurance::inputs::start_time;
use keywright_core::{
    Caller, Denied, Expiry, Issued, Keywright, ListKeys, MemoryStore, Name, NewKey, Permission,
    Permissions, Prefix, Reach, Timestamp, TokenRef, VerifyError, Workspace,
};
use keywright_http_tower::ApiKeys;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use unicode_properties::UnicodeGeneralCategory;

use self::endpoint::{ApiResponse, send};

/// The maximum length of a body, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

fuzz_target!(|body: &[u8]| {
    // serde_json's own `Value` gives members with this name a special meaning.
    let private = b"$serde_json::private";
    if body.len() > MAX_LENGTH || body.windows(private.len()).any(|piece| piece == private) {
        return;
    }
    let host = Host::new();
    let value = value(body);
    let object = value.as_ref().and_then(Value::as_object);
    verify(&host, body, object);
    create(&host, body, object);
    rename(&host, body, object);
    rotate(&host, body, value.as_ref());
    check_bounds(&host, body);
});

fn create(host: &Host, body: &[u8], object: Option<&Map<String, Value>>) {
    let before = host.total();
    let response = host.send("POST", "", body);
    let wanted = object.and_then(NewKeyBody::read);
    let covered = |permission: &String| {
        ["api_keys:", "calls:"]
            .iter()
            .any(|stem| permission.starts_with(stem))
    };
    let expected = match &wanted {
        None => 400,
        Some(wanted) if !wanted.permissions.iter().flatten().all(covered) => 403,
        Some(NewKeyBody { end: Some(end), .. }) if *end <= start_time() => 400,
        Some(_) => 201,
    };
    assert_eq!(response.status, expected, "{response}");
    let created = u64::from(expected == 201);
    assert_eq!(host.total(), before + created, "{response}");
    let Some(wanted) = wanted.filter(|_| expected == 201) else {
        return;
    };
    let end = if wanted.expired {
        Some(start_time())
    } else {
        wanted.end
    };
    let all = || Vec::from(["api_keys:*", "calls:*"].map(str::to_owned));
    let given = response.json.as_object().expect("the body is an object");
    for (member, value) in [
        ("name", json!(wanted.name)),
        ("permissions", json!(wanted.permissions.unwrap_or_else(all))),
        ("environment", json!(wanted.environment)),
        ("expires_at", json!(end.map(|end| end.to_string()))),
        ("metadata", json!(wanted.metadata)),
        ("parent_id", Value::Null),
    ] {
        assert_eq!(given[member], value, "{member}");
    }
    let token = given["secret"].as_str().expect("the response has a token");
    let prefix = Prefix::parse(library::PREFIX).expect("the prefix is valid");
    assert!(TokenRef::parse(token.as_bytes(), &prefix).is_ok());
    match block_on(host.keys.verifier().verify(token.as_bytes())) {
        Ok(verified) => assert!(!wanted.expired && given["id"] == verified.key().id.to_string()),
        Err(VerifyError::Denied(Denied::Expired(_))) => assert!(wanted.expired),
        Err(error) => panic!("{error}"),
    }
}

/// The body of a request that creates a key.
struct NewKeyBody {
    name: String,
    expired: bool,
    end: Option<Timestamp>,
    permissions: Option<Vec<String>>,
    environment: String,
    metadata: Option<Value>,
}

impl NewKeyBody {
    fn read(object: &Map<String, Value>) -> Option<Self> {
        let names = [
            "name",
            "expire_now",
            "expires_at",
            "permissions",
            "environment",
            "metadata",
        ];
        let wanted = Self {
            name: name(object.get("name")?)?,
            expired: optional(object, "expire_now", Value::as_bool)?.unwrap_or_default(),
            end: optional(object, "expires_at", time)?,
            permissions: optional(object, "permissions", permissions)?,
            environment: optional(object, "environment", environment)?.unwrap_or("live".into()),
            metadata: optional(object, "metadata", metadata)?,
        };
        let both = wanted.expired && wanted.end.is_some();
        (has_only(object, &names) && !both).then_some(wanted)
    }
}

fn rename(host: &Host, body: &[u8], object: Option<&Map<String, Value>>) {
    let path = host.renamed.key.id.to_string();
    let response = host.send("PATCH", &path, body);
    let wanted = object.and_then(|object| {
        let name = optional(object, "name", name)?;
        let metadata = optional(object, "metadata", metadata)?;
        let any = name.is_some() || metadata.is_some();
        let any = any && has_only(object, &["name", "metadata"]);
        any.then_some((name, metadata))
    });
    let (name, metadata) = match wanted {
        Some((name, metadata)) => {
            assert_eq!(response.status, 200, "{response}");
            (name, metadata)
        }
        None => {
            assert_eq!(response.status, 400, "{response}");
            (None, None)
        }
    };
    let key = host.item(&path);
    assert_eq!(key["name"], name.unwrap_or("renamed".into()));
    assert_eq!(key["metadata"], metadata.unwrap_or_default());
}

fn rotate(host: &Host, body: &[u8], value: Option<&Value>) {
    let id = host.rotated.key.id.to_string();
    let response = host.send("POST", &format!("{id}/rotate"), body);
    let wanted = if body.is_empty() || value == Some(&Value::Null) {
        Some((24 * 60 * 60, None))
    } else {
        value.and_then(Value::as_object).and_then(|object| {
            let overlap = optional(object, "expire_previous", |value| match value.as_str() {
                Some("now") => Some(0),
                Some("24h") => Some(24 * 60 * 60),
                Some(_) => None,
                None => value
                    .as_f64()
                    .filter(|seconds| seconds.fract() == 0.0)
                    .filter(|seconds| (0.0..=f64::from(30 * 24 * 60 * 60)).contains(seconds))
                    .map(|seconds| Duration::from_secs_f64(seconds).as_secs()),
            })?;
            let end = optional(object, "expires_at", time)?;
            has_only(object, &["expire_previous", "expires_at"])
                .then_some((overlap.unwrap_or(24 * 60 * 60), end))
        })
    };
    let old = host.item(&id);
    match wanted.filter(|(_, end)| end.is_none_or(|end| end > start_time())) {
        Some((overlap, end)) => {
            assert_eq!(response.status, 201, "{response}");
            assert_eq!(response.json["id"], old["successor_id"]);
            assert_eq!(
                response.json["expires_at"],
                json!(end.map(|end| end.to_string()))
            );
            let last = start_time().saturating_add(Duration::from_secs(overlap));
            let ended = if overlap == 0 {
                "revoked_at"
            } else {
                "expires_at"
            };
            assert_eq!(old[ended], last.to_string());
        }
        None => {
            assert_eq!(response.status, 400, "{response}");
            for member in ["successor_id", "revoked_at", "expires_at"] {
                assert_eq!(old[member], Value::Null);
            }
        }
    }
}

fn verify(host: &Host, body: &[u8], object: Option<&Map<String, Value>>) {
    let response = host.send("POST", "verify", body);
    let token = object
        .filter(|object| has_only(object, &["key"]))
        .and_then(|object| object.get("key")?.as_str());
    let Some(token) = token else {
        assert_eq!(response.status, 400, "{response}");
        return;
    };
    assert_eq!(response.status, 200, "{response}");
    let is = |issued: &Issued| issued.token.expose() == token;
    if is(&host.renamed) || is(&host.rotated) {
        assert_eq!(response.json["valid"], true, "{response}");
    } else {
        let code = if is(&host.expired) {
            "EXPIRED"
        } else if is(&host.revoked) {
            "REVOKED"
        } else {
            "NOT_FOUND"
        };
        assert_eq!(response.json, json!({"valid": false, "code": code}));
    }
}

/// Checks that bodies of up to 16 KiB are accepted, and that longer bodies and other media types
/// are rejected.
fn check_bounds(host: &Host, body: &[u8]) {
    if body.is_empty() {
        return;
    }
    let status = |media_type, body: &[u8]| host.send_as(media_type, "POST", "verify", body).status;
    let json = "application/json";
    let mut padded = body.to_vec();
    padded.resize(MAX_LENGTH, b' ');
    assert_eq!(status(json, &padded), status(json, body));
    padded.push(b' ');
    assert_eq!(status(json, &padded), 413);
    assert_eq!(status("text/plain", body), 415);
}

/// Parses a body as JSON. Returns `None` if it is not JSON, or has a member twice.
fn value(body: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(body).ok()?;
    // Of members with the same name, the value only keeps the last. So it has fewer members than
    // there are colons.
    (members(&value) == colons(body)).then_some(value)
}

fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.values().map(|value| 1 + members(value)).sum(),
        Value::Array(items) => items.iter().map(members).sum(),
        _ => 0,
    }
}

/// Counts the colons outside the strings of a JSON text.
fn colons(json: &[u8]) -> usize {
    let mut bytes = json.iter();
    let (mut inside, mut count) = (false, 0);
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => inside = !inside,
            b'\\' => drop(bytes.next()),
            b':' if !inside => count += 1,
            _ => {}
        }
    }
    count
}

fn has_only(object: &Map<String, Value>, names: &[&str]) -> bool {
    object.keys().all(|name| names.contains(&name.as_str()))
}

/// Reads an optional member. Returns `Some(None)` if it is missing or `null`, and `None` if it is
/// invalid.
fn optional<T>(
    object: &Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<Option<T>> {
    object
        .get(name)
        .filter(|value| !value.is_null())
        .map_or(Some(None), |value| read(value).map(Some))
}

fn name(value: &Value) -> Option<String> {
    let name = value.as_str()?.trim();
    let fits = (1..=255).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    (fits && name.chars().any(is_visible)).then(|| name.to_owned())
}

/// Whether a character is a letter, digit, punctuation mark or symbol that is not displayed as
/// blank.
fn is_visible(character: char) -> bool {
    use unicode_properties::GeneralCategoryGroup::{Mark, Other, Separator};
    let blanks = "\u{115f}\u{1160}\u{2800}\u{3164}\u{ffa0}\u{13441}\u{13442}\u{1d159}";
    let group = character.general_category_group();
    !matches!(group, Mark | Other | Separator) && !blanks.contains(character)
}

fn time(value: &Value) -> Option<Timestamp> {
    Timestamp::parse(value.as_str()?).ok()
}

fn permissions(value: &Value) -> Option<Vec<String>> {
    let read = |item: &Value| {
        let text = item.as_str()?;
        Permission::parse(text).is_ok().then(|| text.to_owned())
    };
    let set: BTreeSet<String> = value.as_array()?.iter().map(read).collect::<Option<_>>()?;
    (set.len() <= 64).then(|| set.into_iter().collect())
}

fn environment(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    ["live", "test"].contains(&text).then(|| text.to_owned())
}

fn metadata(value: &Value) -> Option<Value> {
    (value.is_object() && value.to_string().len() <= 4096).then(|| value.clone())
}

/// The endpoints over a workspace with a key for each test. The keys are the same in every run, so
/// that an input can contain their tokens.
struct Host {
    keys: Keywright,
    service: ApiKeys,
    caller: Caller,
    renamed: Issued,
    rotated: Issued,
    expired: Issued,
    revoked: Issued,
}

impl Host {
    fn new() -> Self {
        let keys = library::open(&Arc::new(MemoryStore::new()));
        let workspace = Workspace::parse("acme").expect("the workspace is valid");
        let permissions: Permissions = "api_keys:*,calls:*"
            .parse()
            .expect("the permissions are valid");
        let caller = Caller::new(workspace, permissions);
        let issue = |name, expiry| {
            let mut new = NewKey::new(Name::parse(name).expect("the name is valid"));
            new.expiry = expiry;
            block_on(keys.issuer().create(&caller, new)).expect("the call succeeds")
        };
        let [renamed, rotated, revoked] =
            ["renamed", "rotated", "revoked"].map(|name| issue(name, Expiry::Inherited));
        let expired = issue("expired", Expiry::Now);
        block_on(keys.issuer().revoke(&caller, &revoked.key.id, Reach::Key))
            .expect("the call succeeds");
        Self {
            service: ApiKeys::nested(&keys, ""),
            keys,
            caller,
            renamed,
            rotated,
            expired,
            revoked,
        }
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> ApiResponse {
        let response = self.send_as("application/json", method, path, body);
        if response.is_error() {
            response.assert_not_echoed(body);
        }
        response
    }

    fn send_as(&self, media_type: &str, method: &str, path: &str, body: &[u8]) -> ApiResponse {
        let request = Request::builder()
            .method(method)
            .uri(format!("/{path}"))
            .header(header::CONTENT_TYPE, media_type)
            .body(Bytes::copy_from_slice(body))
            .expect("the request is valid");
        send(&self.service, &self.caller, request)
    }

    fn item(&self, id: &str) -> Value {
        let response = self.send("GET", id, b"");
        assert_eq!(response.status, 200, "{response}");
        response.json
    }

    fn total(&self) -> u64 {
        let listed = block_on(self.keys.issuer().list(&self.caller, ListKeys::new()));
        listed
            .expect("the list succeeds")
            .total
            .expect("the page has a total")
    }
}
