//! Tests what every public type prints, with a secret inside if it can hold one.

use std::{io, sync::Arc, time::Duration};

use http::{Request, StatusCode};
use http_body_util::Full;
use keywright_core::{
    Action, AllowedIps, Argon2Params, Attributes, Caller, Change, Denied, Environment, EventId,
    EventOrder, EventPosition, Expiry, ForeignKey, IdempotencyKey, ImportError, Imported, Importer,
    Introspection, IntrospectionRequest, IssueError, IssueOutcome, Issued, Key, KeyId, KeyUpdate,
    ListEvents, ListKeys, ListStart, MemoryStore, Metadata, Minted, Name, NewRotation, OpenError,
    OsEntropy, Owner, Page, Pepper, PepperId, Permission, Permissions, Prefix, PreparedKey, Reach,
    RequestId, Revocation, Scheme, Secret, Status, SystemClock, Timestamp, Token, TokenRef,
    Undecided, VerifyError, VersionedKey, Workspace,
    error::{
        AllowedIpsError, AttributesError, HashError, MetadataError, NameError, PepperError,
        PermissionError, RandomError, TokenError,
    },
    foreign::{Digest, ForeignFormat, ForeignHashError, HashedPart},
    store::{
        Credential, Durability, FairQueue, Import, JoinOnDrop, KeyStore, Lease, Purge, PurgeEvents,
        Reactivation, Reservation, Reserved, Retire, Rotation, Settings, Stage, StoreError,
        StoreErrorKind, StoredHash, TransferId,
    },
};
use keywright_http_tower::{
    ApiKeys, AuthLayer, ClientIp, ClientIpLayer, EventPageView, ForwardAuth, IntrospectionView,
    IssuedJson, KeyPageView, KeyView, RateLimit, Rejection, ReportView,
};
use keywright_store_redis::{RedisConfig, RedisStore, Unfit};
use keywright_store_sqlite::{Sharing, SqliteConfig, SqliteStore};
use pollster::block_on;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    fixture::{
        ATTRIBUTES, Fixture, PASSWORD, PEPPER, attribute_canaries, config, constant_canaries,
        new_key, peppers, prefix,
    },
    printing::{Printed, cannot_be_printed, print_all},
    redis,
};

/// An error to use as the source of others.
fn failed() -> io::Error {
    io::Error::other("it failed")
}

fn store_error() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "memory").with_source(failed())
}

#[test]
fn no_type_of_the_library_prints_a_secret() {
    let mut printed = Printed::default();
    let memory = Arc::new(MemoryStore::new());
    let fixture = Fixture::over(Arc::clone(&memory) as Arc<dyn KeyStore>);
    let (keys, token) = (&fixture.keys, fixture.token());
    let (id, key) = (fixture.issued.key.id, &fixture.issued.key);
    cannot_be_printed!(
        printed; Token, Secret, TokenRef<'static>, Minted, Issued, IssueOutcome, PreparedKey
    );
    // A pepper can be printed, without its bytes, and nothing else.
    static_assertions::assert_not_impl_any!(
        Pepper: std::fmt::Display, Clone, PartialEq, serde::Serialize, std::ops::Deref,
        AsRef<[u8]>, Into<Vec<u8>>);

    values(&mut printed, &fixture, &memory);
    print_all!(printed;
        config(), keys, keys.issuer(), keys.verifier(), peppers(),
        Pepper::new(PepperId::parse("p2").unwrap(), PEPPER).unwrap(),
        memory, block_on(memory.find(&id)).unwrap().unwrap(),
        block_on(keys.verifier().verify(token.as_bytes())).unwrap(),
    );
    for introspected in [token, &token[1..]] {
        let introspection = block_on(keys.issuer().introspect(
            &fixture.operator,
            introspected.as_bytes(),
            &IntrospectionRequest::new(),
        ));
        print_all!(printed; introspection.unwrap());
    }
    events(&mut printed, &fixture);
    imports(&mut printed, &fixture, &memory);
    errors(&mut printed, key);
    let modules = [
        include_str!("../../../crates/core/src/lib.rs"),
        include_str!("../../../crates/core/src/error.rs"),
        include_str!("../../../crates/core/src/foreign/mod.rs"),
        include_str!("../../../crates/core/src/store/mod.rs"),
    ];
    let missing: Vec<_> = modules
        .iter()
        .flat_map(|module| printed.missing("keywright_core", module))
        .collect();
    // These are traits, and the alias of a type.
    let others = [
        "Observer", "Entropy", "Clock", "Tenant", "KeyStore", "Transfer",
    ]
    .map(|name| format!("keywright_core::{name}"));
    assert_eq!(missing, others, "these public types are not tested");
    fixture
        .canaries
        .assert_absent("the output of the library", &printed.text);
}

