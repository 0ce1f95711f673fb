//! The servers that hold the keys, and the way of a request to the right one.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use redis::{Value, cmd};
use tokio::time;

use crate::{
    backoff::Backoff,
    batch::Outcome,
    config::{self, Parsed, Terms},
    error::{Error, Result},
    hearing::Hearing,
    map::{self, Map},
    names::Names,
    node::{Node, answer},
    request::{Effect, Request, Verdict, is_final, judge},
    server::Facts,
    slot,
};

/// A cluster is not asked more often than that who has which slot.
const REFRESH_PAUSE: Duration = Duration::from_millis(50);

/// All servers, and which has what.
#[derive(Debug)]
pub(crate) struct Servers {
    /// Those of the configuration.
    seeds: Vec<Arc<Node>>,
    names: Names,
    terms: Terms,
    clustered: bool,
    /// All that were ever told of.
    known: Mutex<Vec<Arc<Node>>>,
    map: RwLock<Arc<Map>>,
    refreshed: tokio::sync::Mutex<Option<Instant>>,
    hearing: Hearing,
}

/// What a request has led to.
pub(crate) struct Answer {
    pub(crate) value: Value,
    /// Whether changes on the server that has answered are heard of.
    pub(crate) heard: bool,
    /// Whether as many replicas as are wanted have what was changed.
    pub(crate) confirmed: bool,
}

impl Servers {
    /// Finds out who has what.
    pub(crate) async fn find(parsed: Parsed) -> Result<Arc<Self>> {
        let seeds: Vec<Arc<Node>> = parsed
            .clients
            .into_iter()
            .map(|client| Node::start(client, parsed.terms))
            .collect();
        let mut failure = Error::NoServer;
        for seed in &seeds {
            match time::timeout(parsed.terms.deadline, facts(seed)).await {
                Ok(Ok(facts)) => {
                    let servers = Arc::new(Self {
                        known: Mutex::new(seeds.clone()),
                        map: RwLock::new(Arc::new(Map::single(Arc::clone(seed)))),
                        seeds,
                        names: parsed.names,
                        terms: parsed.terms,
                        clustered: facts.clustered,
                        refreshed: tokio::sync::Mutex::default(),
                        hearing: Hearing::new(),
                    });
                    servers.learn().await;
                    return Ok(servers);
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = Error::TimedOut,
            }
        }
        Err(failure)
    }

    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) const fn hearing(&self) -> &Hearing {
        &self.hearing
    }

    pub(crate) const fn min_replicas(&self) -> u32 {
        self.terms.replicas
    }

    /// The primaries, as far as is known.
    pub(crate) fn primaries(&self) -> Vec<Arc<Node>> {
        self.map().primaries().to_vec()
    }

    /// When a call that begins now must be over.
    pub(crate) fn end(&self) -> Instant {
        self.hearing.lease().now() + self.terms.deadline
    }

    /// Sends a request until it is answered, or the deadline is over.
    pub(crate) async fn run(self: &Arc<Self>, request: Request) -> Result<Answer> {
        self.run_until(self.end(), request).await
    }

    /// The same for a call that has begun before.
    pub(crate) async fn run_until(
        self: &Arc<Self>,
        end: Instant,
        request: Request,
    ) -> Result<Answer> {
        let mut failure = Error::TimedOut;
        match time::timeout_at(end.into(), self.attempts(&request, &mut failure)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(failure),
        }
    }

    /// Sends a request that reads to the server that should have it, once; `None` if there is anything
    /// about the answer. Any executor may poll this.
    pub(crate) async fn try_once(&self, request: &Request) -> Option<Answer> {
        let node = self.map().primary(request.slot).cloned()?;
        if !node.is_connected() {
            return None;
        }
        match node
            .batches(false)
            .run(request.commands(false, false))
            .await
        {
            Outcome::Answered {
                answers,
                confirmed,
                heard,
            } => match judge(answers) {
                Verdict::Answered(value) => Some(Answer {
                    value,
                    heard,
                    confirmed,
                }),
                _ => None,
            },
            _ => None,
        }
    }

    /// Sends a command to one server, once.
    pub(crate) async fn run_at(&self, node: &Node, command: &redis::Cmd) -> Result<Value> {
        let work = async {
            let mut live = node.connection().await?;
            let sent = live.connection.send_packed_command(command).await;
            if sent.is_err() {
                node.discard(&live);
            }
            Ok(sent?)
        };
        time::timeout(self.terms.deadline, work)
            .await
            .map_err(|_| Error::TimedOut)?
    }

