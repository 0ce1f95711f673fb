//! The formats of the tokens of other systems.

use std::ops::RangeInclusive;

use memchr::{memchr, memrchr};
use sha2::{Digest as _, Sha256, Sha512};

use super::{
    hash::{ForeignHash, ForeignHashError},
    token::ForeignToken,
};
use crate::store::Alias;

/// A format of tokens that another system issued: how to recognise a token, how to find its key,
/// and which part of it the other system hashed.
///
/// A format that demands a [prefix](Self::with_token_prefix) or a
/// [length](Self::with_token_length) rejects other tokens without a read of the store.
///
/// ```
/// use keywright_core::foreign::{Digest, ForeignFormat, HashedPart};
///
/// let unkey = ForeignFormat::unkey().with_token_prefix("acme_");
/// let own = ForeignFormat::digest(Digest::Sha512)
///     .with_hashed_part(HashedPart::AfterLast('.'))
///     .with_token_length(40..=40);
/// # assert_ne!(unkey, own);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignFormat {
    lookup: Lookup,
    part: HashedPart,
    prefix: Box<str>,
    length: RangeInclusive<usize>,
}

/// How the key of a token is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lookup {
    /// By the digest of the hashed part.
    Digest(Digest),
    /// By the public part before the first occurrence of this character.
    PublicPart(char),
}

/// A digest algorithm. The digest of a token both identifies its key and proves the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// The part of a token that the other system hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HashedPart {
    /// The whole token.
    Whole,
    /// The part after the first occurrence of this character.
    AfterFirst(char),
    /// The part after the last occurrence of this character.
    AfterLast(char),
}

impl HashedPart {
    /// Returns the part. `None` if the token has no such part, or an empty one.
    fn of(self, token: &[u8]) -> Option<&[u8]> {
        let part = match self {
            Self::Whole => Some(token),
            Self::AfterFirst(separator) => {
                split_once(memchr, separator, token).map(|(_, part)| part)
            }
            Self::AfterLast(separator) => {
                split_once(memrchr, separator, token).map(|(_, part)| part)
            }
        };
        part.filter(|part| !part.is_empty())
    }
}

/// Splits an ASCII token at the separator that `find` finds.
fn split_once(
    find: impl FnOnce(u8, &[u8]) -> Option<usize>,
    separator: char,
    token: &[u8],
) -> Option<(&[u8], &[u8])> {
    let index = find(u8::try_from(separator).ok()?, token)?;
    let (before, rest) = token.split_at_checked(index)?;
    Some((before, rest.get(1..)?))
}

/// The maximum length of a foreign token, in bytes.
const MAX_LENGTH: usize = 512;

impl ForeignFormat {
    /// Creates a format of tokens whose digest the other system keeps, in hexadecimal, base64 or
    /// base64url. It is a digest of the whole token, unless
    /// [`with_hashed_part`](Self::with_hashed_part) names a part.
    #[must_use]
    pub fn digest(digest: Digest) -> Self {
        Self::new(Lookup::Digest(digest), HashedPart::Whole)
    }

    /// Creates a format of tokens with a public part before the first `separator`. The other system
    /// finds a key by its public part, and keeps a password hash of the rest: bcrypt, Argon2 in PHC
    /// string format, or Django's `pbkdf2_sha256$…` or `sha512$$…`.
    ///
    /// The public part must be unique among all keys that are imported with such a format.
    ///
    /// Bcrypt ignores all but the first 72 bytes of its input. Of tokens that differ only after
    /// them, the first one that is used stays valid, and the others become invalid.
    #[must_use]
    pub fn password(separator: char) -> Self {
        let part = HashedPart::AfterFirst(separator);
        Self::new(Lookup::PublicPart(separator), part)
    }

    /// Returns the format of [Unkey](https://www.unkey.com/docs): SHA-256 of the token, in base64.
    #[must_use]
    pub fn unkey() -> Self {
        Self::digest(Digest::Sha256)
    }

