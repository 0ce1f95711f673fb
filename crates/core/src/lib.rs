//! API keys for Rust services: this crate issues keys, verifies them, and lists, updates, rotates
//! and revokes them, over any database that implements [`KeyStore`]. It depends on no async
//! runtime, HTTP library or database driver.
//!
//! # Features
//!
//! * **Tokens** with a prefix and a checksum, which secret scanners recognise. A token is shown
//!   once, and the store keeps only a hash of its secret.
//! * **Hashing** with Argon2id or HMAC-SHA-256, optionally keyed with a rotating
//!   [pepper](PepperRing). Hashes are upgraded to the current scheme when a key is used.
//! * **Fast verification**: a bounded cache of verified keys, constant-time comparison, and no
//!   access to the store while the store's [`Lease`] holds.
//! * **Revocation** of a key, or of a key and its descendants. Every server rejects a revoked key
//!   within a bound that the store documents.
//! * **Least privilege**: a key gets no permission that its creator lacks and no later expiry, and
//!   it never leaves its [`Workspace`].
//! * **Events**: each change of a key appends an [`Event`] in the same atomic step. It says who
//!   changed which key, when and how. Events can be listed, followed by a reader that restarts, and
//!   passed to an [`Observer`].
//! * **Idempotency keys**, so that a client can safely repeat a request that creates or rotates a
//!   key.
//! * **Secrets** that are wiped from memory on drop and cannot be printed, compared or serialised.
//!
//! Crate features, all of them off by default:
//!
//! * `conformance`: the tests that every store must pass.
//! * `foreign-passwords`: [imported keys](foreign) with bcrypt, Argon2 or PBKDF2 hashes. Without
//!   it, only digests can be imported.
//! * `metrics`: [counters and gauges](Keywright#metrics) for the recorder of the
//!   [`metrics`](https://docs.rs/metrics) crate.
//! * `testing`: a manual clock, predictable randomness and keys in any state, for tests of hosts.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use keywright_core::{
//!     Caller, Config, Keywright, MemoryStore, Name, NewKey, Permissions, Prefix, Workspace,
//! };
//!
//! # futures_executor::block_on(async {
//! let config = Config::new(Prefix::parse("acme")?);
//! let keys = Keywright::open(config, Arc::new(MemoryStore::new())).await?;
//!
//! // Create a key. `issued.token` is the only copy of the token.
//! let operator = Caller::new(Workspace::parse("default")?, Permissions::all());
//! let new = NewKey::new(Name::parse("CI")?).with_permissions("calls:read".parse()?);
//! let issued = keys.issuer().create(&operator, new).await?;
//!
//! // Verify the token that a client sent.
//! let verified = keys.verifier().verify(issued.token.expose().as_bytes()).await?;
//! assert_eq!(verified.key().id, issued.key.id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Where to find what
//!
//! | I want to … | use |
//! | --- | --- |
//! | open the library over a store | [`Keywright::open`] with a [`Config`] |
//! | create a key | [`Issuer::create`] with a [`NewKey`] |
//! | create a key once, even if the request is repeated | [`Issuer::create_once`] |
//! | create the first key of an empty store | [`Issuer::create_first`] |
//! | verify a token | [`Verifier::verify`] |
//! | verify a token of a key that is restricted to addresses | [`Verifier::verify_from`] |
//! | verify a token for a service that does not link this crate | [`Issuer::introspect`] |
//! | act for a user whom I authenticated myself | [`Caller::new`] |
//! | protect the routes of an HTTP server, or serve the API over HTTP | the crate `keywright-http-tower` |
//! | list keys | [`Issuer::list`] with a [`ListKeys`] |
//! | change, pause or resume a key | [`Issuer::update`] with a [`KeyUpdate`] |
//! | attach the host's own data to keys | [`Caller::with_attributes`], [`Issuer::set_attributes`] |
//! | let people manage only their own keys | [`Caller::with_owner`] with `api_keys.own:*` |
//! | import the keys of another system | [`Importer`] with a [`ForeignFormat`] |
//! | rotate a key | [`Issuer::rotate`] with a [`NewRotation`] |
//! | revoke a key | [`Issuer::revoke`] |
//! | revoke all keys of a person | [`Issuer::revoke_all`] |
//! | delete the records of revoked and expired keys | [`Issuer::purge`] |
//! | find out who changed a key, when and how | [`Issuer::events`] with a [`ListEvents`] |
//! | act for an operator on a command line | [`Caller::operator`] |
//! | record which request makes a change | [`Caller::with_request_id`] |
//! | react to the changes that this process makes | [`Config::with_observer`] |
//! | handle each event at least once | [`Issuer::unread_events`], [`EventPosition`] |
//! | choose how long events are kept | [`Config::with_event_retention`], [`Issuer::purge_events`] |
//! | find keys that never expire or are unused | [`Issuer::report`] |
//! | choose how secrets are hashed | [`Config::with_scheme`], [`Config::with_peppers`] |
//! | keep keys in SQLite or Redis | the crate `keywright-store-sqlite` or `keywright-store-redis` |
//! | keep keys in the PostgreSQL of my service | the crate `keywright-store-postgres` |
//! | keep keys in another database | [`KeyStore`], and the feature `conformance` to test it |
//! | move all keys to another store, while servers use this one | [`copy`] |
//! | keep keys in memory, in tests | [`MemoryStore`] |
//! | test a host with keys in any state, at any time | the feature `testing` |
//!
//! [`ForeignFormat`]: foreign::ForeignFormat
//! [`KeyStore`]: store::KeyStore
//! [`Lease`]: store::Lease

