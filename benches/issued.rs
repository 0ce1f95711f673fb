//! Keys to create before a measurement, and tasks that verify them.

use std::sync::Arc;

use keywright_benches::tasks::{Indices, share};
use keywright_core::{Caller, Keywright, Name, NewKey, Permissions, Prefix, Workspace};
use tokio::runtime::{Builder, Runtime};

/// The bytes of a token with the prefix `acme`.
pub(crate) type TokenBytes = [u8; 76];

pub(crate) fn prefix() -> Prefix {
    Prefix::parse("acme").unwrap()
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().build().unwrap()
}

/// A caller with all permissions.
pub(crate) fn operator() -> Caller {
    Caller::new(Workspace::parse("default").unwrap(), Permissions::all())
}

/// A key with a name of 20 characters and three permissions.
pub(crate) fn new_key() -> NewKey {
    NewKey::new(Name::parse("a name of 20 letters").unwrap())
        .with_permissions("calls:read,calls:write,users:read".parse().unwrap())
}

/// Creates keys, and returns their tokens in an order that the processor cannot predict.
pub(crate) fn issue(
    keys: &Keywright,
    caller: &Caller,
    new: &NewKey,
    count: usize,
    runtime: &Runtime,
) -> Arc<[TokenBytes]> {
    let create =
        |indices: Indices| create(keys.clone(), caller.clone(), new.clone(), indices.len());
    let created = runtime.block_on(share(64, count, create));
    let mut tokens = created.concat();
    shuffle(&mut tokens);
    tokens.into()
}

async fn create(keys: Keywright, caller: Caller, new: NewKey, count: usize) -> Vec<TokenBytes> {
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        let issued = keys.issuer().create(&caller, new.clone()).await.unwrap();
        tokens.push(issued.token.expose().as_bytes().try_into().unwrap());
    }
    tokens
}

pub(crate) fn shuffle<T>(tokens: &mut [T]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..tokens.len()).rev() {
        // Knuth's linear congruential generator. Its upper bits are more random than its lower
        // bits.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        tokens.swap(last, usize::try_from(state >> 33).unwrap() % (last + 1));
    }
}

/// Verifies the tokens at these indices, modulo the number of tokens.
pub(crate) fn verify(
    keys: &Keywright,
    tokens: &Arc<[TokenBytes]>,
    indices: Indices,
) -> impl Future<Output = ()> + Send + 'static {
    let (keys, tokens) = (keys.clone(), Arc::clone(tokens));
    async move {
        for index in indices {
            let token = tokens.get(index % tokens.len()).unwrap();
            keys.verifier().verify(token).await.unwrap();
        }
    }
}