    /// Returns the format of [Laravel Sanctum](https://laravel.com/docs/sanctum): the id of a row,
    /// `|` and a secret. The row has the SHA-256 of the secret, in hexadecimal. The secret alone
    /// identifies the key: the verifier does not compare the id.
    #[must_use]
    pub fn sanctum() -> Self {
        Self::digest(Digest::Sha256).with_hashed_part(HashedPart::AfterFirst('|'))
    }

    /// Returns the format of the API keys of
    /// [better-auth](https://www.better-auth.com/docs/plugins/api-key): SHA-256 of the token, in
    /// base64url.
    #[must_use]
    pub fn better_auth() -> Self {
        Self::digest(Digest::Sha256)
    }

    /// Returns the format of
    /// [Django REST Framework API Key](https://florimondmanca.github.io/djangorestframework-api-key/):
    /// a prefix, a dot and a secret, and `sha512$$…` or `pbkdf2_sha256$…` of the whole token.
    #[must_use]
    pub fn drf_api_key() -> Self {
        Self::password('.').with_hashed_part(HashedPart::Whole)
    }

    /// Returns the format of [prefixed-api-key](https://github.com/seamapi/prefixed-api-key): a
    /// prefix, a short token and a long token, joined by `_`, and SHA-256 of the long token, in
    /// hexadecimal. The long token alone identifies the key: the verifier does not compare the
    /// parts before it.
    #[must_use]
    pub fn prefixed_api_key() -> Self {
        Self::digest(Digest::Sha256).with_hashed_part(HashedPart::AfterLast('_'))
    }

    /// Returns the format of a table with the SHA-256 of each token, in hexadecimal.
    #[must_use]
    pub fn sha256_hex() -> Self {
        Self::digest(Digest::Sha256)
    }

    fn new(lookup: Lookup, part: HashedPart) -> Self {
        Self {
            lookup,
            part,
            prefix: Box::default(),
            length: 1..=MAX_LENGTH,
        }
    }

    /// Sets the part of a token that the other system hashed.
    #[must_use]
    pub fn with_hashed_part(mut self, part: HashedPart) -> Self {
        self.part = part;
        self
    }

    /// Accepts only tokens that begin with this text.
    #[must_use]
    pub fn with_token_prefix(mut self, prefix: impl Into<Box<str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Accepts only tokens with a length in this range, in bytes. The end of the range is 512 by
    /// default, and at most.
    #[must_use]
    pub fn with_token_length(mut self, length: RangeInclusive<usize>) -> Self {
        self.length = *length.start()..=(*length.end()).min(MAX_LENGTH);
        self
    }

    /// Returns the alias of a key and its hash, from the hash that the other system has stored, and
    /// for a [password](Self::password) format the public part.
    ///
    /// # Errors
    ///
    /// [`ForeignHashError`] if `hash` is not a hash of this format, or if the public part is
    /// missing, not needed, or not one that a token can have.
    pub(crate) fn import(
        &self,
        hash: &str,
        public_part: Option<&str>,
    ) -> Result<(Alias, ForeignHash), ForeignHashError> {
        match (self.lookup, public_part) {
            (Lookup::Digest(digest), None) => {
                let (hash, digest) = ForeignHash::from_digest(digest, hash)?;
                Ok((digest_alias(&digest), hash))
            }
            (Lookup::PublicPart(separator), Some(part)) => {
                if !self.can_begin_with(part, separator) {
                    return Err(ForeignHashError::InvalidPublicPart);
                }
                Ok((
                    public_alias(part.as_bytes()),
                    ForeignHash::from_password(hash)?,
                ))
            }
            (Lookup::Digest(_), Some(_)) => Err(ForeignHashError::UnusedPublicPart),
            (Lookup::PublicPart(_), None) => Err(ForeignHashError::MissingPublicPart),
        }
    }

    /// Whether a token of this format can begin with a public part, `separator` and a secret.
    fn can_begin_with(&self, part: &str, separator: char) -> bool {
        let start = format!("{part}{separator}");
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_graphic())
            && !part.contains(separator)
            && start.len() < *self.length.end()
            && (start.starts_with(&*self.prefix) || self.prefix.starts_with(&start))
    }

