//! The cursor: whatever is accepted is what the library writes for that list, and no other list
//! accepts it.

#![no_main]

mod library;

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Caller, Credential, Environment, IssueError, Key, KeyId, KeyStore, Keywright, ListKeys, Page,
    MemoryStore, Name, Permissions, ListStart, Record, Status, StoredHash, Tag, Workspace,
    fold_case,
};
use libfuzzer_sys::fuzz_target;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HASH: &str =
    "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The id after which no key can come.
const LAST: &[u8] = &[b'0'; KeyId::LENGTH];

fuzz_target!(|bytes: &[u8]| {
    any_text(bytes);
    written_and_changed(bytes);
});

/// The input as a cursor of every list.
fn any_text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let keys = library::open(&Arc::new(MemoryStore::new()));
    let mut accepting = None;
    for shape in 0..List::SHAPES {
        let list = List::of(shape, "needle");
        if list.accepts(&keys, text) {
            assert!(accepting.replace(shape).is_none(), "two lists accept it");
            let id = KeyId::from_bytes(&bytes[..KeyId::LENGTH]).expect("an id");
            if id.as_bytes() != LAST {
                assert_eq!(Written::new(&list, id).cursor, text);
            }
        }
    }
}

/// A cursor that the library has written for a list and an id, both made of the input's first bytes;
/// then with one character changed; then for another list.
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
    let list = List::of(shape, search);
    let written = Written::new(&list, KeyId::from_bytes(&id).expect("an id"));

    let page = list.page(&written.keys, ListStart::After(written.cursor.clone()));
    let page = page.expect("a page");
    assert_eq!(page.keys.len(), 1, "the key after the one that was shown");
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

    let other = List::of(other, search);
    let same = other == list;
    assert_eq!(other.accepts(&written.keys, &written.cursor), same);
}

/// Whose keys, and which of them.
#[derive(PartialEq)]
struct List {
    workspace: &'static str,
    environment: Environment,
    status: Option<Status>,
    search: Option<String>,
}

impl List {
    const SHAPES: u8 = 32;

    fn of(shape: u8, search: &str) -> Self {
        let statuses = [
            None,
            Some(Status::Active),
            Some(Status::Expired),
            Some(Status::Revoked),
        ];
        let environments = [Environment::Live, Environment::Test];
        // There must be a name that holds it.
        let search = Some(fold_case(search))
            .filter(|text| shape & 16 != 0 && !text.is_empty() && Name::parse(&name(text)).is_ok());
        Self {
            workspace: ["acme", "other"][usize::from(shape & 1)],
            environment: environments[usize::from(shape >> 1 & 1)],
            status: statuses[usize::from(shape >> 2 & 3)],
            search,
        }
    }

    fn page(&self, keys: &Keywright, start: ListStart) -> Result<Page, IssueError> {
        let workspace = Workspace::parse(self.workspace).expect("a workspace");
        let caller = Caller::new(workspace, Permissions::all()).with_environment(self.environment);
        let mut wanted = ListKeys::new();
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

    /// A key that the list shows.
    fn shown(&self, id: KeyId) -> Record {
        let text = name(self.search.as_deref().unwrap_or_default());
        let mut key = Key::new(
            id,
            Workspace::parse(self.workspace).expect("a workspace"),
            self.environment,
            Name::parse(&text).expect("a name"),
            Permissions::default(),
        );
        match self.status {
            Some(Status::Expired) => key.expires_at = Some(library::now()),
            Some(Status::Revoked) => key.revoked_at = Some(library::now()),
            _ => {}
        }
        let hash = StoredHash::parse(HASH).expect("a hash");
        Record::new(key, Credential::new(hash, Tag::from_bytes([7; 8])))
    }
}

/// A name that white space in the text is not cut off from.
fn name(text: &str) -> String {
    format!("<{text}>")
}

/// A library with one key after that of an id, and the cursor between both.
struct Written {
    keys: Keywright,
    cursor: String,
}

impl Written {
    fn new(list: &List, id: KeyId) -> Self {
        let store = Arc::new(MemoryStore::new());
        let keys = library::open(&store);
        for id in [id, KeyId::from_bytes(LAST).expect("an id")] {
            block_on(store.insert(&list.shown(id), library::now())).expect("a new id");
        }
        let first = list.page(&keys, ListStart::Offset(0)).expect("a page");
        let cursor = first.next.expect("a second page");
        Self { keys, cursor }
    }
}
