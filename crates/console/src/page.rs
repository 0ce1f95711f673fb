//! The page around the component.

use std::time::Duration;

use crate::assets::{ENTRY, ICON, PAGE_MODULE, STYLESHEET, VERSION};

/// The content security policy of the page. It allows the files of the console and the API on the
/// same origin. With the Trusted Types directives, the browser rejects every conversion of a string
/// into markup or a script.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Returns the HTML of the page. `base` is the path of the console, and `api` that of the
/// endpoints.
pub(crate) fn html(base: &str, api: &str, revocation_bound: Option<Duration>) -> String {
    let folder = escape(&format!("{base}/{}", *VERSION));
    let api = escape(api);
    let bound = revocation_bound.map_or(String::new(), |bound| {
        format!(" revocation-bound=\"{}\"", bound.as_millis())
    });
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>API keys</title>
<link rel="icon" type="image/svg+xml" href="{folder}/{ICON}">
<link rel="stylesheet" href="{folder}/{STYLESHEET}">
<link rel="modulepreload" href="{folder}/{ENTRY}">
<script type="module" src="{folder}/{PAGE_MODULE}"></script>
</head>
<body class="console-page">
<main>
<h1>API keys</h1>
<keywright-keys api="{api}" sign-in="key" routing="hash"{bound}></keywright-keys>
<noscript><p>This page needs JavaScript.</p></noscript>
</main>
</body>
</html>
"#
    )
}

/// Returns the module that hosts name without a version. It loads the current version.
pub(crate) fn entry(name: &str) -> String {
    format!("export * from \"./{}/{name}\";\n", *VERSION)
}

/// Escapes a text for a quoted attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_break_out_of_its_attribute() {
        let html = html("/c", r#"/k"><script>"#, None);
        assert!(
            html.contains(r#"api="/k&quot;&gt;&lt;script&gt;""#),
            "{html}"
        );
    }
}
