//! The webhooks example, against a receiver on loopback.

#[path = "../../examples/webhooks.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, routing::post};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, StatusCode};
use keywright_core::{
    Caller, Config, Event, KeyUpdate, Keywright, ListEvents, MemoryStore, Name, NewKey, Prefix,
    Scheme, Workspace,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};

use self::example::{PositionFile, Receiver, Secret, deliver_events};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the receiver does with a delivery.
#[derive(Clone, Copy)]
enum Reaction {
    /// Responds with this status.
    Respond(u16),
    /// Never responds.
    Stall,
}

/// A delivery that the receiver got.
struct Delivery {
    id: String,
    timestamp: String,
    signatures: Vec<String>,
    body: String,
}

/// The reactions to the next deliveries, and where the deliveries go. Without a reaction, the
/// receiver accepts.
type Script = Arc<(Mutex<VecDeque<Reaction>>, mpsc::UnboundedSender<Delivery>)>;

async fn receive(State(script): State<Script>, headers: HeaderMap, body: String) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let reaction = script.0.lock().unwrap().pop_front();
    let signatures = header("webhook-signature");
    assert_eq!(header("content-type"), "application/json");
    let delivery = Delivery {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signatures: signatures.split(' ').map(String::from).collect(),
        body,
    };
    // The test may have ended.
    let _ = script.1.send(delivery);
    match reaction {
        Some(Reaction::Respond(status)) => StatusCode::from_u16(status).unwrap(),
        Some(Reaction::Stall) => std::future::pending().await,
        None => StatusCode::OK,
    }
}

/// A library whose events are delivered to a receiver.
struct World {
    keys: Keywright,
    changed: Arc<Notify>,
    folder: TempDir,
    address: String,
    script: Script,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
}

impl World {
    async fn new() -> Self {
        let changed = Arc::new(Notify::new());
        let observer = Arc::clone(&changed);
        let config = Config::new(Prefix::parse("sk").unwrap())
            .with_scheme(Scheme::HmacSha256)
            .with_observer(move |_: &Event| observer.notify_one());
        let store = Arc::new(MemoryStore::new());
        let keys = Keywright::open(config, store).await.unwrap();
        let (sender, deliveries) = mpsc::unbounded_channel();
        let script: Script = Arc::new((Mutex::default(), sender));
        let app = Router::new().route("/hook", post(receive));
        let app = app.with_state(Arc::clone(&script));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            keys,
            changed,
            folder: tempfile::tempdir().unwrap(),
            address,
            script,
            deliveries,
        }
    }

    fn react(&self, reactions: &[Reaction]) {
        self.script.0.lock().unwrap().extend(reactions);
    }

    fn position_file(&self) -> PathBuf {
        self.folder.path().join("position")
    }

    /// Starts the program with these secrets, and waits until it has its position.
    async fn start(&self, secrets: &[&str], limit: Duration) -> JoinHandle<()> {
        let receiver = Receiver {
            url: format!("http://{}/hook", self.address).parse().unwrap(),
            secrets: secrets
                .iter()
                .map(|text| Secret::parse(text).unwrap())
                .collect(),
            timeout: limit,
            first_retry: Duration::from_millis(1),
            max_retry: Duration::from_millis(4),
        };
        let (keys, changed) = (self.keys.clone(), Arc::clone(&self.changed));
        let path = self.position_file();
        let file = PositionFile(path.clone());
        let program = tokio::spawn(async move {
            let workspace = Workspace::parse("acme").unwrap();
            let ended = deliver_events(
                keys.issuer(),
                workspace,
                &receiver,
                file,
                &changed,
                PATIENCE,
            );
            ended.await.unwrap();
        });
        wait_for(|| path.exists()).await;
        program
    }

    fn operator() -> Caller {
        Caller::operator(Workspace::parse("acme").unwrap())
    }

    async fn create(&self, name: &str) {
        let new = NewKey::new(Name::parse(name).unwrap());
        let issued = self.keys.issuer().create(&Self::operator(), new).await;
        issued.unwrap();
    }

    /// Waits until the clock shows another time, because ids are ordered by their milliseconds.
    async fn next_millisecond(&self) {
        let issuer = self.keys.issuer();
        let now = issuer.now();
        wait_for(|| issuer.now() > now).await;
    }

    async fn next(&mut self) -> Delivery {
        let delivery = timeout(PATIENCE, self.deliveries.recv()).await;
        delivery.unwrap().unwrap()
    }

    /// Waits until the program has saved that it delivered this event.
    async fn wait_until_saved(&self, id: &str) {
        let path = self.position_file();
        wait_for(|| saved(&path).contains(id)).await;
    }
}

