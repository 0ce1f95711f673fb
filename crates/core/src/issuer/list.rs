//! Lists keys, and finds a key by its id.

use super::{Action, IssueError, Issuer, authority::Scope, cursor};
use crate::{
    Caller, KeyId, ListKeys, ListStart, Owner, Page, Status, TokenRef, VersionedKey,
    name::fold_case, store::Record,
};

impl Issuer {
    /// Returns one page of the keys that the caller sees, the newest first. A caller sees the keys
    /// of its workspace, and a `test` caller only those in the `test` environment. With
    /// `api_keys.own:read` alone, it sees those of its owner. Includes expired and revoked keys.
    ///
    /// ```
    /// # use keywright_core::{Caller, IssueError, Issuer, ListKeys, ListStart, Status};
    /// # async fn active_keys(issuer: &Issuer, caller: &Caller) -> Result<(), IssueError> {
    /// let mut list = ListKeys::new().with_status(Status::Active);
    /// loop {
    ///     let page = issuer.list(caller, list.clone()).await?;
    ///     for key in &page.keys {
    ///         println!("{} {}", key.id, key.name);
    ///     }
    ///     let Some(cursor) = page.next else { break };
    ///     list = list.with_start(ListStart::After(cursor));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:read`,
    /// [`CallerInactive`](IssueError::CallerInactive), [`Store`](IssueError::Store), and
    /// [`Cursor`](IssueError::Cursor) if the cursor was not returned for this workspace,
    /// environment and filter.
    pub async fn list(&self, caller: &Caller, wanted: ListKeys) -> Result<Page, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.verifier.expiry_now();
        let scope = self.scope(caller, Action::List, None)?;
        let mut wanted = wanted;
        let excludes_all = self.excludes_all(&scope, &mut wanted.owner);
        let filter = filter_digest(caller, &wanted);
        let limit = wanted.limit.clamp(1, ListKeys::MAX_LIMIT);
        let start = match &wanted.start {
            ListStart::Offset(offset) => ListStart::Offset(*offset),
            ListStart::After(cursor) => {
                let id = cursor::read(cursor, &filter).and_then(|id| KeyId::from_bytes(&id).ok());
                ListStart::After(id.ok_or(IssueError::Cursor)?)
            }
        };
        if excludes_all {
            return Ok(Page {
                keys: Vec::new(),
                next: None,
                total: matches!(start, ListStart::Offset(_)).then_some(0),
            });
        }
        let list = ListKeys {
            owner: wanted.owner,
            status: wanted.status,
            search: wanted.search,
            imported: wanted.imported,
            start,
            limit,
        };
        let Page {
            mut keys,
            next,
            total,
        } = self
            .verifier
            .store()
            .list(caller.workspace(), caller.environment(), &list, now)
            .await?;
        self.verifier.overlay_last_uses(&mut keys);
        Ok(Page {
            keys,
            next: next.map(|id| cursor::write(id.as_bytes(), &filter)),
            total,
        })
    }

    /// Restricts a filter by owner to the keys that a caller reaches. Returns whether it then
    /// selects no key.
    pub(super) fn excludes_all(&self, scope: &Scope, wanted: &mut Option<Owner>) -> bool {
        // For this caller, a list of another owner's keys is empty.
        let mut excludes_all = false;
        if let Some(own) = scope.owner() {
            let owner = wanted.get_or_insert_with(|| own.clone());
            excludes_all = owner != own;
        }
        // A token here was sent in the wrong place. It names no owner, and must not reach the
        // store.
        let is_token = |owner: &Owner| {
            TokenRef::parse(owner.as_str().as_bytes(), self.verifier.prefix()).is_ok()
        };
        excludes_all || wanted.as_ref().is_some_and(is_token)
    }

    /// Returns a key that the caller sees, even if it is expired or revoked, and the version of its
    /// record. A key can read itself without any permission.
    ///
    /// # Errors
    ///
    /// [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:read`,
    /// [`CallerInactive`](IssueError::CallerInactive), [`NotFound`](IssueError::NotFound), and
    /// [`Store`](IssueError::Store).
    pub async fn find(&self, caller: &Caller, id: &KeyId) -> Result<VersionedKey, IssueError> {
        let caller = &self.current(caller).await?;
        let scope = self.scope(caller, Action::Find, Some(id))?;
        let Record { key, version, .. } = self.visible(caller, &scope, id).await?;
        Ok(VersionedKey::new(key, version))
    }

    /// Returns the record of a key that the caller reaches.
    pub(super) async fn visible(
        &self,
        caller: &Caller,
        scope: &Scope,
        id: &KeyId,
    ) -> Result<Record, IssueError> {
        let record = self.verifier.store().find(id).await?;
        let mut record = record
            .filter(|Record { key, .. }| {
                key.workspace == *caller.workspace()
                    && caller.environment().covers(key.environment)
                    && scope.contains(key)
            })
            .ok_or(IssueError::NotFound)?;
        self.verifier
            .overlay_last_uses(std::slice::from_mut(&mut record.key));
        Ok(record)
    }

    /// Returns the record of a key that the caller reaches and that is not revoked.
    pub(super) async fn changeable(
        &self,
        caller: &Caller,
        scope: &Scope,
        id: &KeyId,
    ) -> Result<Record, IssueError> {
        let record = self.visible(caller, scope, id).await?;
        if record.key.revoked_at.is_some() {
            return Err(IssueError::NotFound);
        }
        Ok(record)
    }
}

/// A digest of everything that decides which keys a list contains.
fn filter_digest(caller: &Caller, wanted: &ListKeys) -> [u8; 32] {
    let search = wanted.search.as_deref().map(fold_case);
    super::digest([
        caller.workspace().as_str().as_bytes(),
        caller.environment().as_str().as_bytes(),
        wanted.owner.as_ref().map_or("", Owner::as_str).as_bytes(),
        wanted.status.map_or("", Status::as_str).as_bytes(),
        search.as_deref().unwrap_or_default().as_bytes(),
        &[u8::from(wanted.imported)],
    ])
}
