//! The formats of the tokens and hashes of other systems.
//!
//! A service that already has customers with API keys imports the hashes of their tokens. The
//! tokens keep working, and the first use of each replaces its hash with one of the configured
//! [`Scheme`](crate::Scheme).
//!
//! A [`ForeignFormat`] describes the tokens of the other system. [`Config::with_foreign`] makes the
//! verifier accept them, and the [`Importer`](crate::Importer) writes their records.
//!
//! | system | format |
//! | --- | --- |
//! | Unkey | [`ForeignFormat::unkey`] |
//! | Laravel Sanctum | [`ForeignFormat::sanctum`] |
//! | better-auth | [`ForeignFormat::better_auth`] |
//! | Django REST Framework API Key | [`ForeignFormat::drf_api_key`] |
//! | prefixed-api-key | [`ForeignFormat::prefixed_api_key`] |
//! | a table with `sha256(token)` | [`ForeignFormat::sha256_hex`] |
//! | any other digest of a token, or of its last part | [`ForeignFormat::digest`] |
//! | a password hash of a token that has a public part | [`ForeignFormat::password`] |
//!
//! # Security
//!
//! * A token in the format of this library is never accepted as a foreign token, even if its
//!   checksum is wrong. A foreign token proves imported keys only, and no other token proves those.
//! * Any other text that fits a format costs one read of the store for each format that it fits, at
//!   most four. So does the token of an imported key that is revoked or expired.
//! * A store finds a key by a SHA-256 digest of the digest or the public part of its token. How
//!   long the search takes depends on that digest, and a client cannot choose any part of it. The
//!   digest or hash that proves the token is compared in constant time.
//! * The stored hash of a token is not a token: if a client presents it, the verifier hashes it
//!   once more, and finds no key.
//! * A foreign hash has no pepper, and is not bound to its record, unlike the hashes of this
//!   library. An attacker who can write to the database can move it to another record, with its
//!   alias, until its first use replaces it.
//! * Digests are as strong as the tokens are random. The first use replaces the hash of a key, but
//!   its alias stays a digest of the token without salt or pepper, and adds a tag, with which a
//!   thief of the database can test a guess quickly unless there is a pepper. Rotate keys whose
//!   tokens are weak.
//! * The other formats run on the threads for Argon2, at most one run for each format and attempt
//!   with a public part that exists, until the key is used. The workspaces take turns on
//!   these threads, and a run takes at most about a second.
//!
//! [`Config::with_foreign`]: crate::Config::with_foreign

mod format;
mod hash;
#[cfg_attr(not(feature = "foreign-passwords"), path = "no_password.rs")]
mod password;
mod token;

pub(crate) use self::{format::ForeignFormats, token::ForeignToken};
// The public interface is:
pub use self::{
    format::{Digest, ForeignFormat, HashedPart},
    hash::{ForeignHash, ForeignHashError},
};
