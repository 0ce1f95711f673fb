//! Clause 13 broken.

use std::{
    fmt::Debug,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use keywright_core::{
    Credential, Key, KeyId, KeyStore, Lease, MemoryStore, Reach, Rename, Revocation, Rotation,
    StoreError, Timestamp, Workspace,
};

use crate::{
    caught::assert_caught,
    fault::{Fault, Shared, gap},
};

/// What tells verifiers of changes, in place of the inner store.
trait Channel: Clone + Debug + Default + Send + Sync + 'static {
    fn lease(&self) -> &Arc<Lease>;

    /// A change of this key, or of all that descends from it, is about to be made.
    fn before(&self, _: &KeyId, _: Reach) {}

    /// It was made, and is not acknowledged yet.
    fn after(&self, _: &KeyId, _: Reach) {}
}

/// A store with another channel.
#[derive(Clone, Debug, Default)]
struct Telling<C>(C);

impl<C: Channel> Telling<C> {
    async fn told<T>(
        &self,
        id: &KeyId,
        reach: Reach,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.0.before(id, reach);
        let done = change.await;
        self.0.after(id, reach);
        done
    }
}

#[async_trait]
impl<C: Channel> Fault for Telling<C> {
    async fn rename(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError> {
        let change = inner.rename(workspace, id, version, rename);
        self.told(id, Reach::Key, change).await
    }

    async fn revoke(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
    ) -> Result<Revocation, StoreError> {
        let change = inner.revoke(workspace, id, reach, now);
        self.told(id, reach, change).await
    }

    async fn rotate(
        &self,
        inner: &MemoryStore,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let change = inner.rotate(workspace, rotation, now);
        self.told(&rotation.predecessor, Reach::Key, change).await
    }

    async fn rehash(
        &self,
        inner: &MemoryStore,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let change = inner.rehash(id, version, credential);
        self.told(id, Reach::Key, change).await
    }

    fn lease(&self, _: &MemoryStore) -> Arc<Lease> {
        Arc::clone(self.0.lease())
    }
}

/// A lease that the inner store does not know.
#[derive(Clone, Debug)]
struct Own(Arc<Lease>);

impl Default for Own {
    fn default() -> Self {
        Self(Arc::new(Lease::unlimited()))
    }
}

impl Own {
    fn tell(&self, id: &KeyId, reach: Reach) {
        match reach {
            Reach::Key => self.0.changed(id),
            Reach::Descendants => self.0.changed_all(),
        }
    }
}

/// Vouches, and never tells.
#[derive(Clone, Debug, Default)]
struct Mute(Own);

impl Channel for Mute {
    fn lease(&self) -> &Arc<Lease> {
        &self.0.0
    }
}

#[test]
fn a_store_that_never_tells_is_caught() {
    assert_caught::<Telling<Mute>>(&["changes"]);
}

/// Tells before it commits.
#[derive(Clone, Debug, Default)]
struct Hasty(Own);

impl Channel for Hasty {
    fn lease(&self) -> &Arc<Lease> {
        &self.0.0
    }

    fn before(&self, id: &KeyId, reach: Reach) {
        self.0.tell(id, reach);
        gap();
    }
}

#[test]
fn a_store_that_tells_before_it_commits_is_caught() {
    assert_caught::<Telling<Hasty>>(&["changes"]);
}

/// Tells of a cascade's first key alone.
#[derive(Clone, Debug, Default)]
struct Narrow(Own);

impl Channel for Narrow {
    fn lease(&self) -> &Arc<Lease> {
        &self.0.0
    }

    fn after(&self, id: &KeyId, _: Reach) {
        self.0.tell(id, Reach::Key);
    }
}

#[test]
fn a_store_that_tells_of_the_first_key_of_a_cascade_alone_is_caught() {
    assert_caught::<Telling<Narrow>>(&["changes"]);
}

/// Each handle has a lease of its own and learns of what others change by a channel, which dies
/// silently after a while.
#[derive(Debug, Default)]
struct Dying {
    own: Own,
    all: Shared<(Vec<Own>, u32)>,
}

impl Clone for Dying {
    fn clone(&self) -> Self {
        let own = Own::default();
        self.all.with(|(all, _)| all.push(own.clone()));
        Self {
            own,
            all: self.all.clone(),
        }
    }
}

impl Channel for Dying {
    fn lease(&self) -> &Arc<Lease> {
        &self.own.0
    }

    fn after(&self, id: &KeyId, reach: Reach) {
        self.own.tell(id, reach);
        self.all.with(|(all, told)| {
            *told += 1;
            if *told < 50 {
                all.iter().for_each(|other| other.tell(id, reach));
            }
        });
    }
}

#[test]
fn a_store_whose_channel_dies_silently_is_caught() {
    assert_caught::<Telling<Dying>>(&["changes"]);
}

/// Takes a touch for a change.
#[derive(Clone, Debug, Default)]
struct Chatty;

#[async_trait]
impl Fault for Chatty {
    async fn touch(
        &self,
        inner: &MemoryStore,
        uses: &[(KeyId, Timestamp)],
    ) -> Result<(), StoreError> {
        inner.lease().changed_all();
        inner.touch(uses).await
    }
}

#[test]
fn a_store_that_takes_a_touch_for_a_change_is_caught() {
    assert_caught::<Chatty>(&["changes"]);
}

/// Cannot tell, and does not vouch.
#[derive(Clone, Debug, Default)]
struct Honest;

impl Fault for Honest {
    fn lease(&self, _: &MemoryStore) -> Arc<Lease> {
        static LAPSED: OnceLock<Arc<Lease>> = OnceLock::new();
        Arc::clone(LAPSED.get_or_init(|| Arc::new(Lease::lapsed())))
    }
}

#[test]
fn a_store_that_cannot_tell_and_does_not_vouch_passes() {
    assert_caught::<Honest>(&[]);
}
