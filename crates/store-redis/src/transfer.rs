//! The store as the source or the target of a copy.

use std::sync::Arc;

use async_trait::async_trait;
use keywright_core::{
    Event, EventId, KeyId, Workspace,
    store::{Import, Record, Reservation, Stage, StoreError, Transfer, TransferId},
};

use crate::{operations::transfer, store::RedisStore};

/// The store cannot be sealed, because a change is a script in the slot of its key, and the seal
/// would be in another slot. Stop the servers of this store before you finish a copy from it.
///
/// Records and events are read through the indexes of their workspaces. Each record and each event
/// of an import is written in a separate step.
#[async_trait]
impl Transfer for RedisStore {
    async fn identify(&self, candidate: &TransferId) -> Result<TransferId, StoreError> {
        let candidate = *candidate;
        self.run(|servers, _| async move { transfer::identify(&servers, &candidate).await })
            .await
    }

    async fn stage(&self) -> Result<Stage, StoreError> {
        self.run(|servers, _| async move { transfer::stage(&servers).await })
            .await
    }

    async fn set_stage(&self, from: &Stage, to: &Stage) -> Result<(), StoreError> {
        let (from, to) = (from.clone(), to.clone());
        self.run(|servers, _| async move { transfer::set_stage(&servers, &from, &to).await })
            .await
    }

    fn seals(&self) -> bool {
        false
    }

    async fn workspaces(&self, after: Option<&Workspace>) -> Result<Vec<Workspace>, StoreError> {
        let after = after.cloned();
        self.run(|servers, _| async move { transfer::workspaces(&servers, after.as_ref()).await })
            .await
    }

    async fn export_records(
        &self,
        workspace: &Workspace,
        after: Option<&KeyId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let (workspace, after) = (workspace.clone(), after.copied());
        self.run(|servers, lease| async move {
            transfer::records(&servers, &lease, &workspace, after, limit).await
        })
        .await
    }

    async fn export_events(
        &self,
        workspace: &Workspace,
        after: Option<&EventId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let (workspace, after) = (workspace.clone(), after.copied());
        self.run(
            |servers, _| async move { transfer::events(&servers, &workspace, after, limit).await },
        )
        .await
    }

    async fn export_reservations(
        &self,
        after: Option<&[u8; 32]>,
        _: u32,
    ) -> Result<Vec<Reservation>, StoreError> {
        let after = after.copied();
        self.run(|servers, _| async move { transfer::reservations(&servers, after).await })
            .await
    }

    async fn import(&self, receiving: &Stage, import: &Import) -> Result<(), StoreError> {
        let (receiving, import) = (receiving.clone(), import.clone());
        self.run(|servers: Arc<_>, lease: Arc<_>| async move {
            transfer::import(&servers, &lease, &receiving, import).await
        })
        .await
    }
}