/// Prints values that contain no secret but were derived from data with one.
fn values(printed: &mut Printed, fixture: &Fixture, memory: &MemoryStore) {
    let key = &fixture.issued.key;
    let (id, now) = (key.id, fixture.keys.issuer().now());
    let record = block_on(memory.find(&id)).unwrap().unwrap();
    let Credential { hash, tag, .. } = record.credential.clone();
    let workspace = Workspace::parse("acme").unwrap();
    let lease = Lease::lapsed();
    let once = IdempotencyKey::parse("once").unwrap();
    let (issuer, operator) = (fixture.keys.issuer(), &fixture.operator);
    let pause = KeyUpdate::new().with_enabled(false);
    let update = block_on(issuer.prepare_update(operator, &id, &pause)).unwrap();
    let revocation = issuer.prepare_revocation(operator, &id, Reach::Key);
    let mut import = Import::default();
    import.records.push(record.clone());
    print_all!(*printed;
        key, record, record.credential, hash, tag, id, now, workspace, prefix(), once,
        Environment::Live, Status::Active, Durability::Process, Scheme::HmacSha256, OsEntropy::default(),
        SystemClock::default(), Reach::Key, Retire::Now, ListStart::Offset::<String>(0),
        ListStart::After(String::from("c")), Expiry::Inherited, Reserved::New, PepperId::parse("p1").unwrap(),
        FairQueue::<u8>::new(1, 1), Argon2Params::default(), Permission::API_KEYS_READ, Permissions::all(), fixture.operator,
        Caller::from(key), Metadata::parse("{}").unwrap(), Name::parse("n").unwrap(), new_key(),
        NewRotation::new(), ListKeys::<String>::new(), ListKeys::<KeyId>::new(),
        Page::cut(vec![key.clone()], 1, None), Purge::new(1), KeyUpdate::new(), Action::Update,
        Change::Set(now), VersionedKey::new(key.clone(), 1), Settings::from(key),
        IntrospectionRequest::new(), Owner::parse("user:1").unwrap(),
        Attributes::parse("{}").unwrap(), "192.0.2.0/24".parse::<AllowedIps>().unwrap(),
        Revocation::new(true, 1), Reservation::new([0; 32], [0; 32], id, now),
        Rotation::new(id, 1, Retire::Now, record), lease, lease.stamp(&id),
        update, update.caller(), block_on(revocation).unwrap(), import, Reactivation::new(id),
        Stage::Open(prefix()), TransferId::parse("0000000000000000").unwrap(),
        Introspection::Valid(key.clone()), JoinOnDrop::new(std::thread::spawn(|| ())),
        block_on(fixture.keys.issuer().list(&fixture.operator, ListKeys::new())).unwrap(),
    );
}

/// Prints the event of the creation of a key, and what it consists of.
fn events(printed: &mut Printed, fixture: &Fixture) {
    let issuer = fixture.keys.issuer();
    let page = block_on(issuer.events(&fixture.operator, ListEvents::new())).unwrap();
    let event = page.events.first().unwrap();
    let report = block_on(issuer.report(&fixture.operator, None)).unwrap();
    print_all!(*printed;
        page, event, event.id, event.kind, event.actor, event.changes,
        event.changes.name.as_ref().unwrap(), RequestId::parse("r").unwrap(), EventOrder::OldestFirst,
        EventPosition::since(event.created_at()), ListEvents::<String>::new(),
        PurgeEvents::new(event.created_at(), 1), report, report.never_used,
        EventId::parse("").unwrap_err(), EventPosition::parse("").unwrap_err(),
        RequestId::parse("").unwrap_err(),
    );
}

