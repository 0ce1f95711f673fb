//! Password hashes of other systems, without the crate feature `foreign-passwords`.

use super::hash::ForeignHashError;
use crate::hash::{Blocks, HashError};

pub(super) const fn check(_: &str) -> Result<(), ForeignHashError> {
    Err(ForeignHashError::Unsupported)
}

pub(super) fn verify(_: &str, _: &[u8], _: &mut Blocks) -> Result<bool, HashError> {
    Err(HashError::failed(ForeignHashError::Unsupported))
}
