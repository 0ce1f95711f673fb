//! The formats of imported tokens, as the command line spells them.

use std::fmt;

use keywright_core::foreign::ForeignFormat;

/// A format, and a prefix that its tokens must have: `unkey` or `unkey:acme_`.
#[derive(Clone, Debug)]
pub(crate) struct NamedFormat {
    name: String,
    pub(crate) format: ForeignFormat,
}

impl std::str::FromStr for NamedFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, prefix) = text.split_once(':').unwrap_or((text, ""));
        let format = match name {
            "unkey" => ForeignFormat::unkey(),
            "sanctum" => ForeignFormat::sanctum(),
            "better-auth" => ForeignFormat::better_auth(),
            "drf-api-key" => ForeignFormat::drf_api_key(),
            "prefixed-api-key" => ForeignFormat::prefixed_api_key(),
            "sha256-hex" => ForeignFormat::sha256_hex(),
            _ => {
                return Err(
                    "expected unkey, sanctum, better-auth, drf-api-key, prefixed-api-key or \
                     sha256-hex, such as unkey:acme_ for tokens that begin with acme_",
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
