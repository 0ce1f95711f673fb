//! The files of the component, and the version that their contents determine.

use std::{fmt::Write as _, sync::LazyLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The module that defines the element. It imports the others.
pub(crate) const ENTRY: &str = "keywright-keys.js";

/// The module of the page. It imports the element.
pub(crate) const PAGE_MODULE: &str = "page.js";

/// The stylesheet of the element and of the page.
pub(crate) const STYLESHEET: &str = "keywright-keys.css";

pub(crate) const ICON: &str = "icon.svg";

/// A file that browsers load.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) name: &'static str,
    pub(crate) text: Bytes,
}

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../assets/", $name)))),*]
    };
}

/// All files as they are in the repository, in the order of their names.
const SOURCES: &[(&str, &str)] = &sources![
    "activity.js",
    "api.js",
    "changes.js",
    "de.js",
    "detail.js",
    "dom.js",
    "form.js",
    "icon.svg",
    "keywright-keys.css",
    "keywright-keys.d.ts",
    "keywright-keys.js",
    "list.js",
    "page.js",
    "report.js",
    "secret.js",
    "sign-in.js",
    "texts.js",
    "ui.js",
];

/// All files as browsers receive them.
pub(crate) static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let serve = |&(name, source): &(&'static str, &'static str)| Asset {
        name,
        text: if name.ends_with(".js") || name.ends_with(".css") {
            compact(source).into()
        } else {
            Bytes::from_static(source.as_bytes())
        },
    };
    SOURCES.iter().map(serve).collect()
});

/// The version of the files: the first half of a SHA-256 digest of their names and contents, in
/// hexadecimal. Modules import each other by relative paths, so all of them have one version.
pub(crate) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in ASSETS.iter() {
        for part in [asset.name.as_bytes(), &asset.text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hexadecimal(&hash.finalize())
});

impl Asset {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.name == name)
    }

    pub(crate) fn media_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            // Browsers do not load the declaration. Editors and compilers do.
            _ => "text/plain; charset=utf-8",
        }
    }
}

/// Removes comments and indentation. Half of a module is documentation and types for its readers.
///
/// This is no parser: a string in a source must not contain `/*`, and no string may go over several
/// lines. The tests in the browser run the result.
fn compact(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    let lines = code.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Returns the entity tag of a text.
pub(crate) fn etag(text: &str) -> String {
    format!("\"{}\"", hexadecimal(&Sha256::digest(text)))
}

/// Returns the first half of a digest.
fn hexadecimal(digest: &[u8]) -> String {
    digest
        .iter()
        .take(16)
        .fold(String::new(), |mut text, byte| {
            // Writing to a `String` does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let served: Vec<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        assert_eq!(served, names);
    }

    #[test]
    fn a_browser_loads_at_most_84_kib() {
        let is_loaded = |asset: &&Asset| !["de.js", "keywright-keys.d.ts"].contains(&asset.name);
        let length: usize = ASSETS
            .iter()
            .filter(is_loaded)
            .map(|asset| asset.text.len())
            .sum();
        assert!(length <= 84 * 1024, "{length} bytes");
    }

    #[test]
    fn comments_and_indentation_are_not_served() {
        let source =
            "/** A.\n * B. */\nlet a = /** @type {any} */ (b);\n\n  // c\n  d(\"http://e\");\n";
        assert_eq!(compact(source), "let a =  (b);\nd(\"http://e\");\n");
    }
}
