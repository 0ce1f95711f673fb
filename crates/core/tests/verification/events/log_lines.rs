//! Each change writes one line at `info`.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, Once},
};

use keywright_core::{
    Caller, Config, Event, KeyUpdate, NewKey, Owner, Reach, RequestId, Scheme,
    store::StoreErrorKind,
};
use pollster::block_on;
use tracing_subscriber::fmt;

use super::{caller, world};
use crate::world::{World, name, operator};

/// The lines that a subscriber wrote.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the lines that `action` wrote.
fn lines_of(action: impl FnOnce()) -> Vec<String> {
    static WRITES_LINES: Once = Once::new();
    // A new subscriber receives the events of all places in the code that have run before. If
    // another thread runs a place for the first time at that moment, it may disable the place.
    WRITES_LINES.call_once(|| drop(world().issue()));
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .finish();
    tracing::subscriber::with_default(subscriber, action);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn each_change_writes_one_line_with_its_actor() {
    let world = world();
    let issuer = world.keys.issuer();
    let person = caller("*")
        .with_owner(Owner::parse("user:42").unwrap())
        .with_request_id(RequestId::parse("req_1").unwrap())
        .with_client_ip("192.0.2.7".parse().unwrap());
    let operator = Caller::operator(person.workspace().clone());

    let mut created = None;
    let lines = lines_of(|| {
        created = Some(block_on(issuer.create(&person, NewKey::new(name("n")))).unwrap());
    });
    let id = created.unwrap().key.id;
    assert_eq!(
        lines,
        [format!(
            "INFO API key created key={id} workspace=acme actor=host user:42 request_id=req_1 \
             client_ip=192.0.2.7"
        )]
    );
    let lines = lines_of(|| {
        let update = KeyUpdate::new().with_name(name("new"));
        block_on(issuer.update(&operator, &id, &update)).unwrap();
    });
    assert_eq!(
        lines,
        [format!(
            "INFO API key updated key={id} workspace=acme actor=operator"
        )]
    );
    let mut rotated = None;
    let lines = lines_of(|| rotated = Some(world.rotate(&id).unwrap()));
    let successor = rotated.unwrap().key.id;
    assert_eq!(
        lines,
        [format!(
            "INFO API key rotated key={id} workspace=acme actor=host successor={successor}"
        )]
    );
    let lines = lines_of(|| {
        block_on(issuer.revoke(&operator, &id, Reach::Descendants)).unwrap();
    });
    assert_eq!(
        lines,
        [format!(
            "INFO API key revoked key={id} workspace=acme actor=operator count=2"
        )]
    );
}

#[test]
fn a_call_that_fails_or_changes_nothing_writes_no_line() {
    let world = world();
    let key = world.issue().key;
    let lines = lines_of(|| {
        world.store.fail_changes(&[StoreErrorKind::Unavailable]);
        let update = KeyUpdate::new().with_name(name("new"));
        assert!(world.update(&key.id, &update).is_err());
        world.update(&key.id, &KeyUpdate::new()).unwrap();
        let powerless = caller("calls:read");
        let revoked = world.keys.issuer().revoke(&powerless, &key.id, Reach::Key);
        assert!(block_on(revoked).is_err());
    });
    assert_eq!(lines, <[String; 0]>::default());
}

#[test]
fn a_panic_of_the_observer_writes_a_line() {
    let panics = |config: Config| {
        config
            .with_scheme(Scheme::HmacSha256)
            .with_observer(|_: &Event| panic!("on purpose"))
    };
    let world = World::with(panics);
    let lines = lines_of(|| {
        block_on(
            world
                .keys
                .issuer()
                .create(&operator(), NewKey::new(name("n"))),
        )
        .unwrap();
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].starts_with("ERROR the observer of events panicked event=evt_"));
}
