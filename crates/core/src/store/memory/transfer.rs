//! The store in memory as the source or the target of a copy.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{MemoryStore, after_id, error};
use crate::{
    Event, EventId, KeyId, Workspace,
    store::{Import, Record, Reservation, Stage, StoreError, StoreErrorKind, Transfer, TransferId},
};

#[async_trait]
impl Transfer for MemoryStore {
    async fn identify(&self, candidate: &TransferId) -> Result<TransferId, StoreError> {
        Ok(*self.contents().id.get_or_insert(*candidate))
    }

    async fn stage(&self) -> Result<Stage, StoreError> {
        Ok(self.contents().stage.clone())
    }

    async fn set_stage(&self, from: &Stage, to: &Stage) -> Result<(), StoreError> {
        let mut contents = self.contents();
        let has_keys = !contents.records.is_empty();
        if contents.stage != *from || (*from == Stage::Unclaimed && has_keys) {
            return Err(error(StoreErrorKind::Conflict));
        }
        contents.stage = to.clone();
        Ok(())
    }

    fn seals(&self) -> bool {
        true
    }

    async fn workspaces(&self, after: Option<&Workspace>) -> Result<Vec<Workspace>, StoreError> {
        let contents = self.contents();
        let of_keys = contents
            .records
            .values()
            .map(|record| &record.key.workspace);
        let of_events = contents.events.values().map(|event| &event.workspace);
        let all: BTreeSet<&Workspace> = of_keys.chain(of_events).collect();
        let is_after = |workspace: &&Workspace| Some(*workspace) > after;
        Ok(all.into_iter().filter(is_after).cloned().collect())
    }

    async fn export_records(
        &self,
        workspace: &Workspace,
        after: Option<&KeyId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let contents = self.contents();
        let of_workspace =
            after_id(&contents.records, after).filter(|record| record.key.workspace == *workspace);
        Ok(of_workspace.take(limit as usize).cloned().collect())
    }

    async fn export_events(
        &self,
        workspace: &Workspace,
        after: Option<&EventId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let contents = self.contents();
        let of_workspace =
            after_id(&contents.events, after).filter(|event| event.workspace == *workspace);
        Ok(of_workspace.take(limit as usize).cloned().collect())
    }

    async fn export_reservations(
        &self,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StoreError> {
        let contents = self.contents();
        let is_after = |reservation: &&Reservation| Some(&reservation.key) > after;
        let mut reservations: Vec<Reservation> = contents
            .reservations
            .values()
            .filter(is_after)
            .cloned()
            .collect();
        reservations.sort_unstable_by_key(|reservation| reservation.key);
        reservations.truncate(limit as usize);
        Ok(reservations)
    }

    async fn import(&self, receiving: &Stage, import: &Import) -> Result<(), StoreError> {
        let mut contents = self.contents();
        if contents.stage != *receiving {
            return Err(error(StoreErrorKind::Conflict));
        }
        for record in &import.records {
            if let Some(present) = contents.records.get(&record.key.id) {
                Import::check_replacement(present, record)
                    .map_err(|reason| error(StoreErrorKind::Conflict).with_source(reason))?;
            }
        }
        for record in &import.records {
            contents.put(record.clone());
        }
        for record in &import.purged_records {
            contents.take(&record.key.id);
        }
        for event in &import.events {
            contents.events.insert(event.id, event.clone());
        }
        for event in &import.purged_events {
            contents.events.remove(&event.id);
        }
        for reservation in &import.reservations {
            contents
                .reservations
                .insert(reservation.key, reservation.clone());
        }
        drop(contents);
        for record in import.records.iter().chain(&import.purged_records) {
            self.lease.changed(&record.key.id);
        }
        Ok(())
    }
}
