//! Rows 1, 2 and 21: verifying the token of a cached key, which may be imported, and rejecting
//! invalid tokens.
//!
//! Callgrind counts 1,130 instructions for a verification: 310 for the MAC of the secret, 200 for
//! the checksum, of which 120 are in crc32fast, and 170 to parse the rest of the token. It counts
//! 460 for a token with a wrong checksum, and 1,030 for one with a wrong secret. The token of an
//! imported key takes 1,500 instructions, or 1,600 if it has a public part: its MAC covers the
//! whole token, and a second map has its route.
//!
//! The time of an imported key is that of the MAC over its whole token, instead of the secret, and
//! of the second map.
//!
//! Two threads that verify the same keys share the reference counts in their results. A processor
//! fetches the count from the other one if that has verified the key last.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run must stop")]

mod issued;

use std::{
    collections::HashMap,
    hint::black_box,
    pin::pin,
    sync::{Arc, Barrier, RwLock},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use api_keys_simplified::{ApiKeyManagerV0, HashConfig, KeyConfig};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion,
    measurement::{Measurement, WallTime},
};
use futures_executor::block_on;
use keywright_benches::{compare_in_turn, run, runs_once, tasks};
use keywright_core::{
    Argon2Params, Config, Denied, Environment, ForeignKey, Imported, Importer, Keywright,
    MemoryStore, Name, Permissions, Scheme, Token, TokenRef, VerifyError,
    foreign::ForeignFormat,
    store::{KeyStore, StoredHash},
};
use prefixed_api_key::{PakControllerOsSha256, PrefixedApiKey, PrefixedApiKeyController};
use sha2::{Digest as _, Sha256};

use self::issued::TokenBytes;

fn main() {
    run(verify);
}

