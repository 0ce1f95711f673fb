//! The format of tokens: `{prefix}_{environment}_{id}_{secret}{checksum}`.

mod checksum;
mod environment;
mod id;
mod prefix;
mod secret;

use zeroize::Zeroizing;

pub use self::{
    environment::{Environment, EnvironmentError},
    id::{KeyId, KeyIdError},
    prefix::{Prefix, PrefixError},
    secret::Secret,
};
use crate::base62;

/// A token, to be shown to its owner once.
///
/// It is wiped from memory on drop and has no `Debug`, `Display`, `Clone`, `PartialEq` or
/// `Serialize`. Only [`expose`](Self::expose) gives access to the text.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct Token(Zeroizing<String>);

/// The length of an id, an underscore, a secret and a checksum.
const TAIL_LENGTH: usize = KeyId::LENGTH + 1 + Secret::LENGTH + checksum::LENGTH;

impl Token {
    /// Returns the length, in bytes, of every token with this prefix.
    #[must_use]
    pub fn length(prefix: &Prefix) -> usize {
        prefix.as_str().len() + "_live_".len() + TAIL_LENGTH
    }

    /// Assembles a token from its parts and appends the checksum.
    #[must_use]
    pub fn assemble(
        prefix: &Prefix,
        environment: Environment,
        id: &KeyId,
        secret: &Secret,
    ) -> Self {
        // The buffer never grows: a reallocation would leave the secret in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(Self::length(prefix)));
        for part in [
            prefix.as_str(),
            "_",
            environment.as_str(),
            "_",
            ascii(id.as_bytes()),
            "_",
        ] {
            text.push_str(part);
        }
        text.push_str(ascii(secret.expose()));
        let checksum = checksum::of(text.as_bytes());
        text.push_str(ascii(&checksum));
        Self(text)
    }

    /// Returns the text of the token. The caller must keep it out of logs and storage.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Converts base62 characters to text.
fn ascii(characters: &[u8]) -> &str {
    debug_assert!(characters.iter().all(u8::is_ascii_alphanumeric));
    str::from_utf8(characters).unwrap_or_default()
}

/// A token that a client presented. It is well formed and has a correct checksum, but its key may
/// not exist. It borrows the client's bytes, and like [`Token`] it can neither be printed nor
/// compared.
///
/// ```
/// use keywright_core::{Prefix, TokenRef};
///
/// let prefix = Prefix::parse("sk")?;
/// let text = b"sk_live_0U5lKtf600000000_000000000000000000000000000000000000000000032Ts3u";
/// let token = TokenRef::parse(text, &prefix)?;
/// assert_eq!(token.id().to_string(), "key_0U5lKtf600000000");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct TokenRef<'a> {
    environment: Environment,
    id: KeyId,
    secret: &'a [u8; Secret::LENGTH],
}

impl<'a> TokenRef<'a> {
    /// Parses a token, without access to a store and without computing a hash. A token has only one
    /// spelling.
    ///
    /// # Errors
    ///
    /// [`TokenError`] if the bytes are not a token with this prefix.
    #[inline]
    pub fn parse(text: &'a [u8], prefix: &Prefix) -> Result<Self, TokenError> {
        if text.len() != Token::length(prefix) {
            return Err(TokenError::Length);
        }
        let (start, tail) = text.split_last_chunk().ok_or(TokenError::Length)?;
        let environment = start
            .strip_prefix(prefix.as_str().as_bytes())
            .and_then(|rest| rest.strip_prefix(b"_"))
            .ok_or(TokenError::Prefix)?;
        let environment = match environment {
            b"live_" => Environment::Live,
            b"test_" => Environment::Test,
            _ => return Err(TokenError::Environment),
        };
        let (id, secret) = Self::split_tail(tail).ok_or(TokenError::Alphabet)?;
        let (body, checksum) = text.split_last_chunk().ok_or(TokenError::Length)?;
        if !checksum::matches(body, checksum) {
            return Err(TokenError::Checksum);
        }
        Ok(Self {
            environment,
            id,
            secret,
        })
    }

