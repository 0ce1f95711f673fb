//! Lists: pages by cursor show each key once, and each list accepts only its next_page cursors.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use futures_executor::block_on;
use keywright_core::{
    Caller, Clock, Config, Environment, IssueError, Keywright, ListKeys, ListStart, MemoryStore,
    Name, NewKey, Owner, Page, Prefix, Reach, Scheme, Status, Timestamp, Workspace,
};

/// A clock that advances by a minute at each call, so that no two keys have the same creation time.
struct MinuteClock(AtomicI64);

impl Clock for MinuteClock {
    fn now(&self) -> Timestamp {
        let millis = self.0.fetch_add(60_000, Ordering::Relaxed);
        Timestamp::from_millis(millis).unwrap()
    }
}

fn caller(workspace: &str) -> Caller {
    let workspace = Workspace::parse(workspace).unwrap();
    Caller::new(workspace, "*".parse().unwrap())
}

/// Opens a library with five keys in each of two workspaces. One key in each is revoked.
fn library() -> Keywright {
    let config = Config::new(Prefix::parse("acme").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_clock(MinuteClock(AtomicI64::new(1_709_287_200_000)));
    let keys = block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap();
    for workspace in ["acme", "other"] {
        let caller = caller(workspace);
        for number in 0..5 {
            let new = NewKey::new(Name::parse(&format!("CI {number}")).unwrap())
                .with_environment(Environment::Test);
            let issued = block_on(keys.issuer().create(&caller, new)).unwrap();
            if number == 1 {
                block_on(keys.issuer().revoke(&caller, &issued.key.id, Reach::Key)).unwrap();
            }
        }
    }
    keys
}

fn request(start: ListStart) -> ListKeys {
    let mut request = ListKeys::new();
    request.limit = 2;
    request.start = start;
    request
}

fn list(keys: &Keywright, caller: &Caller, request: ListKeys) -> Result<Page, IssueError> {
    block_on(keys.issuer().list(caller, request))
}

#[test]
fn pages_by_cursor_show_each_key_once_and_end() {
    let keys = library();
    let caller = caller("acme");
    let mut page = list(&keys, &caller, request(ListStart::Offset(0))).unwrap();
    assert_eq!(page.total, Some(5));
    let mut names = Vec::new();
    loop {
        names.extend(page.keys.iter().map(|key| key.name.to_string()));
        let Some(cursor) = page.next else {
            break;
        };
        page = list(&keys, &caller, request(ListStart::After(cursor))).unwrap();
        assert_eq!(page.total, None);
    }
    assert_eq!(names, ["CI 4", "CI 3", "CI 2", "CI 1", "CI 0"]);
}

#[test]
fn pages_by_number_respect_the_limit() {
    let keys = library();
    let caller = caller("acme");
    let names = |page, limit| {
        let mut request = request(ListStart::page(page, limit));
        request.limit = limit;
        let listed = list(&keys, &caller, request).unwrap();
        assert_eq!(listed.total, Some(5));
        let names = listed.keys.iter().map(|key| key.name.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(1, 2), ["CI 4", "CI 3"]);
    assert_eq!(names(0, 2), names(1, 2));
    assert_eq!(names(2, 2), ["CI 2", "CI 1"]);
    assert_eq!(names(3, 2), ["CI 0"]);
    assert_eq!(names(4, 2), [""; 0]);
    assert_eq!(names(1, 0), ["CI 4"]);
    assert_eq!(names(1, u32::MAX).len(), 5);
}

#[test]
fn a_cursor_is_accepted_only_by_its_list() {
    let keys = library();
    let acme = caller("acme");
    let first = list(&keys, &acme, request(ListStart::Offset(0))).unwrap();
    let cursor = first.next.unwrap();
    let next_page = request(ListStart::After(cursor.clone()));
    let mut shorter = next_page.clone();
    shorter.limit = 1;
    for accepted in [next_page.clone(), shorter] {
        assert!(list(&keys, &acme, accepted).is_ok());
    }

    let mut active = next_page.clone();
    active.status = Some(Status::Active);
    let mut searched = next_page.clone();
    searched.search = Some("ci".into());
    let mut owned = next_page.clone();
    owned.owner = Some(owner("user:1"));
    let foreign = [
        (caller("other"), next_page.clone()),
        (acme.clone().with_environment(Environment::Test), next_page),
        (acme.clone(), active),
        (acme.clone(), searched),
        (acme.clone(), owned),
    ];
    for (caller, request) in foreign {
        let error = list(&keys, &caller, request).unwrap_err();
        assert!(matches!(error, IssueError::Cursor), "{error:?}");
    }
    for damaged in [
        "",
        "x",
        &cursor[1..],
        &cursor[..cursor.len() - 1],
        &format!("{cursor}0"),
        &format!("0{cursor}"),
        &cursor.replace(
            &cursor[15..16],
            if cursor[15..].starts_with('0') {
                "1"
            } else {
                "0"
            },
        ),
    ] {
        let error = list(&keys, &acme, request(ListStart::After(damaged.into()))).unwrap_err();
        assert!(matches!(error, IssueError::Cursor), "{damaged}");
    }
}

fn owner(text: &str) -> Owner {
    Owner::parse(text).unwrap()
}

/// Creates two keys for each of three owners, in turn. The name of a key is that of its owner, with
/// a number.
fn add_owned_keys(keys: &Keywright) {
    for number in 0..2 {
        for text in ["user:1", "user:12", "user:2"] {
            let member = caller("acme").with_owner(owner(text));
            let new = NewKey::new(Name::parse(&format!("{text} {number}")).unwrap());
            block_on(keys.issuer().create(&member, new)).unwrap();
        }
    }
}

/// Returns the names of the keys on all pages of one key.
fn walk(keys: &Keywright, caller: &Caller, of: Option<Owner>) -> Vec<String> {
    let mut names = Vec::new();
    let mut start = ListStart::Offset(0);
    loop {
        let mut wanted = request(start);
        wanted.owner.clone_from(&of);
        wanted.limit = 1;
        let page = list(keys, caller, wanted).unwrap();
        names.extend(page.keys.iter().map(|key| key.name.to_string()));
        let Some(cursor) = page.next else {
            return names;
        };
        start = ListStart::After(cursor);
    }
}

#[test]
fn a_list_by_owner_shows_the_keys_of_that_owner_alone() {
    let keys = library();
    add_owned_keys(&keys);
    let admin = caller("acme");
    for of in ["user:1", "user:12", "user:2"] {
        let expected = [1, 0].map(|number| format!("{of} {number}"));
        assert_eq!(walk(&keys, &admin, Some(owner(of))), expected);
        assert_eq!(walk(&keys, &caller("other"), Some(owner(of))), [""; 0]);
    }
    assert_eq!(walk(&keys, &admin, Some(owner("user:"))), [""; 0]);
    assert_eq!(walk(&keys, &admin, None).len(), 11);
}

#[test]
fn a_caller_that_reads_its_own_keys_sees_no_others() {
    let keys = library();
    add_owned_keys(&keys);
    let workspace = Workspace::parse("acme").unwrap();
    let member =
        Caller::new(workspace, "api_keys.own:read".parse().unwrap()).with_owner(owner("user:1"));
    let own = ["user:1 1", "user:1 0"];
    assert_eq!(walk(&keys, &member, None), own);
    assert_eq!(walk(&keys, &member, Some(owner("user:1"))), own);
    for of in ["user:12", "user:2", "unknown"] {
        assert_eq!(walk(&keys, &member, Some(owner(of))), [""; 0]);
        let mut wanted = request(ListStart::Offset(0));
        wanted.owner = Some(owner(of));
        let page = list(&keys, &member, wanted.clone()).unwrap();
        assert_eq!((page.next, page.total), (None, Some(0)));
        wanted.start = ListStart::After("not a cursor".into());
        let error = list(&keys, &member, wanted).unwrap_err();
        assert!(matches!(error, IssueError::Cursor), "{error:?}");
    }
}

#[test]
fn a_cursor_of_one_owner_is_rejected_by_the_list_of_another() {
    let keys = library();
    add_owned_keys(&keys);
    let admin = caller("acme");
    let mut wanted = request(ListStart::Offset(0));
    wanted.limit = 1;
    wanted.owner = Some(owner("user:1"));
    let cursor = list(&keys, &admin, wanted.clone()).unwrap().next.unwrap();
    wanted.start = ListStart::After(cursor);
    assert_eq!(list(&keys, &admin, wanted.clone()).unwrap().keys.len(), 1);
    for of in [Some(owner("user:12")), Some(owner("user:2")), None] {
        wanted.owner = of;
        let error = list(&keys, &admin, wanted.clone()).unwrap_err();
        assert!(matches!(error, IssueError::Cursor), "{error:?}");
    }
}

#[test]
fn a_search_and_its_cursor_ignore_case() {
    let keys = library();
    let acme = caller("acme");
    let mut upper = request(ListStart::Offset(0));
    upper.search = Some("CI ".into());
    let first = list(&keys, &acme, upper).unwrap();
    assert_eq!(first.total, Some(5));
    let mut lower = request(ListStart::After(first.next.unwrap()));
    lower.search = Some("ci ".into());
    assert_eq!(list(&keys, &acme, lower).unwrap().keys.len(), 2);
    let mut revoked = request(ListStart::Offset(0));
    revoked.status = Some(Status::Revoked);
    assert_eq!(list(&keys, &acme, revoked).unwrap().total, Some(1));
}