/// Prints what an import consists of, with the token in each place of a line, and its errors.
fn imports(printed: &mut Printed, fixture: &Fixture, memory: &MemoryStore) {
    let workspace = Workspace::parse("acme").unwrap();
    let issuer = fixture.keys.issuer();
    let format = ForeignFormat::sha256_hex().with_hashed_part(HashedPart::Whole);
    let importer = Importer::new(issuer.clone(), workspace.clone(), format.clone());
    let permissions = Permissions::all();
    let name = || Name::parse("n").unwrap();
    let imported = ForeignKey::new("00".repeat(32), name(), permissions.clone());
    let new = block_on(importer.import(&imported)).unwrap();
    let Imported::New(id) = new else {
        panic!("the key is present")
    };
    let record = block_on(memory.find(&id)).unwrap().unwrap();
    let StoredHash::Foreign(hash) = record.credential.hash.clone() else {
        panic!("the hash was replaced")
    };
    let own = block_on(memory.find(&fixture.issued.key.id)).unwrap();
    let StoredHash::Native(native) = own.unwrap().credential.hash else {
        panic!("the hash is foreign")
    };
    let mut differs = imported.clone();
    differs.name = Name::parse("m").unwrap();
    let different = block_on(importer.import(&differs)).unwrap_err();
    let elsewhere = Importer::new(
        issuer.clone(),
        Workspace::parse("other").unwrap(),
        format.clone(),
    );
    let taken = block_on(elsewhere.import(&imported)).unwrap_err();
    let mut secret = ForeignKey::new(fixture.token(), name(), permissions);
    let malformed = block_on(importer.check(&secret)).unwrap_err();
    secret.public_part = Some(fixture.token().to_owned());
    let not_needed = block_on(importer.check(&secret)).unwrap_err();
    print_all!(*printed;
        format, Digest::Sha256, HashedPart::AfterLast('.'), importer, new, imported, secret, record,
        hash, native, record.alias.unwrap(), different, taken, malformed, not_needed,
        importer.digest(&imported).unwrap(),
        ForeignHashError::Cost, ImportError::NotAnObject, StoredHash::parse("").unwrap_err(),
    );
}

fn errors(printed: &mut Printed, key: &Key) {
    let random = || RandomError::new(failed());
    print_all!(*printed;
        Argon2Params::new(0, 0, 0).unwrap_err(), Environment::parse("").unwrap_err(),
        IdempotencyKey::parse("").unwrap_err(), KeyId::parse("").unwrap_err(),
        Prefix::parse("").unwrap_err(), StoredHash::parse("").unwrap_err(),
        Timestamp::parse("").unwrap_err(), Workspace::parse("").unwrap_err(),
        Owner::parse("").unwrap_err(), AllowedIpsError::Count, AttributesError::Mismatch,
        HashError::Busy, HashError::UnknownPepper, HashError::Failed(Arc::new(failed())),
        MetadataError::TooLarge, NameError::Empty, PepperError::Id, PermissionError::Malformed,
        TokenError::Length, TokenError::Checksum, StoreErrorKind::Corrupt, store_error(), random(),
        IssueError::NotPermitted(Permission::API_KEYS_READ), IssueError::Environment,
        IssueError::ExpiryPast, IssueError::CallerInactive, IssueError::Cursor,
        IssueError::ExpiryBeyondPolicy { latest: key.created_at() }, IssueError::VersionMismatch,
        IssueError::Random(random()), IssueError::Hash(HashError::Busy),
        IssueError::Store(store_error()), Denied::Malformed(TokenError::Prefix),
        Denied::WrongSecret(key.id), Denied::Unknown(key.id), Denied::AddressNotAllowed(key.id), Undecided::Store(store_error()),
        Undecided::Hash(HashError::Busy), VerifyError::Denied(Denied::Revoked(key.id)),
        VerifyError::Undecided(Undecided::Store(store_error())),
        OpenError::Prefix { store: prefix(), configured: Prefix::parse("acme").unwrap() },
        OpenError::Store(store_error()), OpenError::Random(random()), OpenError::Threads(failed()),
    );
}

#[test]
fn no_type_of_the_sqlite_store_prints_a_secret() {
    use keywright_store_sqlite::OpenError;
    let mut printed = Printed::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.db");
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let fixture = Fixture::over(Arc::clone(&store) as Arc<dyn KeyStore>);
    print_all!(printed; store, SqliteConfig::new(), Sharing::Strict, block_on(store.find(&fixture.issued.key.id)).unwrap().unwrap());
    let foreign = folder.path().join("foreign.db");
    std::fs::write(&foreign, [fixture.token(), PASSWORD].concat().repeat(100)).unwrap();
    let errors = [
        SqliteStore::open("").unwrap_err(),
        SqliteStore::open(folder.path().join("no/such/folder")).unwrap_err(),
        SqliteStore::open(&foreign).unwrap_err(),
        SqliteStore::open(folder.path()).unwrap_err(),
        SqliteStore::open_with(&path, Sharing::Exclusive).unwrap_err(),
        OpenError::Threads(failed()),
        OpenError::NewerSchema {
            path: path.clone(),
            found: 2,
            supported: 1,
        },
    ];
    for error in errors {
        print_all!(printed; error);
    }
    let backup = folder.path().join("backup.db");
    block_on(store.backup(&backup)).unwrap();
    fixture
        .canaries
        .assert_absent("a backup", std::fs::read(&backup).unwrap());
    // A row that cannot be read, with a token in place of its hash.
    damage(&path, fixture.token());
    let error = block_on(store.find(&fixture.issued.key.id)).unwrap_err();
    print_all!(printed; error);
    let error = block_on(
        fixture
            .keys
            .issuer()
            .list(&fixture.operator, ListKeys::new()),
    )
    .map(|_| ());
    print_all!(printed; error);
    std::fs::remove_file(&path).unwrap();
    let error = block_on(store.is_empty()).unwrap_err();
    print_all!(printed; error);
    let lib = include_str!("../../../crates/store-sqlite/src/lib.rs");
    assert_eq!(printed.missing("keywright_store_sqlite", lib), [""; 0]);
    fixture
        .canaries
        .assert_absent("the output of the store", &printed.text);
}

