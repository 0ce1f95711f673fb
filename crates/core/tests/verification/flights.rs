//! Runs of Argon2 that several wait for, or nobody.

use std::{
    num::NonZero,
    pin::Pin,
    sync::Barrier,
    task::{Context, Poll, Waker},
    thread,
};

use keywright_core::{HashError, Issued, Scheme, Undecided, Verified, VerifyError};
use pollster::block_on;

use crate::world::{World, argon2, await_that};

type Verification<'a> = Pin<Box<dyn Future<Output = Result<Verified, VerifyError>> + 'a>>;

/// Begins a verification, which then waits for Argon2.
fn begin<'a>(world: &'a World, issued: &'a Issued) -> Verification<'a> {
    let token = issued.token.expose().as_bytes();
    let mut verification: Verification<'_> = Box::pin(world.keys.verifier().verify(token));
    assert!(poll(&mut verification).is_pending());
    verification
}

fn poll(verification: &mut Verification<'_>) -> Poll<Result<Verified, VerifyError>> {
    let mut context = Context::from_waker(Waker::noop());
    verification.as_mut().poll(&mut context)
}

fn dear() -> Scheme {
    argon2(64 * 1024, 4)
}

/// Keys whose hashes take a good part of a second in all, one after the other: what is begun after
/// them has not had its turn when the next lines of a test are run.
fn slow() -> (World, Vec<Issued>) {
    let maker = World::with(|config| config.with_scheme(dear()));
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let keys = maker.issue_many(2 * cores);
    (maker, keys)
}

#[test]
fn one_run_serves_all_who_wait_for_it_also_when_the_first_of_them_has_gone() {
    let (maker, ahead) = slow();
    let issued = maker.issue();
    let world = maker.reopened(|config| config.with_scheme(dear()));
    let verify = || {
        let ahead: Vec<_> = ahead.iter().map(|issued| begin(&world, issued)).collect();
        let mut all: Vec<_> = (0..50).map(|_| begin(&world, &issued)).collect();
        // The first, whose run it was, and every other one.
        let mut number = 0;
        all.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        for verification in all.into_iter().chain(ahead) {
            block_on(verification).unwrap();
        }
    };
    let runs = world.cost(verify).1;
    assert_eq!(runs, ahead.len() as u64 + 1);
    assert_eq!(
        world.cost(|| drop(world.verify(&issued.token).unwrap())),
        (0, 0)
    );
}

#[test]
fn a_run_that_nobody_waits_for_is_not_begun() {
    let (maker, ahead) = slow();
    let left = maker.issue_many(8);
    let after = maker.issue();
    let world = maker.reopened(|config| config.with_scheme(dear()));
    let verify = || {
        let ahead: Vec<_> = ahead.iter().map(|issued| begin(&world, issued)).collect();
        drop(
            left.iter()
                .map(|issued| begin(&world, issued))
                .collect::<Vec<_>>(),
        );
        let after = begin(&world, &after);
        for verification in ahead.into_iter().chain([after]) {
            block_on(verification).unwrap();
        }
    };
    assert_eq!(world.cost(verify).1, ahead.len() as u64 + 1);
    // Whoever asks later gets a run of their own.
    for issued in &left {
        world.verify(&issued.token).unwrap();
    }
}

#[test]
fn who_comes_while_the_first_have_gone_is_answered() {
    let (maker, ahead) = slow();
    let issued = maker.issue();
    let world = maker.reopened(|config| config.with_scheme(dear()));
    let _ahead: Vec<_> = ahead.iter().map(|issued| begin(&world, issued)).collect();
    drop(begin(&world, &issued));
    drop(begin(&world, &issued));
    world.verify(&issued.token).unwrap();
}

#[test]
fn a_full_queue_is_told_at_once_and_passes() {
    let (maker, ahead) = slow();
    let keys = maker.issue_many(6);
    let world = maker.reopened(|config| config.with_scheme(dear()).with_hash_queue(ahead.len()));
    let ahead: Vec<_> = ahead.iter().map(|issued| begin(&world, issued)).collect();
    let mut refused = 0;
    let mut waiting = Vec::new();
    for issued in &keys {
        let token = issued.token.expose().as_bytes();
        let mut verification: Verification<'_> = Box::pin(world.keys.verifier().verify(token));
        match poll(&mut verification) {
            Poll::Pending => waiting.push(verification),
            Poll::Ready(Err(VerifyError::Undecided(Undecided::Hash(HashError::Busy)))) => {
                refused += 1;
            }
            Poll::Ready(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
    for verification in ahead.into_iter().chain(waiting) {
        block_on(verification).unwrap();
    }
    for issued in &keys {
        world.verify(&issued.token).unwrap();
    }
}

#[test]
fn a_hash_that_was_not_replaced_because_the_queue_was_full_is_replaced_later() {
    let (maker, ahead) = slow();
    let issued = maker
        .reopened(|config| config.with_scheme(Scheme::HmacSha256))
        .issue();
    let world = maker.reopened(|config| config.with_scheme(dear()).with_hash_queue(ahead.len()));
    // As many as run at once more than the queue holds.
    let more = maker.issue_many(ahead.len() / 2);
    let ahead: Vec<_> = ahead.iter().map(|issued| begin(&world, issued)).collect();
    let mut more: Vec<Verification<'_>> = more
        .iter()
        .map(|issued| {
            let token = issued.token.expose().as_bytes();
            Box::pin(world.keys.verifier().verify(token)) as _
        })
        .collect();
    for verification in &mut more {
        let _ = poll(verification);
    }
    world.verify(&issued.token).unwrap();
    for verification in ahead {
        block_on(verification).unwrap();
    }
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
