use std::sync::Arc;

use futures_executor::block_on;

use super::*;
use crate::{
    Config, Denied, Entropy, Environment, Expiry, KeyId, KeyUpdate, Keywright, ListKeys, ListStart,
    MemoryStore, Name, NewKey, Permissions, Prefix, Reach, Scheme, VerifyError, Workspace,
    random::RandomError, store::KeyStore, testing::ManualClock,
};

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

fn open(clock: ManualClock) -> (Keywright, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let config = Config::new(Prefix::parse("sk").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_clock(clock);
    let keys = block_on(Keywright::open(
        config,
        Arc::clone(&store) as Arc<dyn KeyStore>,
    ))
    .unwrap();
    (keys, store)
}

fn workspace() -> Workspace {
    Workspace::parse("acme").unwrap()
}

fn operator() -> Caller {
    Caller::new(workspace(), Permissions::all())
}

fn new_key() -> NewKey {
    NewKey::new(Name::parse("n").unwrap())
}

#[test]
fn a_child_is_admitted_only_while_its_parent_is_active() {
    let clock = ManualClock::new(time(1_000));
    let (keys, store) = open(clock.clone());
    let parent = block_on(keys.issuer().create(&operator(), new_key())).unwrap();
    // The caller is verified before the revocation and creates a key after it.
    let caller = Caller::from(&parent.key);
    assert!(block_on(keys.issuer().create(&caller, new_key())).is_ok());
    block_on(store.revoke(&workspace(), &parent.key.id, Reach::Key, time(1_000), None)).unwrap();
    let refused = block_on(keys.issuer().create(&caller, new_key()));
    assert!(matches!(refused, Err(IssueError::CallerInactive)));
}

#[test]
fn expiry_follows_the_clock_to_the_millisecond() {
    let clock = ManualClock::new(time(1_000));
    let (keys, _) = open(clock.clone());
    let mut new = new_key();
    new.expiry = Expiry::At(time(2_000));
    let issued = block_on(keys.issuer().create(&operator(), new)).unwrap();
    let verify = || block_on(keys.verifier().verify(issued.token.expose().as_bytes()));
    clock.set(time(1_999));
    assert!(verify().is_ok());
    let caller = Caller::from(&issued.key);
    assert!(caller.is_current(time(1_999)) && !caller.is_current(time(2_000)));
    clock.set(time(1_500));
    let mut last = new_key();
    last.expiry = Expiry::At(time(2_000));
    let child = block_on(keys.issuer().create(&caller, last)).unwrap();
    assert_eq!(child.key.expires_at, Some(time(2_000)));
    for (now, at, refused) in [
        (1_500, 1_500, "expires_at must be in the future"),
        (
            1_500,
            2_001,
            "expires_at must not be later than the caller's own expiry",
        ),
        (
            2_000,
            3_000,
            "the caller has expired, is disabled or was revoked",
        ),
    ] {
        clock.set(time(now));
        let mut new = new_key();
        new.expiry = Expiry::At(time(at));
        let error = block_on(keys.issuer().create(&caller, new))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.to_string(), refused);
    }
    assert!(matches!(
        verify(),
        Err(VerifyError::Denied(Denied::Expired(_)))
    ));
}

#[test]
fn a_revoked_key_is_denied_as_revoked_only_with_the_correct_secret() {
    let (keys, store) = open(ManualClock::new(time(1_000)));
    let [one, two] =
        [(); 2].map(|()| block_on(keys.issuer().create(&operator(), new_key())).unwrap());
    block_on(store.revoke(&workspace(), &one.key.id, Reach::Key, time(1_000), None)).unwrap();
    let verify = |token: &str| block_on(keys.verifier().verify(token.as_bytes()));
    let denied = |token: &str| match verify(token) {
        Err(VerifyError::Denied(denied)) => denied,
        other => panic!("{other:?}"),
    };
    assert_eq!(denied(one.token.expose()), Denied::Revoked(one.key.id));
    // The revoked key's id with the other key's secret.
    let prefix = Prefix::parse("sk").unwrap();
    let secret = crate::TokenRef::parse(two.token.expose().as_bytes(), &prefix)
        .unwrap()
        .secret();
    let wrong = crate::Token::assemble(&prefix, Environment::Live, &one.key.id, &secret);
    assert_eq!(denied(wrong.expose()), Denied::WrongSecret(one.key.id));
    let missing = KeyId::parse("key_0000000000000000").unwrap();
    let unknown = crate::Token::assemble(&prefix, Environment::Live, &missing, &secret);
    assert_eq!(denied(unknown.expose()), Denied::Unknown(missing));
    let elsewhere = crate::Token::assemble(&prefix, Environment::Test, &two.key.id, &secret);
    assert_eq!(denied(elsewhere.expose()), Denied::Unknown(two.key.id));
}