fn verify(criterion: &mut Criterion) {
    let few = Hot::with(1_000);
    let [imported, with_password] =
        [Hot::imported, Hot::imported_with_bcrypt].map(|import| import(1_000));
    let many = Hot::with(if runs_once() { 2_000 } else { 1_000_000 });
    let [malformed, bad_checksum, wrong_secret] = few.rejected();

    let pak = PrefixedApiKeyController::configure()
        .prefix("acme".to_owned())
        .seam_defaults()
        .finalize()
        .unwrap();
    let (pak_key, pak_hash) = pak.generate_key_and_hash();
    let pak_text = pak_key.to_string();
    let pak_many = ManyPrefixed::with(&pak, if runs_once() { 2_000 } else { 1_000_000 });

    let cost = HashConfig::custom(19_456, 2, 1).unwrap();
    let aks = ApiKeyManagerV0::init("acme", KeyConfig::default(), cost, Duration::ZERO).unwrap();
    let aks_key = aks
        .generate(api_keys_simplified::Environment::production())
        .unwrap();

    compare_in_turn(
        criterion,
        "verify",
        &mut [
            ("keywright-1000", &mut |group, id| few.bench(group, id)),
            ("keywright-imported", &mut |group, id| {
                imported.bench(group, id);
            }),
            ("keywright-imported-bcrypt", &mut |group, id| {
                with_password.bench(group, id);
            }),
            ("keywright-1000-two-threads", &mut |group, id| {
                bench_on_two_threads(group, id, |half| {
                    let mut tokens = few.tokens.iter().cycle().skip(half * few.tokens.len() / 2);
                    let verifier = few.keys.verifier();
                    move || {
                        let token = tokens.next().unwrap();
                        black_box(poll_once(verifier.verify(token)).unwrap());
                    }
                });
            }),
            ("keywright-1000000", &mut |group, id| many.bench(group, id)),
            ("prefixed-api-key", &mut |group, id| {
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        let key = PrefixedApiKey::from_string(black_box(&pak_text)).unwrap();
                        assert!(pak.check_hash(&key, &pak_hash));
                    });
                });
            }),
            ("prefixed-api-key-two-threads", &mut |group, id| {
                bench_on_two_threads(group, id, |_| {
                    || {
                        let key = PrefixedApiKey::from_string(black_box(&pak_text)).unwrap();
                        assert!(pak.check_hash(&key, &pak_hash));
                    }
                });
            }),
            ("prefixed-api-key-1000000", &mut |group, id| {
                let mut tokens = pak_many.tokens.iter().cycle();
                group.bench_function(id, |bencher| {
                    bencher.iter(|| pak_many.check(&pak, tokens.next().unwrap()));
                });
            }),
            ("keywright-malformed", &mut |group, id| {
                few.bench_rejection(group, id, &malformed);
            }),
            ("keywright-bad-checksum", &mut |group, id| {
                few.bench_rejection(group, id, &bad_checksum);
            }),
            ("keywright-wrong-secret", &mut |group, id| {
                few.bench_rejection(group, id, &wrong_secret);
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

/// Keys that are all cached, and their tokens in the order of the verifications. The tokens are
/// consecutive in memory, because a server has just received the token that it verifies, so reading
/// it costs little.
struct Hot {
    keys: Keywright,
    tokens: Arc<[TokenBytes]>,
}

impl Hot {
    fn with(count: usize) -> Self {
        let keys = open(config(count), &Arc::default());
        let runtime = issued::runtime();
        let tokens = issued::issue(
            &keys,
            &issued::operator(),
            &issued::new_key(),
            count,
            &runtime,
        );
        Self::warm_up(keys, tokens)
    }

    /// Keys that another system issued, which kept the SHA-256 of their tokens. The tokens are as
    /// long as those of this library.
    fn imported(count: usize) -> Self {
        let keys = (0..count).map(|number| {
            let token: TokenBytes = format!("old_{number:072x}")
                .into_bytes()
                .try_into()
                .unwrap();
            let hash = Sha256::digest(token);
            (
                token,
                ForeignKey::new(hex(&hash), name(), Permissions::all()),
            )
        });
        Self::import(&ForeignFormat::sha256_hex(), count, keys)
    }

    /// Keys that another system issued, with a public part and the bcrypt hash of the rest.
    fn imported_with_bcrypt(count: usize) -> Self {
        // The secret part, hashed by bcrypt of PyPI.
        const SECRET: &str = "0123456789abcdefghijABCDEFGHIJKL";
        const HASH: &str = "$2b$04$wCvddqTNtmDn86AqE3Gjpe2phTFj9rK.Ymbzdj4MGYUTF1ysbHZyy";
        let keys = (0..count).map(|number| {
            let public_part = format!("{number:043x}");
            let token = format!("{public_part}_{SECRET}");
            let mut key = ForeignKey::new(HASH, name(), Permissions::all());
            key.public_part = Some(public_part);
            (token.into_bytes().try_into().unwrap(), key)
        });
        Self::import(&ForeignFormat::password('_'), count, keys)
    }

    /// Imports keys, and uses each until its hash is one of this library's.
    fn import(
        format: &ForeignFormat,
        count: usize,
        keys: impl Iterator<Item = (TokenBytes, ForeignKey)>,
    ) -> Self {
        let store = Arc::new(MemoryStore::new());
        let library = open(config(count).with_foreign(format.clone()), &store);
        let workspace = issued::operator().workspace().clone();
        let importer = Importer::new(library.issuer().clone(), workspace, format.clone());
        let mut tokens = Vec::with_capacity(count);
        for (token, key) in keys {
            let imported = block_on(importer.import(&key)).unwrap();
            let (Imported::New(id) | Imported::Present(id)) = imported;
            let has_foreign_hash = || {
                let record = block_on(store.find(&id)).unwrap().unwrap();
                matches!(record.credential.hash, StoredHash::Foreign(_))
            };
            while has_foreign_hash() {
                block_on(library.verifier().verify(&token)).unwrap();
                thread::sleep(Duration::from_micros(100));
            }
            tokens.push(token);
        }
        issued::shuffle(&mut tokens);
        Self::warm_up(library, tokens.into())
    }

    fn warm_up(keys: Keywright, tokens: Arc<[TokenBytes]>) -> Self {
        let (count, runtime) = (tokens.len(), issued::runtime());
        // The last uses of the first round are written to the store. Those of the second are
        // buffered for a minute, as in a server that has run for a while.
        for _ in 0..2 {
            runtime.block_on(async {
                tasks::share(64, count, |indices| issued::verify(&keys, &tokens, indices)).await;
                keys.flush().await.unwrap();
            });
        }
        let hot = Self { keys, tokens };
        for token in &*hot.tokens {
            assert!(poll_once(hot.keys.verifier().verify(token)).is_ok());
        }
        hot
    }

    fn bench(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId) {
        let mut tokens = self.tokens.iter().cycle();
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let token = tokens.next().unwrap();
                poll_once(self.keys.verifier().verify(token)).unwrap()
            });
        });
    }

    fn bench_rejection(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        id: BenchmarkId,
        token: &TokenBytes,
    ) {
        group.bench_function(id, |bencher| {
            bencher.iter(|| poll_once(self.keys.verifier().verify(black_box(token))).is_err());
        });
    }

    /// Returns a malformed token, a token with a wrong checksum, and a token with the secret of
    /// another key.
    fn rejected(&self) -> [TokenBytes; 3] {
        let [good, other, ..] = &*self.tokens else {
            unreachable!("there are at least two keys")
        };
        let text = str::from_utf8(good).unwrap();
        let malformed = text.replace("_live_", "_life_");
        let last = if text.ends_with('0') { '1' } else { '0' };
        let bad_checksum = format!("{}{last}", text.get(..text.len() - 1).unwrap());
        let prefix = issued::prefix();
        let id = *TokenRef::parse(good, &prefix).unwrap().id();
        let secret = TokenRef::parse(other, &prefix).unwrap().secret();
        let wrong_secret = Token::assemble(&prefix, Environment::Live, &id, &secret);
        assert!(matches!(
            self.denied(malformed.as_bytes()),
            Denied::Malformed(_)
        ));
        assert!(matches!(
            self.denied(bad_checksum.as_bytes()),
            Denied::Malformed(_)
        ));
        assert!(matches!(
            self.denied(wrong_secret.expose().as_bytes()),
            Denied::WrongSecret(_)
        ));
        [&*malformed, &*bad_checksum, wrong_secret.expose()]
            .map(|text| text.as_bytes().try_into().unwrap())
    }

    fn denied(&self, token: &[u8]) -> Denied {
        match poll_once(self.keys.verifier().verify(token)) {
            Err(VerifyError::Denied(denied)) => denied,
            _ => unreachable!("the token is invalid"),
        }
    }
}