    /// Whether both formats find the same key by the same token.
    fn finds_like(&self, other: &Self) -> bool {
        self.lookup == other.lookup && self.part == other.part
    }

    /// Returns the alias of the key that a token of this format would have.
    fn alias(&self, token: &ForeignToken<'_>) -> Alias {
        match self.lookup {
            Lookup::Digest(Digest::Sha256) => digest_alias(&Sha256::digest(token.hashed)),
            Lookup::Digest(Digest::Sha512) => digest_alias(&Sha512::digest(token.hashed)),
            Lookup::PublicPart(separator) => {
                let parts = split_once(memchr, separator, token.identity);
                public_alias(parts.unwrap_or_default().0)
            }
        }
    }

    /// Parses an ASCII token. Returns `None` if it is not of this format.
    fn parse<'t>(&self, position: u8, token: &'t [u8]) -> Option<ForeignToken<'t>> {
        if !self.length.contains(&token.len()) || !token.starts_with(self.prefix.as_bytes()) {
            return None;
        }
        let (identity, hashed) = match self.lookup {
            Lookup::Digest(_) => {
                let part = self.part.of(token)?;
                (part, part)
            }
            Lookup::PublicPart(separator) => {
                let (public, secret) = split_once(memchr, separator, token)?;
                if public.is_empty() || secret.is_empty() {
                    return None;
                }
                let hashed = if self.part == HashedPart::AfterFirst(separator) {
                    secret
                } else {
                    self.part.of(token)?
                };
                (token, hashed)
            }
        };
        Some(ForeignToken {
            format: position,
            identity,
            hashed,
        })
    }
}

/// Returns the alias of a token by its digest.
fn digest_alias(digest: &[u8]) -> Alias {
    labelled(b"digest", digest)
}

/// Returns the alias of a token by its public part.
fn public_alias(part: &[u8]) -> Alias {
    labelled(b"public", part)
}

/// Hashes a digest or a public part with a label. All aliases then have the same length, and a
/// digest never has the alias of a public part.
fn labelled(label: &[u8; 6], content: &[u8]) -> Alias {
    let digest = Sha256::new().chain_update(label).chain_update(content);
    Alias::from_bytes(digest.finalize().into())
}

/// The formats of a verifier: at most four.
#[derive(Clone, Default, Debug)]
pub(crate) struct ForeignFormats(Vec<ForeignFormat>);

impl ForeignFormats {
    /// The maximum number of formats. For a token that no key has, each may cost one read of the
    /// store.
    pub(crate) const MAX: usize = 4;

    pub(crate) fn push(&mut self, format: ForeignFormat) {
        self.0.push(format);
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Parses a token in each format. Of several formats that find the same key, only the first
    /// returns a token.
    pub(crate) fn candidates<'t>(&self, token: &'t [u8]) -> impl Iterator<Item = ForeignToken<'t>> {
        // The loop does not stop at the first other byte, so the compiler can vectorise it.
        let is_graphic = |token: &[u8]| {
            let graphic = token.iter().map(u8::is_ascii_graphic);
            graphic.fold(true, |all, is_graphic| all & is_graphic)
        };
        let token = Some(token).filter(|token| token.len() <= MAX_LENGTH && is_graphic(token));
        self.0
            .iter()
            .zip(0..)
            .filter_map(move |(format, position)| {
                let token = token?;
                let candidate = format.parse(position, token)?;
                let mut earlier = self.0.iter().take(position.into());
                let is_repeated = earlier.any(|other| {
                    other.finds_like(format) && other.parse(position, token).is_some()
                });
                (!is_repeated).then_some(candidate)
            })
    }

    /// Returns the alias of the key that a token would have.
    pub(crate) fn alias(&self, token: &ForeignToken<'_>) -> Option<Alias> {
        let format = self.0.get(usize::from(token.format))?;
        Some(format.alias(token))
    }
}
