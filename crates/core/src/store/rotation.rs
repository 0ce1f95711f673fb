//! The replacement of a key with a successor.

use super::record::{Record, Retire};
use crate::KeyId;

/// The replacement of a key with a successor.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Rotation {
    /// The key to replace.
    pub predecessor: KeyId,
    /// The version of the predecessor's record that was read.
    pub version: u64,
    /// When the predecessor stops being valid.
    pub retire: Retire,
    /// The record of the new key. It has the predecessor's workspace and parent. The store does not
    /// check that the parent is active.
    ///
    /// If the caller is a key, [`rotated_by`](crate::Key::rotated_by) names it. That key receives
    /// the successor's secret, so it must [admit](crate::Key::admits) the successor.
    pub successor: Record,
}

impl Rotation {
    /// A rotation of a key whose record was read with this version.
    #[must_use]
    pub const fn new(predecessor: KeyId, version: u64, retire: Retire, successor: Record) -> Self {
        Self {
            predecessor,
            version,
            retire,
            successor,
        }
    }
}
