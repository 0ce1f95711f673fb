//! Clause 2 broken.

use async_trait::async_trait;
use keywright_core::{
    KeyStore, MemoryStore, Reach, Retire, Rotation, StoreError, StoreErrorKind, Timestamp,
    Workspace,
};

use crate::{
    caught::assert_caught,
    fault::{Fault, force, gap},
};

/// Links the successor, and leaves the predecessor as it was.
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
    ) -> Result<(), StoreError> {
        let mut rotation = rotation.clone();
        rotation.retire = Retire::At(Timestamp::MAX);
        inner.rotate(workspace, &rotation, now).await
    }
}

#[test]
fn a_predecessor_that_lives_on_is_caught() {
    // It lives on wherever one looks: in lists, at other times, and in the fields.
    assert_caught::<NeverRetires>(&[
        "atomic_rotate",
        "listing",
        "clock_cancellation_secrets",
        "format",
    ]);
}

/// Takes an end at this very moment for a revocation.
#[derive(Clone, Debug, Default)]
struct EndIsRevocation;

#[async_trait]
impl Fault for EndIsRevocation {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Retire::At(end) = rotation.retire
            && end == now
        {
            let mut rotation = rotation.clone();
            rotation.retire = Retire::Now;
            return inner.rotate(workspace, &rotation, now).await;
        }
        inner.rotate(workspace, rotation, now).await
    }
}

#[test]
fn a_revocation_instead_of_an_end_is_caught() {
    assert_caught::<EndIsRevocation>(&["atomic_rotate"]);
}

/// Looks whether the key can be rotated, and then rotates, whatever has happened in between.
#[derive(Clone, Debug, Default)]
struct LooksFirst;

#[async_trait]
impl Fault for LooksFirst {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let predecessor = inner.find(&rotation.predecessor).await?;
        let single = predecessor.is_some_and(|predecessor| {
            predecessor.version == rotation.version && predecessor.key.successor.is_none()
        });
        gap();
        match inner.rotate(workspace, rotation, now).await {
            Err(error) if single && error.kind() == StoreErrorKind::Conflict => {
                let predecessor = inner.find(&rotation.predecessor).await?;
                if predecessor.is_some_and(|predecessor| predecessor.key.successor.is_some()) {
                    return force(inner, &rotation.successor, now).await;
                }
                Err(error)
            }
            answer => answer,
        }
    }
}

#[test]
fn two_winners_of_one_rotation_are_caught() {
    assert_caught::<LooksFirst>(&["atomic_rotate"]);
}

/// Retires the predecessor before it knows that it can insert the successor.
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
    ) -> Result<(), StoreError> {
        let answer = inner.rotate(workspace, rotation, now).await;
        if answer
            .as_ref()
            .is_err_and(|error| error.kind() == StoreErrorKind::AlreadyExists)
        {
            inner
                .revoke(workspace, &rotation.predecessor, Reach::Key, now)
                .await?;
        }
        answer
    }
}

#[test]
fn a_rotation_that_is_half_undone_is_caught() {
    assert_caught::<RetiresFirst>(&["atomic_rotate"]);
}

/// Inserts the successor of whatever it is asked to rotate.
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
    ) -> Result<(), StoreError> {
        let answer = inner.rotate(workspace, rotation, now).await;
        if answer
            .as_ref()
            .is_err_and(|error| error.kind() == StoreErrorKind::Conflict)
        {
            force(inner, &rotation.successor, now).await?;
        }
        answer
    }
}

#[test]
fn a_successor_of_a_refused_rotation_is_caught() {
    // Also where the rotation was refused because another one was dropped, and yet done.
    assert_caught::<InsertsFirst>(&["atomic_rotate", "clock_cancellation_secrets"]);
}

/// Does what anybody asks for.
#[derive(Clone, Debug, Default)]
struct AsksNobody;

#[async_trait]
impl Fault for AsksNobody {
    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rotation = rotation.clone().with_caller(None);
        inner.rotate(workspace, &rotation, now).await
    }
}

#[test]
fn a_rotation_for_a_caller_that_was_revoked_is_caught() {
    assert_caught::<AsksNobody>(&["atomic_rotate"]);
}
