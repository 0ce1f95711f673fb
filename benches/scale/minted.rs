//! The keys of a store with many keys. Creating them durably would take hours, so they are minted,
//! and each benchmark writes them without using the store.

use std::sync::Arc;

use futures_executor::block_on;
use keywright_core::{
    Caller, Config, Environment, Key, KeyId, Keywright, MemoryStore, Minted, Name, Permissions,
    Scheme, Workspace,
};

use crate::issued::{self, TokenBytes};

/// The number of keys in a workspace.
pub(crate) const WORKSPACE: usize = 1_000;

pub(crate) const NAME: &str = "a name of 20 letters";
pub(crate) const PERMISSIONS: &str = "api_keys:*,calls:read";

/// The number of keys that can be verified in the large file. The other keys have a hash that does
/// not match. In the small file, one key in ten can be verified. In the large file, each such key
/// is on a different page.
const VERIFIED: usize = 10_000;

/// A key to be written.
pub(crate) struct Row<'r> {
    pub(crate) minted: &'r Minted,
    pub(crate) workspace: &'r Workspace,
    pub(crate) parent: Option<&'r KeyId>,
    /// The hash of the key, or one that does not match.
    pub(crate) hash: &'r str,
}

/// The callers of all workspaces, and the tokens that can be verified.
pub(crate) struct Contents {
    pub(crate) callers: Vec<Caller>,
    pub(crate) tokens: Vec<TokenBytes>,
}

/// Mints this many keys and passes each to `write`. The first key of each workspace is the parent
/// of the others.
pub(crate) fn mint(count: usize, mut write: impl FnMut(Row<'_>)) -> Contents {
    let minting = |scheme| {
        let config = Config::new(issued::prefix()).with_scheme(scheme);
        block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap()
    };
    let keys = minting(Scheme::HmacSha256);
    let minted = |keys: &Keywright, workspace: &Workspace| -> Minted {
        block_on(keys.issuer().mint(workspace, Environment::Live)).unwrap()
    };
    let workspaces: Vec<Workspace> = (0..count / WORKSPACE)
        .map(|number| Workspace::parse(&format!("org_{number:012}")).unwrap())
        .collect();
    let argon2id = minted(&minting(Scheme::default()), workspaces.first().unwrap());
    let argon2id = argon2id.credential.hash.to_string();

    let mut contents = Contents {
        callers: Vec::with_capacity(workspaces.len()),
        tokens: Vec::new(),
    };
    let verified = (count / VERIFIED).max(10);
    for (number, workspace) in (0..count).zip(workspaces.iter().cycle()) {
        let minted = minted(&keys, workspace);
        let hash = if number % verified == 0 {
            let token = minted.token.expose().as_bytes();
            contents.tokens.push(token.try_into().unwrap());
            &minted.credential.hash.to_string()
        } else {
            &argon2id
        };
        let index = number % workspaces.len();
        let parent = contents.callers.get(index).and_then(Caller::key);
        write(Row {
            minted: &minted,
            workspace,
            parent,
            hash,
        });
        if parent.is_none() {
            let key = Key::new(
                minted.id,
                workspace.clone(),
                Environment::Live,
                Name::parse(NAME).unwrap(),
                PERMISSIONS.parse::<Permissions>().unwrap(),
            );
            contents.callers.push(Caller::from(&key));
        }
    }
    issued::shuffle(&mut contents.tokens);
    contents
}
