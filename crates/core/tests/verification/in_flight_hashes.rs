//! Runs of Argon2 that several verifications share, or that no verification awaits any longer.

use std::{
    pin::Pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
};

use keywright_core::{
    Caller, Entropy, IssueError, Issued, NewKey, OsEntropy, Permissions, Scheme, Undecided,
    Verified, VerifyError, Workspace,
    error::{HashError, RandomError},
};
use pollster::block_on;

use crate::world::{World, await_that, cheap, name};

type Verification<'a> = Pin<Box<dyn Future<Output = Result<Verified, VerifyError>> + 'a>>;

fn verification<'a>(world: &'a World, issued: &'a Issued) -> Verification<'a> {
    let token = issued.token.expose().as_bytes();
    Box::pin(world.keys.verifier().verify(token))
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn poll(verification: &mut Verification<'_>) -> Poll<Result<Verified, VerifyError>> {
    verification.as_mut().poll(&mut context())
}

type Creation<'a> = Pin<Box<dyn Future<Output = Result<Issued, IssueError>> + 'a>>;

/// Creates a key in the workspace of `world`.
fn creation(world: &World) -> Creation<'_> {
    creation_in(world, "acme")
}

fn creation_in<'a>(world: &'a World, workspace: &str) -> Creation<'a> {
    let caller = Caller::new(Workspace::parse(workspace).unwrap(), Permissions::all());
    let issuer = world.keys.issuer();
    Box::pin(async move { issuer.create(&caller, NewKey::new(name("n"))).await })
}

fn is_busy(result: &Poll<Result<Issued, IssueError>>) -> bool {
    matches!(result, Poll::Ready(Err(IssueError::Hash(HashError::Busy))))
}

/// Starts a verification over a busy pool, so that it waits for Argon2.
fn start<'a>(world: &'a World, issued: &'a Issued) -> Verification<'a> {
    let mut verification = verification(world, issued);
    assert!(poll(&mut verification).is_pending());
    verification
}

#[test]
fn all_verifications_of_a_key_share_one_run_even_if_the_first_is_dropped() {
    let maker = World::new();
    let issued = maker.issue();
    let world = maker.reopened(|config| config);
    let pool = world.busy_pool();
    let verify = || {
        let mut all: Vec<_> = (0..50).map(|_| start(&world, &issued)).collect();
        // Drop the first, which started the run, and every second one after it.
        let mut number = 0;
        all.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        drop(pool);
        for verification in all {
            block_on(verification).unwrap();
        }
    };
    assert_eq!(world.cost(verify).1, 1);
    assert_eq!(
        world.cost(|| drop(world.verify(&issued.token).unwrap())),
        (0, 0)
    );
}

#[test]
fn a_run_that_no_verification_waits_for_is_not_started() {
    let maker = World::new();
    let dropped = maker.issue_many(8);
    let last = maker.issue();
    let world = maker.reopened(|config| config);
    let pool = world.busy_pool();
    let verify = || {
        let verifications: Vec<_> = dropped.iter().map(|key| start(&world, key)).collect();
        drop(verifications);
        let last = start(&world, &last);
        drop(pool);
        block_on(last).unwrap();
    };
    assert_eq!(world.cost(verify).1, 1);
    // A later verification starts another run.
    for issued in &dropped {
        world.verify(&issued.token).unwrap();
    }
}

#[test]
fn a_verification_that_joins_a_run_after_its_waiters_are_dropped_is_answered() {
    let maker = World::new();
    let issued = maker.issue();
    let world = maker.reopened(|config| config);
    let pool = world.busy_pool();
    drop(start(&world, &issued));
    drop(start(&world, &issued));
    let third = start(&world, &issued);
    drop(pool);
    block_on(third).unwrap();
}

#[test]
fn a_verification_fails_at_once_while_the_queue_is_full() {
    let maker = World::new();
    let keys = maker.issue_many(6);
    let world = maker.reopened(|config| config.with_hash_queue(2));
    let pool = world.busy_pool();
    let waiting: Vec<_> = keys[..2].iter().map(|key| start(&world, key)).collect();
    for issued in &keys[2..] {
        match poll(&mut verification(&world, issued)) {
            Poll::Ready(Err(VerifyError::Undecided(Undecided::Hash(HashError::Busy)))) => {}
            other => panic!("{other:?}"),
        }
    }
    drop(pool);
    for verification in waiting {
        block_on(verification).unwrap();
    }
    for issued in &keys {
        world.verify(&issued.token).unwrap();
    }
}

