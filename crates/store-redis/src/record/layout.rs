//! The positions of the fixed fields at the start of an encoded record.
//!
//! Records are decoded with these constants, and the scripts get theirs from here.

use std::ops::Range;

use keywright_core::{KeyId, store::Tag};

/// The format that this program reads and writes.
pub(crate) const FORMAT_VERSION: u8 = 1;

/// An absent time. As a number, it is later than all times.
pub(crate) const NO_TIME: u64 = u64::MAX;

/// The length of an absent text.
pub(crate) const NO_TEXT: u16 = u16::MAX;

/// The number of texts after the owner: name, permissions, hash, metadata, attributes, allowed
/// addresses and alias.
pub(crate) const TEXTS: u8 = 7;

/// An enabled key.
pub(crate) const IS_ENABLED: u8 = 1;

/// The record of a key that was never inserted and never will be.
pub(crate) const TOMBSTONE: &[u8] = &[0];

pub(crate) const FORMAT: Field<1> = Field { start: 0 };
pub(crate) const ENVIRONMENT: Field<1> = FORMAT.followed_by();
pub(crate) const ENABLED: Field<1> = ENVIRONMENT.followed_by();
pub(crate) const VERSION: Field<8> = ENABLED.followed_by();
pub(crate) const EXPIRES_AT: Field<8> = VERSION.followed_by();
pub(crate) const REVOKED_AT: Field<8> = EXPIRES_AT.followed_by();
pub(crate) const PARENT: Field<{ KeyId::LENGTH }> = REVOKED_AT.followed_by();
pub(crate) const SUCCESSOR: Field<{ KeyId::LENGTH }> = PARENT.followed_by();
pub(crate) const PREDECESSOR: Field<{ KeyId::LENGTH }> = SUCCESSOR.followed_by();
pub(crate) const ROTATED_BY: Field<{ KeyId::LENGTH }> = PREDECESSOR.followed_by();
pub(crate) const TAG: Field<{ Tag::LENGTH }> = ROTATED_BY.followed_by();
pub(crate) const WORKSPACE_LENGTH: Field<1> = TAG.followed_by();
pub(crate) const OWNER_LENGTH: Field<1> = WORKSPACE_LENGTH.followed_by();

/// The position of the workspace, which is the first field of variable length. The owner follows.
pub(crate) const WORKSPACE: usize = OWNER_LENGTH.end();

/// A field of `N` bytes at a fixed position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<const N: usize> {
    start: usize,
}

impl<const N: usize> Field<N> {
    /// The field of `M` bytes right after this one.
    const fn followed_by<const M: usize>(self) -> Field<M> {
        Field { start: self.end() }
    }

    const fn end(self) -> usize {
        self.start + N
    }

    pub(crate) const fn range(self) -> Range<usize> {
        self.start..self.end()
    }

    /// Returns the field's bytes. `None` if the record ends before the field does.
    pub(crate) fn read(self, record: &[u8]) -> Option<[u8; N]> {
        record.get(self.range())?.first_chunk().copied()
    }
}
