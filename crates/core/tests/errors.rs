//! Error messages: each is a single clause, distinct within its type, and the cause is only in
//! `source`.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{collections::HashSet, error::Error, io, iter, sync::Arc};

use keywright_core::{
    AllowedIps, Argon2Params, Denied, Environment, IdempotencyKey, IssueError, KeyId, OpenError,
    Owner, Permission, Prefix, Timestamp, Undecided, VerifyError, Workspace,
    error::{
        AllowedIpsError, AttributesError, HashError, MetadataError, NameError, PepperError,
        PermissionError, RandomError, TokenError,
    },
    store::{StoreError, StoreErrorKind, StoredHash},
};

/// The message of the root cause of each error that has a cause.
const CAUSE: &str = "the disk is full";

type Boxed = Box<dyn Error>;

fn random() -> RandomError {
    RandomError::new(CAUSE)
}

fn hash() -> HashError {
    HashError::Failed(Arc::new(io::Error::other(CAUSE)))
}

fn store() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "sqlite").with_source(io::Error::other(CAUSE))
}

/// Returns errors that have a cause, grouped by type.
fn errors_with_cause() -> [Vec<Boxed>; 6] {
    [
        vec![random().into(), hash().into(), store().into()],
        vec![
            OpenError::Store(store()).into(),
            OpenError::Random(random()).into(),
            OpenError::Threads(io::Error::other(CAUSE)).into(),
        ],
        vec![
            IssueError::from(random()).into(),
            IssueError::from(hash()).into(),
            IssueError::from(store()).into(),
        ],
        vec![
            Undecided::Hash(hash()).into(),
            Undecided::Store(store()).into(),
        ],
        vec![VerifyError::from(hash()).into()],
        vec![VerifyError::from(store()).into()],
    ]
}

/// Returns errors without a cause, grouped by type.
fn errors_without_cause() -> [Vec<Boxed>; 16] {
    let id = KeyId::parse("key_0123456789ABCDEF").unwrap();
    let [sk, pk] = ["sk", "pk"].map(|prefix| Prefix::parse(prefix).unwrap());
    [
        vec![
            OpenError::Prefix {
                store: sk,
                configured: pk,
            }
            .into(),
        ],
        vec![
            IssueError::NotPermitted(Permission::parse("keys:write").unwrap()).into(),
            IssueError::Environment.into(),
            IssueError::ExpiryPast.into(),
            IssueError::ExpiryBeyondCaller.into(),
            IssueError::ExpiryBeyondPolicy {
                latest: Timestamp::MAX,
            }
            .into(),
            IssueError::ExpiryAfterRotation.into(),
            IssueError::AddressesBeyondCaller.into(),
            IssueError::CallerInactive.into(),
            IssueError::CallerForeign.into(),
            IssueError::NotFound.into(),
            IssueError::Expired.into(),
            IssueError::VersionMismatch.into(),
            IssueError::StillCreated.into(),
            IssueError::NotRotatable.into(),
            IssueError::Cursor.into(),
            IssueError::IdempotencyMismatch.into(),
        ],
        [
            StoreErrorKind::AlreadyExists,
            StoreErrorKind::Conflict,
            StoreErrorKind::Corrupt,
            StoreErrorKind::NotConfirmed,
            StoreErrorKind::NotFound,
            StoreErrorKind::Unavailable,
        ]
        .map(|kind| StoreError::new(kind, "sqlite").into())
        .into(),
        vec![HashError::Busy.into(), HashError::UnknownPepper.into()],
        vec![
            Denied::Unknown(id).into(),
            Denied::WrongSecret(id).into(),
            Denied::Revoked(id).into(),
            Denied::Expired(id).into(),
            Denied::Disabled(id).into(),
            Denied::AddressNotAllowed(id).into(),
        ],
        vec![
            TokenError::Length.into(),
            TokenError::Prefix.into(),
            TokenError::Environment.into(),
            TokenError::Alphabet.into(),
            TokenError::Checksum.into(),
        ],
        vec![
            PepperError::Id.into(),
            PepperError::Length.into(),
            PepperError::Duplicate.into(),
        ],
        vec![
            NameError::Empty.into(),
            NameError::TooLong.into(),
            NameError::ControlCharacter.into(),
            NameError::Invisible.into(),
        ],
        vec![
            MetadataError::NotAnObject.into(),
            MetadataError::TooLarge.into(),
        ],
        vec![
            AttributesError::NotAnObject.into(),
            AttributesError::TooLarge.into(),
            AttributesError::Mismatch.into(),
        ],
        vec![
            AllowedIpsError::Count.into(),
            AllowedIpsError::Malformed.into(),
            AllowedIps::parse(["10.0.0.1/8"]).unwrap_err().into(),
        ],
        vec![
            PermissionError::Malformed.into(),
            PermissionError::TooMany.into(),
        ],
        vec![
            StoredHash::parse("").unwrap_err().into(),
            Argon2Params::new(0, 0, 0).unwrap_err().into(),
        ],
        vec![
            KeyId::parse("").unwrap_err().into(),
            Prefix::parse("").unwrap_err().into(),
            Workspace::parse("").unwrap_err().into(),
        ],
        vec![
            "".parse::<Environment>().unwrap_err().into(),
            Owner::parse("").unwrap_err().into(),
        ],
        vec![
            IdempotencyKey::parse("").unwrap_err().into(),
            Timestamp::from_millis(-1).unwrap_err().into(),
        ],
    ]
}

#[test]
fn each_message_is_distinct_and_omits_its_cause() {
    for group in errors_with_cause()
        .into_iter()
        .chain(errors_without_cause())
    {
        let count = group.len();
        let messages: HashSet<_> = group.iter().map(ToString::to_string).collect();
        assert_eq!(messages.len(), count, "{messages:?}");
        for message in messages {
            assert!(message.starts_with(char::is_lowercase), "{message:?}");
            assert!(
                !message.ends_with('.') && !message.contains(CAUSE),
                "{message:?}"
            );
        }
    }
}

/// Returns the message of the root cause.
fn root_cause(error: &Boxed) -> String {
    iter::successors(Some(&**error), |error| (*error).source())
        .map(ToString::to_string)
        .last()
        .unwrap()
}

#[test]
fn each_error_leads_to_its_root_cause() {
    for error in errors_with_cause().iter().flatten() {
        assert_eq!(root_cause(error), CAUSE, "{error}");
    }
    for error in errors_without_cause().iter().flatten() {
        assert_eq!(root_cause(error), error.to_string());
    }
    let denied = VerifyError::from(Denied::Malformed(TokenError::Checksum));
    assert_eq!(root_cause(&denied.into()), TokenError::Checksum.to_string());
}

#[test]
fn a_store_error_names_the_backend() {
    assert_eq!(store().backend(), "sqlite");
}
