//! Creates the first key of an empty store.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{IssueError, Issued, Issuer, NewKey};
use crate::{
    Caller, KeyId,
    random::Generator,
    store::{Reservation, Reserved, StoreErrorKind},
};

/// How long the reservation of the first key lasts. It coordinates servers that start on the same
/// empty store.
const RESERVED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

impl Issuer {
    /// Creates the first key of a store for a caller that the host has authenticated. The key gets
    /// the permissions of the caller, usually `*`, unless `new` names others. The actor of its
    /// event is [`Actor::System`](crate::Actor::System).
    ///
    /// Returns `None` if the store already has keys. If several servers call this concurrently on
    /// one store, exactly one call returns the key, and the others return `None`.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub async fn create_first(
        &self,
        caller: &Caller,
        new: NewKey,
    ) -> Result<Option<Issued>, IssueError> {
        if !self.verifier.store().is_empty().await? {
            return Ok(None);
        }
        let now = self.verifier.now();
        let draft = self.draft(&caller.as_system(), new, now)?;
        let own = KeyId::generate(now, &mut Generator::seeded(self.verifier.entropy())?);
        let purpose = Sha256::digest(b"keywright: the first key of an empty store").into();
        let until = now.saturating_add(RESERVED_FOR);
        let reservation = Reservation::new(purpose, purpose, own, until);
        let id = match self.verifier.store().reserve(&reservation, now).await? {
            Reserved::New => own,
            // Another server made the reservation. It may have crashed before it created the key,
            // so this server tries as well. Both use the same id, so only one of them succeeds.
            Reserved::Earlier { id, .. } => id,
        };
        match self.create_draft(&draft, Some(id), now).await {
            Ok(issued) => Ok(Some(issued)),
            Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::AlreadyExists => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