#[test]
fn a_repeat_returns_its_key_even_if_it_could_no_longer_be_created() {
    let clock = ManualClock::new(time(1_000));
    let (keys, _) = open(clock.clone());
    let mut parent = new_key();
    parent.expiry = Expiry::At(time(9_000));
    let parent = block_on(keys.issuer().create(&operator(), parent)).unwrap();
    let create = |caller: &Caller, name: &str, end: i64| {
        let mut new = new_key();
        new.expiry = Expiry::At(time(end));
        let once = IdempotencyKey::parse(name).unwrap();
        let request = end.to_le_bytes();
        block_on(keys.issuer().create_once(caller, new, &once, &request))
    };
    let id = |outcome: Result<IssueOutcome, IssueError>| match outcome {
        Ok(IssueOutcome::Issued(issued)) => (issued.key.id, false),
        Ok(IssueOutcome::Replayed(key)) => (key.id, true),
        Err(error) => panic!("{error}"),
    };
    let caller = Caller::from(&parent.key);
    let first = id(create(&caller, "once", 5_000)).0;
    // The requested expiry is later than the caller's own, which a rotation moved, or in the past.
    let sooner = caller.clone().with_expires_at(time(4_000));
    assert_eq!(id(create(&sooner, "once", 5_000)), (first, true));
    clock.set(time(5_000));
    assert_eq!(id(create(&caller, "once", 5_000)), (first, true));
    let other = create(&caller, "once", 5_001);
    assert!(matches!(other, Err(IssueError::IdempotencyMismatch)));

    // A request that never succeeded binds nothing.
    clock.set(time(6_000));
    let late = create(&caller, "another", 5_000);
    assert!(matches!(late, Err(IssueError::ExpiryPast)));
    assert!(!id(create(&caller, "another", 7_000)).1);
}

#[test]
fn one_of_many_servers_creates_the_first_key() {
    let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new());
    let made: usize = std::thread::scope(|scope| {
        let servers: Vec<_> = (0..16)
            .map(|_| {
                let store = Arc::clone(&store);
                scope.spawn(|| {
                    let config =
                        Config::new(Prefix::parse("sk").unwrap()).with_scheme(Scheme::HmacSha256);
                    let keys = block_on(Keywright::open(config, store)).unwrap();
                    let first = block_on(keys.issuer().create_first(&operator(), new_key()));
                    usize::from(first.unwrap().is_some())
                })
            })
            .collect();
        servers
            .into_iter()
            .map(|server| server.join().unwrap())
            .sum()
    });
    assert_eq!(made, 1);
}

#[test]
fn a_server_that_crashes_after_its_reservation_does_not_block_the_first_key() {
    let (keys, store) = open(ManualClock::new(time(1_000)));
    let purpose: [u8; 32] =
        { Sha256::digest(b"keywright: the first key of an empty store").into() };
    let id = KeyId::parse("key_0000000000000001").unwrap();
    let reservation = crate::store::Reservation::new(purpose, purpose, id, time(9_000));
    block_on(store.reserve(&reservation, time(1_000))).unwrap();
    let first = block_on(keys.issuer().create_first(&operator(), new_key()))
        .unwrap()
        .unwrap();
    assert_eq!(first.key.id, id);
    assert!(block_on(keys.verifier().verify(first.token.expose().as_bytes())).is_ok());
}

/// A source of random bytes that fails on every call after the first.
#[derive(Default)]
struct Dry(std::sync::atomic::AtomicBool);

impl Entropy for Dry {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        if self.0.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return Err(RandomError::new("dry"));
        }
        crate::OsEntropy.fill(seed)
    }
}

