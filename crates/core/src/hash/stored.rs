//! The hash of a secret, and its text in a store.

use std::{fmt, hash::Hasher};

use phc::{Output, ParamsString, PasswordHash, Salt};

use super::{argon2_params::Argon2Params, pepper::PepperId};
use crate::foreign::ForeignHash;

/// A scheme for hashing secrets. Secrets have 256 random bits, so both schemes are equally strong
/// at rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Scheme {
    /// Argon2id, version 1.3 ([RFC 9106](https://www.rfc-editor.org/rfc/rfc9106)).
    Argon2id(Argon2Params),
    /// HMAC-SHA-256 ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)).
    HmacSha256,
}

impl Default for Scheme {
    fn default() -> Self {
        Self::Argon2id(Argon2Params::default())
    }
}

/// The hash of a secret that a store keeps.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoredHash {
    /// A hash of this library.
    Native(NativeHash),
    /// A hash of another system. Its key was imported, and not used since.
    Foreign(ForeignHash),
}

impl StoredHash {
    /// Parses the text of a hash. The cost is checked against its maximum here, before any of it is
    /// spent.
    ///
    /// # Errors
    ///
    /// [`StoredHashError`] for any text that [`Display`](fmt::Display) does not write.
    pub fn parse(text: &str) -> Result<Self, StoredHashError> {
        if text.starts_with(ForeignHash::MARK) {
            return ForeignHash::parse(text)
                .map(Self::Foreign)
                .ok_or(StoredHashError);
        }
        NativeHash::parse(text).map(Self::Native)
    }

    /// Returns the scheme of the hash. `None` for a hash of another system.
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        match self {
            Self::Native(hash) => Some(hash.scheme),
            Self::Foreign(_) => None,
        }
    }

    /// Writes all of the hash to a hasher.
    pub(crate) fn feed(&self, hasher: &mut impl Hasher) {
        match self {
            Self::Native(hash) => hash.feed(hasher),
            Self::Foreign(hash) => hash.feed(hasher),
        }
    }
}

impl fmt::Display for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native(hash) => hash.fmt(f),
            Self::Foreign(hash) => hash.fmt(f),
        }
    }
}

/// The hash of a secret in
/// [PHC string format](https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md):
///
/// ```text
/// $argon2id$v=19$m=19456,t=2,p=1[,keyid=PEPPER]$SALT$HASH
/// $hmac-sha256[$keyid=PEPPER]$SALT$HASH
/// ```
///
/// The salt has 16 bytes and the hash 32. Each hash has exactly one text.
#[derive(Clone, PartialEq, Eq)]
pub struct NativeHash {
    pub(super) scheme: Scheme,
    pub(super) pepper: Option<PepperId>,
    pub(super) salt: [u8; NativeHash::SALT_LENGTH],
    pub(super) output: [u8; NativeHash::OUTPUT_LENGTH],
}

impl NativeHash {
    pub(super) const SALT_LENGTH: usize = 16;
    pub(super) const OUTPUT_LENGTH: usize = 32;

    const ARGON2_VERSION: u32 = 0x13;

    /// Parses the text of a hash. The parameters are checked against their maximums here, before
    /// any memory is allocated for them.
    ///
    /// # Errors
    ///
    /// [`StoredHashError`] for any text that [`Display`](fmt::Display) does not write.
    fn parse(text: &str) -> Result<Self, StoredHashError> {
        PasswordHash::new(text)
            .ok()
            .and_then(|phc| Self::from_phc(&phc))
            .ok_or(StoredHashError)
    }

    /// Returns the hash in a PHC string, if [`to_phc`](Self::to_phc) returns an equal one.
    ///
    /// The parser accepts exactly one text of each algorithm, version, salt and output. It also
    /// accepts other versions, and parameters in other orders and spellings. So compare these two.
    fn from_phc(phc: &PasswordHash) -> Option<Self> {
        let scheme = match phc.algorithm.as_str() {
            "argon2id" => {
                let [m, t, p] = ["m", "t", "p"].map(|name| phc.params.get_decimal(name));
                Scheme::Argon2id(Argon2Params::new(m?, t?, p?).ok()?)
            }
            "hmac-sha256" => Scheme::HmacSha256,
            _ => return None,
        };
        let pepper = match phc.params.get_str("keyid") {
            Some(id) => Some(PepperId::parse(id).ok()?),
            None => None,
        };
        let salt: &[u8] = phc.salt.as_ref()?.as_ref();
        let stored = Self {
            scheme,
            pepper,
            salt: salt.try_into().ok()?,
            output: phc.hash.as_ref()?.as_bytes().try_into().ok()?,
        };
        let is_exact = phc.version == stored.version() && phc.params == stored.params().ok()?;
        is_exact.then_some(stored)
    }

