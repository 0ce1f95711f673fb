//! Fuzzes the query string. A valid query has exactly the requested effect. Any other query is
//! rejected with 400 and has no effect.

#![no_main]

mod endpoint;
mod library;

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use bytes::Bytes;
use futures_executor::block_on;
use http::{Request, Uri, header};
use keywright_core::{
    Caller, Expiry, Issued, KeyId, KeyUpdate, Keywright, MemoryStore, Name, NewKey, Owner,
    Permissions, Reach, Workspace, store::fold_case,
};
use keywright_http_tower::ApiKeys;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use self::endpoint::{ApiResponse, send};

const UNKNOWN: &str = "key_0U5lKtf600000000";

fuzz_target!(|bytes: &[u8]| {
    let escaped: String = form_urlencoded::byte_serialize(bytes).collect();
    for query in [
        bytes,
        escaped.as_bytes(),
        format!("search={escaped}").as_bytes(),
        format!("limit=1&cursor={escaped}").as_bytes(),
    ] {
        Query::new(query).iter().for_each(check);
    }
});

fn check(query: &Query) {
    let host = Host::new();
    let key = host.key.to_string();

    check_list(&host, query);
    let rotate = format!("{key}/rotate");
    let (named, presented) = (r#"{"name":"renamed"}"#, r#"{"key":"x"}"#);
    for (method, path, body, done) in [
        ("GET", key.as_str(), "", 200),
        ("POST", "verify", presented, 200),
        ("PATCH", &key, named, 200),
        ("POST", "", named, 201),
        ("POST", &rotate, "", 201),
    ] {
        let nothing = query.parameters.is_empty();
        host.expect(method, path, query, body, if nothing { done } else { 400 });
    }

    let cascade = query.cascade();
    let missing = if cascade.is_some() { 404 } else { 400 };
    host.expect("DELETE", UNKNOWN, query, "", missing);
    match cascade {
        Some(cascade) => {
            let response = host.expect("DELETE", &key, query, "", 200);
            // The key and its child are revoked.
            let revoked = cascade.then_some(2);
            assert_eq!(response.json["revoked"].as_u64(), revoked, "{response}");
            host.expect("DELETE", &key, query, "", 404);
        }
        None => {
            host.expect("DELETE", &key, query, "", 400);
            let found = block_on(host.keys.issuer().find(&host.caller, &host.key));
            assert_eq!(found.expect("the key exists").key.revoked_at, None);
        }
    }
}

/// Checks that a list contains exactly the requested keys, and so does the next page.
fn check_list(host: &Host, query: &Query) {
    if let Some(cursor) = check_page(host, query) {
        let next = format!("{}&cursor={cursor}", query.text);
        let next = Query::new(next.as_bytes()).expect("the query is valid");
        check_page(host, &next);
    }
}

/// Checks a page of a list, and returns the cursor of the next page.
fn check_page(host: &Host, query: &Query) -> Option<String> {
    let response = host.send("GET", "", query, "");
    let Some(wanted) = query.list() else {
        assert_eq!(response.status, 400, "{response}");
        return None;
    };
    if wanted.cursor.is_some() && response.status == 400 {
        assert_eq!(response.json["errors"][0]["field"], "cursor", "{response}");
        return None;
    }
    assert_eq!(response.status, 200, "{response}");
    let matching = host.newest_first.iter().filter(|key| {
        wanted.status.is_none_or(|status| status == key.status)
            && (wanted.owner.is_none() || wanted.owner.as_deref() == key.owner)
            && fold_case(key.name).contains(&fold_case(&wanted.search))
    });
    let total = matching.clone().count() as u64;
    let after = matching.filter(|key| {
        let shown = wanted.cursor.as_deref().map(str::as_bytes);
        shown.is_none_or(|cursor| key.id.as_bytes()[..] < cursor[..KeyId::LENGTH])
    });
    let mut ids = after
        .map(|key| Value::from(key.id.to_string()))
        .skip(usize::try_from((wanted.page - 1) * wanted.limit).expect("the number fits"));
    let limit = usize::try_from(wanted.limit).expect("the number fits");
    let expected: Vec<Value> = ids.by_ref().take(limit).collect();
    let data = response.json["data"]
        .as_array()
        .expect("the response has a list");
    let shown: Vec<Value> = data.iter().map(|item| item["id"].clone()).collect();
    assert_eq!(shown, expected, "{response}");

    let meta = &response.json["meta"];
    assert_eq!(meta["limit"], wanted.limit, "{response}");
    let more = ids.next().is_some();
    assert_eq!(meta["nextCursor"].is_string(), more, "{response}");
    let by_number = wanted.cursor.is_none();
    for (member, value) in [
        ("page", wanted.page),
        ("total", total),
        ("totalPages", total.div_ceil(wanted.limit)),
    ] {
        assert_eq!(
            meta[member].as_u64(),
            by_number.then_some(value),
            "{response}"
        );
    }
    meta["nextCursor"].as_str().map(str::to_owned)
}

/// A query string of a URI, and its parameters.
struct Query {
    text: String,
    /// Whether the decoded query is valid UTF-8.
    utf8: bool,
    parameters: Vec<(String, String)>,
}

/// The parameters of a list.
struct ListParameters {
    page: u64,
    limit: u64,
    search: String,
    status: Option<&'static str>,
    owner: Option<String>,
    cursor: Option<String>,
}

impl Query {
    /// Returns `None` if the query is not valid in a URI, so that a server rejects the request.
    fn new(bytes: &[u8]) -> Option<Self> {
        let uri = Uri::try_from([b"/?", bytes].concat()).ok()?;
        let text = uri.query().unwrap_or_default().to_owned();
        let parameters = form_urlencoded::parse(text.as_bytes())
            .map(|(name, value)| (Cow::into_owned(name), Cow::into_owned(value)))
            .collect();
        Some(Self {
            utf8: percent_decode_str(&text).decode_utf8().is_ok(),
            text,
            parameters,
        })
    }

    /// Returns the value of a parameter, or `None` if it is missing.
    fn value(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        parameters
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the query contains no other parameters than these, and each at most once.
    fn has_only(&self, names: &[&str]) -> bool {
        let mut seen = HashSet::new();
        let mut parameters = self.parameters.iter();
        self.utf8 && parameters.all(|(name, _)| names.contains(&name.as_str()) && seen.insert(name))
    }

    fn list(&self) -> Option<ListParameters> {
        let names = ["page", "limit", "search", "status", "owner", "cursor"];
        let search = self.value("search").unwrap_or_default();
        let status = match self.value("status") {
            Some(text) => Some(
                ["active", "disabled", "expired", "revoked"]
                    .into_iter()
                    .find(|status| *status == text)?,
            ),
            None => None,
        };
        let owner = self.value("owner");
        let is_owner = |text: &str| {
            let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
            visible && (1..=128).contains(&text.len())
        };
        let both = self.value("page").is_some() && self.value("cursor").is_some();
        if !self.has_only(&names)
            || search.chars().count() > 1024
            || both
            || !owner.is_none_or(is_owner)
        {
            return None;
        }
        Some(ListParameters {
            page: self.number("page", u64::from(u32::MAX), 1)?,
            limit: self.number("limit", 100, 20)?,
            search: search.to_owned(),
            status,
            owner: owner.map(str::to_owned),
            cursor: self.value("cursor").map(str::to_owned),
        })
    }

    fn number(&self, name: &str, maximum: u64, default: u64) -> Option<u64> {
        let Some(text) = self.value(name) else {
            return Some(default);
        };
        let digits = text.trim_start_matches('0');
        let number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .parse()
            .ok()
            .filter(|value| number && *value <= maximum)
    }

    fn cascade(&self) -> Option<bool> {
        match self.value("cascade") {
            _ if !self.has_only(&["cascade"]) => None,
            Some("true" | "True" | "1") => Some(true),
            Some("false" | "False" | "0") | None => Some(false),
            Some(_) => None,
        }
    }
}

/// The endpoints over a workspace with a few keys.
struct Host {
    keys: Keywright,
    service: ApiKeys,
    caller: Caller,
    newest_first: Vec<ListedKey>,
    /// An active key with a child.
    key: KeyId,
}

struct ListedKey {
    id: KeyId,
    name: &'static str,
    status: &'static str,
    owner: Option<&'static str>,
}

impl Host {
    fn new() -> Self {
        let keys = library::open(library::config(), &Arc::new(MemoryStore::new()));
        let workspace = Workspace::parse("acme").expect("the workspace is valid");
        let caller = Caller::new(workspace, Permissions::all());
        let issuer = keys.issuer();
        let issue = |caller: &Caller, name, expiry| -> Issued {
            let mut new = NewKey::new(Name::parse(name).expect("the name is valid"));
            new.expiry = expiry;
            block_on(issuer.create(caller, new)).expect("the call succeeds")
        };
        let parent = issue(&caller, "Straße", Expiry::Inherited).key;
        let child = issue(&Caller::from(&parent), "STRASSE 2", Expiry::Inherited).key;
        let ada = Owner::parse("user:ada").expect("the owner is valid");
        let owned = caller.clone().with_owner(ada);
        let expired = issue(&owned, "old", Expiry::Now).key;
        let revoked = issue(&caller, "lost & found", Expiry::Inherited).key;
        block_on(issuer.revoke(&caller, &revoked.id, Reach::Key)).expect("the call succeeds");
        let disabled = issue(&owned, "paused", Expiry::Inherited).key;
        let pause = KeyUpdate::new().with_enabled(false);
        block_on(issuer.update(&caller, &disabled.id, &pause)).expect("the call succeeds");
        let listed = |id, name, status, owner| ListedKey {
            id,
            name,
            status,
            owner,
        };
        let mut newest_first = vec![
            listed(parent.id, "Straße", "active", None),
            listed(child.id, "STRASSE 2", "active", None),
            listed(expired.id, "old", "expired", Some("user:ada")),
            listed(revoked.id, "lost & found", "revoked", None),
            listed(disabled.id, "paused", "disabled", Some("user:ada")),
        ];
        newest_first.sort_by_key(|key| std::cmp::Reverse(key.id));
        Self {
            service: ApiKeys::nested(&keys, ""),
            keys,
            caller,
            newest_first,
            key: parent.id,
        }
    }

    fn send(&self, method: &str, path: &str, query: &Query, body: &'static str) -> ApiResponse {
        let request = Request::builder()
            .method(method)
            .uri(format!("/{path}?{}", query.text))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from_static(body.as_bytes()))
            .expect("the request is valid");
        let response = send(&self.service, &self.caller, request);
        response.assert_not_echoed(query.text.as_bytes());
        for (name, value) in &query.parameters {
            response.assert_not_echoed(name.as_bytes());
            response.assert_not_echoed(value.as_bytes());
        }
        response
    }

    fn expect(
        &self,
        method: &str,
        path: &str,
        query: &Query,
        body: &'static str,
        status: u16,
    ) -> ApiResponse {
        let response = self.send(method, path, query, body);
        assert_eq!(response.status, status, "{method} {path}: {response}");
        response
    }
}
