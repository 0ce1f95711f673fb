//! API keys for Rust services.

#[cfg(feature = "conformance")]
pub mod conformance;

mod base62;
mod caller;
mod hash;
mod key;
mod metadata;
mod name;
mod permission;
mod random;
mod store;
mod text;
mod time;
mod token;
mod workspace;

// The public interface is:
pub use crate::{
    caller::Caller,
    hash::{
        Argon2Params, Argon2ParamsError, Credential, HashError, Pepper, PepperError, PepperId,
        PepperRing, Scheme, StoredHash, StoredHashError, Tag,
    },
    key::{Key, Record, Status},
    metadata::{Metadata, MetadataError},
    name::{Name, NameError, fold_case},
    permission::{Permission, PermissionError, Permissions},
    random::{Entropy, OsEntropy, RandomError},
    store::{
        Durability, KeyStore, Listing, MemoryStore, Page, Reach, Rename, Reservation, Reserved,
        Retire, Revocation, Rotation, Start, StoreError, StoreErrorKind,
    },
    time::{Clock, SystemClock, Timestamp, TimestampError},
    token::{
        Environment, EnvironmentError, KeyId, KeyIdError, Prefix, PrefixError, Secret, Token,
        TokenError, TokenRef,
    },
    workspace::{Workspace, WorkspaceError},
};
