//! Hashing of secrets, and verification of secrets against stored hashes.

mod argon2_params;
mod argon2id;
mod binding;
mod credential;
mod hasher;
mod hmac_sha256;
mod pepper;
mod pool;
mod presented;
mod run_queue;
mod stored;

pub use self::{
    argon2_params::{Argon2Params, Argon2ParamsError},
    credential::{Credential, Tag},
    hasher::HashError,
    pepper::{Pepper, PepperError, PepperId, PepperRing},
    stored::{NativeHash, Scheme, StoredHash, StoredHashError},
};
pub(crate) use self::{
    argon2id::Blocks, binding::Binding, hasher::Hasher, presented::PresentedSecret,
};