    /// Splits the end of a token into the id, the secret and the checksum, and returns the first
    /// two. Returns `None` if they contain a character that is not base62, or if no underscore
    /// separates them.
    #[inline]
    fn split_tail(tail: &'a [u8; TAIL_LENGTH]) -> Option<(KeyId, &'a [u8; Secret::LENGTH])> {
        const CHECKSUM: usize = TAIL_LENGTH - checksum::LENGTH;
        let (id, rest) = tail.split_first_chunk()?;
        let secret = rest.strip_prefix(b"_")?.first_chunk()?;
        // This includes the underscore and a part of the checksum, which are not checked here. 64
        // bytes are four vectors, and take half as long as the 16 and 43 bytes of id and secret.
        let padded = tail.first_chunk::<64>()?;
        let is_checked = |index| index != KeyId::LENGTH && index < CHECKSUM;
        base62::is_base62_where(padded, is_checked).then_some((KeyId::of_base62(*id), secret))
    }

    /// Returns the environment of the token.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// Returns the public id of the key.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns the characters of the secret, borrowed from the client's bytes.
    pub(crate) const fn exposed_secret(&self) -> &'a [u8; Secret::LENGTH] {
        self.secret
    }

    /// Returns a copy of the secret, which can outlive the client's bytes.
    #[must_use]
    pub fn secret(&self) -> Secret {
        Secret::copied(self.secret)
    }
}

/// An error from [`TokenRef::parse`]. It contains no byte of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The bytes are too short or too long.
    #[error("the token has the wrong length")]
    Length,
    /// The token has another prefix.
    #[error("the token has another prefix")]
    Prefix,
    /// The environment is neither `live` nor `test`.
    #[error("the token names neither live nor test")]
    Environment,
    /// The id or the secret contains a character that is not base62, or no underscore separates
    /// them.
    #[error("the token contains an invalid character")]
    Alphabet,
    /// The checksum does not match the characters before it.
    #[error("the token has a wrong checksum")]
    Checksum,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Timestamp,
        random::{Generator, OsEntropy},
    };

    fn mint(prefix: &Prefix, environment: Environment) -> Token {
        let mut random = Generator::seeded(&OsEntropy).unwrap();
        let now = Timestamp::from_millis(1_709_287_200_000).unwrap();
        let id = KeyId::generate(now, &mut random);
        Token::assemble(prefix, environment, &id, &Secret::generate(&mut random))
    }

    #[test]
    fn an_assembled_token_parses_to_its_parts() {
        for prefix in ["sk", "acme", "a23456789012"] {
            let prefix = Prefix::parse(prefix).unwrap();
            for environment in [Environment::Live, Environment::Test] {
                let token = mint(&prefix, environment);
                assert_eq!(token.expose().len(), Token::length(&prefix));
                let parsed = TokenRef::parse(token.expose().as_bytes(), &prefix).unwrap();
                assert_eq!(parsed.environment(), environment);
                let again =
                    Token::assemble(&prefix, parsed.environment(), parsed.id(), &parsed.secret());
                assert_eq!(again.expose(), token.expose());
            }
        }
    }

    #[test]
    fn every_changed_byte_and_every_truncation_is_detected() {
        let prefix = Prefix::parse("sk").unwrap();
        let token = mint(&prefix, Environment::Live);
        let text = token.expose().as_bytes();
        for index in 0..text.len() {
            for byte in 0..=255u8 {
                if text[index] != byte {
                    let mut changed = text.to_vec();
                    changed[index] = byte;
                    assert!(
                        TokenRef::parse(&changed, &prefix).is_err(),
                        "{index} {byte}"
                    );
                }
            }
            assert!(TokenRef::parse(&text[..index], &prefix).is_err());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let prefix = Prefix::parse("sk").unwrap();
            let _ = TokenRef::parse(&bytes, &prefix);
        }
    }
}