#[test]
fn two_thousand_keys_of_a_workspace_that_are_first_used_at_once_are_all_accepted() {
    let maker = World::new();
    let keys = maker.issue_many(2000);
    let world = maker.reopened(|config| config);
    let pool = world.busy_pool();
    let waiting: Vec<_> = keys.iter().map(|key| start(&world, key)).collect();
    drop(pool);
    for verification in waiting {
        block_on(verification).unwrap();
    }
}

#[test]
fn creations_of_one_workspace_do_not_deny_first_verifications() {
    let maker = World::new();
    let keys = maker.issue_many(4);
    let world = maker.reopened(|config| config.with_hash_queue(4));
    let pool = world.busy_pool();
    let mut creations: Vec<_> = (0..20).map(|_| creation_in(&world, "hostile")).collect();
    for (number, creation) in creations.iter_mut().enumerate() {
        let result = creation.as_mut().poll(&mut context());
        assert_eq!(is_busy(&result), number >= 4, "{number}");
    }
    let verifications: Vec<_> = keys.iter().map(|key| start(&world, key)).collect();
    drop(pool);
    for verification in verifications {
        block_on(verification).unwrap();
    }
}

#[test]
fn creations_of_one_workspace_do_not_deny_those_of_another() {
    let world = World::with(|config| config.with_hash_queue(4));
    let pool = world.busy_pool();
    let mut hostile: Vec<_> = (0..4).map(|_| creation_in(&world, "hostile")).collect();
    for creation in &mut hostile {
        assert!(creation.as_mut().poll(&mut context()).is_pending());
    }
    // Two of the four places are the fair share of each workspace.
    let mut others: Vec<_> = (0..3).map(|_| creation_in(&world, "acme")).collect();
    for (number, creation) in others.iter_mut().enumerate() {
        let result = creation.as_mut().poll(&mut context());
        assert_eq!(is_busy(&result), number >= 2, "{number}");
    }
    for (number, creation) in hostile.iter_mut().enumerate() {
        let result = creation.as_mut().poll(&mut context());
        assert_eq!(is_busy(&result), number >= 2, "{number}");
    }
    drop(pool);
    for creation in hostile
        .into_iter()
        .take(2)
        .chain(others.into_iter().take(2))
    {
        block_on(creation).unwrap();
    }
}

/// Counts its seeds.
#[derive(Clone, Default)]
struct CountingEntropy(Arc<AtomicU64>);

impl CountingEntropy {
    fn seeds(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Entropy for CountingEntropy {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        OsEntropy::default().fill(seed)
    }
}

#[test]
fn a_hash_that_was_not_replaced_because_the_queue_was_full_is_replaced_later() {
    let maker = World::with(|config| config.with_scheme(Scheme::HmacSha256));
    let issued = maker.issue();
    let entropy = CountingEntropy::default();
    let world = maker.reopened(|config| {
        let config = config.with_scheme(cheap()).with_hash_queue(1);
        config.with_entropy(entropy.clone())
    });
    let pool = world.busy_pool();
    let mut waiting = creation(&world);
    assert!(waiting.as_mut().poll(&mut context()).is_pending());
    // Each attempt to replace the hash takes a seed. A second attempt follows only a failed one.
    let before = entropy.seeds();
    await_that(|| {
        world.verify(&issued.token).unwrap();
        entropy.seeds() >= before + 2
    });
    assert_eq!(world.store.rehashes(), 0);
    drop(pool);
    block_on(waiting).unwrap();
    await_that(|| {
        world.verify(&issued.token).unwrap();
        world.store.rehashes() == 1
    });
}

#[test]
fn many_threads_that_verify_the_same_keys_for_the_first_time_are_all_answered() {
    let maker = World::new();
    let keys = maker.issue_many(50);
    let world = maker.reopened(|config| config);
    let start = Barrier::new(16);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                start.wait();
                for issued in &keys {
                    assert_eq!(world.verify(&issued.token).unwrap().key(), &issued.key);
                }
            });
        }
    });
}
