//! Posts a signed webhook about each change of a key, as [Standard Webhooks] define it.
//!
//! The webhooks come from the event log of the store, so each event is delivered at least once, in
//! order, even if this program or the receiver was down when the key was changed. A receiver
//! recognises a repeated delivery by its `webhook-id`, which is the id of the event.
//!
//! Run it with `cargo run -p keywright-http-tower --example webhooks`, and with the URL of your
//! receiver in `WEBHOOK_URL` and one or more secrets, separated by spaces, in `WEBHOOK_SECRETS`. It
//! prints commands to try. For a receiver with HTTPS, replace the connector of the client with that
//! of the crate hyper-rustls.
//!
//! [Standard Webhooks]: https://www.standardwebhooks.com

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Uri, header};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use keywright_core::{
    Caller, Config, Event, EventPosition, Issuer, Keywright, ListEvents, Name, NewKey, Permissions,
    Prefix, Timestamp, Workspace,
};
use keywright_http_tower::ApiKeys;
use keywright_store_sqlite::SqliteStore;
use serde_json::json;
use sha2::Sha256;
use tempfile::NamedTempFile;
use tokio::{sync::Notify, time};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A receiver of webhooks, and when to call it.
pub(crate) struct Receiver {
    pub(crate) url: Uri,
    /// The secrets that sign each delivery. While you replace a secret, set the old and the new.
    pub(crate) secrets: Vec<Secret>,
    /// How long the receiver may take for a delivery.
    pub(crate) timeout: Duration,
    /// The wait before the first retry. Each further wait is twice as long, up to `max_retry`.
    pub(crate) first_retry: Duration,
    pub(crate) max_retry: Duration,
}

/// A secret that signs deliveries, written as `whsec_` and base64.
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    /// Parses a secret of 24 to 64 bytes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (24..=64).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Returns the signature of a delivery.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &str) -> Result<String, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)?;
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        Ok(format!("v1,{signature}"))
    }
}

/// A file with the position up to which events were delivered.
pub(crate) struct PositionFile(pub(crate) PathBuf);

