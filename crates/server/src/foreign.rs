//! The formats of imported tokens, as the command line spells them.

use std::fmt;

use anyhow::{Result, bail};
use keywright_core::foreign::{Digest, ForeignFormat, HashedPart};

/// A format with an optional prefix of its tokens: `unkey`, `unkey:acme_` or `sha512/_:acme_`.
#[derive(Clone, Debug)]
pub(crate) struct NamedFormat {
    name: String,
    pub(crate) format: ForeignFormat,
}

impl std::str::FromStr for NamedFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let end = text.find(['/', ':']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let (separator, rest) = match rest.strip_prefix('/') {
            Some(rest) => {
                let mut characters = rest.chars();
                let separator = characters.next().filter(is_of_token);
                let separator = separator.ok_or("expected a character after the slash")?;
                (Some(separator), characters.as_str())
            }
            None => (None, rest),
        };
        let prefix = match rest.strip_prefix(':') {
            Some(prefix) if !prefix.is_empty() && prefix.chars().all(|c| is_of_token(&c)) => prefix,
            None if rest.is_empty() => "",
            Some(_) => return Err("expected visible ASCII characters after the colon"),
            None => return Err("expected one character after the slash, then nothing or :PREFIX"),
        };
        let format = match (name, separator) {
            ("unkey", None) => ForeignFormat::unkey(),
            ("sanctum", None) => ForeignFormat::sanctum(),
            ("better-auth", None) => ForeignFormat::better_auth(),
            ("drf-api-key", None) => ForeignFormat::drf_api_key(),
            ("prefixed-api-key", None) => ForeignFormat::prefixed_api_key(),
            ("sha256-hex", None) => ForeignFormat::sha256_hex(),
            ("sha256", separator) => digest(Digest::Sha256, separator),
            ("sha512", separator) => digest(Digest::Sha512, separator),
            ("password", Some(separator)) => ForeignFormat::password(separator),
            _ => {
                return Err(
                    "expected unkey, sanctum, better-auth, drf-api-key, prefixed-api-key, \
                     sha256-hex, sha256, sha512, or password/_ with any separator, such as \
                     unkey:acme_ for tokens that begin with acme_",
                );
            }
        };
        Ok(Self {
            name: text.to_owned(),
            format: format.with_token_prefix(prefix),
        })
    }
}

impl fmt::Display for NamedFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether a token and a list of formats may contain this character.
const fn is_of_token(character: &char) -> bool {
    character.is_ascii_graphic() && *character != ','
}

fn digest(digest: Digest, separator: Option<char>) -> ForeignFormat {
    let part = separator.map_or(HashedPart::Whole, HashedPart::AfterLast);
    ForeignFormat::digest(digest).with_hashed_part(part)
}

/// Returns an error if there are more than four formats, or two that are the same.
pub(crate) fn check(formats: &[NamedFormat]) -> Result<()> {
    if formats.len() > 4 {
        bail!("--foreign-format (KEYWRIGHT_FOREIGN_FORMAT) names more than four formats");
    }
    for (position, format) in formats.iter().enumerate() {
        let is_same = |earlier: &&NamedFormat| earlier.format == format.format;
        if let Some(earlier) = formats.iter().take(position).find(is_same) {
            bail!(
                "--foreign-format (KEYWRIGHT_FOREIGN_FORMAT) names {earlier} and {format}, which \
                 are the same format: name one of them"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(text: &str) -> ForeignFormat {
        text.parse::<NamedFormat>().unwrap().format
    }

    #[test]
    fn a_format_has_a_name_and_perhaps_a_separator_and_a_prefix() {
        let sha512 = || ForeignFormat::digest(Digest::Sha512);
        let last = |separator| sha512().with_hashed_part(HashedPart::AfterLast(separator));
        for (text, expected) in [
            ("sanctum", ForeignFormat::sanctum()),
            (
                "sanctum:acme_",
                ForeignFormat::sanctum().with_token_prefix("acme_"),
            ),
            (
                "unkey:a/b:c",
                ForeignFormat::unkey().with_token_prefix("a/b:c"),
            ),
            ("sha512", sha512()),
            ("sha512/_", last('_')),
            ("sha512//", last('/')),
            ("sha512/::x", last(':').with_token_prefix("x")),
            ("password/.", ForeignFormat::password('.')),
        ] {
            assert_eq!(format(text), expected, "{text}");
        }
        for bad in [
            "",
            "unkeys",
            "unkey:",
            "unkey/_",
            "sha256/",
            "sha256/__",
            "sha256/,",
            "sha256/ü",
            "password",
            "unkey:ü",
            "sha256:a b",
            ":x",
            "/_",
        ] {
            assert!(bad.parse::<NamedFormat>().is_err(), "{bad}");
        }
    }

    #[test]
    fn at_most_four_different_formats_are_accepted() {
        let check = |names: &[&str]| {
            let formats: Vec<NamedFormat> =
                names.iter().map(|name| name.parse().unwrap()).collect();
            check(&formats).map_err(|error| error.to_string())
        };
        assert_eq!(
            check(&["unkey:a_", "unkey:b_", "sanctum", "sha512"]),
            Ok(())
        );
        let error = check(&["unkey:a_", "unkey:b_", "sanctum", "sha512", "unkey"]);
        assert!(error.unwrap_err().contains("more than four"));
        let error = check(&["sanctum", "unkey", "better-auth"]).unwrap_err();
        assert!(error.contains("unkey and better-auth"), "{error}");
    }
}