/// Replaces each hash with a text.
fn damage(path: &std::path::Path, text: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute("UPDATE keywright_keys SET hash = ?1", [text])
        .unwrap();
    // Record the change, as after any edit of a row by hand. Otherwise the cached copy is used.
    connection
        .execute(
            "INSERT INTO keywright_changes (id) SELECT id FROM keywright_keys",
            [],
        )
        .unwrap();
}

#[test]
fn no_type_of_the_redis_store_prints_a_secret() {
    use keywright_store_redis::OpenError;
    let mut printed = Printed::default();
    let server = redis::Server::start();
    // Longer than a busy machine delays a call. By default, it fails after two seconds.
    let config = RedisConfig::new(server.url()).with_deadline(Duration::from_secs(10));
    let store = Arc::new(block_on(RedisStore::connect(config)).unwrap());
    let fixture = Fixture::over(Arc::clone(&store) as Arc<dyn KeyStore>);
    let pem = [PASSWORD, fixture.token()].concat();
    let config = RedisConfig::new(server.url()).with_root_certificates(pem);
    print_all!(printed; store, config, Unfit::NoAppendOnlyFile, Unfit::Evicts { policy: "p".into() });
    let port = server.port();
    let closed = redis::free_port();
    for wrong in [
        format!("redis://:{PASSWORD}@127.0.0.1:{port}/not-a-number"),
        format!("redis://:{PASSWORD}@127.0.0.1:port"),
        format!("redis://:{PASSWORD}@"),
        format!("http://:{PASSWORD}@127.0.0.1:{port}"),
        format!("redis://a b:{PASSWORD}@127.0.0.1:{port}"),
        format!("redis:{PASSWORD}"),
        PASSWORD.to_owned(),
        format!("redis+unix:///{PASSWORD}?db=x&pass={PASSWORD}"),
        format!("redis+unix:///no/such/socket?pass={PASSWORD}"),
        // The wrong user, no server, and a server without TLS.
        format!("redis://somebody:{PASSWORD}@127.0.0.1:{port}"),
        format!("redis://:{PASSWORD}@127.0.0.1:{closed}"),
        format!("rediss://:{PASSWORD}@127.0.0.1:{port}"),
    ] {
        let config = RedisConfig::new(&wrong).with_deadline(Duration::from_millis(500));
        print_all!(printed; config);
        let error = block_on(RedisStore::connect(config))
            .map(|_| ())
            .expect_err(&wrong);
        print_all!(printed; error);
    }
    print_all!(printed; OpenError::Threads(failed()), OpenError::NewerFormat { found: "2".into() });
    // A record that cannot be read and contains a token.
    server.damage(fixture.token());
    let error = block_on(store.find(&fixture.issued.key.id)).unwrap_err();
    print_all!(printed; error);
    drop(server);
    let error = block_on(store.is_empty()).unwrap_err();
    print_all!(printed; store, error);
    let lib = include_str!("../../../crates/store-redis/src/lib.rs");
    assert_eq!(printed.missing("keywright_store_redis", lib), [""; 0]);
    fixture
        .canaries
        .assert_absent("the output of the store", &printed.text);
}