impl PositionFile {
    /// Reads the position. If there is no file yet, writes the time `now`: a program that stops
    /// before its first delivery continues there.
    fn load_or_start(&self, now: Timestamp) -> Result<EventPosition, Error> {
        match fs::read_to_string(&self.0) {
            Ok(text) => Ok(text.parse()?),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let position = EventPosition::since(now);
                self.save(&position)?;
                Ok(position)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the file. After a crash or a power cut, it has the old content or the new.
    fn save(&self, position: &EventPosition) -> io::Result<()> {
        let folder = match self.0.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(position.to_string().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        // The new name of the file is safe only when the folder is.
        File::open(folder)?.sync_all()
    }
}

/// Delivers the events of a workspace until an error, which is one of the position file. Looks for
/// events when `changed` is notified, and every `interval` for those of other processes.
pub(crate) async fn deliver_events(
    issuer: &Issuer,
    workspace: Workspace,
    receiver: &Receiver,
    file: PositionFile,
    changed: &Notify,
    interval: Duration,
) -> Result<(), Error> {
    let reader = Caller::new(workspace, "api_keys:read".parse()?);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let file = Arc::new(file);
    let mut position = file.load_or_start(issuer.now())?;
    let list = ListEvents::new().with_limit(ListEvents::MAX_LIMIT);
    loop {
        let events = match issuer.unread_events(&reader, &list, &position).await {
            Ok(events) => events,
            Err(error) => {
                eprintln!("could not read events: {error}");
                Vec::new()
            }
        };
        if events.is_empty() {
            // Without a notification, the time is over. Both mean to look again.
            let _ = time::timeout(interval, changed.notified()).await;
        }
        for event in events {
            deliver(&client, issuer, receiver, &event).await?;
            position.mark_read(&event);
            let (file, position) = (Arc::clone(&file), position.clone());
            // Saving waits for the disk.
            tokio::task::spawn_blocking(move || file.save(&position)).await??;
        }
    }
}

/// Posts an event until the receiver accepts it. A receiver that is down delays the events that
/// follow, so that they stay in order.
async fn deliver(
    client: &Client<HttpConnector, Full<Bytes>>,
    issuer: &Issuer,
    receiver: &Receiver,
    event: &Event,
) -> Result<(), Error> {
    let payload = json!({
        "type": event.kind.as_str(),
        "timestamp": event.created_at(),
        "data": event,
    });
    let body = payload.to_string();
    let mut wait = receiver.first_retry;
    loop {
        // Each attempt has a new time, because receivers reject old deliveries as replays.
        let request = signed(receiver, event, issuer.now(), &body)?;
        let problem = match time::timeout(receiver.timeout, client.request(request)).await {
            Ok(Ok(response)) if response.status().is_success() => return Ok(()),
            Ok(Ok(response)) => format!("the receiver returned {}", response.status()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the receiver did not respond in time".to_owned(),
        };
        eprintln!("could not deliver {}: {problem}", event.id);
        time::sleep(jitter(wait)?).await;
        wait = receiver.max_retry.min(wait.saturating_mul(2));
    }
}

/// Builds the request of a delivery, with a signature for each secret.
fn signed(
    receiver: &Receiver,
    event: &Event,
    now: Timestamp,
    body: &str,
) -> Result<Request<Full<Bytes>>, Error> {
    let id = event.id.to_string();
    let timestamp = now.as_millis() / 1_000;
    let signatures = receiver.secrets.iter();
    let signatures = signatures.map(|secret| secret.sign(&id, timestamp, body));
    let signatures = signatures.collect::<Result<Vec<_>, _>>()?.join(" ");
    Ok(Request::post(receiver.url.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signatures)
        .body(Full::from(body.to_owned()))?)
}

/// Returns a random time between half of `wait` and `wait`, so that many senders do not retry at
/// the same time.
fn jitter(wait: Duration) -> Result<Duration, getrandom::Error> {
    let share = f64::from(getrandom::u32()?) / f64::from(u32::MAX);
    Ok(wait.mul_f64(0.5 + share / 2.0))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let secrets = std::env::var("WEBHOOK_SECRETS")?;
    let secrets = secrets.split_whitespace().map(Secret::parse);
    let secrets = secrets
        .collect::<Option<Vec<_>>>()
        .filter(|list| !list.is_empty());
    let receiver = Receiver {
        url: std::env::var("WEBHOOK_URL")?.parse()?,
        secrets: secrets.ok_or("each secret must be whsec_ and the base64 of 24 to 64 bytes")?,
        timeout: Duration::from_secs(15),
        first_retry: Duration::from_secs(1),
        max_retry: Duration::from_secs(5 * 60),
    };
    let changed = Arc::new(Notify::new());
    let observer = Arc::clone(&changed);
    let config =
        Config::new(Prefix::parse("acme")?).with_observer(move |_: &Event| observer.notify_one());
    let keys = Keywright::open(config, Arc::new(SqliteStore::open("acme.db")?)).await?;
    let workspace = Workspace::parse("default")?;
    let operator = Caller::new(workspace.clone(), Permissions::all());
    let first = NewKey::new(Name::parse("First key")?);
    if let Some(issued) = keys.issuer().create_first(&operator, first).await? {
        println!("KEY={}", issued.token.expose());
    }
    println!(
        r#"curl http://127.0.0.1:3000/v1/api-keys -H "Authorization: Bearer $KEY" \
  -H 'Content-Type: application/json' -d '{{"name": "n"}}'"#
    );
    let app = Router::new().nest_service("/v1/api-keys", ApiKeys::nested(&keys, "/v1/api-keys"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let file = PositionFile("webhooks.position".into());
    let interval = Duration::from_secs(5);
    tokio::select! {
        served = async { axum::serve(listener, app).await } => Ok(served?),
        ended = deliver_events(
            keys.issuer(), workspace, &receiver, file, &changed, interval,
        ) => ended,
    }
}
