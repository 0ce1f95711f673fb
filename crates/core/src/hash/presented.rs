//! The secret that a client has presented.

use crate::{foreign::ForeignToken, token::Secret};

/// The secret that a client has presented as the proof of a key.
#[derive(Clone, Copy)]
pub(crate) enum PresentedSecret<'a> {
    /// The secret of a token of this library.
    Native(&'a [u8; Secret::LENGTH]),
    /// A token that another system may have issued.
    Foreign(ForeignToken<'a>),
}

impl PresentedSecret<'_> {
    /// Calls `read` with the secret that this library hashes.
    pub(crate) fn with_native<T>(self, read: impl FnOnce(&[u8; Secret::LENGTH]) -> T) -> T {
        match self {
            Self::Native(secret) => read(secret),
            Self::Foreign(token) => read(token.secret().expose()),
        }
    }
}
