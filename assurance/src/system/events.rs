//! Lists and deletes events, and compares them with the model's.

use futures_executor::block_on;
use keywright_core::{
    Actor, Caller, Changes, Environment, Event, EventId, EventKind, EventOrder, Key, KeyId,
    ListEvents, Transition,
};

use super::{
    backend::Backend,
    calls::assert_rejected,
    check::rejection,
    convert,
    marker::MARKER,
    state::{EventCursor, System},
};
use crate::{
    action::Action,
    model::{self, CallOutcome, EventActor, EventNumber, EventQuery, Model, Number, Rejection},
    vocabulary::{HOSTS, OWNERS, WORKSPACES},
};

impl<B: Backend> System<B> {
    /// Checks that a reader of the log gets exactly the events of the step, in a process that has
    /// just made it.
    pub(super) fn check_new_events(&mut self, process: usize, model: &Model) {
        let known = self.event_ids.len();
        let mut new: Vec<_> = model
            .events()
            .filter(|(number, _)| *number >= known)
            .collect();
        let mut ids = vec![None; new.len()];
        for (index, workspace) in WORKSPACES.iter().enumerate() {
            let caller = reader(workspace);
            let list = ListEvents::new().with_limit(ListEvents::MAX_LIMIT);
            loop {
                let issuer = self.processes[process].keys().issuer();
                let position = &self.positions[index];
                let unread = block_on(issuer.unread_events(&caller, &list, position));
                let unread = unread.expect("the store works");
                if unread.is_empty() {
                    break;
                }
                for event in unread {
                    self.positions[index].mark_read(&event);
                    // One step changes each key at most once.
                    let of_key = |(_, new): &(EventNumber, &model::Event)| {
                        self.owned[new.key].id == event.key
                    };
                    let found = new.iter().position(of_key);
                    let found = found.unwrap_or_else(|| panic!("{event:?} has no change"));
                    let (number, expected) = new.swap_remove(found);
                    assert_eq!(event, self.expected_event(event.id, expected));
                    assert!(!self.event_ids.contains(&event.id));
                    ids[number - known] = Some(event.id);
                }
            }
        }
        assert!(new.is_empty(), "{new:?} have no event");
        let ids = ids.into_iter().map(|id| id.expect("each number was found"));
        self.event_ids.extend(ids);
    }

    /// The event that the model expects, with the id that the system has given it.
    fn expected_event(&self, id: EventId, expected: &model::Event) -> Event {
        let key_of = |number: Number| self.owned[number].id;
        let key = key_of(expected.key);
        assert_eq!(id.created_at(), convert::time(expected.created_at));
        assert_eq!(id.routing_tag(), key.routing_tag());
        let mut about = Key::new(
            key,
            convert::workspace(expected.workspace),
            expected.environment,
            convert::name("any"),
            convert::permissions(""),
        );
        about.owner = expected.owner.map(convert::owner);
        let kind = match expected.kind {
            model::EventKind::Created => EventKind::Created,
            model::EventKind::Updated => EventKind::Updated,
            model::EventKind::Rotated(successor) => EventKind::Rotated {
                successor: key_of(successor),
            },
            model::EventKind::Revoked { cascade, count } => EventKind::Revoked {
                cascade,
                count: Some(count),
            },
        };
        let actor = match expected.actor {
            EventActor::Key(number, owner) => Actor::Key {
                id: key_of(number),
                owner: owner.map(convert::owner),
            },
            EventActor::Host(owner) => Actor::Host {
                owner: owner.map(convert::owner),
            },
        };
        let mut event = Event::new(id, kind, &about, actor);
        event.request_id = expected.request.number.map(convert::request_id);
        let address = expected.request.from.map(convert::address);
        event.client_ip = address.map(|address| address.to_canonical());
        event.changes = changes(&expected.changes);
        event
    }

    /// Asserts that these are the expected events, in this order.
    fn assert_events(&self, shown: &[Event], expected: &[EventNumber], model: &Model) {
        let ids: Vec<EventId> = shown.iter().map(|event| event.id).collect();
        let expected_ids: Vec<EventId> = expected
            .iter()
            .map(|number| self.event_ids[*number])
            .collect();
        assert_eq!(ids, expected_ids);
        for (event, number) in shown.iter().zip(expected) {
            let expected = model.event(*number).expect("the event was not deleted");
            assert_eq!(*event, self.expected_event(event.id, expected));
        }
    }

    /// Sorts events as a list of this order does.
    fn sort_events(&self, numbers: &mut [EventNumber], order: EventOrder) {
        numbers.sort_by_key(|number| self.event_ids[*number]);
        if order == EventOrder::NewestFirst {
            numbers.reverse();
        }
    }

