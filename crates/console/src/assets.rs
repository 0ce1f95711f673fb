//! The files of the component, and the version that their contents determine.

use std::{fmt::Write as _, sync::LazyLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The module that defines the element.
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

/// The modules of the element. The last one defines it, and uses the others.
const MODULES: &[(&str, &str)] = &sources![
    "activity.js",
    "api.js",
    "changes.js",
    "detail.js",
    "dom.js",
    "form.js",
    "list.js",
    "report.js",
    "secret.js",
    "sign-in.js",
    "texts.js",
    "ui.js",
    "keywright-keys.js",
];

/// The other files.
const FILES: &[(&str, &str)] = &sources![
    "de.js",
    "icon.svg",
    "keywright-keys.css",
    "keywright-keys.d.ts",
    "page.js",
];

/// All files as browsers receive them.
pub(crate) static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let serve = |&(name, source): &(&'static str, &'static str)| Asset {
        name,
        text: match name.rsplit('.').next() {
            Some("js") => fold(&strip(source)).into(),
            Some("css") => squeeze(&fold(&strip(source)), STYLE_SPACES).into(),
            _ => Bytes::from_static(source.as_bytes()),
        },
    };
    let element = Asset {
        name: ENTRY,
        text: join(MODULES).into(),
    };
    FILES.iter().map(serve).chain([element]).collect()
});

/// The version of the files: the first half of a SHA-256 digest of their names and contents, in
/// hexadecimal. The module of the page imports the element by its relative path, so all files have
/// one version.
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
fn strip(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
    code.push_str(rest);
    let lines = code.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Removes the line breaks within brackets, after statements and after blocks, and the comma or
/// semicolon before a closing bracket. They have no meaning in either language, because every
/// statement that is not a block ends in a semicolon.
fn fold(code: &str) -> String {
    let mut folded = String::with_capacity(code.len());
    for line in code.lines() {
        if line.starts_with([')', ']', '}']) {
            let end = folded.trim_end_matches(['\n', ',', ';']).len();
            folded.truncate(end);
        }
        folded.push_str(line);
        if !line.ends_with(['(', '[', '{', '}', ',', ';']) {
            folded.push('\n');
        }
    }
    folded
}

/// Spaces of a stylesheet that have no meaning. Its strings contain none of these.
const STYLE_SPACES: &[&str] = &[": ", ", ", " {"];

/// Spaces of a module that have no meaning. Its strings contain none of these.
const MODULE_SPACES: &[&str] = &[
    " = ", " => ", " === ", " !== ", " && ", " || ", " ?? ", ") {", "{ ", " }",
];

fn squeeze(code: &str, spaces: &[&str]) -> String {
    spaces.iter().fold(code.to_owned(), |code, spaced| {
        code.replace(spaced, &spaced.replace(' ', ""))
    })
}

/// Joins modules that import each other into one, so that a browser needs one request. Only the
/// last one keeps its exports. Each import is on one line, and no two modules define the same name.
fn join(modules: &[(&str, &str)]) -> String {
    let mut joined = String::new();
    for (name, source) in modules {
        for line in strip(source).lines() {
            if line.starts_with("import ") {
                continue;
            }
            let inner = line.strip_prefix("export ").filter(|_| *name != ENTRY);
            joined.push_str(inner.unwrap_or(line));
            joined.push('\n');
        }
    }
    squeeze(&fold(&joined), MODULE_SPACES)
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut served: Vec<&str> = MODULES.iter().chain(FILES).map(|(name, _)| *name).collect();
        served.sort_unstable();
        assert_eq!(served, names);
    }

    #[test]
    fn a_browser_loads_at_most_60_kb() {
        let is_loaded = |asset: &&Asset| !["de.js", "keywright-keys.d.ts"].contains(&asset.name);
        let files: usize = ASSETS
            .iter()
            .filter(is_loaded)
            .map(|asset| asset.text.len())
            .sum();
        let page = crate::page::html("/console", "/v1/api-keys", Some(Duration::from_millis(100)));
        let length = files + page.len();
        assert!(length <= 60_000, "{length} bytes");
    }

    #[test]
    fn joined_modules_have_no_imports_and_the_exports_of_the_last_one() {
        let modules = [
            ("a.js", "export const a = 1;\n"),
            (
                ENTRY,
                "import { a } from \"./a.js\";\nexport const b = a;\n",
            ),
        ];
        assert_eq!(join(&modules), "const a=1;export const b=a;");
    }

    #[test]
    fn no_text_contains_spaces_that_are_not_served() {
        for (name, source) in MODULES {
            let code = strip(source);
            for text in code
                .lines()
                .flat_map(|line| line.split('"').skip(1).step_by(2))
            {
                let lost = MODULE_SPACES.iter().find(|spaced| text.contains(*spaced));
                assert_eq!(lost, None, "{name}: {text}");
            }
        }
    }

    #[test]
    fn comments_indentation_and_needless_line_breaks_are_not_served() {
        let source = "/** A.\n * B. */\nlet a = /** @type {any} */ (b);\n\n  // c\n  d(\n    \"http://e\",\n  );\n";
        let stripped = strip(source);
        assert_eq!(stripped, "let a = (b);\nd(\n\"http://e\",\n);\n");
        assert_eq!(fold(&stripped), "let a = (b);d(\"http://e\");");
        assert_eq!(fold("if (a) {\nb();\n}\nc();\n"), "if (a) {b()}c();");
        // Other line breaks may have a meaning.
        assert_eq!(fold("a\nb;\n"), "a\nb;");
        assert_eq!(squeeze(".a, .b {c: d e}", STYLE_SPACES), ".a,.b{c:d e}");
    }
}
