//! The servers that hold the keys, and the way of a request to the right one.

mod learn;
mod route;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use redis::{Client, Value};
use tokio::time;

use crate::{
    config::{Parsed, Terms},
    error::{Error, Result},
    hearing::Hearing,
    map::Map,
    names::Names,
    node::Node,
    server::Facts,
};

/// All servers, and which has what.
#[derive(Debug)]
pub(crate) struct Servers {
    /// Those of the configuration.
    seeds: Vec<Arc<Node>>,
    names: Names,
    terms: Terms,
    clustered: bool,
    /// Those that are in use, and some that were.
    known: Mutex<Vec<Arc<Node>>>,
    map: RwLock<Arc<Map>>,
    refreshed: tokio::sync::Mutex<Option<Instant>>,
    hearing: Hearing,
}

/// What a request has led to.
pub(crate) struct Answer {
    pub(crate) value: Value,
    /// Whether changes on the server that has answered are heard of, and it is the primary still.
    pub(crate) heard: bool,
    /// Whether as many replicas as are wanted have what was changed.
    pub(crate) confirmed: bool,
}

impl Servers {
    /// Finds out who has what.
    pub(crate) async fn find(parsed: Parsed) -> Result<Arc<Self>> {
        let hearing = Hearing::new();
        let seeds = start_all(parsed.clients, parsed.terms, &hearing);
        let mut failure = Error::NoServer;
        for seed in &seeds {
            match time::timeout(parsed.terms.deadline, facts(seed)).await {
                Ok(Ok(facts)) => {
                    let first = Arc::clone(seed);
                    let (names, terms) = (parsed.names, parsed.terms);
                    let servers = Self::new(names, terms, first, seeds, facts.clustered, hearing);
                    let servers = Arc::new(servers);
                    if !servers.clustered {
                        servers.seeds.iter().for_each(|seed| seed.set_alone());
                    }
                    servers.learn().await;
                    return Ok(servers);
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = Error::TimedOut,
            }
        }
        Err(failure)
    }

    /// The first one has all, until more is known.
    fn new(
        names: Names,
        terms: Terms,
        first: Arc<Node>,
        seeds: Vec<Arc<Node>>,
        clustered: bool,
        hearing: Hearing,
    ) -> Self {
        Self {
            known: Mutex::new(seeds.clone()),
            map: RwLock::new(Arc::new(Map::single(first))),
            seeds,
            names,
            terms,
            clustered,
            refreshed: tokio::sync::Mutex::default(),
            hearing,
        }
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

    fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn facts(node: &Node) -> Result<Facts> {
    let mut live = node.connection().await?;
    Ok(Facts::ask(&mut live.connection).await?)
}

fn start_all(clients: Vec<Client>, terms: Terms, hearing: &Hearing) -> Vec<Arc<Node>> {
    clients
        .into_iter()
        .map(|client| Node::start(client, terms, hearing.lease()))
        .collect()
}
