//! The store as the source or the target of a copy.

use async_trait::async_trait;
use keywright_core::{
    Event, EventId, KeyId, Workspace,
    store::{Import, Record, Reservation, Stage, StoreError, Transfer, TransferId},
};

use crate::{
    event,
    operations::transfer::{self, NewImport},
    record,
    store::SqliteStore,
};

/// The seal is in the row that contains the version of the schema, which each write reads.
#[async_trait]
impl Transfer for SqliteStore {
    async fn identify(&self, candidate: &TransferId) -> Result<TransferId, StoreError> {
        if let Some(id) = self.finder.run(transfer::id).await? {
            return Ok(id);
        }
        let candidate = *candidate;
        self.writer
            .run(move |connection| transfer::set_id(connection, &candidate))
            .await
    }

    async fn stage(&self) -> Result<Stage, StoreError> {
        self.finder.run(transfer::stage).await
    }

    async fn set_stage(&self, from: &Stage, to: &Stage) -> Result<(), StoreError> {
        let (from, to) = (from.clone(), to.clone());
        self.writer
            .change_stage(move |connection| transfer::set_stage(connection, &from, &to))
            .await
    }

    fn seals(&self) -> bool {
        true
    }

    async fn workspaces(&self, after: Option<&Workspace>) -> Result<Vec<Workspace>, StoreError> {
        let after = after.cloned();
        self.lister
            .run(None, move |connection| {
                transfer::workspaces(connection, after.as_ref()).map(Some)
            })
            .await
    }

    async fn export_records(
        &self,
        workspace: &Workspace,
        after: Option<&KeyId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let (workspace, after) = (workspace.clone(), after.copied());
        self.lister
            .run(Some(workspace.clone()), move |connection| {
                record::page(connection, &workspace, after.as_ref(), limit).map(Some)
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
        self.lister
            .run(Some(workspace.clone()), move |connection| {
                event::page(connection, &workspace, after.as_ref(), limit).map(Some)
            })
            .await
    }

    async fn export_reservations(
        &self,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StoreError> {
        let after = after.copied();
        self.lister
            .run(None, move |connection| {
                transfer::reservations(connection, after.as_ref(), limit).map(Some)
            })
            .await
    }

    async fn import(&self, receiving: &Stage, import: &Import) -> Result<(), StoreError> {
        let import = NewImport::new(receiving, import)?;
        self.writer
            .change(move |connection| import.write(connection))
            .await
    }
}
