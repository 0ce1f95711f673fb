use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

// Observers of a copy block inside it, which the executor of `futures` rejects.
use pollster::block_on;
use proptest::prelude::*;

use super::*;
use crate::{
    Attributes, Caller, Config, ForeignKey, IdempotencyKey, Imported, Importer, IssueError, Issued,
    KeyId, KeyUpdate, Keywright, MemoryStore, Metadata, Name, NewKey, NewRotation, OpenError,
    Owner, Permissions, Prefix, Reach, Scheme, Timestamp,
    foreign::ForeignFormat,
    store::{KeyStore as _, Purge, PurgeEvents, Tag},
    testing::ManualClock,
};

fn workspace(number: usize) -> Workspace {
    Workspace::parse(["acme", "beta", "zeta"][number % 3]).unwrap()
}

fn config() -> Config {
    Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256)
}

fn open(store: &Arc<MemoryStore>, clock: &ManualClock) -> Result<Keywright, OpenError> {
    let config = config().with_clock(clock.clone());
    block_on(Keywright::open(config, Arc::clone(store) as _))
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::parse("2030-01-01T00:00:00Z").unwrap())
}

/// Whether a verifier accepts the token. A verifier that cannot decide does not accept it.
fn is_accepted(keys: &Keywright, token: &str) -> bool {
    block_on(keys.verifier().verify(token.as_bytes())).is_ok()
}

fn new_key() -> NewKey {
    NewKey::new(Name::parse("CI").unwrap()).with_permissions(Permissions::all())
}

/// A source with a server, a target with a server that was started before the copy, and the tokens
/// of all keys.
struct World {
    clock: ManualClock,
    source: Arc<MemoryStore>,
    server: Keywright,
    target: Arc<MemoryStore>,
    early: Keywright,
    tokens: Vec<(Workspace, KeyId, String)>,
}

impl World {
    fn new() -> Self {
        let clock = clock();
        let source = Arc::new(MemoryStore::new());
        let target = Arc::new(MemoryStore::new());
        Self {
            server: open(&source, &clock).unwrap(),
            early: open(&target, &clock).unwrap(),
            clock,
            source,
            target,
            tokens: Vec::new(),
        }
    }

    fn with_key() -> Self {
        let mut world = Self::new();
        world.create(0, new_key());
        world
    }

