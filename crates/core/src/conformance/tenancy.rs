//! Clause 9: no caller reaches into another workspace.

use super::{
    Harness,
    fixture::{
        assert_refused, at, child_of, credential, moved_to, name, now, record_in, successor_of,
        unused_id, workspace,
    },
    handle::Handle,
};
use crate::{
    KeyId, ListKeys, ListStart, Metadata, Reach, Record, Rename, Retire, Status, StoreErrorKind,
};

/// Names that a careless comparison takes for each other.
const WORKSPACES: [&str; 6] = ["acme", "ACME", "acm", "acme2", "acme:x", "ac_e"];

/// Clause 9, tenancy.
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
    lists_show_their_own(&store, &keys);
    strangers_find_nothing_to_change(&store, &keys);
    verifiers_go_by_id(&store, &keys);
    long_names_differ_in_their_last_letter(&store);
}

fn lists_show_their_own<H: Harness>(store: &Handle<'_, H>, keys: &[[Record; 2]]) {
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
            let own: Vec<KeyId> = page.keys.iter().map(|key| key.id).collect();
            let expected = match listing.search {
                Some(_) => vec![parent.key.id],
                None => vec![child.key.id, parent.key.id],
            };
            assert_eq!(
                own, expected,
                "a list of {tenant} shows its own keys, for {listing:?}"
            );
            assert_eq!(
                page.next, None,
                "a list of {tenant} goes on into another workspace"
            );
            let total = matches!(listing.start, ListStart::Offset(_)).then_some(own.len() as u64);
            assert_eq!(page.total, total, "a total of {tenant} counts its own keys");
        }
    }
    for empty in ["nobody", "Acme", "acme_"].map(workspace) {
        for listing in &listings {
            let page = store.list(&empty, listing);
            assert_eq!(page.keys, [], "a workspace without keys lists nothing");
            assert_eq!(
                page.next, None,
                "a workspace without keys has no second page"
            );
            let total = matches!(listing.start, ListStart::Offset(_)).then_some(0);
            assert_eq!(
                page.total, total,
                "a workspace without keys has none in total"
            );
        }
    }
}

fn strangers_find_nothing_to_change<H: Harness>(store: &Handle<'_, H>, keys: &[[Record; 2]]) {
    let rename = Rename::new(Some(name("stolen")), Some(Metadata::parse("{}").unwrap()));
    let kind = StoreErrorKind::NotFound;
    for [parent, child] in keys {
        let owner = parent.key.workspace.as_str();
        for stranger in WORKSPACES
            .into_iter()
            .chain(["nobody"])
            .filter(|other| *other != owner)
        {
            let seen = moved_to(stranger, parent);
            assert_refused(
                store.rename(&seen, &rename),
                kind,
                "a rename of a stranger's key",
            );
            for reach in [Reach::Key, Reach::Descendants] {
                let answer = store.revoke(&seen, reach, now());
                assert_refused(answer, kind, "a revocation of a stranger's key");
            }
            for retire in [Retire::Now, Retire::At(at(500))] {
                // Not even where the successor would stay in the owner's workspace.
                for successor in [successor_of(&seen), successor_of(parent)] {
                    let answer = store.rotate(&seen, retire, &successor, now());
                    assert_refused(answer, kind, "a rotation of a stranger's key");
                    assert_eq!(store.find(&successor.key.id), None, "refused, but stored");
                }
            }
            for record in [parent, child] {
                let found = store.read(&record.key.id);
                assert_eq!(found, *record, "{stranger} has changed a key of {owner}");
            }
        }
    }
}

fn verifiers_go_by_id<H: Harness>(store: &Handle<'_, H>, keys: &[[Record; 2]]) {
    for record in keys.iter().flatten() {
        let answer = store.rehash(record, &credential(3));
        assert!(
            answer.is_ok(),
            "a key of any workspace is rehashed, but: {answer:?}"
        );
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
            "rehash goes by id"
        );
        assert_eq!(found.key.last_used_at, Some(at(1)), "touch goes by id");
    }
}

fn long_names_differ_in_their_last_letter<H: Harness>(store: &Handle<'_, H>) {
    let [one, two] = ["1", "2"].map(|last| format!("{}{last}", "w".repeat(63)));
    let key = store.add(record_in(&one, "key"));
    let listing = ListKeys::new().with_limit(10);
    assert_eq!(
        store.list(&workspace(&one), &listing).keys,
        [key.key],
        "a long name is a name"
    );
    assert_eq!(
        store.list(&workspace(&two), &listing).keys,
        [],
        "a long name is compared wholly"
    );
}