#[test]
fn without_random_bytes_nothing_is_stored() {
    let store = Arc::new(MemoryStore::new());
    let config = Config::new(Prefix::parse("sk").unwrap()).with_entropy(Dry::default());
    let keys = block_on(Keywright::open(
        config,
        Arc::clone(&store) as Arc<dyn KeyStore>,
    ))
    .unwrap();
    let refused = block_on(keys.issuer().create(&operator(), new_key()));
    assert!(matches!(refused, Err(IssueError::Random(_))));
    assert!(block_on(store.is_empty()).unwrap());
    let config = Config::new(Prefix::parse("sk").unwrap()).with_entropy(Dry(true.into()));
    let refused = block_on(Keywright::open(config, store));
    assert!(matches!(refused, Err(crate::OpenError::Random(_))));
}

#[test]
fn a_store_keeps_the_prefix_of_its_first_key() {
    let (keys, store) = open(ManualClock::new(time(1_000)));
    block_on(keys.issuer().create(&operator(), new_key())).unwrap();
    let config = Config::new(Prefix::parse("acme").unwrap());
    let error = block_on(Keywright::open(config, store)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the store's keys begin with sk_, not with acme_"
    );
}

#[test]
fn a_purge_keeps_keys_that_a_repeated_request_would_create_again() {
    const DAY: i64 = 24 * 60 * 60 * 1_000;
    let clock = ManualClock::new(time(1_000));
    let (keys, _) = open(clock.clone());
    let issuer = keys.issuer();
    let once = IdempotencyKey::parse("once").unwrap();
    let create = || match block_on(issuer.create_once(&operator(), new_key(), &once, b"{}")) {
        Ok(IssueOutcome::Issued(issued)) => (issued.key.id, true),
        Ok(IssueOutcome::Replayed(key)) => (key.id, false),
        Err(error) => panic!("{error}"),
    };
    let purge = || block_on(issuer.purge(None, Some(Timestamp::MAX), None)).unwrap();
    let (id, _) = create();
    block_on(issuer.revoke(&operator(), &id, Reach::Key)).unwrap();
    clock.set(time(1_000 + DAY - 1));
    assert_eq!(purge(), 0);
    assert_eq!(create(), (id, false));
    clock.set(time(1_000 + DAY));
    // The reservation holds for one more millisecond.
    assert_eq!(purge(), 0);
    clock.set(time(1_001 + DAY));
    assert_eq!(purge(), 1);
    let (second, issued) = create();
    assert!(issued && second != id);
}

#[test]
fn a_purge_takes_as_many_steps_as_it_needs() {
    let clock = ManualClock::new(time(1_000));
    let (keys, _) = open(clock.clone());
    let issuer = keys.issuer();
    for _ in 0..1_100 {
        let issued = block_on(issuer.create(&operator(), new_key())).unwrap();
        block_on(issuer.revoke(&operator(), &issued.key.id, Reach::Key)).unwrap();
    }
    clock.set(time(1_000_000_000));
    let purge =
        |workspace| block_on(issuer.purge(Some(workspace), Some(time(2_000)), None)).unwrap();
    assert_eq!(purge(Workspace::parse("other").unwrap()), 0);
    assert_eq!(purge(workspace()), 1_100);
}

#[test]
fn a_purge_in_memory_deletes_a_key_and_its_descendants_in_one_step() {
    let clock = ManualClock::new(time(1_000));
    let (keys, store) = open(clock.clone());
    // Each key is a millisecond younger than its parent, so that it sorts after its parent.
    let create = |caller: Caller, millis| {
        clock.set(time(millis));
        block_on(keys.issuer().create(&caller, new_key()))
            .unwrap()
            .key
    };
    let root = create(operator(), 1_000);
    let child = create(Caller::from(&root), 1_001);
    create(Caller::from(&child), 1_002);
    block_on(store.revoke(
        &workspace(),
        &root.id,
        Reach::Descendants,
        time(1_002),
        None,
    ))
    .unwrap();
    let purge = |limit| {
        let purge = crate::store::Purge::new(limit).with_revoked_before(time(1_003));
        block_on(store.purge(&purge)).unwrap()
    };
    assert_eq!([purge(1), purge(10), purge(10)], [1, 2, 0]);
}

