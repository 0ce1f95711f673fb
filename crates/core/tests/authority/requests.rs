//! The requests of callers, and the results that the model expects.

use std::collections::{HashMap, HashSet};

use futures_executor::block_on;
use keywright_core::{
    Attributes, Caller, Change, Clock, Expiry, IssueError, Key, KeyId, KeyUpdate, Name, NewKey,
    NewRotation, Owner, Reach, Timestamp, store::Record,
};

use crate::{
    actions::{RequestedExpiry, RequestedUpdate},
    addresses,
    oracle::{
        Right, can_expire_at, covers, does_more, earlier, end_or_max, exceeds, family, has_some,
        is_active, is_expired, is_itself, is_within, reaches, rotates_itself, sees,
    },
    permissions::includes,
    world::World,
};

impl World<'_> {
    pub(crate) fn create(&self, caller: &Caller, new: &NewKey) {
        let now = self.clock.now();
        let latest = self.latest_expiry(now);
        let environment = new.environment.unwrap_or(caller.environment());
        let allowed_ips = new.allowed_ips.as_ref().or(caller.allowed_ips());
        let permissions = new.permissions.as_ref().unwrap_or(caller.permissions());
        let permitted = is_current(caller, now)
            && has_some(caller, Right::Write)
            && sees(caller.environment(), environment)
            && includes(caller.permissions(), permissions)
            && addresses::includes(caller.allowed_ips(), allowed_ips)
            && match new.expiry {
                Expiry::At(end) => can_expire_at(caller, end, latest, now),
                _ => true,
            };
        let result = block_on(self.keys.issuer().create(caller, new.clone()));
        self.check_result("create", result.as_ref().err(), permitted);
        if let Ok(issued) = result {
            let mut expected = Key::new(
                issued.key.id,
                caller.workspace().clone(),
                environment,
                new.name.clone(),
                permissions.clone(),
            );
            expected.owner = caller.owner().cloned();
            expected.attributes = caller.attributes().cloned();
            expected.allowed_ips = allowed_ips.cloned();
            expected.parent = caller.key().copied();
            expected.expires_at = match new.expiry {
                Expiry::At(end) => Some(end),
                Expiry::Now => Some(now),
                _ => earlier(caller.expires_at(), latest),
            };
            assert_eq!(issued.key, expected);
            self.check_issued(caller, issued);
        }
    }

    pub(crate) fn rotate(
        &self,
        caller: &Caller,
        key: &Key,
        rotation: &NewRotation,
    ) -> HashSet<KeyId> {
        let now = self.clock.now();
        let latest = self.latest_expiry(now);
        let permitted = is_current(caller, now)
            && (reaches(caller, Right::Write, key) || rotates_itself(caller, key))
            && !exceeds(caller, key)
            && is_active(key, now)
            && key.successor.is_none()
            && rotation
                .expires_at
                .is_none_or(|end| can_expire_at(caller, end, latest, now));
        let result = block_on(self.keys.issuer().rotate(caller, &key.id, rotation));
        self.check_result("rotate", result.as_ref().err(), permitted);
        let Ok(issued) = result else {
            return HashSet::new();
        };
        let lifetime = |end: Timestamp| {
            let millis = end.as_millis() - key.created_at().as_millis();
            Timestamp::from_millis(now.as_millis() + millis).unwrap()
        };
        let wanted = rotation.expires_at.or(key.expires_at.map(lifetime));
        let mut expected = key.clone();
        expected.id = issued.key.id;
        expected.expires_at = earlier(wanted, earlier(caller.expires_at(), latest));
        expected.predecessor = Some(key.id);
        expected.rotated_by = caller.key().copied();
        assert_eq!(issued.key, expected);

        let mut predecessor = key.clone();
        predecessor.successor = Some(issued.key.id);
        if rotation.overlap.is_zero() {
            predecessor.revoked_at = Some(now);
        } else {
            let end = now.saturating_add(rotation.overlap);
            predecessor.expires_at = Some(end.min(end_or_max(key.expires_at)));
        }
        assert_eq!(self.record(&key.id).key, predecessor);
        self.check_issued(caller, issued);
        HashSet::from([key.id])
    }

    pub(crate) fn update(
        &self,
        caller: &Caller,
        record: &Record,
        wanted: &RequestedUpdate,
    ) -> HashSet<KeyId> {
        let now = self.clock.now();
        let key = &record.key;
        let update = self.requested(record, wanted);
        let latest = self.latest_expiry(key.created_at());
        let mut expected = key.clone();
        if let Some(name) = &update.name {
            expected.name = name.clone();
        }
        if let Some(permissions) = &update.permissions {
            expected.permissions = permissions.clone();
        }
        if let Some(enabled) = update.enabled {
            expected.enabled = enabled;
        }
        match &update.allowed_ips {
            Change::Keep => {}
            Change::Set(set) => expected.allowed_ips = Some(set.clone()),
            Change::Clear => expected.allowed_ips = caller.allowed_ips().cloned(),
        }
        match update.expires_at {
            Change::Keep => {}
            Change::Set(end) => expected.expires_at = Some(end),
            Change::Clear => expected.expires_at = earlier(caller.expires_at(), latest),
        }
        let is_permitted_end = match (update.expires_at, expected.expires_at) {
            (Change::Keep, _) => true,
            (_, None) => key.successor.is_none(),
            (_, Some(end)) => {
                let only_earlier = key.successor.is_none() || end <= end_or_max(key.expires_at);
                can_expire_at(caller, end, latest, now) && only_earlier
            }
        };
        let is_permitted_set = update.allowed_ips == Change::Keep
            || addresses::includes(caller.allowed_ips(), expected.allowed_ips.as_ref());
        let permitted = is_current(caller, now)
            && reaches(caller, Right::Write, key)
            && covers(caller, key)
            && covers(caller, &expected)
            && key.revoked_at.is_none()
            && !is_expired(key, now)
            && wanted.version.is_none_or(|difference| difference == 0)
            && is_permitted_end
            && is_permitted_set
            && (!does_more(key, &expected) || is_within(caller, &expected));
        let result = block_on(self.keys.issuer().update(caller, &key.id, &update));
        self.check_result("update", result.as_ref().err(), permitted);
        let Ok(updated) = result else {
            return HashSet::new();
        };
        let written = u64::from(expected != *key);
        assert_eq!(updated.version, record.version + written);
        let after = self.record(&key.id);
        assert_eq!((&after.key, after.version), (&expected, updated.version));
        expected.last_used_at = updated.key.last_used_at;
        assert_eq!(updated.key, expected);
        HashSet::from([key.id])
    }

    fn requested(&self, record: &Record, wanted: &RequestedUpdate) -> KeyUpdate {
        let mut update = KeyUpdate::new();
        update.name = wanted.rename.then(|| Name::parse("renamed").unwrap());
        update.permissions.clone_from(&wanted.permissions);
        update.enabled = wanted.enabled;
        update.expires_at = match (wanted.expiry, self.expiry_time(wanted.expiry)) {
            (RequestedExpiry::Now, _) => Change::Clear,
            (_, Some(end)) => Change::Set(end),
            (_, None) => Change::Keep,
        };
        update.allowed_ips = match &wanted.allowed_ips {
            None => Change::Keep,
            Some(None) => Change::Clear,
            Some(Some(set)) => Change::Set(set.clone()),
        };
        update.if_version = wanted.version.map(|difference| record.version + difference);
        update
    }

    pub(crate) fn set_attributes(
        &self,
        key: &Key,
        attributes: Option<Attributes>,
    ) -> HashSet<KeyId> {
        let issuer = self.keys.issuer();
        let host = Caller::operator(key.workspace.clone());
        let result = block_on(issuer.set_attributes(&host, &key.id, attributes.clone()));
        assert_eq!(result.is_ok(), key.revoked_at.is_none());
        let mut expected = key.clone();
        if result.is_ok() {
            expected.attributes = attributes;
        }
        assert_eq!(self.record(&key.id).key, expected);
        HashSet::from([key.id])
    }

    pub(crate) fn revoke(
        &self,
        caller: &Caller,
        before: &HashMap<KeyId, Record>,
        key: &Key,
        reach: Reach,
    ) -> HashSet<KeyId> {
        let mut reached = match reach {
            Reach::Key => HashSet::from([key.id]),
            Reach::Descendants => family(before, key.id),
        };
        reached.retain(|id| before[id].key.revoked_at.is_none());
        let may_revoke = reaches(caller, Right::Write, key) && covers(caller, key);
        let permitted = is_current(caller, self.clock.now())
            && (is_itself(caller, key) || may_revoke)
            && !reached.is_empty();
        let result = block_on(self.keys.issuer().revoke(caller, &key.id, reach));
        self.check_result("revoke", result.as_ref().err(), permitted);
        let Ok(revocation) = result else {
            return HashSet::new();
        };
        assert_eq!(revocation.count, reached.len() as u64);
        self.check_revoked(before, &reached);
        reached
    }

    pub(crate) fn revoke_all(
        &self,
        caller: &Caller,
        before: &HashMap<KeyId, Record>,
        owner: Option<&Owner>,
    ) -> HashSet<KeyId> {
        let permitted = is_current(caller, self.clock.now())
            && has_some(caller, Right::Read)
            && has_some(caller, Right::Write);
        let is_reached = |key: &&Key| {
            permitted
                && reaches(caller, Right::Read, key)
                && reaches(caller, Right::Write, key)
                && owner.is_none_or(|owner| key.owner.as_ref() == Some(owner))
                && key.revoked_at.is_none()
        };
        let keys = before.values().map(|record| &record.key);
        let (revoked, stronger): (Vec<_>, Vec<_>) =
            keys.filter(is_reached).partition(|key| covers(caller, key));
        let revoked: HashSet<_> = revoked.iter().map(|key| key.id).collect();
        let result = block_on(self.keys.issuer().revoke_all(caller, owner));
        let error = result.as_ref().err();
        self.check_result("revoke_all", error, permitted && stronger.is_empty());
        assert!(error.is_none_or(|error| matches!(
            error,
            IssueError::NotPermitted(_) | IssueError::CallerInactive
        )));
        if let Ok(count) = result {
            assert_eq!(count, revoked.len() as u64);
        }
        self.check_revoked(before, &revoked);
        revoked
    }

    /// Checks that these keys are revoked now, and otherwise unchanged.
    fn check_revoked(&self, before: &HashMap<KeyId, Record>, revoked: &HashSet<KeyId>) {
        for id in revoked {
            let mut expected = before[id].key.clone();
            expected.revoked_at = Some(self.clock.now());
            assert_eq!(self.record(id).key, expected);
        }
    }
}

/// Whether the caller has not expired.
fn is_current(caller: &Caller, now: Timestamp) -> bool {
    now < end_or_max(caller.expires_at())
}
