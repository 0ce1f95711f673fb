//! The store as the source or the target of a copy.

use async_trait::async_trait;
use keywright_core::{
    Event, EventId, KeyId, Workspace,
    store::{Import, Record, Reservation, Stage, StoreError, Transfer, TransferId},
};

use crate::{
    database::Access,
    operations::transfer::{self, Page},
    store::PostgresStore,
};

/// The seal is in the row that contains the version of the tables, which each change reads first.
///
/// A change of the stage needs the right to update and delete rows of the table `settings`, which
/// the owner of the tables has.
#[async_trait]
impl Transfer for PostgresStore {
    async fn identify(&self, _: &TransferId) -> Result<TransferId, StoreError> {
        self.transact(Access::Read, (), |connection, statements, ()| {
            Box::pin(transfer::id(connection, statements))
        })
        .await
    }

    async fn stage(&self) -> Result<Stage, StoreError> {
        self.transact(Access::Read, (), |connection, statements, ()| {
            Box::pin(transfer::stage(connection, statements))
        })
        .await
    }

    async fn set_stage(&self, from: &Stage, to: &Stage) -> Result<(), StoreError> {
        let stages = (from.clone(), to.clone());
        self.stage_when_unlocked(stages, |connection, statements, stages| {
            Box::pin(transfer::set_stage(connection, statements, stages))
        })
        .await
    }

    fn seals(&self) -> bool {
        true
    }

    async fn workspaces(&self, after: Option<&Workspace>) -> Result<Vec<Workspace>, StoreError> {
        let after = after.cloned();
        self.transact(Access::Read, after, |connection, statements, after| {
            Box::pin(transfer::workspaces(connection, statements, after))
        })
        .await
    }

    async fn export_records(
        &self,
        workspace: &Workspace,
        after: Option<&KeyId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let page = page(workspace, after, limit);
        self.transact(Access::Read, page, |connection, statements, page| {
            Box::pin(transfer::records(connection, statements, page))
        })
        .await
    }

    async fn export_events(
        &self,
        workspace: &Workspace,
        after: Option<&EventId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let page = page(workspace, after, limit);
        self.transact(Access::Read, page, |connection, statements, page| {
            Box::pin(transfer::events(connection, statements, page))
        })
        .await
    }

    async fn export_reservations(
        &self,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StoreError> {
        let page = (after.copied(), limit);
        self.transact(Access::Read, page, |connection, statements, page| {
            Box::pin(transfer::reservations(connection, statements, page))
        })
        .await
    }

    async fn import(&self, receiving: &Stage, import: &Import) -> Result<(), StoreError> {
        let input = (receiving.clone(), import.clone());
        let imported = self
            .transact(Access::Write, input, |connection, statements, input| {
                Box::pin(transfer::import(connection, statements, input))
            })
            .await;
        match imported {
            Ok(changed) => {
                for id in &changed {
                    self.database.lease.changed(id);
                }
                Ok(())
            }
            Err(error) => {
                // The reply to the commit may have been lost.
                self.database.lease.changed_all();
                Err(error)
            }
        }
    }
}

fn page<I: Copy>(workspace: &Workspace, after: Option<&I>, limit: u32) -> Page<I> {
    Page {
        workspace: workspace.clone(),
        after: after.copied(),
        limit,
    }
}
