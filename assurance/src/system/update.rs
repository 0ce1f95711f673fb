//! Updates keys, and checks the versions that calls return.

use futures_executor::block_on;
use keywright_core::{Caller, Change, IssueError, KeyUpdate, VersionedKey, store::Record};

use super::{
    backend::Backend,
    calls::assert_rejected,
    convert::{allowed_ips, metadata, name, permissions, time},
    state::{ReadRecord, System},
};
use crate::{
    action::{KeyChange, RequiredVersion, Slot},
    model::{CallOutcome, Model, Number, Rejection},
};

impl<B: Backend> System<B> {
    /// Updates the key in a slot.
    ///
    /// The model does not know when a background thread replaces the hash of a key, which changes
    /// the version. So if the update is rejected because the hash was replaced since the version
    /// was read, this reads the version again and repeats the update.
    pub(super) fn update(
        &mut self,
        process: usize,
        caller: &Caller,
        slot: Slot,
        change: &KeyChange,
        model: &Model,
    ) -> Result<VersionedKey, IssueError> {
        let id = self.id(slot);
        let number = self.slots.get(&slot).copied();
        loop {
            let version = number.map_or(1, |number| self.owned[number].read.version);
            let mut update = key_update(change, model);
            update.if_version = match change.version {
                RequiredVersion::Any => None,
                RequiredVersion::AsRead => Some(version),
                RequiredVersion::Older => Some(version - 1),
            };
            let issuer = self.processes[process].keys().issuer();
            let updated = block_on(issuer.update(caller, &id, &update));
            let mismatch = CallOutcome::Rejected(Rejection::VersionMismatch);
            match (&updated, number) {
                (Err(IssueError::VersionMismatch), Some(number))
                    if *model.expected() != mismatch =>
                {
                    let record = self.record(process, &id);
                    let read = &mut self.owned[number].read;
                    assert_ne!(
                        record.credential, read.credential,
                        "the version is unchanged"
                    );
                    read.version = record.version;
                    read.credential = record.credential;
                }
                _ => return updated,
            }
        }
    }

    /// Checks that a call returned a key and its version or was rejected, as the model expects.
    pub(super) fn check_versioned(
        &mut self,
        process: usize,
        shown: Result<VersionedKey, IssueError>,
        model: &Model,
    ) {
        match (shown, model.expected()) {
            (Ok(VersionedKey { key, version, .. }), CallOutcome::Key(number)) => {
                self.assert_key(process, &key, *number, model);
                self.check_version(process, *number, version, model);
            }
            (Err(error), expected) => assert_rejected(&error, expected),
            (Ok(shown), expected) => panic!("{shown:?}, expected {expected:?}"),
        }
    }

    /// Checks that the version of a key has grown by the number of its changes, or by more if its
    /// hash was replaced as well.
    fn check_version(&mut self, process: usize, number: Number, version: u64, model: &Model) {
        let id = self.owned[number].id;
        let changes = model.key(number).expect("the key was returned").changes;
        let Record {
            version: current,
            credential,
            ..
        } = self.record(process, &id);
        let read = &mut self.owned[number].read;
        let (grown, changed) = (version - read.version, changes - read.changes);
        let is_rehashed = credential != read.credential;
        assert!(
            grown == changed || grown > changed && is_rehashed,
            "{changed} changes, but the version {} became {version}",
            read.version
        );
        assert!(current == version || current > version && is_rehashed);
        *read = ReadRecord {
            version: current,
            credential,
            changes,
        };
    }
}

fn key_update(change: &KeyChange, model: &Model) -> KeyUpdate {
    let mut update = KeyUpdate::new();
    update.name = change.name.map(name);
    update.permissions = change.permissions.map(permissions);
    update.metadata = convert(change.metadata, metadata);
    update.enabled = change.enabled;
    update.expires_at = convert(change.expires_in, |millis| time(model.now() + millis));
    update.allowed_ips = convert(change.allowed_ips, allowed_ips);
    update
}

/// Converts the value of a change.
fn convert<T, U>(change: Change<T>, convert: impl FnOnce(T) -> U) -> Change<U> {
    match change {
        Change::Keep => Change::Keep,
        Change::Set(value) => Change::Set(convert(value)),
        Change::Clear => Change::Clear,
    }
}
