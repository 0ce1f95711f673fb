//! Aliases of imported keys.
//!
//! The name of an alias holds the id of its key. The two are in different slots, so an insert first
//! claims the alias, and then stores the record. If the key that has an alias has no record, its
//! insert was interrupted or is in progress, or a purge deleted the record. Another insert of the
//! alias first waits about a second, so that an insert in progress succeeds: otherwise, two imports
//! of one file would take over each other's aliases. It then stores a tombstone in place of the
//! record, so that an insert still in progress fails, and takes over the alias.
//!
//! A claim without a record is harmless, and so is one whose record has another alias.

use std::sync::Arc;

use keywright_core::{
    KeyId,
    store::{Alias, Lease, Record, StoreErrorKind},
};
use redis::{Value, cmd};

use super::{
    confirmation::Confirmation,
    find::find,
    run_script::run_script,
    stored::{read, read_bytes},
};
use crate::{
    backoff::Backoff,
    error::{Error, Result},
    request::{Effect, Request},
    script::{self, Call, code},
    servers::Servers,
};

/// How long a tombstone prevents the insert whose alias another key has taken over.
const TOMBSTONE_SECONDS: &[u8] = b"86400";

/// The maximum number of reads of the record of an insert in progress. With the pauses in between,
/// they take about a second.
const MAX_READS: u32 = 8;

/// The maximum number of attempts to claim an alias that others claim at the same time.
const ATTEMPTS: u32 = 20;

/// Returns the record with an alias.
pub(crate) async fn find_by_alias(
    servers: &Arc<Servers>,
    lease: &Lease,
    alias: &Alias,
) -> Result<Option<Record>> {
    let name = servers.names().alias(alias);
    let mut get = cmd("GET");
    get.arg(&name);
    let id = match servers
        .run(Request::new(&name, Effect::Read, get))
        .await?
        .value
    {
        Value::Nil => return Ok(None),
        Value::BulkString(id) => KeyId::from_bytes(&id).map_err(|_| Error::Malformed("alias"))?,
        _ => return Err(Error::Malformed("alias")),
    };
    let found = find(servers, lease, &id).await?;
    Ok(found.filter(|record| record.alias == Some(*alias)))
}

/// Gives an alias to a new key.
///
/// # Errors
///
/// `AlreadyExists` if a key with a record has it.
pub(super) async fn claim_alias(
    servers: &Arc<Servers>,
    alias: &Alias,
    id: &KeyId,
) -> Result<Confirmation> {
    let mut expected: Option<KeyId> = None;
    for _ in 0..ATTEMPTS {
        let expected_id = expected.map_or(Vec::new(), |id| id.as_bytes().into());
        let call = Call {
            script: &script::CLAIM_ALIAS,
            keys: vec![servers.names().alias(alias)],
            arguments: vec![id.as_bytes().into(), expected_id],
        };
        let response = servers
            .run(Request::script(call, Effect::Idempotent))
            .await?;
        let Value::BulkString(holder) = &response.value else {
            return Err(Error::Malformed("script reply"));
        };
        let holder = KeyId::from_bytes(holder).map_err(|_| Error::Malformed("alias"))?;
        if holder == *id {
            return Ok(Confirmation::of(&response));
        }
        wait_for_insert(servers, &holder).await?;
        if has_alias(servers, &holder, alias).await? {
            return Err(StoreErrorKind::AlreadyExists.into());
        }
        let (code, _) = run_script(
            servers,
            &script::STORE_TOMBSTONE,
            vec![servers.names().record(&holder)],
            vec![TOMBSTONE_SECONDS.into()],
            Effect::Idempotent,
        )
        .await?;
        // The record may have appeared since it was read.
        if code != code::DONE && has_alias(servers, &holder, alias).await? {
            return Err(StoreErrorKind::AlreadyExists.into());
        }
        expected = Some(holder);
    }
    Err(StoreErrorKind::AlreadyExists.into())
}

/// Waits a while for the record of a key, unless a record or a tombstone is stored.
async fn wait_for_insert(servers: &Arc<Servers>, id: &KeyId) -> Result<()> {
    let mut backoff = Backoff::new();
    for _ in 0..MAX_READS {
        if read_bytes(servers, id).await? != Value::Nil {
            break;
        }
        backoff.fail();
        backoff.pause().await;
    }
    Ok(())
}

async fn has_alias(servers: &Arc<Servers>, id: &KeyId, alias: &Alias) -> Result<bool> {
    let found = read(servers, id).await?;
    Ok(found.is_some_and(|(_, record)| record.alias == Some(*alias)))
}

/// Takes an alias from a key, if the key has it.
pub(super) async fn free_alias(
    servers: &Arc<Servers>,
    alias: &Alias,
    id: &KeyId,
) -> Result<Confirmation> {
    let (_, confirmation) = run_script(
        servers,
        &script::FREE_ALIAS,
        vec![servers.names().alias(alias)],
        vec![id.as_bytes().into()],
        Effect::Idempotent,
    )
    .await?;
    Ok(confirmation)
}
