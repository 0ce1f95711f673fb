//! Clause 9: no caller can read or change the keys of another workspace.

use super::{
    fixture::{
        assert_rejected, at, child_of, credential, moved_to, name, now, record_in, successor_of,
        unused_id, workspace,
    },
    handle::Handle,
    harness::Harness,
};
use crate::{
    KeyId, ListKeys, ListStart, Reach, Status,
    store::{Record, Retire, StoreErrorKind},
};

/// Names that a careless comparison confuses.
const WORKSPACES: [&str; 6] = ["acme", "ACME", "acm", "acme2", "acme:x", "ac_e"];

/// Tests clause 9, tenancy.
pub fn tenancy(harness: &impl Harness) {
    let store = Handle::open(harness);
    let keys: Vec<[Record; 2]> = WORKSPACES
        .iter()
        .map(|tenant| {
            let parent = store.add(record_in(tenant, "the same name"));
            let child = store.add(child_of(&parent));
            [parent, child]
        })
        .collect();
    lists_show_only_the_keys_of_their_workspace(&store, &keys);
    other_workspaces_cannot_change_a_key(&store, &keys);
    verifier_calls_ignore_the_workspace(&store, &keys);
    long_names_are_compared_completely(&store);
}

fn lists_show_only_the_keys_of_their_workspace<H: Harness>(
    store: &Handle<'_, H>,
    keys: &[[Record; 2]],
) {
    let listings = [
        ListKeys::new().with_limit(100),
        ListKeys::new().with_limit(100).with_search("NAME"),
        ListKeys::new()
            .with_limit(100)
            .with_start(ListStart::After(unused_id())),
        ListKeys::new().with_limit(100).with_status(Status::Active),
    ];
    for [parent, child] in keys {
        let tenant = &parent.key.workspace;
        for listing in &listings {
            let page = store.list(tenant, listing);
            let listed: Vec<KeyId> = page.keys.iter().map(|key| key.id).collect();
            let expected = match listing.search {
                Some(_) => vec![parent.key.id],
                None => vec![child.key.id, parent.key.id],
            };
            assert_eq!(
                listed, expected,
                "listed the wrong keys of {tenant}, for {listing:?}"
            );
            assert_eq!(
                page.next, None,
                "a list of {tenant} continues in another workspace"
            );
            let total =
                matches!(listing.start, ListStart::Offset(_)).then_some(listed.len() as u64);
            assert_eq!(page.total, total, "returned the wrong total of {tenant}");
        }
    }
    for empty in ["empty", "Acme", "acme_"].map(workspace) {
        for listing in &listings {
            let page = store.list(&empty, listing);
            assert_eq!(page.keys, [], "listed keys of a workspace without keys");
            assert_eq!(
                page.next, None,
                "returned a cursor for a workspace without keys"
            );
            let total = matches!(listing.start, ListStart::Offset(_)).then_some(0);
            assert_eq!(
                page.total, total,
                "returned the wrong total of a workspace without keys"
            );
        }
    }
}

fn other_workspaces_cannot_change_a_key<H: Harness>(store: &Handle<'_, H>, keys: &[[Record; 2]]) {
    let kind = StoreErrorKind::NotFound;
    for [parent, child] in keys {
        let owner = parent.key.workspace.as_str();
        for other_workspace in WORKSPACES
            .into_iter()
            .chain(["empty"])
            .filter(|tenant| *tenant != owner)
        {
            let moved = moved_to(other_workspace, parent);
            let mut changed = parent.key.clone();
            changed.name = name("changed");
            changed.enabled = false;
            assert_rejected(
                store.update(&moved, &changed),
                kind,
                "an update of a key in another workspace",
            );
            for reach in [Reach::Key, Reach::Descendants] {
                let result = store.revoke(&moved, reach, now());
                assert_rejected(result, kind, "a revocation of a key in another workspace");
            }
            for retire in [Retire::Now, Retire::At(at(500))] {
                // The store must reject this even if the successor stays in the owner's workspace.
                for successor in [successor_of(&moved), successor_of(parent)] {
                    let result = store.rotate(&moved, retire, &successor, now());
                    assert_rejected(result, kind, "a rotation of a key in another workspace");
                    assert_eq!(
                        store.find(&successor.key.id),
                        None,
                        "stored the successor of a rejected rotation"
                    );
                }
            }
            for record in [parent, child] {
                let found = store.read(&record.key.id);
                assert_eq!(
                    found, *record,
                    "a call by {other_workspace} changed a key of {owner}"
                );
            }
        }
    }
}

fn verifier_calls_ignore_the_workspace<H: Harness>(store: &Handle<'_, H>, keys: &[[Record; 2]]) {
    for record in keys.iter().flatten() {
        let result = store.rehash(record, &credential(3));
        assert!(result.is_ok(), "rejected a rehash of a key: {result:?}");
    }
    let uses: Vec<_> = keys
        .iter()
        .flatten()
        .map(|record| (record.key.id, at(1)))
        .collect();
    store.touch(&uses);
    for record in keys.iter().flatten() {
        let found = store.read(&record.key.id);
        assert_eq!(
            found.credential.hash,
            credential(3).hash,
            "a rehash did not replace the hash of a key"
        );
        assert_eq!(
            found.key.last_used_at,
            Some(at(1)),
            "a touch did not record the last use of a key"
        );
    }
}

fn long_names_are_compared_completely<H: Harness>(store: &Handle<'_, H>) {
    let [used, unused] = ["1", "2"].map(|last| format!("{}{last}", "w".repeat(63)));
    let key = store.add(record_in(&used, "key"));
    let listing = ListKeys::new().with_limit(10);
    assert_eq!(
        store.list(&workspace(&used), &listing).keys,
        [key.key],
        "did not list the key of a workspace with a long name"
    );
    assert_eq!(
        store.list(&workspace(&unused), &listing).keys,
        [],
        "confused two workspaces whose names differ in the last character"
    );
}
