//! Fuzzes the JSON bodies. A valid body has exactly the requested effect. Any other body is
//! rejected with 400 and has no effect.

#![no_main]

mod endpoint;
mod library;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_executor::block_on;
use http::{Request, header};
use keywright_assurance::inputs::start_time;
use keywright_core::{
    AllowedIps, Caller, Denied, Expiry, Issued, KeyUpdate, Keywright, ListKeys, MemoryStore, Name,
    NewKey, Permission, Permissions, Prefix, Reach, Timestamp, TokenRef, VerifyError, Workspace,
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
    update(&host, body, object);
    rotate(&host, body, value.as_ref());
    check_bounds(&host, body);
});

fn create(host: &Host, body: &[u8], object: Option<&Map<String, Value>>) {
    let before = host.total();
    let response = host.send("POST", "", body);
    let wanted = object.and_then(NewKeyBody::read);
    let expected = match &wanted {
        None => 400,
        Some(wanted)
            if !wanted
                .permissions
                .iter()
                .flatten()
                .all(|wanted| is_covered(wanted)) =>
        {
            403
        }
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
    let given = response.json.as_object().expect("the body is an object");
    for (member, value) in [
        ("name", json!(wanted.name)),
        (
            "permissions",
            json!(wanted.permissions.unwrap_or_else(all_permissions)),
        ),
        ("environment", json!(wanted.environment)),
        ("expires_at", json!(end.map(|end| end.to_string()))),
        ("metadata", json!(wanted.metadata)),
        ("allowed_ips", json!(wanted.allowed_ips)),
        ("enabled", json!(true)),
        ("owner", Value::Null),
        ("parent_id", Value::Null),
    ] {
        assert_eq!(given[member], value, "{member}");
    }
    let token = given["secret"].as_str().expect("the response has a token");
    let prefix = Prefix::parse(library::PREFIX).expect("the prefix is valid");
    assert!(TokenRef::parse(token.as_bytes(), &prefix).is_ok());
    match block_on(host.keys.verifier().verify(token.as_bytes())) {
        Ok(verified) => {
            assert!(!wanted.expired && wanted.allowed_ips.is_none());
            assert_eq!(given["id"], verified.key().id.to_string());
        }
        Err(VerifyError::Denied(Denied::Expired(_))) => assert!(wanted.expired),
        Err(VerifyError::Denied(Denied::AddressNotAllowed(_))) => {
            assert!(!wanted.expired && wanted.allowed_ips.is_some());
        }
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
    allowed_ips: Option<Vec<String>>,
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
            "allowed_ips",
        ];
        let wanted = Self {
            name: name(object.get("name")?)?,
            expired: optional(object, "expire_now", Value::as_bool)?.unwrap_or_default(),
            end: optional(object, "expires_at", time)?,
            permissions: optional(object, "permissions", permissions)?,
            environment: optional(object, "environment", environment)?.unwrap_or("live".into()),
            metadata: optional(object, "metadata", metadata)?,
            allowed_ips: optional(object, "allowed_ips", allowed_ips)?,
        };
        let both = wanted.expired && wanted.end.is_some();
        (has_only(object, &names) && !both).then_some(wanted)
    }
}

fn update(host: &Host, body: &[u8], object: Option<&Map<String, Value>>) {
    let path = host.renamed.key.id.to_string();
    let response = host.send("PATCH", &path, body);
    let wanted = object.and_then(UpdateBody::read);
    let expected = match &wanted {
        None => 400,
        Some(wanted)
            if !wanted
                .permissions
                .iter()
                .flatten()
                .all(|wanted| is_covered(wanted)) =>
        {
            403
        }
        Some(UpdateBody {
            end: Some(Some(end)),
            ..
        }) if *end <= start_time() => 400,
        Some(_) => 200,
    };
    assert_eq!(response.status, expected, "{response}");
    let wanted = wanted.filter(|_| expected == 200).unwrap_or_default();
    let key = host.item(&path);
    let end = wanted.end.flatten().map(|end| end.to_string());
    let enabled = wanted.enabled.unwrap_or(true);
    for (member, value) in [
        ("name", json!(wanted.name.unwrap_or("renamed".into()))),
        (
            "permissions",
            json!(wanted.permissions.unwrap_or_else(all_permissions)),
        ),
        ("metadata", json!(wanted.metadata.flatten())),
        ("expires_at", json!(end)),
        ("enabled", json!(enabled)),
        ("status", json!(if enabled { "active" } else { "disabled" })),
        ("allowed_ips", json!(wanted.allowed_ips.flatten())),
    ] {
        assert_eq!(key[member], value, "{member}");
    }
}

