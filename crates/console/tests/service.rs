//! The service, without a browser: paths, caching and headers.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use keywright_console::Console;
use tower::ServiceExt;

async fn send(console: Console, request: Request<()>) -> Response<String> {
    let response: Response<Full<_>> = console.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn get(console: &Console, path: &str) -> Response<String> {
    send(console.clone(), Request::get(path).body(()).unwrap()).await
}

fn header<'a>(response: &'a Response<String>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn the_page_names_files_that_a_browser_may_keep_for_a_year() {
    let console = Console::at("/console").for_api("/keys/");
    let page = get(&console, "/console").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&page, "cache-control"), "no-cache");
    assert!(page.body().contains(r#"<keywright-keys api="/keys""#));
    assert_eq!(get(&console, "/console/").await.body(), page.body());
    let paths: Vec<&str> = page
        .body()
        .split('"')
        .filter(|text| text.starts_with("/console/"))
        .collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    assert!(paths.contains(&console.module_path().as_str()));
    for path in paths {
        let file = get(&console, path).await;
        assert_eq!(file.status(), StatusCode::OK, "{path}");
        let cache = header(&file, "cache-control");
        assert_eq!(cache, "public, max-age=31536000, immutable", "{path}");
        assert_eq!(header(&file, "x-content-type-options"), "nosniff", "{path}");
        assert!(header(&file, "etag").len() == 34, "{path}");
    }
}

#[tokio::test]
async fn the_module_without_a_version_loads_the_current_one() {
    let console = Console::nested("/console");
    let entry = get(&console, "/keywright-keys.js").await;
    assert_eq!(header(&entry, "cache-control"), "no-cache");
    assert_eq!(
        header(&entry, "content-type"),
        "text/javascript; charset=utf-8"
    );
    let path = console.module_path();
    let relative = path.strip_prefix("/console/").unwrap();
    assert_eq!(*entry.body(), format!("export * from \"./{relative}\";\n"));
    assert_eq!(
        get(&console, &format!("/{relative}")).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_known_version_is_not_sent_again() {
    let console = Console::nested("/console");
    for path in ["/", "/keywright-keys.js"] {
        let tag = header(&get(&console, path).await, "etag").to_owned();
        for tags in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            "*".into(),
        ] {
            let request = Request::get(path).header("if-none-match", &tags);
            let response = send(console.clone(), request.body(()).unwrap()).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{path} {tags}");
            assert_eq!(response.body(), "", "{path} {tags}");
            assert_eq!(header(&response, "etag"), tag, "{path} {tags}");
        }
        let request = Request::get(path).header("if-none-match", "\"x\"");
        let response = send(console.clone(), request.body(()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    // The page changes with its settings, so its tag does as well.
    let tag = |response: Response<String>| header(&response, "etag").to_owned();
    let other = console
        .clone()
        .with_revocation_bound(Duration::from_millis(100));
    assert_ne!(tag(get(&console, "/").await), tag(get(&other, "/").await));
}

#[tokio::test]
async fn only_the_page_has_a_policy_and_it_allows_only_files_of_its_origin() {
    let console = Console::nested("/console");
    let page = get(&console, "/").await;
    let policy = header(&page, "content-security-policy");
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.split("; ").any(|part| part == directive), "{policy}");
    }
    assert_eq!(header(&page, "referrer-policy"), "no-referrer");
    assert_eq!(header(&page, "cross-origin-opener-policy"), "same-origin");
    let entry = get(&console, "/keywright-keys.js").await;
    assert_eq!(header(&entry, "content-security-policy"), "");
}

#[tokio::test]
async fn other_paths_and_methods_are_rejected() {
    let console = Console::at("/console");
    let path = console.module_path();
    for unknown in [
        "/",
        "/consoles",
        "/console/x",
        "/console//",
        "/console/../Cargo.toml",
        "/console/0/keywright-keys.js",
        &format!("{path}/"),
        &path.replace("keywright-keys.js", "../assets.rs"),
    ] {
        let response = get(&console, unknown).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{unknown}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    }
    for (method, status) in [("OPTIONS", 204), ("POST", 405), ("DELETE", 405)] {
        let request = Request::builder()
            .method(method)
            .uri(&path)
            .body(())
            .unwrap();
        let response = send(console.clone(), request).await;
        assert_eq!(response.status(), status, "{method}");
        assert_eq!(header(&response, "allow"), "GET, HEAD, OPTIONS", "{method}");
    }
    let head = Request::head(&path).body(()).unwrap();
    let head = send(console.clone(), head).await;
    assert_eq!(head.body(), "");
    assert_eq!(head.headers(), get(&console, &path).await.headers());
}