    fn copy(&self) -> StoreCopy<'_> {
        StoreCopy::new(&*self.source, &*self.target)
    }

    fn create(&mut self, workspace: usize, new: NewKey) -> KeyId {
        let operator = Caller::operator(self::workspace(workspace));
        let issued = block_on(self.server.issuer().create(&operator, new)).unwrap();
        self.keep(&issued)
    }

    fn keep(&mut self, Issued { key, token, .. }: &Issued) -> KeyId {
        let token = token.expose().to_owned();
        self.tokens.push((key.workspace.clone(), key.id, token));
        key.id
    }

    /// Returns one of the keys.
    fn pick(&self, number: usize) -> (Workspace, KeyId, String) {
        self.tokens[number % self.tokens.len()].clone()
    }

    fn act(&mut self, action: Action, number: usize) {
        self.clock.advance(std::time::Duration::from_secs(60));
        let now = self.clock.now();
        let issuer = self.server.issuer().clone();
        match action {
            Action::Create => {
                let metadata = Metadata::parse(r#"{"n":1}"#).unwrap();
                self.create(number, new_key().with_metadata(metadata));
                return;
            }
            Action::CreateOnce => {
                let operator = Caller::operator(workspace(number));
                let key = IdempotencyKey::parse(&format!("request-{number}")).unwrap();
                let _ = block_on(issuer.create_once(&operator, new_key(), &key, b"request"));
                return;
            }
            _ => {}
        }
        let (workspace, id, token) = self.pick(number);
        let operator = Caller::operator(workspace);
        match action {
            Action::CreateChild => {
                let verified = block_on(self.server.verifier().verify(token.as_bytes()));
                let caller = verified.map(|verified| verified.caller());
                if let Ok(issued) = caller.map(|caller| block_on(issuer.create(&caller, new_key())))
                    && let Ok(issued) = issued
                {
                    self.keep(&issued);
                }
            }
            Action::Update => {
                let update = KeyUpdate::new().with_enabled(number.is_multiple_of(2));
                let _ = block_on(issuer.update(&operator, &id, &update));
            }
            Action::Attributes => {
                let attributes = Attributes::parse(r#"{"plan":"pro"}"#).unwrap();
                let _ = block_on(issuer.set_attributes(&operator, &id, Some(attributes)));
            }
            Action::Rotate => {
                let rotated = block_on(issuer.rotate(&operator, &id, &NewRotation::new()));
                if let Ok(issued) = rotated {
                    self.keep(&issued);
                }
            }
            Action::Revoke => {
                let _ = block_on(issuer.revoke(&operator, &id, Reach::Key));
            }
            Action::Cascade => {
                let _ = block_on(issuer.revoke(&operator, &id, Reach::Descendants));
            }
            Action::Use => {
                let _ = is_accepted(&self.server, &token);
                block_on(self.server.flush()).unwrap();
            }
            Action::Purge => {
                let purge = Purge::new(1).with_revoked_before(now);
                block_on(self.source.purge(&purge)).unwrap();
            }
            Action::PurgeEvents => {
                let purge = PurgeEvents::new(now, 1);
                block_on(self.source.purge_events(&purge)).unwrap();
            }
            Action::Create | Action::CreateOnce => {}
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Create,
    CreateOnce,
    CreateChild,
    Update,
    Attributes,
    Rotate,
    Revoke,
    Cascade,
    Use,
    Purge,
    PurgeEvents,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Create),
        1 => Just(Action::CreateOnce),
        2 => Just(Action::CreateChild),
        2 => Just(Action::Update),
        1 => Just(Action::Attributes),
        2 => Just(Action::Rotate),
        1 => Just(Action::Revoke),
        1 => Just(Action::Cascade),
        2 => Just(Action::Use),
        1 => Just(Action::Purge),
        1 => Just(Action::PurgeEvents),
    ]
}

/// All records, events and reservations of a store.
fn content(store: &MemoryStore) -> (Vec<Record>, Vec<Event>, Vec<[u8; 32]>) {
    let mut records = Vec::new();
    let mut events = Vec::new();
    for workspace in block_on(store.workspaces(None)).unwrap() {
        records.extend(block_on(store.export_records(&workspace, None, u32::MAX)).unwrap());
        events.extend(block_on(store.export_events(&workspace, None, u32::MAX)).unwrap());
    }
    let reservations = block_on(store.export_reservations(None, u32::MAX)).unwrap();
    let keys = reservations.into_iter().map(|binding| binding.key);
    (records, events, keys.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_run_carries_what_has_changed_and_the_target_is_usable_only_at_the_end(
        runs in proptest::collection::vec(
            proptest::collection::vec((action(), any::<usize>()), 0..24),
            1..5,
        ),
    ) {
        let mut world = World::with_key();
        for actions in runs {
            for (action, number) in actions {
                world.act(action, number);
            }
            let report = block_on(world.copy().run()).unwrap();
            prop_assert_eq!(report.differing, 0);
            prop_assert_eq!(content(&world.source), content(&world.target));
            for (_, _, token) in &world.tokens {
                prop_assert!(!is_accepted(&world.early, token));
            }
            prop_assert!(open(&world.target, &world.clock).is_err());
        }
        let again = block_on(world.copy().run()).unwrap();
        prop_assert_eq!(again.written, 0);
        let report = block_on(world.copy().finish()).unwrap();
        prop_assert_eq!(report.keys, content(&world.source).0.len() as u64);
        prop_assert_eq!(content(&world.source), content(&world.target));
        let after = open(&world.target, &world.clock).unwrap();
        for (_, _, token) in &world.tokens {
            let expected = is_accepted(&world.server, token);
            prop_assert_eq!(is_accepted(&after, token), expected);
            prop_assert_eq!(is_accepted(&world.early, token), expected);
        }
    }
}

#[test]
fn a_sealed_source_verifies_keys_and_rejects_every_change() {
    let mut world = World::with_key();
    let id = world.create(0, new_key());
    let (workspace, _, token) = world.pick(0);
    assert!(is_accepted(&world.server, &token));
    block_on(world.copy().finish()).unwrap();
    let operator = Caller::operator(workspace);
    let issuer = world.server.issuer();
    let is_moved = |error: &IssueError| matches!(error, IssueError::Store(error) if error.kind() == StoreErrorKind::Moved);
    let rejected = [
        block_on(issuer.create(&operator, new_key())).map(drop),
        block_on(issuer.update(&operator, &id, &KeyUpdate::new().with_enabled(false))).map(drop),
        block_on(issuer.rotate(&operator, &id, &NewRotation::new())).map(drop),
        block_on(issuer.revoke(&operator, &id, Reach::Key)).map(drop),
    ];
    for result in rejected {
        let error = result.unwrap_err();
        assert!(is_moved(&error), "{error:?}");
    }
    assert!(is_accepted(&world.server, &token));
    // The times of last use are dropped without an error.
    assert!(block_on(world.server.flush()).is_ok());
    let error = open(&world.source, &world.clock).unwrap_err();
    assert!(matches!(&error, OpenError::Store(error) if error.kind() == StoreErrorKind::Moved));
}

/// SHA-256 of `old_token`, with `sha256sum` of GNU coreutils.
const HASH: &str = "b7fb92787ada0386b8183b396986ae00b8e7c052a5ce5ca60ee1d03471e68d33";

#[test]
fn bug_a_copy_lost_an_alias_that_another_key_has_since() {
    let format = ForeignFormat::sha256_hex();
    let world = World::with_key();
    let issuer = world.server.issuer();
    let importer = Importer::new(issuer.clone(), workspace(0), format.clone());
    let import = || {
        let key = ForeignKey::new(HASH, Name::parse("CI").unwrap(), Permissions::all());
        match block_on(importer.import(&key)).unwrap() {
            Imported::New(id) => id,
            Imported::Present(id) => panic!("{id} is present"),
        }
    };
    let purged = import();
    block_on(world.copy().run()).unwrap();
    block_on(issuer.revoke(&Caller::operator(workspace(0)), &purged, Reach::Key)).unwrap();
    world.clock.advance(std::time::Duration::from_secs(60));
    let purge = Purge::new(1).with_revoked_before(world.clock.now());
    assert_eq!(block_on(world.source.purge(&purge)).unwrap(), 1);
    let key = import();

    block_on(world.copy().finish()).unwrap();
    let config = config()
        .with_clock(world.clock.clone())
        .with_foreign(format);
    let keys = block_on(Keywright::open(config, Arc::clone(&world.target) as _)).unwrap();
    let verified = block_on(keys.verifier().verify(b"old_token")).unwrap();
    assert_eq!(verified.key().id, key);
}

/// Runs a closure once, when the comparison of a run begins.
struct AtComparison<F> {
    done: AtomicBool,
    then: F,
}

impl<F: Fn() + Send + Sync> CopyObserver for AtComparison<F> {
    fn progressed(&self, _: &CopyProgress) {}

    fn compared(&self, _: &WorkspaceReport) {
        if !self.done.swap(true, Ordering::SeqCst) {
            (self.then)();
        }
    }
}

fn at_comparison<F: Fn() + Send + Sync>(then: F) -> AtComparison<F> {
    AtComparison {
        done: AtomicBool::new(false),
        then,
    }
}

#[test]
fn a_failed_end_of_a_copy_lets_the_source_make_changes_again() {
    let mut world = World::with_key();
    // Another run takes the target over, after the source is sealed.
    let observer = at_comparison(|| {
        assert!(matches!(
            block_on(world.source.stage()),
            Ok(Stage::Sealed(_))
        ));
        block_on(world.copy().run()).unwrap();
        // The first run must not write any more.
        let other = Stage::Unclaimed;
        assert!(block_on(world.target.import(&other, &Import::default())).is_err());
    });
    let failed = block_on(world.copy().with_observer(&observer).finish()).unwrap_err();
    assert!(matches!(failed, CopyError::Superseded(_)), "{failed:?}");
    // The last step failed, so the source stays sealed until the operator aborts the copy.
    assert!(matches!(
        block_on(world.source.stage()),
        Ok(Stage::Moved { .. })
    ));
    assert!(open(&world.target, &world.clock).is_err());
    block_on(abort(&*world.source, Some(&*world.target))).unwrap();
    world.create(1, new_key());
    // The copy can be repeated, and finished.
    block_on(world.copy().finish()).unwrap();
    assert!(open(&world.target, &world.clock).is_ok());
    let finished = block_on(abort(&*world.source, Some(&*world.target))).unwrap_err();
    assert!(matches!(finished, CopyError::Finished), "{finished:?}");
    let finished = block_on(abort(&*world.source, None)).unwrap_err();
    assert!(matches!(finished, CopyError::Finished), "{finished:?}");
}

#[test]
fn a_target_with_other_content_is_rejected_by_name_and_the_source_is_opened_again() {
    let mut world = World::with_key();
    world.create(2, new_key());
    // A key appears in the target while both are compared: nothing but a direct write does that.
    let record = content(&world.source).0.remove(0);
    let mut stray = record.clone();
    stray.key.id = KeyId::parse("key_zzzzzzzz00000000").unwrap();
    stray.key.workspace = workspace(2);
    let now = world.clock.now();
    let observer = at_comparison(|| block_on(world.target.insert(&stray, now, None)).unwrap());
    let failed = block_on(world.copy().with_observer(&observer).finish()).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "1 workspace differs in the target: zeta"
    );
    assert!(matches!(block_on(world.source.stage()), Ok(Stage::Open(_))));
    assert!(open(&world.target, &world.clock).is_err());
    world.create(0, new_key());
    // The next run deletes the key.
    block_on(world.copy().finish()).unwrap();
    assert_eq!(content(&world.source), content(&world.target));
}

#[test]
fn a_store_that_is_no_target_is_rejected() {
    let world = World::with_key();
    let copy = |source: &MemoryStore, target: &MemoryStore| {
        block_on(StoreCopy::new(source, target).run()).unwrap_err()
    };
    let error = copy(&world.source, &world.source);
    assert!(matches!(error, CopyError::SameStore), "{error:?}");
    let other = World::with_key();
    let error = copy(&world.source, &other.source);
    assert!(matches!(error, CopyError::TargetInUse(_)), "{error:?}");
    let error = copy(&MemoryStore::new(), &MemoryStore::new());
    assert!(matches!(error, CopyError::NoSource), "{error:?}");
    block_on(world.copy().run()).unwrap();
    let error = copy(&other.source, &world.target);
    assert!(matches!(error, CopyError::OtherSource), "{error:?}");
    let error = copy(&world.target, &MemoryStore::new());
    assert!(matches!(error, CopyError::SourceIncomplete), "{error:?}");
    // A second target of the source, which does not get the keys of the first one.
    let second = MemoryStore::new();
    block_on(StoreCopy::new(&*world.source, &second).run()).unwrap();
    block_on(world.copy().finish()).unwrap();
    for target in [&world.target, &second, &MemoryStore::new()] {
        let error = copy(&world.source, target);
        assert!(matches!(error, CopyError::SourceMoved), "{error:?}");
        let finished = block_on(abort(&*world.source, Some(target))).unwrap_err();
        assert!(matches!(finished, CopyError::Finished), "{finished:?}");
    }
    // A key without a claim of the prefix.
    let record = content(&world.source).0.remove(0);
    let unclaimed = MemoryStore::new();
    block_on(unclaimed.insert(&record, world.clock.now(), None)).unwrap();
    let error = copy(&other.source, &unclaimed);
    assert!(matches!(error, CopyError::TargetNotEmpty), "{error:?}");
}

#[test]
fn a_restored_backup_of_the_source_makes_no_revoked_key_active() {
    let world = World::with_key();
    let (backup, id) = (content(&world.source).0.remove(0), world.tokens[0].1);
    let operator = Caller::operator(workspace(0));
    block_on(world.server.issuer().revoke(&operator, &id, Reach::Key)).unwrap();
    block_on(world.copy().run()).unwrap();
    let restored = MemoryStore::new();
    let source_id = block_on(
        world
            .source
            .identify(&TransferId::generate(&OsEntropy).unwrap()),
    );
    block_on(restored.identify(&source_id.unwrap())).unwrap();
    block_on(restored.claim_prefix(&Prefix::parse("acme").unwrap())).unwrap();
    block_on(restored.insert(&backup, world.clock.now(), None)).unwrap();
    let error = block_on(StoreCopy::new(&restored, &*world.target).finish()).unwrap_err();
    assert!(matches!(error, CopyError::Reactivation(_)), "{error:?}");
    assert!(error.to_string().contains(&id.to_string()), "{error}");
    assert!(content(&world.target).0[0].key.revoked_at.is_some());
}

#[test]
fn a_reservation_that_differs_in_the_target_keeps_a_copy_from_finishing() {
    let world = World::with_key();
    let operator = Caller::operator(workspace(0));
    let key = IdempotencyKey::parse("request").unwrap();
    let created = world
        .server
        .issuer()
        .create_once(&operator, new_key(), &key, b"request");
    block_on(created).unwrap();
    let reservations = block_on(world.source.export_reservations(None, u32::MAX)).unwrap();
    let mut other = reservations.last().unwrap().clone();
    other.fingerprint = [9; 32];
    let mut wrong = Import::default();
    wrong.reservations.push(other);
    let overwrite = at_comparison(|| {
        let receiving = block_on(world.target.stage()).unwrap();
        block_on(world.target.import(&receiving, &wrong)).unwrap();
    });
    let copy = world.copy().with_observer(&overwrite);
    let error = block_on(copy.finish()).unwrap_err();
    assert!(
        matches!(error, CopyError::ReservationsDiffer { count: 1 }),
        "{error:?}"
    );
    // The next run writes it again.
    let report = block_on(world.copy().finish()).unwrap();
    assert_eq!((report.reservations, report.missing_reservations), (1, 0));
}

/// A change of one field of a record, to values that it may use.
type Change = fn(&mut Record, Option<KeyId>, Option<Timestamp>);

#[test]
fn the_digest_covers_every_field_of_a_record() {
    let record = content(&World::with_key().source).0.remove(0);
    let digest = |record: &Record| {
        let mut hasher = ContentHasher::new();
        hasher.add_record(record);
        hasher.finish().to_string()
    };
    let id = Some(KeyId::parse("key_0U5lKtf600000000").unwrap());
    let time = Some(Timestamp::from_millis(1).unwrap());
    let changes: [Change; 20] = [
        |record, id, _| record.key.id = id.unwrap(),
        |record, _, _| record.key.workspace = workspace(1),
        |record, _, _| record.key.environment = crate::Environment::Test,
        |record, _, _| record.key.owner = Some(Owner::parse("o").unwrap()),
        |record, _, _| record.key.name = Name::parse("other").unwrap(),
        |record, _, _| record.key.permissions = "calls:read".parse().unwrap(),
        |record, _, _| record.key.metadata = Some(Metadata::parse("{}").unwrap()),
        |record, _, _| record.key.attributes = Some(Attributes::parse("{}").unwrap()),
        |record, _, _| record.key.enabled = false,
        |record, _, _| record.key.allowed_ips = Some("10.0.0.1".parse().unwrap()),
        |record, id, _| record.key.parent = id,
        |record, id, _| record.key.successor = id,
        |record, id, _| record.key.predecessor = id,
        |record, id, _| record.key.rotated_by = id,
        |record, _, time| record.key.expires_at = time,
        |record, _, time| record.key.revoked_at = time,
        |record, _, time| record.key.last_used_at = time,
        |record, _, _| record.credential.tag = Tag::from_bytes([9; Tag::LENGTH]),
        |record, _, _| record.credential.hash = other_hash(),
        |record, _, _| record.version += 1,
    ];
    let mut digests = BTreeMap::from([(digest(&record), usize::MAX)]);
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = record.clone();
        change(&mut changed, id, time);
        assert_eq!(digests.insert(digest(&changed), number), None, "{number}");
    }
}

fn other_hash() -> crate::store::StoredHash {
    let text = "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    crate::store::StoredHash::parse(text).unwrap()
}

#[test]
fn a_stage_is_read_back_from_the_settings_of_a_store() {
    let prefix = || Prefix::parse("acme").unwrap();
    let [source, run] = [(); 2].map(|()| TransferId::generate(&OsEntropy).unwrap());
    for stage in [
        Stage::Unclaimed,
        Stage::Receiving { source, run },
        Stage::Open(prefix()),
        Stage::Sealed(prefix()),
        Stage::Moved {
            prefix: prefix(),
            to: run,
        },
    ] {
        let claim = stage.claim();
        assert_eq!(
            Stage::parse(claim.as_deref(), stage.is_sealed()),
            Some(stage)
        );
    }
    for bad in [
        "",
        "receiving:",
        "receiving:a:b",
        "moved:",
        "moved:A",
        "Acme",
    ] {
        assert_eq!(Stage::parse(Some(bad), false), None, "{bad}");
        assert_eq!(Stage::claimed_prefix(bad), Err(StoreErrorKind::Corrupt));
    }
}
