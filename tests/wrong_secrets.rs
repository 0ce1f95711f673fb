//! An attacker tries ten thousand wrong secrets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use keywright_core::{
    Caller, Config, Environment, Issued, KeyId, Keywright, Name, NewKey, Prefix, Reach, Token,
    VerifyError, Workspace,
};
use keywright_store_sqlite::SqliteStore;
use tempfile::tempdir;

use crate::support::{Client, Server, Times, forge, keys, now, operator_key, parse};

const UNKNOWN: &str = "key_0U5lKtf600000000";

#[tokio::test]
async fn wrong_secrets_never_run_argon2() {
    let folder = tempdir().unwrap();
    let open = async || {
        let store = SqliteStore::open(folder.path().join("keywright.db")).unwrap();
        let config = Config::new(Prefix::parse("sk").unwrap());
        Keywright::open(config, Arc::new(store)).await.unwrap()
    };
    let creator = open().await;
    let operator = Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap());
    let issue = async || -> Issued {
        let new = NewKey::new(Name::parse("n").unwrap());
        creator.issuer().create(&operator, new).await.unwrap()
    };
    let (hot, uncached, revoked) = (issue().await, issue().await, issue().await);
    let decoy = issue().await;
    let reach = Reach::Key;
    creator
        .issuer()
        .revoke(&operator, &revoked.key.id, reach)
        .await
        .unwrap();

    let keys = open().await;
    let verify = async |token: &Token| keys.verifier().verify(token.expose().as_bytes()).await;
    verify(&hot.token).await.unwrap();
    let before = keys.argon2_runs();
    let prefix = Prefix::parse("sk").unwrap();
    let wrong = parse(decoy.token.expose()).secret();
    let unknown = KeyId::parse(UNKNOWN).unwrap();
    let ids = [hot.key.id, uncached.key.id, revoked.key.id, unknown];
    for id in ids.iter().cycle().take(10_000) {
        let forged = Token::assemble(&prefix, Environment::Live, id, &wrong);
        let rejected = verify(&forged).await;
        assert!(matches!(rejected, Err(VerifyError::Denied(_))), "{id}");
    }
    assert_eq!(keys.argon2_runs(), before);
    verify(&hot.token).await.unwrap();
    assert_eq!(keys.argon2_runs(), before);
}

#[test]
fn a_server_rejects_wrong_secrets_and_keeps_serving() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let [hot, uncached, revoked, expired, decoy] = [(); 5].map(|()| operator_key(path, &[]));
    let id = |token: &str| *parse(token).id();
    keys(path, &["revoke", &id(&revoked).to_string()]);
    rusqlite::Connection::open(path.join("keywright.db"))
        .unwrap()
        .execute(
            "UPDATE keywright_keys SET expires_at = 1 WHERE id = ?1",
            [id(&expired).as_bytes()],
        )
        .unwrap();
    let server = Server::start(path, &[]);
    let wrong = parse(&decoy).secret();
    let forged: Vec<String> = [
        id(&hot),
        id(&uncached),
        id(&revoked),
        id(&expired),
        KeyId::parse(UNKNOWN).unwrap(),
    ]
    .iter()
    .map(|id| forge(Environment::Live, id, &wrong))
    .collect();
    let send_until = |done: &dyn Fn() -> bool, what: &str| {
        let times = Times::default();
        let mut client = Client::connect(&server);
        while !done() {
            let sent = now();
            assert_eq!(client.whoami(&hot), 200);
            times.add(sent.elapsed());
        }
        times.print(what);
    };
    let started = now();
    send_until(&|| started.elapsed().as_millis() > 300, "requests alone");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let attackers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(&server);
                    for token in forged.iter().cycle().take(2_500) {
                        assert_eq!(client.whoami(token), 401);
                    }
                })
            })
            .collect();
        let user = scope.spawn(|| {
            send_until(
                &|| done.load(Ordering::Relaxed),
                "requests during wrong secrets",
            );
        });
        let results = attackers.into_iter().map(thread::ScopedJoinHandle::join);
        let results: Vec<_> = results.collect();
        done.store(true, Ordering::Relaxed);
        user.join().unwrap();
        assert!(results.iter().all(Result::is_ok));
    });
    assert_eq!(server.whoami(&uncached).status, 200);
    for token in [&revoked, &expired] {
        assert_eq!(server.whoami(token).status, 401);
    }
}
