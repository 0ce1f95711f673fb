//! Registers a new key with the key that receives its secret.
//!
//! The new key and its receiver may be on different servers. So the store checks the receiver and
//! registers the new id with it in one step, before it stores the new record. From then on, a
//! cascade from the receiver finds the new key, or stores a tombstone in its place, so that the
//! insert fails. A registered id without a record is harmless.

use std::sync::Arc;

use keywright_core::{Key, KeyId, Timestamp, store::StoreErrorKind};
use redis::Value;

use super::{confirmation::Confirmation, run_script::run_script, stored::read_bytes};
use crate::{
    error::Result,
    record::{self, DecodeError, Stored},
    request::Effect,
    script::{self, code},
    servers::Servers,
};

/// Registers `new` with the key that receives its secret.
///
/// # Errors
///
/// `Conflict` unless the receiver [admits](Key::admits) the new key.
pub(super) async fn register(
    servers: &Arc<Servers>,
    receiver: &KeyId,
    new: &Key,
    now: Timestamp,
) -> Result<Confirmation> {
    let names = servers.names();
    let (code, confirmation) = run_script(
        servers,
        &script::ADMIT,
        vec![names.record(receiver), names.received(receiver)],
        vec![
            new.workspace.as_str().into(),
            now.as_millis().to_string().into(),
            new.id.as_bytes().into(),
            record::encode_time(new.expires_at).into(),
        ],
        Effect::Idempotent,
    )
    .await?;
    match code {
        code::DONE => Ok(confirmation),
        code::CONFLICT => Err(StoreErrorKind::Conflict.into()),
        _ => Err(DecodeError::Length.into()),
    }
}

/// Returns why an id is taken: by another record, or by a tombstone that a revocation of the
/// receiver has stored since the registration.
pub(super) async fn taken(servers: &Arc<Servers>, id: &KeyId) -> Result<StoreErrorKind> {
    match read_bytes(servers, id).await? {
        Value::BulkString(bytes) if record::decode(*id, &bytes) == Ok(Stored::Tombstone) => {
            Ok(StoreErrorKind::Conflict)
        }
        _ => Ok(StoreErrorKind::AlreadyExists),
    }
}