    fn to_phc(&self) -> phc::Result<PasswordHash> {
        let algorithm = match self.scheme {
            Scheme::Argon2id(_) => "argon2id",
            Scheme::HmacSha256 => "hmac-sha256",
        };
        Ok(PasswordHash {
            algorithm: algorithm.parse()?,
            version: self.version(),
            params: self.params()?,
            salt: Some(Salt::new(&self.salt)?),
            hash: Some(Output::new(&self.output)?),
        })
    }

    const fn version(&self) -> Option<u32> {
        match self.scheme {
            Scheme::Argon2id(_) => Some(Self::ARGON2_VERSION),
            Scheme::HmacSha256 => None,
        }
    }

    fn params(&self) -> phc::Result<ParamsString> {
        let mut params = ParamsString::new();
        if let Scheme::Argon2id(cost) = self.scheme {
            params.add_decimal("m", cost.memory_kib())?;
            params.add_decimal("t", cost.passes())?;
            params.add_decimal("p", cost.lanes())?;
        }
        if let Some(pepper) = &self.pepper {
            params.add_str("keyid", pepper.as_str())?;
        }
        Ok(params)
    }

    /// Writes all of the hash to a hasher.
    pub(crate) fn feed(&self, hasher: &mut impl Hasher) {
        match self.scheme {
            Scheme::Argon2id(cost) => {
                for part in [cost.memory_kib(), cost.passes(), cost.lanes()] {
                    hasher.write_u32(part);
                }
            }
            Scheme::HmacSha256 => hasher.write_u32(0),
        }
        let pepper = self.pepper.as_ref().map_or("", PepperId::as_str);
        // The byte ends the id. It occurs in no id, and no id is empty.
        hasher.write(pepper.as_bytes());
        hasher.write_u8(0xff);
        hasher.write(&self.salt);
        hasher.write(&self.output);
    }
}

impl fmt::Display for NativeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_phc().map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for NativeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeHash")
            .field("scheme", &self.scheme)
            .field("pepper", &self.pepper)
            .finish_non_exhaustive()
    }
}

/// An error from [`StoredHash::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored hash is malformed or its parameters are out of range")]
#[non_exhaustive]
pub struct StoredHashError;

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "AAECAwQFBgcICQoLDA0ODw";
    const HASH: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn both_schemes_round_trip_with_and_without_a_pepper() {
        for start in [
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2id$v=19$m=19456,t=2,p=1,keyid=2026",
            "$hmac-sha256",
            "$hmac-sha256$keyid=a",
        ] {
            let text = format!("{start}${SALT}${HASH}");
            assert_eq!(StoredHash::parse(&text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn no_text_that_differs_in_one_character_is_another_text_of_a_hash() {
        let other = "\0 $=,+-./0129?AQgwxz\u{e9}";
        for start in [
            "$argon2id$v=19$m=19456,t=2,p=1,keyid=2026",
            "$hmac-sha256$keyid=a",
            "$hmac-sha256",
        ] {
            let text = format!("{start}${SALT}${HASH}");
            let mut accepted = 0;
            for place in 0..=text.len() {
                let (before, after) = text.split_at(place);
                let rest = after.get(1..).unwrap_or("");
                let with = |middle: &str, after| format!("{before}{middle}{after}");
                let others = other.chars().flat_map(|other| {
                    let other = other.to_string();
                    [with(&other, rest), with(&other, after)]
                });
                for changed in others.chain([with("", rest)]) {
                    if let Ok(hash) = StoredHash::parse(&changed) {
                        assert_eq!(hash.to_string(), changed);
                        accepted += 1;
                    }
                }
            }
            assert!(
                accepted > 0,
                "{text}: another salt or hash has another text"
            );
        }
    }

    #[test]
    fn any_other_text_is_rejected() {
        let hash = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg";
        for text in [
            String::new(),
            format!("$argon2id$v=16$m=19456,t=2,p=1${SALT}${HASH}"),
            format!("$argon2id$m=19456,t=2,p=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=19456,t=2${SALT}${HASH}"),
            format!("$argon2id$v=19$t=2,m=19456,p=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1,x=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=019456,t=2,p=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=4294967295,t=2,p=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=19456,t=4294967295,p=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1,keyid=NO${SALT}${HASH}"),
            format!("$argon2i$v=19$m=19456,t=2,p=1${SALT}${HASH}"),
            format!("$hmac-sha256$v=1${SALT}${HASH}"),
            format!("$hmac-sha256${SALT}${hash}"),
            format!("$hmac-sha256${HASH}"),
            format!("$hmac-sha256${SALT}${HASH}="),
            format!("$hmac-sha256${SALT}${HASH}$"),
            format!("$hmac-sha256$AAECAwQFBgcICQoLDA0ODx${HASH}"),
        ] {
            assert_eq!(StoredHash::parse(&text), Err(StoredHashError), "{text}");
        }
    }
}