#[test]
fn a_caller_whose_key_is_revoked_during_its_request_can_do_nothing() {
    let clock = ManualClock::new(time(1_000));
    let (keys, _) = open(clock);
    let issuer = keys.issuer();
    let [mine, other] = [(); 2].map(|()| block_on(issuer.create(&operator(), new_key())).unwrap());
    // The key is revoked after it was verified and before the body of the request arrives.
    let caller = Caller::from(&mine.key);
    block_on(issuer.revoke(&operator(), &mine.key.id, Reach::Key)).unwrap();
    let id = &other.key.id;
    let update = KeyUpdate::new().with_name(Name::parse("x").unwrap());
    let token = other.token.expose().as_bytes();
    let refused = [
        block_on(issuer.create(&caller, new_key())).err(),
        block_on(issuer.rotate(&caller, id, &NewRotation::new())).err(),
        block_on(issuer.update(&caller, id, &update)).err(),
        block_on(issuer.revoke(&caller, id, Reach::Key)).err(),
        block_on(issuer.introspect(&caller, token, &IntrospectionRequest::new())).err(),
        block_on(issuer.list(&caller, ListKeys::new())).err(),
        block_on(issuer.find(&caller, id)).err(),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        assert!(
            matches!(refused, Some(IssueError::CallerInactive)),
            "{number}"
        );
    }
    let untouched = block_on(issuer.find(&operator(), id)).unwrap().key;
    assert_eq!(
        (untouched.name, untouched.successor),
        (other.key.name, None)
    );
}

#[test]
fn a_child_expires_with_a_caller_that_got_an_expiry_after_it_was_verified() {
    let clock = ManualClock::new(time(1_000));
    let (keys, _) = open(clock);
    let issuer = keys.issuer();
    let mine = block_on(issuer.create(&operator(), new_key())).unwrap();
    let caller = Caller::from(&mine.key);
    let rotation = NewRotation::new().with_overlap(Duration::from_secs(20));
    block_on(issuer.rotate(&operator(), &mine.key.id, &rotation)).unwrap();
    let child = block_on(issuer.create(&caller, new_key())).unwrap();
    assert_eq!(child.key.expires_at, Some(time(21_000)));
}

#[test]
fn an_overlap_is_a_day_by_default_and_thirty_days_at_most() {
    const DAY: i64 = 86_400_000;
    let now = 1_709_287_200_000;
    let (keys, _store) = open(ManualClock::new(time(now)));
    let longest = NewRotation::new().with_overlap(Duration::MAX);
    for (rotation, days) in [(NewRotation::new(), 1), (longest, 30)] {
        let issued = block_on(keys.issuer().create(&operator(), new_key())).unwrap();
        let id = &issued.key.id;
        block_on(keys.issuer().rotate(&operator(), id, &rotation)).unwrap();
        let retired = block_on(keys.issuer().find(&operator(), id)).unwrap().key;
        assert_eq!(retired.expires_at, Some(time(now + days * DAY)));
    }
}

/// A caller of the host who reaches only the keys of this owner.
fn member(owner: &str) -> Caller {
    Caller::new(workspace(), "api_keys.own:*".parse().unwrap())
        .with_owner(crate::Owner::parse(owner).unwrap())
}

#[test]
fn a_list_of_the_keys_of_another_owner_is_empty_and_checks_its_cursor() {
    let (keys, _) = open(ManualClock::new(time(1_000)));
    let (own, other) = (member("user:1"), member("user:2"));
    for _ in 0..2 {
        block_on(keys.issuer().create(&other, new_key())).unwrap();
    }
    let list = |caller: &Caller, start: ListStart| {
        let mut wanted = ListKeys::new().with_limit(1).with_start(start);
        wanted.owner = other.owner().cloned();
        block_on(keys.issuer().list(caller, wanted))
    };
    let first = list(&other, ListStart::Offset(0)).unwrap();
    assert_eq!(first.total, Some(2));
    let cursor = first.next.unwrap();

    let empty = list(&own, ListStart::Offset(0)).unwrap();
    assert_eq!((empty.keys.len(), empty.total), (0, Some(0)));
    let empty = list(&own, ListStart::After(cursor)).unwrap();
    assert_eq!((empty.keys.len(), empty.total), (0, None));
    let wrong = list(&own, ListStart::After("none".into()));
    assert!(matches!(wrong, Err(IssueError::Cursor)));
}
