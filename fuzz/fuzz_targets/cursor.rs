//! Fuzzes cursors. A list accepts only the cursors that the library writes for it.

#![no_main]

mod library;

use std::sync::Arc;

use futures_executor::block_on;
use keywright_assurance::inputs::start_time;
use keywright_core::{
    Caller, Environment, IssueError, Key, KeyId, Keywright, ListKeys, ListStart, MemoryStore, Name,
    Owner, Page, Permissions, Status, Workspace,
    store::{Credential, KeyStore, Record, StoredHash, Tag, fold_case},
};
use libfuzzer_sys::fuzz_target;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HASH: &str =
    "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The smallest id. In a list, which is sorted from the newest key to the oldest, no key follows
/// it.
const LAST: &[u8] = &[b'0'; KeyId::LENGTH];

fuzz_target!(|bytes: &[u8]| {
    any_text(bytes);
    written_and_changed(bytes);
});

/// Presents the input as a cursor to every list.
fn any_text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let keys = library::open(library::config(), &Arc::new(MemoryStore::new()));
    let mut accepting = None;
    for shape in 0..List::SHAPES {
        let list = List::with(shape, "needle");
        if list.accepts(&keys, text) {
            assert!(
                accepting.replace(shape).is_none(),
                "two lists accept the cursor"
            );
            let id = KeyId::from_bytes(&bytes[..KeyId::LENGTH]).expect("the id is valid");
            if id.as_bytes() != LAST {
                assert_eq!(Written::new(&list, id).cursor, text);
            }
        }
    }
}

/// Presents a cursor that the library wrote, for a list and an id that the first bytes of the input
/// select: unchanged, with one character changed, and to another list.
fn written_and_changed(bytes: &[u8]) {
    let Some((&[shape, other, place, byte], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let Some((id, rest)) = rest.split_first_chunk::<{ KeyId::LENGTH }>() else {
        return;
    };
    let id = id.map(|byte| BASE62[usize::from(byte) % BASE62.len()]);
    if id == LAST {
        return;
    }
    let search = str::from_utf8(rest).unwrap_or_default();
    let list = List::with(shape, search);
    let written = Written::new(&list, KeyId::from_bytes(&id).expect("the id is valid"));

    let page = list.page(&written.keys, ListStart::After(written.cursor.clone()));
    let page = page.expect("the list accepts its own cursor");
    assert_eq!(
        page.keys.len(),
        1,
        "the page should have the key after the cursor"
    );
    assert_eq!(page.keys[0].id.as_bytes(), LAST);
    assert_eq!(page.next, None);

    let mut changed = written.cursor.clone().into_bytes();
    let place = usize::from(place) % changed.len();
    changed[place] = byte;
    if let Ok(changed) = String::from_utf8(changed)
        && changed != written.cursor
    {
        assert!(!list.accepts(&written.keys, &changed));
    }

    let other = List::with(other, search);
    let same = other == list;
    assert_eq!(other.accepts(&written.keys, &written.cursor), same);
}

/// The parameters of a list, and whose keys it contains.
#[derive(PartialEq)]
struct List {
    workspace: &'static str,
    environment: Environment,
    owner: Option<&'static str>,
    status: Option<Status>,
    search: Option<String>,
}

impl List {
    /// The number of shapes: 2 workspaces, 2 environments, 5 statuses, 2 owners, and with or
    /// without a search text.
    const SHAPES: u8 = 80;

    fn with(shape: u8, search: &str) -> Self {
        let mut rest = usize::from(shape);
        let mut choose = |choices: usize| {
            let choice = rest % choices;
            rest /= choices;
            choice
        };
        let workspace = ["acme", "other"][choose(2)];
        let environment = [Environment::Live, Environment::Test][choose(2)];
        let status = Status::ALL.get(choose(5)).copied();
        let owner = [None, Some("user:1")][choose(2)];
        // A name must be able to contain the search text.
        let is_searched = choose(2) == 1;
        let search = Some(fold_case(search))
            .filter(|text| is_searched && !text.is_empty() && Name::parse(&name(text)).is_ok());
        Self {
            workspace,
            environment,
            owner,
            status,
            search,
        }
    }

    fn owner(&self) -> Option<Owner> {
        self.owner
            .map(|owner| Owner::parse(owner).expect("the owner is valid"))
    }

    fn page(&self, keys: &Keywright, start: ListStart) -> Result<Page, IssueError> {
        let workspace = Workspace::parse(self.workspace).expect("the workspace is valid");
        let caller = Caller::new(workspace, Permissions::all()).with_environment(self.environment);
        let mut wanted = ListKeys::new();
        wanted.owner = self.owner();
        wanted.status = self.status;
        wanted.search.clone_from(&self.search);
        wanted.start = start;
        wanted.limit = 1;
        block_on(keys.issuer().list(&caller, wanted))
    }

    fn accepts(&self, keys: &Keywright, cursor: &str) -> bool {
        match self.page(keys, ListStart::After(cursor.into())) {
            Ok(_) => true,
            Err(IssueError::Cursor) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns the record of a key that matches the list.
    fn matching(&self, id: KeyId) -> Record {
        let text = name(self.search.as_deref().unwrap_or_default());
        let mut key = Key::new(
            id,
            Workspace::parse(self.workspace).expect("the workspace is valid"),
            self.environment,
            Name::parse(&text).expect("the name is valid"),
            Permissions::default(),
        );
        key.owner = self.owner();
        match self.status {
            Some(Status::Disabled) => key.enabled = false,
            Some(Status::Expired) => key.expires_at = Some(start_time()),
            Some(Status::Revoked) => key.revoked_at = Some(start_time()),
            _ => {}
        }
        let hash = StoredHash::parse(HASH).expect("the hash is valid");
        Record::new(
            key,
            Credential::new(hash, Tag::from_bytes([7; Tag::LENGTH])),
        )
    }
}

/// Returns a name that contains a text, including white space at its ends.
fn name(text: &str) -> String {
    format!("<{text}>")
}

/// A library with two keys, and the cursor of the page between them.
struct Written {
    keys: Keywright,
    cursor: String,
}

impl Written {
    fn new(list: &List, id: KeyId) -> Self {
        let store = Arc::new(MemoryStore::new());
        let keys = library::open(library::config(), &store);
        for id in [id, KeyId::from_bytes(LAST).expect("the id is valid")] {
            block_on(store.insert(&list.matching(id), start_time(), None)).expect("the id is new");
        }
        let first = list
            .page(&keys, ListStart::Offset(0))
            .expect("the list succeeds");
        let cursor = first.next.expect("there is a second page");
        Self { keys, cursor }
    }
}
