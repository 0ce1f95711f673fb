//! Lists events, and deletes old ones.

use super::{Action, IssueError, Issuer, cursor};
use crate::{
    Caller, Event, EventId, EventOrder, EventPage, EventPosition, ListEvents, Owner, Timestamp,
    Workspace, store::PurgeEvents,
};

impl Issuer {
    /// Returns one page of the events of keys that the caller sees, the newest first unless
    /// `wanted` says otherwise. With `api_keys.own:read` alone, a caller sees the events of the
    /// keys of its owner. The events of a key remain when its record is purged.
    ///
    /// ```
    /// # use keywright_core::{Caller, IssueError, Issuer, KeyId, ListEvents};
    /// # async fn history(issuer: &Issuer, caller: &Caller, key: KeyId) -> Result<(), IssueError> {
    /// let list = ListEvents::new().with_key(key);
    /// for event in issuer.events(caller, list).await?.events {
    ///     println!("{} {} by {}", event.created_at(), event.kind.as_str(), event.actor);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:read`,
    /// [`CallerInactive`](IssueError::CallerInactive), [`NoEventLog`](IssueError::NoEventLog),
    /// [`Store`](IssueError::Store), and [`Cursor`](IssueError::Cursor) if the cursor was not
    /// returned for this workspace, environment, filter and order.
    pub async fn events(
        &self,
        caller: &Caller,
        mut wanted: ListEvents,
    ) -> Result<EventPage, IssueError> {
        let caller = &self.current(caller).await?;
        let scope = self.scope(caller, Action::List, None)?;
        self.check_event_log()?;
        let excludes_all = self.excludes_all(&scope, &mut wanted.owner);
        let filter = filter_digest(caller, &wanted);
        let after = match &wanted.after {
            None => None,
            Some(cursor) => {
                let id = cursor::read(cursor, &filter).and_then(|id| EventId::from_bytes(&id).ok());
                Some(id.ok_or(IssueError::Cursor)?)
            }
        };
        if excludes_all {
            return Ok(EventPage::new(Vec::new(), None));
        }
        let list = ListEvents {
            key: wanted.key,
            owner: wanted.owner,
            order: wanted.order,
            after,
            limit: wanted.limit.clamp(1, ListEvents::MAX_LIMIT),
        };
        let store = self.verifier.store();
        let EventPage { events, next } = store
            .events(caller.workspace(), caller.environment(), &list)
            .await?;
        let next = next.map(|id| cursor::write(id.as_bytes(), &filter));
        Ok(EventPage::new(events, next))
    }

    /// Returns events that a reader has not read yet, the oldest first, up to the limit of
    /// `wanted`. An empty list means that the reader has read all of them. The order and the cursor
    /// of `wanted` are ignored.
    ///
    /// This reads the events of the last minute before the position again, to find those that
    /// appeared late. See [`EventPosition`]. An event whose time is in the future, because a
    /// server's clock is ahead, is returned when its time has come. Otherwise, the position would
    /// pass the events that other servers make until then.
    ///
    /// # Errors
    ///
    /// As for [`events`](Self::events).
    pub async fn unread_events(
        &self,
        caller: &Caller,
        wanted: &ListEvents,
        position: &EventPosition,
    ) -> Result<Vec<Event>, IssueError> {
        let caller = &self.current(caller).await?;
        let scope = self.scope(caller, Action::List, None)?;
        self.check_event_log()?;
        let mut owner = wanted.owner.clone();
        if self.excludes_all(&scope, &mut owner) {
            return Ok(Vec::new());
        }
        let now = self.verifier.now();
        let limit = wanted.limit.clamp(1, ListEvents::MAX_LIMIT);
        let mut list = ListEvents {
            key: wanted.key,
            owner,
            order: EventOrder::OldestFirst,
            after: Some(position.start()),
            limit: ListEvents::MAX_LIMIT,
        };
        let mut unread = Vec::new();
        loop {
            let store = self.verifier.store();
            let page = store
                .events(caller.workspace(), caller.environment(), &list)
                .await?;
            for event in page.events {
                if unread.len() == limit as usize || event.created_at() > now {
                    return Ok(unread);
                }
                if !position.has_read(&event) {
                    unread.push(event);
                }
            }
            if page.next.is_none() {
                return Ok(unread);
            }
            list.after = page.next;
        }
    }

    /// Deletes the events before a time, in one workspace or in all, and returns how many. Checks
    /// no permission: it is meant for the host itself.
    ///
    /// Events that are older than [the retention](crate::Config::with_event_retention) are deleted
    /// without this.
    ///
    /// # Errors
    ///
    /// [`IssueError::Store`] if the store fails. The deletions of earlier steps remain.
    pub async fn purge_events(
        &self,
        workspace: Option<Workspace>,
        before: Timestamp,
    ) -> Result<u64, IssueError> {
        let mut purge = PurgeEvents::new(before, PurgeEvents::STEP);
        purge.workspace = workspace;
        let mut total = 0;
        loop {
            match self.verifier.store().purge_events(&purge).await? {
                0 => return Ok(total),
                count => total += count,
            }
        }
    }

    fn check_event_log(&self) -> Result<(), IssueError> {
        if self.recorder.writes {
            Ok(())
        } else {
            Err(IssueError::NoEventLog)
        }
    }
}

/// A digest of everything that decides which events a list contains.
fn filter_digest(caller: &Caller, wanted: &ListEvents) -> [u8; 32] {
    let key = wanted.key.as_ref().map(|key| *key.as_bytes());
    let order: &[u8] = match wanted.order {
        EventOrder::NewestFirst => b"newest",
        EventOrder::OldestFirst => b"oldest",
    };
    super::digest([
        b"events",
        caller.workspace().as_str().as_bytes(),
        caller.environment().as_str().as_bytes(),
        key.as_ref().map_or(&[], |key| key.as_slice()),
        wanted.owner.as_ref().map_or("", Owner::as_str).as_bytes(),
        order,
    ])
}
