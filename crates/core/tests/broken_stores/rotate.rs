//! Stores that break clause 2.

use async_trait::async_trait;
use keywright_core::{
    Event, KeyId, MemoryStore, Reach, Status, Timestamp, Workspace,
    store::{KeyStore, Record, Retire, Rotation, Settings, StoreError, StoreErrorKind},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, force, pause},
};

/// A rotation that links the successor, but does not retire the predecessor.
#[derive(Clone, Debug, Default)]
struct NeverRetires;

#[async_trait]
impl Fault for NeverRetires {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let mut rotation = rotation.clone();
        rotation.retire = Retire::At(Timestamp::MAX);
        inner.rotate(workspace, &rotation, now, event).await
    }
}

#[test]
fn a_predecessor_that_is_not_retired_is_caught() {
    // The predecessor is also wrong in lists by status, at other times, in its fields, and for a
    // purge by expiry.
    assert_fails_only::<NeverRetires>(&[
        "atomic_rotate",
        "listing",
        "clock_cancellation_secrets",
        "format",
        "purge",
    ]);
}

/// A rotation that revokes the predecessor if it should expire at this moment.
#[derive(Clone, Debug, Default)]
struct RevokesInsteadOfExpiring;

#[async_trait]
impl Fault for RevokesInsteadOfExpiring {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        if let Retire::At(end) = rotation.retire
            && end == now
        {
            let mut rotation = rotation.clone();
            rotation.retire = Retire::Now;
            return inner.rotate(workspace, &rotation, now, event).await;
        }
        inner.rotate(workspace, rotation, now, event).await
    }
}

#[test]
fn a_revocation_instead_of_an_expiry_is_caught() {
    assert_fails_only::<RevokesInsteadOfExpiring>(&["atomic_rotate"]);
}

/// A rotation that checks the predecessor, and writes without checking again.
#[derive(Clone, Debug, Default)]
struct ChecksBeforeWriting;

#[async_trait]
impl Fault for ChecksBeforeWriting {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let predecessor = inner.find(&rotation.predecessor).await?;
        let rotatable = predecessor.is_some_and(|predecessor| {
            predecessor.version == rotation.version && predecessor.key.successor.is_none()
        });
        pause();
        match inner.rotate(workspace, rotation, now, event).await {
            Err(error) if rotatable && error.kind() == StoreErrorKind::Conflict => {
                let predecessor = inner.find(&rotation.predecessor).await?;
                if predecessor.is_some_and(|predecessor| predecessor.key.successor.is_some()) {
                    return force(inner, &rotation.successor, now, event).await;
                }
                Err(error)
            }
            result => result,
        }
    }
}

#[test]
fn two_successful_rotations_of_one_key_are_caught() {
    assert_fails_only::<ChecksBeforeWriting>(&["atomic_rotate"]);
}

/// A rotation that retires the predecessor even if the id of the successor exists.
#[derive(Clone, Debug, Default)]
struct RetiresFirst;

#[async_trait]
impl Fault for RetiresFirst {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let result = inner.rotate(workspace, rotation, now, event).await;
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == StoreErrorKind::AlreadyExists)
        {
            inner
                .revoke(workspace, &rotation.predecessor, Reach::Key, now, None)
                .await?;
        }
        result
    }
}

#[test]
fn a_rotation_that_is_half_rolled_back_is_caught() {
    assert_fails_only::<RetiresFirst>(&["atomic_rotate"]);
}

/// A rejected rotation that inserts the successor.
#[derive(Clone, Debug, Default)]
struct InsertsFirst;

#[async_trait]
impl Fault for InsertsFirst {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let result = inner.rotate(workspace, rotation, now, event).await;
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == StoreErrorKind::Conflict)
        {
            force(inner, &rotation.successor, now, None).await?;
        }
        result
    }
}

#[test]
fn a_successor_of_a_rejected_rotation_is_caught() {
    // The store also rejects a rotation after a dropped rotation that did happen.
    assert_fails_only::<InsertsFirst>(&["atomic_rotate", "clock_cancellation_secrets"]);
}

/// A rotation that does not record which key received the successor's secret.
#[derive(Clone, Debug, Default)]
struct OmitsReceiver;

#[async_trait]
impl Fault for OmitsReceiver {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let admitted = match &rotation.successor.key.rotated_by {
            Some(caller) => admits(inner, caller, rotation, now).await?,
            None => true,
        };
        if !admitted {
            return inner.rotate(workspace, rotation, now, event).await;
        }
        inner
            .rotate(workspace, &without_caller(rotation), now, event)
            .await
    }
}

/// Whether the key with this id exists and admits the successor.
async fn admits(
    inner: &MemoryStore,
    id: &KeyId,
    rotation: &Rotation,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let found = inner.find(id).await?;
    Ok(found.is_some_and(|record| record.key.admits(&rotation.successor.key, now)))
}

