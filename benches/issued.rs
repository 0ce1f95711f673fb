//! Keys that are there before anything is measured, and callers that verify them.

use std::{iter::StepBy, ops::Range, sync::Arc};

use keywright_core::{Caller, Keywright, Name, NewKey, Permissions, Prefix, Workspace};
use tokio::runtime::{Builder, Runtime};

/// The bytes of a token with the prefix `acme`.
pub(crate) type Bytes = [u8; 76];

pub(crate) fn prefix() -> Prefix {
    Prefix::parse("acme").unwrap()
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().build().unwrap()
}

/// Creates keys, and gives their tokens in an order that no processor could foresee.
pub(crate) fn issue(keys: &Keywright, count: usize, runtime: &Runtime) -> Arc<[Bytes]> {
    let create = |places: Places| create(keys.clone(), places.len());
    let created = runtime.block_on(among(64, count, create));
    let mut tokens = created.concat();
    shuffle(&mut tokens);
    tokens.into()
}

async fn create(keys: Keywright, count: usize) -> Vec<Bytes> {
    let caller = Caller::new(Workspace::parse("default").unwrap(), Permissions::all());
    let new = NewKey::new(Name::parse("a name of 20 letters").unwrap())
        .with_permissions("calls:read,calls:write,users:read".parse().unwrap());
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        let issued = keys.issuer().create(&caller, new.clone()).await.unwrap();
        tokens.push(issued.token.expose().as_bytes().try_into().unwrap());
    }
    tokens
}

pub(crate) fn shuffle(tokens: &mut [Bytes]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..tokens.len()).rev() {
        // Knuth's linear congruential generator, whose upper bits are the better ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        tokens.swap(last, usize::try_from(state >> 33).unwrap() % (last + 1));
    }
}

/// The part of one caller in what many do.
pub(crate) type Places = StepBy<Range<usize>>;

/// As many tasks as callers share the numbers below `count` among them.
pub(crate) async fn among<F>(
    callers: usize,
    count: usize,
    work: impl Fn(Places) -> F,
) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: Vec<_> = (0..callers)
        .map(|caller| tokio::spawn(work((caller..count).step_by(callers))))
        .collect();
    let mut outcomes = Vec::with_capacity(callers);
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

/// Verifies the tokens of some places, and of those beyond the last from the first on again.
pub(crate) fn verify(
    keys: &Keywright,
    tokens: &Arc<[Bytes]>,
    places: Places,
) -> impl Future<Output = ()> + Send + 'static {
    let (keys, tokens) = (keys.clone(), Arc::clone(tokens));
    async move {
        for place in places {
            let token = tokens.get(place % tokens.len()).unwrap();
            keys.verifier().verify(token).await.unwrap();
        }
    }
}
