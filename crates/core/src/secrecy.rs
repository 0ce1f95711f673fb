//! Compile-time assertions that types with secrets cannot be printed, compared or copied.

/// Asserts that a type cannot be printed, compared, serialised, or converted to its bytes.
macro_rules! assert_unprintable {
    ($($type:ty),+ $(,)?) => {$(
        static_assertions::assert_not_impl_any!(
            $type: std::fmt::Debug, std::fmt::Display, PartialEq, std::hash::Hash, serde::Serialize,
            std::ops::Deref, AsRef<str>, AsRef<[u8]>, std::borrow::Borrow<str>,
            std::borrow::Borrow<[u8]>, Into<String>, Into<Vec<u8>>, Into<Box<str>>, Into<Box<[u8]>>,
            IntoIterator
        );
    )+};
}

/// Asserts [`assert_unprintable`], and that the type cannot be cloned.
macro_rules! assert_secret {
    ($($type:ty),+ $(,)?) => {$(
        crate::secrecy::assert_unprintable!($type);
        static_assertions::assert_not_impl_any!($type: Clone, Copy);
    )+};
}

pub(crate) use {assert_secret, assert_unprintable};

use crate::{
    IssueOutcome, Issued, Minted, Secret, Token, TokenRef, random::Generator, verifier::ProofKey,
};

assert_secret!(
    Token,
    Secret,
    TokenRef<'static>,
    Minted,
    Issued,
    IssueOutcome,
    Generator,
    ProofKey
);