    async fn attempts(self: &Arc<Self>, request: &Request, failure: &mut Error) -> Result<Answer> {
        let mut backoff = Backoff::new();
        let mut in_full = false;
        let mut asked: Option<Arc<Node>> = None;
        loop {
            let ask = asked.is_some();
            let node = asked
                .take()
                .or_else(|| self.map().primary(request.slot).cloned());
            let Some(node) = node else {
                *failure = Error::NoServer;
                self.refresh().await;
                backoff.fail();
                backoff.pause().await;
                continue;
            };
            let batches = node.batches(request.effect.is_confirmed());
            *failure = match batches.run(request.commands(in_full, ask)).await {
                Outcome::Answered {
                    answers,
                    confirmed,
                    heard,
                } => match judge(answers) {
                    Verdict::Answered(value) => {
                        return Ok(Answer {
                            value,
                            heard,
                            confirmed,
                        });
                    }
                    Verdict::NoScript => {
                        in_full = true;
                        // The slot is on its way still.
                        asked = ask.then_some(node);
                        continue;
                    }
                    Verdict::Ask(address) => {
                        asked = self.node_at_address(&node, &address);
                        continue;
                    }
                    Verdict::Moved(address) => {
                        self.moved(request.slot, &node, &address);
                        let servers = Arc::clone(self);
                        tokio::spawn(async move { servers.refresh().await });
                        continue;
                    }
                    Verdict::Failed(error) => return Err(error),
                    Verdict::Later(error)
                        if error.is_split() && request.effect == Effect::ReadsTogether =>
                    {
                        return Err(error);
                    }
                    Verdict::Later(error) => {
                        if error.is_read_only() {
                            // The address may lead to another server by now.
                            node.suspect();
                        }
                        error
                    }
                },
                Outcome::NotSent(error) if is_final(&error) => return Err(error),
                Outcome::Lost(error) if request.effect == Effect::Once => return Err(error),
                Outcome::NotSent(error) | Outcome::Lost(error) => error,
            };
            self.refresh().await;
            backoff.fail();
            backoff.pause().await;
        }
    }

    /// Finds out anew who has what, unless that has just been done.
    pub(crate) async fn refresh(self: &Arc<Self>) {
        let mut refreshed = self.refreshed.lock().await;
        let now = self.hearing.lease().now();
        if refreshed.is_none_or(|last| now.saturating_duration_since(last) >= REFRESH_PAUSE) {
            self.learn().await;
            *refreshed = Some(self.hearing.lease().now());
        }
    }

    async fn learn(self: &Arc<Self>) {
        let map = if self.clustered {
            self.ask_cluster().await
        } else {
            self.seek_primary().await
        };
        if let Some(map) = map {
            self.adopt(map);
        }
    }

    fn adopt(self: &Arc<Self>, map: Map) {
        self.name_heartbeats(&map);
        self.hearing.listen_to(self, map.primaries());
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
    }

    async fn ask_cluster(&self) -> Option<Map> {
        let mut candidates = self.primaries();
        candidates.extend(self.seeds.iter().cloned());
        for node in candidates {
            let ranges = time::timeout(self.terms.deadline / 2, ranges(&node)).await;
            if let Ok(Ok(ranges)) = ranges
                && !ranges.is_empty()
            {
                return Some(Map::clustered(&ranges, |host, port| {
                    self.node_at(&node, host, port)
                }));
            }
        }
        None
    }

    /// Where several single servers are given, one of them is the primary of the others. The present
    /// one stays as long as it says that it is.
    async fn seek_primary(&self) -> Option<Map> {
        let [only] = &*self.seeds else {
            let mut candidates = self.primaries();
            candidates.extend(self.seeds.iter().cloned());
            for node in candidates {
                let facts = time::timeout(self.terms.deadline / 2, facts(&node)).await;
                if let Ok(Ok(facts)) = facts
                    && facts.primary
                {
                    return Some(Map::single(node));
                }
            }
            return None;
        };
        Some(Map::single(Arc::clone(only)))
    }

    /// Heartbeats are written in a slot that the server has.
    fn name_heartbeats(&self, map: &Map) {
        for node in map.primaries() {
            let own = |name: &[u8]| {
                map.primary(slot::of(name))
                    .is_some_and(|primary| Arc::ptr_eq(primary, node))
            };
            let present = node.own_name();
            if present.is_empty() || !own(&present) {
                let name = (0..u32::from(u16::MAX))
                    .map(|number| self.names.heartbeat(&format!("{number:x}")))
                    .find(|name| own(name));
                node.set_own_name(name.unwrap_or_default());
            }
        }
    }

    fn moved(self: &Arc<Self>, slot: u16, from: &Arc<Node>, address: &str) {
        if let Some(node) = self.node_at_address(from, address) {
            let map = self.map().moved(slot, &node);
            *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
        }
    }

    fn node_at_address(&self, from: &Arc<Node>, address: &str) -> Option<Arc<Node>> {
        let (host, port) = address.rsplit_once(':')?;
        self.node_at(from, host, port.parse().ok()?)
    }

    fn node_at(&self, from: &Node, host: &str, port: u16) -> Option<Arc<Node>> {
        let client = if host.is_empty() {
            // It means the host that it was asked at.
            config::at(from.client(), &from.host(), port)
        } else {
            config::at(from.client(), host, port)
        };
        let client = client.ok()?;
        let address = client.get_connection_info().addr().to_string();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = known.iter().find(|node| node.address() == address) {
            return Some(Arc::clone(node));
        }
        let node = Node::start(client, from.terms());
        known.push(Arc::clone(&node));
        Some(node)
    }

    fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn facts(node: &Node) -> Result<Facts> {
    let mut live = node.connection().await?;
    Ok(Facts::ask(&mut live.connection).await?)
}

async fn ranges(node: &Node) -> Result<Vec<map::Range>> {
    let mut live = node.connection().await?;
    let mut slots = cmd("CLUSTER");
    slots.arg("SLOTS");
    let slots = live.connection.send_packed_command(&slots).await;
    if slots.is_err() {
        node.discard(&live);
    }
    map::read_ranges(&answer(slots?)?, &node.host()).ok_or(Error::Unexpected("map of slots"))
}
