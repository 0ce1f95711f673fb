//! Password hashes of other systems: bcrypt, Argon2, and PBKDF2 as Django writes it.

use std::num::NonZero;

use argon2::{Algorithm, Argon2, Params};
use bcrypt::Version;
use pbkdf2::pbkdf2_hmac_array;
use phc::{Output, PasswordHash, Salt};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::hash::{ForeignHashError, decode};
use crate::hash::{Argon2Params, Blocks, HashError};

/// The maximum cost of bcrypt: about a second.
const MAX_BCRYPT_COST: u32 = 14;

/// The maximum number of iterations of PBKDF2: about a second.
const MAX_PBKDF2_ITERATIONS: u32 = 2_000_000;

const BCRYPT: &str = "$2";
const PBKDF2: &str = "pbkdf2_sha256$";

/// Checks the format and the cost of a hash, without computing it.
pub(super) fn check(text: &str) -> Result<(), ForeignHashError> {
    if text.starts_with(BCRYPT) {
        check_bcrypt(text)
    } else if let Some(rest) = text.strip_prefix(PBKDF2) {
        let hash = Pbkdf2::parse(rest).ok_or(ForeignHashError::Malformed)?;
        if hash.iterations > MAX_PBKDF2_ITERATIONS {
            return Err(ForeignHashError::Cost);
        }
        Ok(())
    } else {
        let hash = parse_argon2(text).ok_or(ForeignHashError::Malformed)?;
        let params = hash.argon2.params();
        Argon2Params::new(params.m_cost(), params.t_cost(), params.p_cost())
            .map(drop)
            .map_err(|_| ForeignHashError::Cost)
    }
}

/// Whether a password has this hash, which [`check`] has accepted.
pub(super) fn verify(hash: &str, password: &[u8], blocks: &mut Blocks) -> Result<bool, HashError> {
    if hash.starts_with(BCRYPT) {
        // Bcrypt ignores all but the first 72 bytes, in the other system as well.
        bcrypt::verify(password, hash).map_err(HashError::failed)
    } else if let Some(hash) = hash.strip_prefix(PBKDF2).and_then(Pbkdf2::parse) {
        Ok(hash.matches(password))
    } else if let Some(hash) = parse_argon2(hash) {
        hash.matches(password, blocks)
    } else {
        Err(HashError::failed(ForeignHashError::Malformed))
    }
}

fn check_bcrypt(text: &str) -> Result<(), ForeignHashError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| ForeignHashError::Malformed)?;
    // Versions 2a, 2b and 2y hash ASCII in the same way. The library also parses a cost of `+4`.
    let is_known = [Version::TwoA, Version::TwoB, Version::TwoY]
        .into_iter()
        .any(|version| parts.format_for_version(version) == text);
    match parts.get_cost() {
        // The library rejects a cost below 4, and so did the other system.
        4..=MAX_BCRYPT_COST if is_known => Ok(()),
        0..=MAX_BCRYPT_COST => Err(ForeignHashError::Malformed),
        _ => Err(ForeignHashError::Cost),
    }
}

/// Parses a hash in PHC string format. Returns it with its algorithm and its parameters.
fn parse_argon2(text: &str) -> Option<Argon2Hash> {
    let hash = PasswordHash::new(text)
        .ok()
        .filter(|hash| hash.to_string() == text)?;
    let [m, t, p] = ["m", "t", "p"].map(|name| hash.params.get_decimal(name));
    // A hash with a key id or other data cannot be verified without them.
    if hash.params.iter().count() != 3 {
        return None;
    }
    let output = hash.hash?;
    // Without a version, the hash has version 1.0.
    let version = hash.version.unwrap_or(0x10).try_into().ok()?;
    let algorithm: Algorithm = hash.algorithm.as_str().parse().ok()?;
    let params = Params::new(m?, t?, p?, Some(output.len())).ok()?;
    Some(Argon2Hash {
        argon2: Argon2::new(algorithm, version, params),
        salt: hash.salt?,
        output,
    })
}

struct Argon2Hash {
    argon2: Argon2<'static>,
    salt: Salt,
    output: Output,
}

impl Argon2Hash {
    fn matches(&self, password: &[u8], blocks: &mut Blocks) -> Result<bool, HashError> {
        let count = self.argon2.params().block_count();
        let blocks = blocks.get(count).map_err(HashError::failed)?;
        let mut output = vec![0; self.output.len()];
        self.argon2
            .hash_password_into_with_memory(password, &self.salt, &mut output, blocks)
            .map_err(HashError::failed)?;
        Ok(output.ct_eq(self.output.as_bytes()).into())
    }
}

/// A hash as Django writes it: `ITERATIONS$SALT$BASE64`, with the salt as text.
struct Pbkdf2<'a> {
    iterations: u32,
    salt: &'a str,
    output: [u8; 32],
}

impl<'a> Pbkdf2<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (iterations, rest) = text.split_once('$')?;
        let (salt, output) = rest.split_once('$')?;
        let iterations: NonZero<u32> = iterations
            .parse()
            .ok()
            .filter(|number: &NonZero<u32>| number.to_string() == iterations)?;
        let is_salt =
            (1..=64).contains(&salt.len()) && salt.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Some(Self {
            iterations: iterations.get(),
            salt,
            output: decode(output)?,
        })
        .filter(|_| is_salt)
    }

    fn matches(&self, password: &[u8]) -> bool {
        let output: [u8; 32] =
            pbkdf2_hmac_array::<Sha256, 32>(password, self.salt.as_bytes(), self.iterations);
        output.ct_eq(&self.output).into()
    }
}