fn saved(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

async fn wait_for(condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap();
}

/// HMAC-SHA-256 (RFC 2104), written for this test.
fn hmac(secret: &str, message: &str) -> String {
    let mut key = BASE64_STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    key.resize(64, 0);
    let pad = |byte: u8| key.iter().map(|key| key ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize();
    format!("v1,{}", BASE64_STANDARD.encode(outer))
}

/// Asserts that a delivery has the signature of each secret.
fn assert_signed(delivery: &Delivery, secrets: &[&str]) {
    let Delivery {
        id,
        timestamp,
        body,
        ..
    } = delivery;
    let message = format!("{id}.{timestamp}.{body}");
    let expected: Vec<String> = secrets
        .iter()
        .map(|secret| hmac(secret, &message))
        .collect();
    assert_eq!(delivery.signatures, expected);
}

/// The name of the key in the event of its creation.
fn name(delivery: &Delivery) -> String {
    let payload: Value = serde_json::from_str(&delivery.body).unwrap();
    payload["data"]["changes"]["name"][1]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_signature_is_that_of_the_libraries_of_standard_webhooks() {
    let signature = Secret::parse(SECRET).unwrap().sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        r#"{"test": 2432232314}"#,
    );
    let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(signature.unwrap(), expected);
    for wrong in ["", "whsec_", "whsec_AAAA", &SECRET[6..], "whsec_%%%%"] {
        assert!(Secret::parse(wrong).is_none(), "{wrong}");
    }
}

#[tokio::test]
async fn each_change_is_delivered_in_order_and_signed_with_each_secret() {
    let mut world = World::new().await;
    let new = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    // The event of this key is older than the first start of the program.
    world.create("old").await;
    world.next_millisecond().await;
    let _program = world.start(&[SECRET, new], PATIENCE).await;
    let operator = World::operator();
    let issuer = world.keys.issuer();
    let key = NewKey::new(Name::parse("n").unwrap());
    let id = issuer.create(&operator, key).await.unwrap().key.id;
    world.next_millisecond().await;
    let pause = KeyUpdate::new().with_enabled(false);
    issuer.update(&operator, &id, &pause).await.unwrap();
    let events = issuer
        .events(&operator, ListEvents::new().with_key(id))
        .await;
    let events = events.unwrap().events;
    assert_eq!(events.len(), 2);
    for event in events.iter().rev() {
        let delivery = world.next().await;
        assert_signed(&delivery, &[SECRET, new]);
        assert_eq!(delivery.id, event.id.to_string());
        let payload: Value = serde_json::from_str(&delivery.body).unwrap();
        let expected = serde_json::json!({
            "type": event.kind.as_str(), "timestamp": event.created_at(), "data": event,
        });
        assert_eq!(payload, expected);
    }
}

#[tokio::test]
async fn a_receiver_that_fails_redirects_or_stalls_gets_the_event_again() {
    let mut world = World::new().await;
    world.react(&[
        Reaction::Respond(500),
        Reaction::Respond(307),
        Reaction::Stall,
        Reaction::Respond(204),
    ]);
    let _program = world.start(&[SECRET], Duration::from_millis(200)).await;
    world.create("first").await;
    world.create("second").await;
    let mut attempts = Vec::new();
    loop {
        let delivery = world.next().await;
        assert_signed(&delivery, &[SECRET]);
        let name = name(&delivery);
        // A slow machine may need more attempts than the script has reactions.
        attempts.push((name, delivery.id, delivery.body));
        if attempts.last().unwrap().1 != attempts[0].1 {
            break;
        }
    }
    let (next, first) = attempts.split_last().unwrap();
    assert!(first.len() >= 4);
    assert!(first.iter().all(|attempt| *attempt == first[0]));
    // Two creations of one millisecond have no order, but each is delivered.
    let mut names = [first[0].0.as_str(), &next.0];
    names.sort_unstable();
    assert_eq!(names, ["first", "second"]);
}

#[tokio::test]
async fn a_crash_between_delivery_and_saving_repeats_the_event_with_the_same_id() {
    let mut world = World::new().await;
    let program = world.start(&[SECRET], PATIENCE).await;
    world.create("saved").await;
    let delivered = world.next().await;
    world.wait_until_saved(&delivered.id).await;

    // The receiver has the delivery, and the program ends before it learns that.
    world.react(&[Reaction::Stall]);
    world.create("repeated").await;
    let before = world.next().await;
    program.abort();
    assert!(program.await.unwrap_err().is_cancelled());
    assert!(!saved(&world.position_file()).contains(&before.id));

    let _program = world.start(&[SECRET], PATIENCE).await;
    let after = world.next().await;
    assert_eq!(name(&after), "repeated");
    assert_eq!((&after.id, &after.body), (&before.id, &before.body));
    assert_signed(&after, &[SECRET]);
}

#[tokio::test]
async fn a_restart_continues_after_the_last_delivery() {
    let mut world = World::new().await;
    let program = world.start(&[SECRET], PATIENCE).await;
    for name in ["one", "two"] {
        world.create(name).await;
        let delivery = world.next().await;
        world.wait_until_saved(&delivery.id).await;
    }
    program.abort();
    assert!(program.await.unwrap_err().is_cancelled());
    // A change while the program is down.
    world.create("three").await;
    let _program = world.start(&[SECRET], PATIENCE).await;
    world.create("four").await;
    let mut names = [name(&world.next().await), name(&world.next().await)];
    names.sort_unstable();
    assert_eq!(names, ["four", "three"]);
    // Only the position is in the folder: no temporary file remains.
    let files = std::fs::read_dir(world.folder.path()).unwrap().count();
    assert_eq!(files, 1);
}
