//! Updates the settings of keys.

use super::{
    Action, IssueError, Issuer,
    authority::{check_addresses, check_covers},
    not_found,
};
use crate::{
    Attributes, Caller, Change, Changes, EventKind, Key, KeyId, KeyUpdate, Timestamp, VersionedKey,
    caller::earliest,
    store::{Record, Settings, StoreErrorKind},
};

/// The maximum number of attempts at a change. An attempt fails if another change is made between
/// its read and its write.
pub(super) const CHANGE_ATTEMPTS: u32 = 5;

impl Issuer {
    /// Changes the settings of a key that is neither revoked nor expired, and returns the key after
    /// the change. All settings change together. If the update changes nothing, nothing is written.
    ///
    /// Once this returns, all verifiers of this process apply the change. Other processes apply it
    /// within the bound that the docs of the store state.
    ///
    /// The caller must cover the permissions that the key has and those that it gets. The key
    /// cannot get a later expiry than the caller, nor addresses from which the caller may not be
    /// used. The expiry of a key that was rotated can only move earlier. If the key can do more
    /// after the update than before (with more permissions, after a pause, from more addresses, for
    /// longer), it must then work only from the caller's addresses and expire no later than the
    /// caller, even if the update names neither.
    ///
    /// # Errors
    ///
    /// * [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:write`, or a
    ///   permission that the key has or would get.
    /// * [`NotFound`](IssueError::NotFound) if there is no such key or it is revoked,
    ///   [`Expired`](IssueError::Expired) if it has expired.
    /// * [`VersionMismatch`](IssueError::VersionMismatch) if the record has another version than
    ///   [`KeyUpdate::if_version`].
    /// * [`ExpiryPast`](IssueError::ExpiryPast),
    ///   [`ExpiryBeyondCaller`](IssueError::ExpiryBeyondCaller),
    ///   [`ExpiryBeyondPolicy`](IssueError::ExpiryBeyondPolicy),
    ///   [`ExpiryAfterRotation`](IssueError::ExpiryAfterRotation) or
    ///   [`AddressesBeyondCaller`](IssueError::AddressesBeyondCaller) if the key cannot have this
    ///   expiry or these addresses.
    /// * [`CallerInactive`](IssueError::CallerInactive), [`Random`](IssueError::Random).
    /// * [`Store`](IssueError::Store). The kind is [`Conflict`](StoreErrorKind::Conflict) if other
    ///   changes interfered with five attempts.
    pub async fn update(
        &self,
        caller: &Caller,
        id: &KeyId,
        update: &KeyUpdate,
    ) -> Result<VersionedKey, IssueError> {
        self.check_origin(caller)?;
        let mut attempts = 1;
        loop {
            // From the store, because an update lasts: a caller that another server has just
            // revoked must not make one, even within the bound of the store.
            let caller = &self.current_in_store(caller).await?;
            let (record, changed) = self.plan_update(caller, id, update).await?;
            match self.write(caller, &record, &changed).await {
                Err(IssueError::Store(error))
                    if error.kind() == StoreErrorKind::Conflict && attempts < CHANGE_ATTEMPTS =>
                {
                    attempts += 1;
                }
                done => return done,
            }
        }
    }

    /// Sets or removes the [`Attributes`] of a key in the caller's workspace that is not revoked.
    /// Checks no permission: it is meant for the host itself. The caller is the actor of the event.
    ///
    /// # Errors
    ///
    /// [`NotFound`](IssueError::NotFound) if the workspace has no such key or it is revoked,
    /// [`CallerForeign`](IssueError::CallerForeign), [`Random`](IssueError::Random), and
    /// [`Store`](IssueError::Store).
    pub async fn set_attributes(
        &self,
        caller: &Caller,
        id: &KeyId,
        attributes: Option<Attributes>,
    ) -> Result<VersionedKey, IssueError> {
        self.check_origin(caller)?;
        let mut attempts = 1;
        loop {
            let record = self.verifier.store().find(id).await?;
            let record = record
                .filter(|record| record.key.workspace == *caller.workspace())
                .filter(|record| record.key.revoked_at.is_none())
                .ok_or(IssueError::NotFound)?;
            let changed = Key {
                attributes: attributes.clone(),
                ..record.key.clone()
            };
            match self.write(caller, &record, &changed).await {
                Err(IssueError::Store(error))
                    if error.kind() == StoreErrorKind::Conflict && attempts < CHANGE_ATTEMPTS =>
                {
                    attempts += 1;
                }
                done => return done,
            }
        }
    }