    /// Lists events, and checks that the page contains exactly the expected ones, and has a cursor
    /// only if more follow.
    pub(super) fn list_events(
        &mut self,
        process: usize,
        caller: &Caller,
        action: &Action,
        model: &Model,
    ) {
        let Action::Events {
            key,
            owner,
            order,
            limit,
            cursor,
            ..
        } = action
        else {
            panic!("{action:?} lists no events");
        };
        let mut list = ListEvents::new().with_order(*order).with_limit(*limit);
        list.key = key.map(|slot| self.id(slot));
        list.owner = owner.map(convert::owner);
        let chosen = cursor.map(|number| number.checked_rem(self.event_cursors.len()));
        let chosen = chosen.map(|number| number.map(|number| &self.event_cursors[number]));
        list.after =
            chosen.map(|cursor| cursor.map_or("none".into(), |cursor| cursor.text.clone()));
        let issuer = self.processes[process].keys().issuer();
        let listed = block_on(issuer.events(caller, list));
        let CallOutcome::Events(query, expected) = model.expected() else {
            match listed {
                Err(error) => assert_rejected(&error, model.expected()),
                Ok(listed) => panic!("{listed:?}, expected {:?}", model.expected()),
            }
            return;
        };
        let mut expected = expected.clone();
        self.sort_events(&mut expected, *order);
        match chosen {
            None => {}
            Some(Some(cursor)) if cursor.query == *query => {
                expected.retain(|number| match order {
                    EventOrder::NewestFirst => self.event_ids[*number] < cursor.after,
                    EventOrder::OldestFirst => self.event_ids[*number] > cursor.after,
                });
            }
            Some(_) => {
                let error = listed.expect_err("the cursor belongs to another list");
                assert_eq!(rejection(&error), Rejection::Cursor);
                return;
            }
        }
        let listed = listed.expect("the list succeeds");
        let follow = expected.len() > *limit as usize;
        expected.truncate(*limit as usize);
        self.assert_events(&listed.events, &expected, model);
        assert_eq!(listed.next.is_some(), follow);
        if let (Some(text), Some(last)) = (listed.next, listed.events.last()) {
            self.event_cursors.push(EventCursor {
                query: query.clone(),
                after: last.id,
                text,
            });
        }
    }

    /// Deletes events, and checks how many.
    pub(super) fn purge_events(
        &self,
        process: usize,
        workspace: Option<&'static str>,
        age: i64,
        model: &Model,
    ) {
        let issuer = self.processes[process].keys().issuer();
        let before = convert::time(model.now() - age);
        if workspace.is_none() {
            // The model does not know the events of the marker.
            let marker = issuer.purge_events(Some(convert::workspace(MARKER)), before);
            block_on(marker).expect("the store works");
        }
        let purged = issuer.purge_events(workspace.map(convert::workspace), before);
        let purged = block_on(purged).expect("the store works");
        assert_eq!(CallOutcome::PurgedEvents(purged), *model.expected());
    }

    /// Lists all events of a workspace, of each of its owners and of each of its keys, as a live
    /// and as a test caller, in both orders.
    ///
    /// # Panics
    ///
    /// If they differ from the model's.
    pub(super) fn check_events(&self, process: usize, workspace: &'static str, model: &Model) {
        let everything = EventQuery {
            workspace,
            environment: Environment::Live,
            key: None,
            owner: None,
            order: EventOrder::NewestFirst,
        };
        let owners = OWNERS.map(|owner| EventQuery {
            owner: Some(owner),
            ..everything.clone()
        });
        let keys = (0..self.owned.len()).map(|number| EventQuery {
            key: Some(Some(number)),
            ..everything.clone()
        });
        let filters: Vec<_> = keys.chain(owners).chain([everything.clone()]).collect();
        for query in filters {
            for environment in [Environment::Live, Environment::Test] {
                for order in [EventOrder::NewestFirst, EventOrder::OldestFirst] {
                    let query = EventQuery {
                        environment,
                        order,
                        ..query.clone()
                    };
                    let mut expected = model.selected_events(&query);
                    self.sort_events(&mut expected, order);
                    self.assert_events(&self.all_events(process, &query), &expected, model);
                }
            }
        }
    }

    fn key_id(&self, number: Option<Number>) -> KeyId {
        number.map_or_else(convert::unknown_id, |number| self.owned[number].id)
    }

    /// Reads all pages of a list of events.
    fn all_events(&self, process: usize, query: &EventQuery) -> Vec<Event> {
        let caller = reader(query.workspace).with_environment(query.environment);
        let mut list = ListEvents::new()
            .with_order(query.order)
            .with_limit(ListEvents::MAX_LIMIT);
        list.key = query.key.map(|number| self.key_id(number));
        list.owner = query.owner.map(convert::owner);
        let mut events = Vec::new();
        loop {
            let issuer = self.processes[process].keys().issuer();
            let page = block_on(issuer.events(&caller, list.clone())).expect("the list succeeds");
            events.extend(page.events);
            match page.next {
                Some(next) => list.after = Some(next),
                None => return events,
            }
        }
    }
}

/// The first user of a workspace, who has all permissions.
fn reader(workspace: &str) -> Caller {
    let host = HOSTS.iter().find(|host| host.workspace == workspace);
    convert::caller(host.expect("each workspace has a host"))
}

fn changes(expected: &model::Changes) -> Changes {
    let mut changes = Changes::default();
    changes.name = transition(&expected.name, |name| convert::name(name));
    changes.permissions = transition(&expected.permissions, |permissions| {
        let list: Vec<&str> = permissions.iter().copied().collect();
        convert::permissions(&list.join(","))
    });
    changes.enabled = transition(&expected.enabled, |enabled| *enabled);
    changes.expires_at = transition(&expected.expires_at, |time| convert::time(*time));
    changes.revoked_at = transition(&expected.revoked_at, |time| convert::time(*time));
    changes.allowed_ips = transition(&expected.allowed_ips, |set| convert::allowed_ips(set));
    changes.metadata = expected.metadata;
    changes.attributes = expected.attributes;
    changes
}

/// Converts the values of a field.
fn transition<T, U>(
    expected: &model::Transition<T>,
    convert: impl Fn(&T) -> U,
) -> Option<Transition<U>> {
    expected.as_ref().map(|(before, after)| Transition {
        before: before.as_ref().map(&convert),
        after: after.as_ref().map(&convert),
    })
}