#[test]
fn no_type_of_the_services_prints_a_secret() {
    let mut printed = Printed::default();
    let fixture = Fixture::over(Arc::new(MemoryStore::new()));
    let (keys, token, key) = (&fixture.keys, fixture.token(), &fixture.issued.key);
    let now = keys.issuer().now();
    cannot_be_printed!(printed; IssuedJson);
    let layer = AuthLayer::new(keys.verifier().clone());
    let client_ip = ClientIpLayer::trusting("192.0.2.0/24".parse().unwrap());
    let mut guarded = client_ip.layer(layer.layer(ApiKeys::at(keys, "")));
    let request = Request::get("/")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::<bytes::Bytes>::default())
        .unwrap();
    let response = guarded.call(request);
    let listed = block_on(keys.issuer().list(&fixture.operator, ListKeys::new())).unwrap();
    let verified = block_on(keys.verifier().verify(token.as_bytes())).unwrap();
    let events = keys.issuer().events(&fixture.operator, ListEvents::new());
    let events = block_on(events).unwrap();
    let report = block_on(keys.issuer().report(&fixture.operator, None)).unwrap();
    let valid = Introspection::Valid(key.clone());
    print_all!(printed;
        guarded, response, layer, layer.clone().with_realm("\"").unwrap_err(), ApiKeys::at(keys, ""),
        RateLimit::per_minute(600.try_into().unwrap()), KeyView::new(key, now),
        KeyView::verified(&verified, now), KeyPageView::new(&listed, &ListStart::Offset(0), 20, now),
        IntrospectionView::new(&valid, now), IntrospectionView::new(&Introspection::NotFound, now),
        client_ip, ClientIp([192, 0, 2, 1].into()), layer.layer(ApiKeys::at(keys, "")),
        ForwardAuth::new(layer.clone()),
        Rejection::AddressNotAllowed, Rejection::Denied,
        EventPageView::new(&events, 20), ReportView::new(&report, now),
    );
    let mut request = Request::get("/").body(()).unwrap();
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    let error = keywright_http_tower::error_response(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing here",
        request.headers(),
    );
    print_all!(printed; error, block_on(response).unwrap());
    let lib = include_str!("../../../crates/http-tower/src/lib.rs");
    assert_eq!(printed.missing("keywright_http_tower", lib), [""; 0]);
    fixture
        .canaries
        .assert_absent("the output of the services", &printed.text);
}

/// `Debug` is for the host, which may see what it has attached to a key. Clients see JSON.
#[test]
fn no_view_of_a_key_contains_its_attributes() {
    let fixture = Fixture::over(Arc::new(MemoryStore::new()));
    let (keys, issued) = (&fixture.keys, &fixture.issued);
    let now = keys.issuer().now();
    let listed = block_on(keys.issuer().list(&fixture.operator, ListKeys::new())).unwrap();
    let verified = block_on(keys.verifier().verify(fixture.token().as_bytes())).unwrap();
    for key in [&issued.key, &listed.keys[0], verified.key()] {
        assert_eq!(
            key.attributes.as_ref().map(Attributes::as_json),
            Some(ATTRIBUTES)
        );
    }
    let valid = Introspection::Valid(issued.key.clone());
    let mut shown = [
        serde_json::to_vec(&KeyView::new(&issued.key, now)),
        serde_json::to_vec(&KeyView::verified(&verified, now)),
        serde_json::to_vec(&KeyPageView::new(&listed, &ListStart::Offset(0), 20, now)),
        serde_json::to_vec(&IntrospectionView::new(&valid, now)),
    ]
    .map(Result::unwrap)
    .concat();
    let created = IssuedJson::new(issued).unwrap();
    shown.extend_from_slice(created.expose());
    attribute_canaries().assert_absent("a view", shown);
}

/// The layer marks the header as sensitive before it passes the request to the host.
#[test]
fn an_accepted_request_prints_no_token() {
    let fixture = Fixture::over(Arc::new(MemoryStore::new()));
    let request = Request::get("/")
        .header("authorization", format!("Bearer {}", fixture.token()))
        .body(())
        .unwrap();
    let layer = AuthLayer::new(fixture.keys.verifier().clone());
    let text = block_on(layer.layer(Host).call(request))
        .unwrap()
        .into_body();
    let text = block_on(http_body_util::BodyExt::collect(text))
        .unwrap()
        .to_bytes();
    assert!(text.starts_with(b"Request"));
    fixture.canaries.assert_absent("the request", text);
}

/// A host that responds with the request as `Debug` formats it.
#[derive(Clone)]
struct Host;

impl Service<Request<()>> for Host {
    type Response = http::Response<Full<bytes::Bytes>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let text = format!("{request:?}");
        std::future::ready(Ok(http::Response::new(Full::from(text))))
    }
}

#[test]
fn the_search_finds_the_pepper_and_the_password() {
    let canaries = constant_canaries();
    assert_eq!(
        canaries
            .find(format!("{PEPPER:?} {PASSWORD}").as_bytes())
            .len(),
        2
    );
}
