//! The tower service that hosts mount.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
        IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body_util::Full;
use tower_service::Service;

use crate::{
    assets::{Asset, ENTRY, VERSION, etag},
    mount::{Mount, RequestPaths},
    page,
};

/// The modules that a host may name without a version.
const ENTRIES: [&str; 2] = [ENTRY, "de.js"];

const METHODS: &str = "GET, HEAD, OPTIONS";

/// The content of a name that contains the version never changes.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A browser may keep the content, but asks whether it has changed before each use.
const REVALIDATE: &str = "no-cache";

/// Keeps the window of the page from pages of other origins that open it or that it opens.
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Keeps the files from pages of other origins.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The console, as one tower service for any request body.
///
/// | path | response |
/// | --- | --- |
/// | `/` | the page |
/// | `/keywright-keys.js` | the module that defines `<keywright-keys>`; a browser revalidates it |
/// | `/de.js` | the module with the German texts, `german`; a browser revalidates it |
/// | `/{version}/{file}` | a file of the current version, which a browser keeps for a year |
///
/// The version is a hash of the contents of all files. The page and the module without a version
/// name the current one. Each response has an `ETag` and `X-Content-Type-Options: nosniff`. The
/// page has a strict `Content-Security-Policy`, and `Cross-Origin-Opener-Policy: same-origin`.
///
/// The service needs no authentication: its files are the same for everyone. The API that the
/// component calls authenticates.
///
/// ```
/// use axum::Router;
/// use keywright_console::Console;
///
/// let console = Console::nested("/console").for_api("/v1/api-keys");
/// let app: Router = Router::new().nest_service("/console", console);
/// ```
#[derive(Debug, Clone)]
pub struct Console(Arc<Site>);

#[derive(Debug, Clone)]
struct Site {
    mount: Mount,
    api: String,
    revocation_bound: Option<Duration>,
    page: Bytes,
    page_etag: String,
}

impl Console {
    /// The path templates of the service below the mount point, for routers that register each of
    /// them, so that logs and metrics can name the template of a request.
    pub const PATHS: [&str; 4] = ["", "/", "/{file}", "/{version}/{file}"];

    /// Creates the service for a router that removes the path `base` (`"/console"`) from the
    /// requests below it, as axum's `nest_service` does.
    #[must_use]
    pub fn nested(base: &str) -> Self {
        Self::mounted(Mount::new(base, RequestPaths::BelowBase))
    }

    /// Creates the service for requests whose path begins with `base`, as plain hyper and axum's
    /// `route_service` pass them on.
    #[must_use]
    pub fn at(base: &str) -> Self {
        Self::mounted(Mount::new(base, RequestPaths::Whole))
    }

    fn mounted(mount: Mount) -> Self {
        let site = Site {
            mount,
            api: "/v1/api-keys".to_owned(),
            revocation_bound: None,
            page: Bytes::new(),
            page_etag: String::new(),
        };
        Self(Arc::new(site)).with(|_| ())
    }

    /// Sets the path of the endpoints that the page uses. The default is `/v1/api-keys`.
    #[must_use]
    pub fn for_api(self, path: &str) -> Self {
        self.with(|site| path.trim_end_matches('/').clone_into(&mut site.api))
    }

    /// Sets the time within which every server rejects a revoked key, which depends on the store.
    /// The page then states it before a person revokes or pauses a key. Zero means at once.
    #[must_use]
    pub fn with_revocation_bound(self, bound: Duration) -> Self {
        self.with(|site| site.revocation_bound = Some(bound))
    }

    /// Returns the path of the module that defines `<keywright-keys>`, with its version. A host
    /// that renders its HTML from templates can name it in a `<script type="module">`, which saves
    /// the browser the request for `keywright-keys.js` without a version.
    #[must_use]
    pub fn module_path(&self) -> String {
        format!("{}/{}/{ENTRY}", self.0.mount.base(), *VERSION)
    }

    fn with(self, change: impl FnOnce(&mut Site)) -> Self {
        let mut site = Arc::unwrap_or_clone(self.0);
        change(&mut site);
        let html = page::html(site.mount.base(), &site.api, site.revocation_bound);
        site.page_etag = etag(&html);
        site.page = html.into();
        Self(Arc::new(site))
    }
}

impl<B> Service<Request<B>> for Console {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let response = self
            .0
            .respond(request.method(), request.uri().path(), request.headers());
        ready(Ok(response))
    }
}

impl Site {
    fn respond(&self, method: &Method, path: &str, request: &HeaderMap) -> Response<Full<Bytes>> {
        let Some(content) = self.mount.relative(path).and_then(|path| self.find(path)) else {
            return plain(StatusCode::NOT_FOUND, "there is nothing here\n");
        };
        match *method {
            Method::GET | Method::HEAD => content.into_response(method, request),
            Method::OPTIONS => allow(plain(StatusCode::NO_CONTENT, "")),
            _ => allow(plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not support the method\n",
            )),
        }
    }

    fn find(&self, path: &str) -> Option<Content> {
        match path.split_once('/') {
            None if path.is_empty() => Some(Content {
                text: self.page.clone(),
                etag: self.page_etag.clone(),
                media_type: "text/html; charset=utf-8",
                cache: REVALIDATE,
                is_page: true,
            }),
            None if ENTRIES.contains(&path) => {
                let entry = page::entry(path);
                Some(Content {
                    etag: etag(&entry),
                    text: entry.into(),
                    media_type: "text/javascript; charset=utf-8",
                    cache: REVALIDATE,
                    is_page: false,
                })
            }
            Some((version, name)) if version == *VERSION => {
                let asset = Asset::find(name)?;
                Some(Content {
                    text: asset.text.clone(),
                    etag: format!("\"{}\"", *VERSION),
                    media_type: asset.media_type(),
                    cache: IMMUTABLE,
                    is_page: false,
                })
            }
            _ => None,
        }
    }
}

/// A text with the headers of its response.
struct Content {
    text: Bytes,
    etag: String,
    media_type: &'static str,
    cache: &'static str,
    is_page: bool,
}

impl Content {
    fn into_response(self, method: &Method, request: &HeaderMap) -> Response<Full<Bytes>> {
        let is_known = request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|tags| tags.to_str().ok())
            .flat_map(|tags| tags.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == self.etag || tag == "*");
        let length = self.text.len();
        let is_empty = is_known || *method == Method::HEAD;
        let mut response = Response::new(if is_empty {
            Full::default()
        } else {
            Full::new(self.text)
        });
        let headers = response.headers_mut();
        harden(headers);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache));
        // The tag consists of hexadecimal digits and quotes, which are valid in a header.
        headers.extend(HeaderValue::try_from(self.etag).ok().map(|tag| (ETAG, tag)));
        if self.is_page {
            let policy = HeaderValue::from_static(page::POLICY);
            headers.insert(CONTENT_SECURITY_POLICY, policy);
            let referrer = HeaderValue::from_static("no-referrer");
            headers.insert(REFERRER_POLICY, referrer);
            headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
        }
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
            headers.insert(CONTENT_LENGTH, length.into());
        }
        response
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    harden(response.headers_mut());
    if !text.is_empty() {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
    }
    response
}

fn harden(headers: &mut HeaderMap) {
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}

fn allow(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let methods = HeaderValue::from_static(METHODS);
    response.headers_mut().insert(ALLOW, methods);
    response
}
