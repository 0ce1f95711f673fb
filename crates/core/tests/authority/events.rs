//! Whether the events of an action explain exactly what it changed.

use std::collections::{HashMap, HashSet};

use keywright_core::{Changes, Event, EventKind, KeyId, store::Record};

type Records = HashMap<KeyId, Record>;

/// Checks that each event of an action has its change, and each change its event.
pub(crate) fn check(before: &Records, after: &Records, events: &[Event]) {
    let mut explained = HashSet::new();
    let mut revoked = 0;
    for event in events {
        assert!(explained.insert(event.key), "two events: {events:?}");
        let new = &after[&event.key].key;
        let changes = match before.get(&event.key) {
            Some(old) => Changes::between(&old.key, new),
            None => Changes::of_new(new),
        };
        match event.kind {
            EventKind::Created => {
                assert!(!before.contains_key(&event.key), "{event:?}");
                assert_eq!(event.changes, changes);
            }
            EventKind::Updated => {
                assert!(before.contains_key(&event.key), "{event:?}");
                assert!(!changes.is_empty(), "{event:?}");
                assert_eq!(event.changes, changes);
            }
            EventKind::Rotated { successor } => {
                assert_eq!(before[&event.key].key.successor, None);
                assert_eq!(new.successor, Some(successor));
                assert_eq!(event.changes, changes);
                assert!(!before.contains_key(&successor), "{event:?}");
                explained.insert(successor);
            }
            EventKind::Revoked { cascade, count } => {
                let count = count.unwrap();
                assert!(count > 0 && (cascade || count == 1), "{event:?}");
                assert!(event.changes.is_empty(), "{event:?}");
                revoked += count;
            }
            _ => panic!("an unknown kind: {event:?}"),
        }
        assert_eq!(
            (&event.workspace, &event.owner),
            (&new.workspace, &new.owner)
        );
        assert_eq!(event.environment, new.environment);
    }
    let mut newly_revoked = 0;
    for (id, record) in after {
        let old = before.get(id);
        let by_rotation = events
            .iter()
            .any(|event| event.key == *id && matches!(event.kind, EventKind::Rotated { .. }));
        let was_revoked = old.is_some_and(|old| old.key.revoked_at.is_some());
        let is_revoked = record.key.revoked_at.is_some() && !was_revoked && !by_rotation;
        newly_revoked += u64::from(is_revoked);
        let is_explained = is_revoked || explained.contains(id);
        assert!(
            old == Some(record) || is_explained,
            "no event of {record:?}"
        );
    }
    assert_eq!(newly_revoked, revoked, "{events:?}");
}