// Not used by name. The dependency enables the feature that makes Argon2 wipe the state of BLAKE2.
use blake2 as _;

#[cfg(feature = "conformance")]
pub mod conformance;

mod allowed_ips;
mod attributes;
mod base62;
mod caller;
mod config;
pub mod copy;
mod deadline;
pub mod error;
mod event;
pub mod foreign;
mod hash;
mod importer;
mod instance;
mod issuer;
mod json_object;
mod key;
mod keywright;
mod list;
mod metadata;
mod meter;
mod name;
mod owner;
mod permission;
mod random;
#[cfg(test)]
mod secrecy;
pub mod store;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod thread;
mod time;
mod token;
mod update;
mod verifier;
mod workspace;

// The public interface is:
pub use crate::{
    allowed_ips::AllowedIps,
    attributes::Attributes,
    caller::Caller,
    config::Config,
    event::{
        Actor, Changes, Event, EventId, EventKind, EventOrder, EventPage, EventPosition,
        ListEvents, Observer, RequestId, Transition,
    },
    hash::{Argon2Params, Pepper, PepperId, PepperRing, Scheme},
    importer::{ForeignKey, ForeignKeyDigest, ImportError, Imported, Importer},
    issuer::{
        Action, Expiry, IdempotencyKey, Introspection, IntrospectionRequest, IssueError,
        IssueOutcome, Issued, Issuer, Minted, NewKey, NewRotation, PreparedCaller, PreparedKey,
        PreparedRevocation, PreparedUpdate, Report, ReportSection,
    },
    key::{Key, Status},
    keywright::{Keywright, OpenError},
    list::{ListKeys, ListStart, Page},
    metadata::Metadata,
    name::Name,
    owner::Owner,
    permission::{Permission, Permissions},
    random::{Entropy, OsEntropy},
    store::{
        memory::MemoryStore,
        revocation::{Reach, Revocation},
    },
    time::{Clock, SystemClock, Timestamp},
    token::{Environment, KeyId, Prefix, Secret, Token, TokenRef},
    update::{Change, KeyUpdate, VersionedKey},
    verifier::{Denied, Undecided, Verified, Verifier, VerifyError},
    workspace::Workspace,
};