/// The records of a user of prefixed-api-key: a map by the public part of a token.
struct ManyPrefixed {
    records: RwLock<HashMap<String, Record>>,
    tokens: Vec<String>,
}

/// The map's value for each key.
struct Record {
    hash: String,
    #[expect(dead_code, reason = "part of the memory of a record")]
    name: String,
}

impl ManyPrefixed {
    fn with(pak: &PakControllerOsSha256, count: usize) -> Self {
        let mut records = HashMap::with_capacity(count);
        let mut tokens = Vec::with_capacity(count);
        for _ in 0..count {
            let (key, hash) = pak.generate_key_and_hash();
            let name = "a name of 20 letters".to_owned();
            records.insert(key.short_token().to_owned(), Record { hash, name });
            tokens.push(key.to_string());
        }
        issued::shuffle(&mut tokens);
        Self {
            records: RwLock::new(records),
            tokens,
        }
    }

    fn check(&self, pak: &PakControllerOsSha256, token: &str) {
        let key = PrefixedApiKey::from_string(token).unwrap();
        let records = self.records.read().unwrap();
        let record = records.get(key.short_token()).unwrap();
        assert!(pak.check_hash(&key, &record.hash));
    }
}

/// Shares work between two threads, and measures the total time per piece of work. `prepare` is not
/// measured. It returns the work of a thread, 0 or 1.
fn bench_on_two_threads<W: FnMut()>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    prepare: impl Fn(usize) -> W + Sync,
) {
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|count| {
            let start = Barrier::new(2);
            let half = |half| {
                let mut work = prepare(half);
                start.wait();
                let started = WallTime.start();
                for _ in 0..count.div_ceil(2) {
                    work();
                }
                WallTime.end(started)
            };
            thread::scope(|scope| {
                let other = scope.spawn(|| half(1));
                half(0).max(other.join().unwrap())
            })
        });
    });
}

/// A configuration with room for this many keys in the cache. The cost of Argon2 does not matter
/// for a cached key.
fn config(count: usize) -> Config {
    let scheme = Scheme::Argon2id(Argon2Params::new(8, 1, 1).unwrap());
    Config::new(issued::prefix())
        .with_scheme(scheme)
        .with_cache(count)
        .with_cache_bytes(usize::MAX)
}

fn open(config: Config, store: &Arc<MemoryStore>) -> Keywright {
    block_on(Keywright::open(
        config,
        Arc::clone(store) as Arc<dyn KeyStore>,
    ))
    .unwrap()
}

fn name() -> Name {
    Name::parse("a name of 20 letters").unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the output of a future that is ready at the first poll.
// Inlined, because moving the future here would take a tenth of the measured time.
#[inline(always)]
fn poll_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the verification needs no store"),
    }
}
