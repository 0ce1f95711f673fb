//! API keys for Rust services: the token format, the generation of secrets, hashing, constant-time
//! verification, and the [contract](KeyStore) that a store of keys keeps. It knows no async
//! runtime, no HTTP and no database.
//!
//! ```
//! use std::sync::Arc;
//!
//! use keywright_core::{Caller, Config, Keywright, MemoryStore, Name, NewKey, Permissions, Prefix, Workspace};
//!
//! # futures_executor::block_on(async {
//! let config = Config::new(Prefix::parse("acme")?);
//! let keys = Keywright::open(config, Arc::new(MemoryStore::new())).await?;
//!
//! let operator = Caller::new(Workspace::parse("default")?, Permissions::all());
//! let issued = keys.issuer().create(&operator, NewKey::named(Name::parse("CI")?)).await?;
//!
//! let verified = keys.verifier().verify(issued.token.expose().as_bytes()).await?;
//! assert_eq!(verified.key().id, issued.key.id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! * [`Keywright`] opens the library over a store; [`Issuer`] creates keys for a [`Caller`],
//!   [`Verifier`] verifies tokens.
//! * [`Token`] and [`Secret`] are wiped from memory on drop and cannot be printed, compared or
//!   serialised; a [`Record`] holds a [`Credential`], never a token.
//! * Whoever writes a store implements [`KeyStore`] and runs the suite of the feature `conformance`.
//! * With the feature `metrics`, the crate of that name is told [what happens](Keywright#metrics).

// Not used by name: it has Argon2 wipe the state of its BLAKE2.
use blake2 as _;

#[cfg(feature = "conformance")]
pub mod conformance;

mod base62;
mod caller;
mod config;
mod hash;
mod issuer;
mod key;
mod keywright;
mod metadata;
mod meter;
mod name;
mod permission;
mod random;
#[cfg(test)]
mod secrecy;
mod store;
mod sync;
mod text;
mod thread;
mod time;
mod token;
mod verifier;
mod workspace;

// The public interface is:
pub use crate::{
    caller::Caller,
    config::Config,
    hash::{
        Argon2Params, Argon2ParamsError, Credential, HashError, Pepper, PepperError, PepperId,
        PepperRing, Scheme, StoredHash, StoredHashError, Tag,
    },
    issuer::{
        Expiry, IdempotencyKey, IdempotencyKeyError, Introspection, IssueError, Issued, Issuer,
        ListKeys, Listed, Minted, NewKey, NewRotation, Outcome, Position,
    },
    key::{Key, Record, Status},
    keywright::{Keywright, OpenError},
    metadata::{Metadata, MetadataError},
    name::{Name, NameError, fold_case},
    permission::{Permission, PermissionError, Permissions},
    random::{Entropy, OsEntropy, RandomError},
    store::{
        Durability, KeyStore, Lease, Listing, MemoryStore, Page, Purge, Reach, Rename, Reservation,
        Reserved, Retire, Revocation, Rotation, Stamp, Start, StoreError, StoreErrorKind,
    },
    time::{Clock, SystemClock, Timestamp, TimestampError},
    token::{
        Environment, EnvironmentError, KeyId, KeyIdError, Prefix, PrefixError, Secret, Token,
        TokenError, TokenRef,
    },
    verifier::{Denied, Undecided, Verified, Verifier, VerifyError},
    workspace::{Workspace, WorkspaceError},
};
