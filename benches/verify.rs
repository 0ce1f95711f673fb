//! Rows 1 and 2: verifying a hot key, and refusing what is none.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run must stop")]

use std::{
    hint::black_box,
    pin::pin,
    sync::{Arc, Barrier},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use api_keys_simplified::{ApiKeyManagerV0, HashConfig, KeyConfig};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use futures_executor::block_on;
use keywright_benches::{in_turn, run};
use keywright_core::{
    Argon2Params, Caller, Config, Denied, Environment, Keywright, MemoryStore, Name, NewKey,
    Permissions, Prefix, Scheme, Token, Verified, VerifyError, Workspace,
};
use prefixed_api_key::{PrefixedApiKey, PrefixedApiKeyController};

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;

fn main() {
    run(verify);
}

/// Verified keys, and the order in which they are verified again.
struct Hot {
    keys: Keywright,
    tokens: Vec<Token>,
    order: Vec<u32>,
}

impl Hot {
    fn of(count: usize) -> Self {
        // What Argon2 costs does not matter to a key that was verified before.
        let scheme = Scheme::Argon2id(Argon2Params::new(8, 1, 1).unwrap());
        let config = Config::new(Prefix::parse("acme").unwrap())
            .with_scheme(scheme)
            .with_cache(count);
        let keys = block_on(Keywright::open(config, Arc::new(MemoryStore::new()))).unwrap();
        let caller = Caller::new(
            Workspace::parse("default").unwrap(),
            "calls:read,calls:write,users:read"
                .parse::<Permissions>()
                .unwrap(),
        );
        let caller = Caller::new(caller.workspace().clone(), {
            let mut all = caller.permissions().clone();
            all = format!("{all},api_keys:write").parse().unwrap();
            all
        });
        let new = NewKey::named(Name::parse("a name of 20 letters").unwrap());
        let tokens: Vec<Token> = (0..count)
            .map(|_| {
                let issued = block_on(keys.issuer().create(&caller, new.clone())).unwrap();
                block_on(keys.verifier().verify(issued.token.expose().as_bytes())).unwrap();
                issued.token
            })
            .collect();
        Self {
            keys,
            tokens,
            order: shuffled(count),
        }
    }

    fn verify(&self, index: usize) -> Verified {
        let token = self.tokens[self.order[index % self.order.len()] as usize].expose();
        at_once(self.keys.verifier().verify(token.as_bytes())).unwrap()
    }

    fn bench(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        let mut index = 0;
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                index += 1;
                self.verify(index)
            });
        });
    }

    /// Two threads, each with half of the work: the time that a verification takes of both.
    fn bench_on_two_threads(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|iterations| {
                let each = iterations.div_ceil(2);
                let start = Barrier::new(2);
                let times: Vec<Duration> = thread::scope(|scope| {
                    let threads = [0, self.order.len() / 2].map(|from| {
                        let start = &start;
                        scope.spawn(move || {
                            start.wait();
                            let started = Instant::now();
                            for index in 0..usize::try_from(each).unwrap() {
                                black_box(self.verify(from + index));
                            }
                            started.elapsed()
                        })
                    });
                    threads.map(|thread| thread.join().unwrap()).into()
                });
                times.into_iter().max().unwrap()
            });
        });
    }

    fn refusal(&self, token: &[u8]) -> Denied {
        match at_once(self.keys.verifier().verify(token)) {
            Err(VerifyError::Denied(denied)) => denied,
            _ => unreachable!(),
        }
    }
}

/// A verification in memory is done at the first poll.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!(),
    }
}

/// Each number below `count` once, in no order that a processor could foresee.
fn shuffled(count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(count).unwrap()).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..order.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        order.swap(last, usize::try_from(state >> 33).unwrap() % (last + 1));
    }
    order
}

fn verify(criterion: &mut Criterion) {
    let smoke = std::env::args().any(|argument| argument == "--test");
    let few = Hot::of(FEW);
    let many = Hot::of(if smoke { FEW } else { MANY });

    let pak = PrefixedApiKeyController::configure()
        .prefix("acme".to_owned())
        .seam_defaults()
        .finalize()
        .unwrap();
    let (pak_key, pak_hash) = pak.generate_key_and_hash();
    let pak_text = pak_key.to_string();

    let cost = HashConfig::custom(19_456, 2, 1).unwrap();
    let aks = ApiKeyManagerV0::init("acme", KeyConfig::default(), cost, Duration::ZERO).unwrap();
    let aks_key = aks
        .generate(api_keys_simplified::Environment::production())
        .unwrap();

    let good = few.tokens[0].expose();
    let malformed = good.replace("_live_", "_life_");
    let bad_checksum = {
        let last = if good.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &good[..good.len() - 1])
    };
    let wrong_secret = {
        let prefix = Prefix::parse("acme").unwrap();
        let id = keywright_core::TokenRef::parse(good.as_bytes(), &prefix).map_err(drop);
        let other = keywright_core::TokenRef::parse(few.tokens[1].expose().as_bytes(), &prefix);
        let secret = other.map_err(drop).unwrap().secret();
        Token::assemble(&prefix, Environment::Live, id.unwrap().id(), &secret)
    };
    assert!(matches!(
        few.refusal(malformed.as_bytes()),
        Denied::Malformed(_)
    ));
    assert!(matches!(
        few.refusal(bad_checksum.as_bytes()),
        Denied::Malformed(_)
    ));
    assert!(matches!(
        few.refusal(wrong_secret.expose().as_bytes()),
        Denied::WrongSecret(_)
    ));

    in_turn(
        criterion,
        "verify",
        &mut [
            ("keywright-1000", &mut |group, id| few.bench(group, id)),
            ("prefixed-api-key", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        let key = PrefixedApiKey::from_string(black_box(&pak_text)).unwrap();
                        assert!(pak.check_hash(&key, &pak_hash));
                    });
                });
            }),
            ("keywright-1000000", &mut |group, id| many.bench(group, id)),
            ("keywright-1000-two-threads", &mut |group, id| {
                few.bench_on_two_threads(group, id);
            }),
            ("keywright-malformed", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| few.refusal(black_box(malformed.as_bytes())));
                });
            }),
            ("keywright-bad-checksum", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| few.refusal(black_box(bad_checksum.as_bytes())));
                });
            }),
            ("keywright-wrong-secret", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| few.refusal(black_box(wrong_secret.expose().as_bytes())));
                });
            }),
            ("api-keys-simplified", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        aks.verify(aks_key.key(), aks_key.expose_hash().hash())
                            .unwrap()
                    });
                });
            }),
        ],
    );
}