    /// Writes the settings of `changed` over those of a record, if they differ.
    async fn write(
        &self,
        caller: &Caller,
        record: &Record,
        changed: &Key,
    ) -> Result<VersionedKey, IssueError> {
        let settings = Settings::from(changed);
        let mut updated = if settings == Settings::from(&record.key) {
            VersionedKey::new(record.key.clone(), record.version)
        } else {
            let Key { workspace, id, .. } = &record.key;
            let changes = Changes::between(&record.key, changed);
            let event = self.event(caller, changed, EventKind::Updated, changes)?;
            let written = self.recorder.written(&event);
            let store = self.verifier.store();
            let updated = store
                .update(workspace, id, record.version, &settings, written)
                .await;
            self.recorder.report(&event, &updated);
            updated.map_err(not_found)?
        };
        self.verifier
            .overlay_last_uses(std::slice::from_mut(&mut updated.key));
        Ok(updated)
    }

    /// Returns the record of a key, and the key after an update, if the caller may make it.
    pub(super) async fn plan_update(
        &self,
        caller: &Caller,
        id: &KeyId,
        update: &KeyUpdate,
    ) -> Result<(Record, Key), IssueError> {
        let scope = self.scope(caller, Action::Update, Some(id))?;
        let record = self.changeable(caller, &scope, id).await?;
        if update
            .if_version
            .is_some_and(|version| version != record.version)
        {
            return Err(IssueError::VersionMismatch);
        }
        let changed = self.after_update(caller, &record.key, update)?;
        Ok((record, changed))
    }

    /// Returns the key after an update, if the caller may make it.
    fn after_update(
        &self,
        caller: &Caller,
        key: &Key,
        update: &KeyUpdate,
    ) -> Result<Key, IssueError> {
        check_covers(caller, &key.permissions)?;
        if key.is_expired(self.verifier.expiry_now()) {
            return Err(IssueError::Expired);
        }
        let mut changed = key.apply(update);
        check_covers(caller, &changed.permissions)?;
        match update.allowed_ips {
            Change::Keep => {}
            Change::Set(_) => check_addresses(caller, changed.allowed_ips.as_ref())?,
            Change::Clear => changed.allowed_ips = caller.allowed_ips().cloned(),
        }
        if update.expires_at != Change::Keep {
            changed.expires_at = self.updated_expiry(caller, key, changed.expires_at)?;
        }
        // If the key can do more than before, the settings that stay count as well: permissions
        // that the caller grants must not be usable from other addresses or for longer than its
        // own.
        let is_resumed = changed.enabled && !key.enabled;
        if is_resumed || !key.covers(&changed) {
            check_addresses(caller, changed.allowed_ips.as_ref())?;
            if earliest(caller.expires_at(), changed.expires_at) != changed.expires_at {
                return Err(IssueError::ExpiryBeyondCaller);
            }
        }
        Ok(changed)
    }

    /// Returns the new expiry of a key, `wanted` or the latest possible, if the caller may set it.
    fn updated_expiry(
        &self,
        caller: &Caller,
        key: &Key,
        wanted: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, IssueError> {
        let latest = self.latest_expiry(key.created_at());
        let end = wanted.or_else(|| earliest(caller.expires_at(), latest));
        if let Some(end) = end {
            self.check_expiry(caller, end, key.created_at(), self.verifier.now())?;
        }
        if key.successor.is_some()
            && let Some(current) = key.expires_at
            && end.is_none_or(|end| end > current)
        {
            return Err(IssueError::ExpiryAfterRotation);
        }
        Ok(end)
    }
}
