//! Appending the event of a change.
//!
//! 1. Add the event to the indexes of its workspace and its owner. They may be on another server
//!    than the key, so this is a separate step.
//! 2. Run the script of the change. It also stores the event, and adds it to the index of its key.
//! 3. If the script made no change, remove the entries of step 1. If this step is missing, lists
//!    and purges skip the entries and remove them later.
//!
//! If the slot of the key stays partly migrated, as an interrupted migration leaves it, no script
//! can write to a record on one server and to an event on the other. Then the event is stored
//! first, then the change is made, and the event is deleted again if there was no change.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keywright_core::{Event, store::Lease};
use redis::{Value, cmd};

use super::{
    confirmation::Confirmation,
    index::{self, Entries, Id, Room},
};
use crate::{
    backoff::Backoff,
    error::{Error, Result},
    request::{Effect, Request},
    script::{self, Call, Script, code},
    servers::{Response, Servers},
};

/// How long a change waits for the end of a migration of its slot, before it stores the event in a
/// separate step. A migration rarely takes that long.
const MIGRATION: Duration = Duration::from_secs(1);

/// An event that a change appends.
#[derive(Clone, Debug)]
pub(super) struct NewEvent {
    id: Id,
    json: Vec<u8>,
    /// The name of the event.
    name: Vec<u8>,
    /// The name of the index of its key.
    index_of_key: Vec<u8>,
    /// Its entries in the indexes of its workspace and its owner.
    entries: Entries,
}

impl NewEvent {
    pub(super) fn new(servers: &Servers, event: &Event) -> Result<Self> {
        let names = servers.names();
        Ok(Self {
            id: *event.id.as_bytes(),
            json: encode(event)?,
            name: names.event(&event.id),
            index_of_key: names.events_of_key(&event.key),
            entries: Entries::of_event(servers, event),
        })
    }

    /// Its entries in the indexes of its workspace and its owner.
    pub(super) fn entries(&self) -> Entries {
        self.entries.clone()
    }

    /// Adds the entries in the indexes of the workspace and the owner: step 1.
    pub(super) async fn add_entries(
        &self,
        servers: &Arc<Servers>,
        room: Room,
    ) -> Result<Confirmation> {
        index::add(servers, &[self.entries()], room).await
    }

    /// Adds these entries again, if so much time has passed that they may have been removed.
    pub(super) async fn add_entries_again(
        &self,
        servers: &Arc<Servers>,
        lease: &Lease,
        added_at: Instant,
    ) -> Result<Confirmation> {
        index::add_again(servers, lease, &[self.entries()], added_at).await
    }

    /// Removes these entries, because there was no change: step 3.
    pub(super) async fn remove_entries(&self, servers: &Arc<Servers>) {
        // If this fails, a list or a purge removes them.
        let _ = self.entries.remove(servers).await;
    }

    /// Stores the event before a change that cannot store it itself.
    pub(super) async fn store(
        &self,
        servers: &Arc<Servers>,
        lease: &Lease,
    ) -> Result<Confirmation> {
        let added_at = lease.now();
        let of_key = [Entries::in_index(self.index_of_key.clone(), self.id)];
        let added = index::add(servers, &of_key, Room::NotRequired).await?;
        let stored = self.write(servers, &self.json, false).await?;
        let again = index::add_again(servers, lease, &of_key, added_at).await?;
        Ok(added.and(stored).and(again))
    }

    /// Replaces the stored event, unless it was deleted.
    pub(super) async fn replace(&self, servers: &Arc<Servers>, event: &Event) -> Result<()> {
        self.write(servers, &encode(event)?, true).await?;
        Ok(())
    }

    async fn write(
        &self,
        servers: &Arc<Servers>,
        json: &[u8],
        replace: bool,
    ) -> Result<Confirmation> {
        let call = Call {
            script: &script::STORE_EVENT,
            keys: vec![self.name.clone()],
            arguments: vec![json.into(), if replace { b"1".into() } else { Vec::new() }],
        };
        let effect = if replace {
            Effect::IdempotentUnconfirmed
        } else {
            Effect::Idempotent
        };
        let response = servers.run(Request::script(call, effect)).await?;
        Ok(Confirmation::of(&response))
    }

    /// Deletes the stored event and its entries, because there was no change.
    pub(super) async fn delete(&self, servers: &Arc<Servers>) -> Result<()> {
        let mut delete = cmd("DEL");
        delete.arg(&self.name);
        servers
            .run(Request::new(&self.name, Effect::Idempotent, delete))
            .await?;
        index::remove_entry(servers, &self.index_of_key, &self.id).await?;
        self.remove_entries(servers).await;
        Ok(())
    }
}

fn encode(event: &Event) -> Result<Vec<u8>> {
    serde_json::to_vec(event).map_err(|_| Error::Malformed("event"))
}

/// Runs the script of a change, which returns one of the [codes](crate::script::code), and appends
/// the event with it. Removes the entries of the event if there was no change.
pub(super) async fn run_change(
    servers: &Arc<Servers>,
    lease: &Lease,
    script: &'static Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    event: Option<&NewEvent>,
) -> Result<(i64, Confirmation)> {
    let call = Call {
        script,
        keys,
        arguments,
    };
    let (response, stored) = run_with_event(servers, lease, call, event).await?;
    let Value::Int(code) = response.value else {
        return Err(Error::Malformed("script reply"));
    };
    if code != code::DONE
        && let Some(event) = event
    {
        event.remove_entries(servers).await;
    }
    Ok((code, stored.and(Confirmation::of(&response))))
}

/// Runs the script of a change, and appends the event with it: step 2. Also returns the
/// confirmation of an event that was stored before the change.
pub(super) async fn run_with_event(
    servers: &Arc<Servers>,
    lease: &Lease,
    call: Call,
    event: Option<&NewEvent>,
) -> Result<(Response, Confirmation)> {
    let nothing = Confirmation::of_nothing();
    let Some(event) = event else {
        let response = servers.run(Request::script(call, Effect::Once)).await?;
        return Ok((response, nothing));
    };
    // A rotation is not possible in a slot that is partly migrated, with or without an event. An
    // insert has more names only if one server has all slots.
    let alone = (call.keys.len() == 1).then(|| call.clone());
    let mut together = call;
    together
        .keys
        .extend([event.name.clone(), event.index_of_key.clone()]);
    together
        .arguments
        .extend([event.id.into(), event.json.clone()]);
    let Some(alone) = alone else {
        let response = servers.run(Request::script(together, Effect::Once)).await?;
        return Ok((response, nothing));
    };
    let end = lease.now() + MIGRATION;
    let mut backoff = Backoff::new();
    loop {
        let request = Request::script(together.clone(), Effect::OnceTogether);
        match servers.run(request).await {
            // The server has rejected the script, so nothing was done.
            Err(error) if error.is_split() => {}
            result => return Ok((result?, nothing)),
        }
        if lease.now() >= end {
            break;
        }
        backoff.fail();
        backoff.pause().await;
    }
    let stored = event.store(servers, lease).await?;
    let result = servers.run(Request::script(alone, Effect::Once)).await;
    let unchanged = match &result {
        Ok(response) => !is_done(&response.value),
        // After any other error, the change may have been made.
        Err(error) => error.is_out_of_memory(),
    };
    if unchanged {
        event.delete(servers).await?;
    }
    Ok((result?, stored))
}

/// Whether a script has made a change. Scripts return a code, or an array that begins with one.
fn is_done(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.first().is_some_and(is_done),
        value => *value == Value::Int(code::DONE),
    }
}