fn without_caller(rotation: &Rotation) -> Rotation {
    let mut rotation = rotation.clone();
    rotation.successor.key.rotated_by = None;
    rotation
}

#[test]
fn a_successor_without_its_receiver_is_caught() {
    // The successor's record is wrong, and its lineage is missing.
    assert_fails_only::<OmitsReceiver>(&["atomic_rotate", "cascade", "format", "purge"]);
}

/// A rotation that checks the caller first, and writes without a second check.
#[derive(Clone, Debug, Default)]
struct ChecksCallerBeforeWriting;

#[async_trait]
impl Fault for ChecksCallerBeforeWriting {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let Some(caller) = &rotation.successor.key.rotated_by else {
            return inner.rotate(workspace, rotation, now, event).await;
        };
        let admitted = admits(inner, caller, rotation, now).await?;
        pause();
        match inner.rotate(workspace, rotation, now, event).await {
            Err(error) if admitted && error.kind() == StoreErrorKind::Conflict => {
                inner
                    .rotate(workspace, &without_caller(rotation), now, event)
                    .await
            }
            result => result,
        }
    }
}

#[test]
fn a_rotation_by_a_key_that_a_cascade_has_just_revoked_is_caught() {
    // A purge may delete the caller before the rotation.
    assert_fails_only::<ChecksCallerBeforeWriting>(&["cascade", "purge"]);
}

/// A rotation that does not check the caller.
#[derive(Clone, Debug, Default)]
struct AnyCaller;

#[async_trait]
impl Fault for AnyCaller {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        match inner.rotate(workspace, rotation, now, event).await {
            Err(error) if error.kind() == StoreErrorKind::Conflict => {
                inner
                    .rotate(workspace, &without_caller(rotation), now, event)
                    .await
            }
            result => result,
        }
    }
}

#[test]
fn a_rotation_by_an_inactive_caller_is_caught() {
    // The caller of such a rotation may also be revoked and purged before the write.
    assert_fails_only::<AnyCaller>(&["atomic_rotate", "cascade", "purge"]);
}

/// A rotation that accepts a disabled caller.
#[derive(Clone, Debug, Default)]
struct DisabledCaller;

#[async_trait]
impl Fault for DisabledCaller {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let caller = match &rotation.successor.key.rotated_by {
            Some(caller) => inner.find(caller).await?,
            None => None,
        };
        let is_only_disabled = caller.is_some_and(|Record { mut key, .. }| {
            !std::mem::replace(&mut key.enabled, true) && key.admits(&rotation.successor.key, now)
        });
        if is_only_disabled {
            return inner
                .rotate(workspace, &without_caller(rotation), now, event)
                .await;
        }
        inner.rotate(workspace, rotation, now, event).await
    }
}

#[test]
fn a_rotation_by_a_disabled_caller_is_caught() {
    assert_fails_only::<DisabledCaller>(&["atomic_rotate"]);
}

/// A rotation that accepts a caller that lacks permissions of the successor.
#[derive(Clone, Debug, Default)]
struct WeakerCaller;

#[async_trait]
impl Fault for WeakerCaller {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let mut rotation = rotation.clone();
        let permissions = rotation.successor.key.permissions.clone();
        let caller = match &rotation.successor.key.rotated_by {
            Some(caller) => inner.find(caller).await?,
            None => None,
        };
        let is_only_weaker = caller.is_some_and(|Record { mut key, .. }| {
            std::mem::replace(&mut key.permissions, permissions) != key.permissions
                && key.admits(&rotation.successor.key, now)
        });
        if is_only_weaker {
            rotation = without_caller(&rotation);
        }
        inner.rotate(workspace, &rotation, now, event).await
    }
}

#[test]
fn a_rotation_by_a_caller_that_lacks_a_permission_is_caught() {
    assert_fails_only::<WeakerCaller>(&["atomic_rotate"]);
}

/// A rotation that accepts a disabled predecessor, and enables it.
#[derive(Clone, Debug, Default)]
struct DisabledPredecessor;

#[async_trait]
impl Fault for DisabledPredecessor {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let mut rotation = rotation.clone();
        if let Some(predecessor) = inner.find(&rotation.predecessor).await?
            && predecessor.key.status(now) == Status::Disabled
        {
            let mut enabled = Settings::from(&predecessor.key);
            enabled.enabled = true;
            let id = &rotation.predecessor;
            let updated = inner
                .update(workspace, id, rotation.version, &enabled, event)
                .await?;
            rotation.version = updated.version;
        }
        inner.rotate(workspace, &rotation, now, event).await
    }
}

#[test]
fn a_rotation_of_a_disabled_key_is_caught() {
    assert_fails_only::<DisabledPredecessor>(&["atomic_rotate"]);
}