/// The body of a request that updates a key. In a field that can be removed, the inner `None`
/// removes it.
#[derive(Default)]
struct UpdateBody {
    name: Option<String>,
    permissions: Option<Vec<String>>,
    metadata: Option<Option<Value>>,
    enabled: Option<bool>,
    end: Option<Option<Timestamp>>,
    allowed_ips: Option<Option<Vec<String>>>,
}

impl UpdateBody {
    fn read(object: &Map<String, Value>) -> Option<Self> {
        let names = [
            "name",
            "permissions",
            "metadata",
            "enabled",
            "expires_at",
            "allowed_ips",
        ];
        let wanted = Self {
            name: replacement(object, "name", name)?,
            permissions: replacement(object, "permissions", permissions)?,
            metadata: change(object, "metadata", metadata)?,
            enabled: replacement(object, "enabled", Value::as_bool)?,
            end: change(object, "expires_at", time)?,
            allowed_ips: change(object, "allowed_ips", allowed_ips)?,
        };
        (!object.is_empty() && has_only(object, &names)).then_some(wanted)
    }
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
    let presented = object.and_then(|object| {
        let token = object.get("key")?.as_str()?;
        let permission = optional(object, "permission", |value| {
            let text = value.as_str()?;
            Permission::parse(text).is_ok().then(|| text.to_owned())
        })?;
        let address = optional(object, "client_ip", |value| {
            value.as_str()?.parse::<IpAddr>().ok()
        })?;
        let is_known = has_only(object, &["key", "permission", "client_ip"]);
        is_known.then_some((token, permission, address))
    });
    let Some((token, permission, address)) = presented else {
        assert_eq!(response.status, 400, "{response}");
        return;
    };
    assert_eq!(response.status, 200, "{response}");
    let token = token
        .strip_suffix("\r\n")
        .or_else(|| token.strip_suffix('\n'))
        .unwrap_or(token);
    let is = |issued: &Issued| issued.token.expose() == token;
    let is_allowed = address == Some(IpAddr::from(ALLOWED_IP));
    let code = if is(&host.expired) {
        "EXPIRED"
    } else if is(&host.revoked) {
        "REVOKED"
    } else if is(&host.disabled) {
        "DISABLED"
    } else if is(&host.restricted) && !is_allowed {
        "ADDRESS_NOT_ALLOWED"
    } else if ![&host.renamed, &host.rotated, &host.restricted]
        .into_iter()
        .any(is)
    {
        "NOT_FOUND"
    } else if !permission.iter().all(|wanted| is_covered(wanted)) {
        "INSUFFICIENT_PERMISSION"
    } else {
        assert_eq!(response.json["valid"], true, "{response}");
        return;
    };
    assert_eq!(response.json, json!({"valid": false, "code": code}));
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

/// Reads a member that may be missing and cannot be `null`. Returns `Some(None)` if it is missing,
/// and `None` if it is invalid.
fn replacement<T>(
    object: &Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<Option<T>> {
    match object.get(name) {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

/// Reads a member that may be missing, or `null` to remove a value. Returns `None` if it is
/// invalid.
fn change<T>(
    object: &Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<Option<Option<T>>> {
    match object.get(name) {
        None => Some(None),
        Some(Value::Null) => Some(Some(None)),
        Some(value) => read(value).map(|value| Some(Some(value))),
    }
}

/// Whether the permissions of the caller, and of the keys, cover a permission.
fn is_covered(permission: &str) -> bool {
    ["api_keys:", "calls:"]
        .iter()
        .any(|stem| permission.starts_with(stem))
}

fn all_permissions() -> Vec<String> {
    ["api_keys:*", "calls:*"].map(str::to_owned).into()
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

fn allowed_ips(value: &Value) -> Option<Vec<String>> {
    let texts: Vec<&str> = value
        .as_array()?
        .iter()
        .map(Value::as_str)
        .collect::<Option<_>>()?;
    let parsed = AllowedIps::parse(texts).ok()?;
    Some(parsed.iter().map(|network| network.to_string()).collect())
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
    disabled: Issued,
    /// A key that may be used from one address.
    restricted: Issued,
}

/// The address from which the restricted key may be used.
const ALLOWED_IP: [u8; 4] = [192, 0, 2, 1];

impl Host {
    fn new() -> Self {
        let keys = library::open(library::config(), &Arc::new(MemoryStore::new()));
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
        let [disabled, restricted] =
            ["disabled", "restricted"].map(|name| issue(name, Expiry::Inherited));
        let address = AllowedIps::parse(["192.0.2.1"]).expect("the address is valid");
        for (issued, update) in [
            (&disabled, KeyUpdate::new().with_enabled(false)),
            (&restricted, KeyUpdate::new().with_allowed_ips(address)),
        ] {
            block_on(keys.issuer().update(&caller, &issued.key.id, &update))
                .expect("the call succeeds");
        }
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
            disabled,
            restricted,
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
