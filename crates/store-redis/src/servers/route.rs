//! The way of a request to the server that has its slot.

use std::{
    sync::{Arc, PoisonError},
    time::Instant,
};

use redis::Value;
use tokio::time;

use super::{Answer, Servers};
use crate::{
    backoff::Backoff,
    batch::{Asked, Outcome},
    config,
    error::{Error, Result},
    node::Node,
    request::{Effect, Request, Verdict, is_final, judge},
    slot,
};

/// How often a request is sent on to another server without a pause: once more than a slot that moves
/// again meanwhile makes necessary. Servers that disagree would send it to and fro.
const AT_ONCE: u32 = 3;

impl Servers {
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

    /// Asks the server that should have two names of one slot for them, once; `None` if there is
    /// anything about the answer. Any executor may poll this.
    pub(crate) async fn try_pair(&self, names: [Vec<u8>; 2]) -> Option<Answer> {
        let [first, _] = &names;
        let node = self.map().primary(slot::of(first)).cloned()?;
        if !node.is_connected() {
            return None;
        }
        match node.batches(false).run(Asked::Pair(names)).await {
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
        let mut sent_on = 0;
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
            *failure = match batches
                .run(Asked::Commands(request.commands(in_full, ask)))
                .await
            {
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
                        sent_on += 1;
                        if sent_on > AT_ONCE {
                            backoff.fail();
                            backoff.pause().await;
                        }
                        continue;
                    }
                    Verdict::Moved(address) => {
                        self.moved(request.slot, &node, &address);
                        sent_on += 1;
                        if sent_on <= AT_ONCE {
                            let servers = Arc::clone(self);
                            tokio::spawn(async move { servers.refresh().await });
                            continue;
                        }
                        Error::NoServer
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

    pub(super) fn node_at(&self, from: &Node, host: &str, port: u16) -> Option<Arc<Node>> {
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
        // Those that nobody else has: a cluster whose servers come and go names ever new addresses.
        known.retain(|node| Arc::strong_count(node) > 1);
        let node = Node::start(client, from.terms(), self.hearing.lease());
        known.push(Arc::clone(&node));
        Some(node)
    }
}

#[cfg(test)]
impl Servers {
    /// A cluster of which the first server is known, and none is there.
    pub(crate) fn of_cluster() -> Arc<Self> {
        let config = crate::RedisConfig::new("redis://127.0.0.1:1");
        let parsed = config.parse().unwrap();
        let hearing = crate::hearing::Hearing::new();
        let seeds = super::start_all(parsed.clients, parsed.terms, &hearing);
        let first = Arc::clone(&seeds[0]);
        Arc::new(Self::new(
            parsed.names,
            parsed.terms,
            first,
            seeds,
            true,
            hearing,
        ))
    }

    pub(crate) fn node_at_port(&self, port: u16) -> Arc<Node> {
        self.node_at(&self.seeds[0], "127.0.0.1", port).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{self, Map};

    #[tokio::test]
    async fn servers_that_were_named_and_are_used_no_more_are_forgotten() {
        let servers = Servers::of_cluster();
        let seed = Arc::clone(&servers.seeds[0]);
        let used = servers.node_at_port(2);
        for port in 3..1000 {
            let named = servers.node_at_port(port);
            let again = servers.node_at(&seed, "", port).unwrap();
            assert!(Arc::ptr_eq(&named, &again), "a server has two connections");
        }
        let known = servers.known.lock().unwrap().len();
        assert_eq!(
            known, 3,
            "the configured one, the used one and the last one"
        );
        for (port, node) in [(1, &seed), (2, &used)] {
            assert!(Arc::ptr_eq(&servers.node_at_port(port), node));
        }
    }

    #[tokio::test]
    async fn a_slot_that_has_moved_is_asked_for_where_it_is_now() {
        let servers = Servers::of_cluster();
        let seed = Arc::clone(&servers.seeds[0]);
        let range = |first, last, port| map::Range {
            first,
            last,
            host: "127.0.0.1".into(),
            port,
        };
        let ranges = [range(0, 99, 1), range(100, 16383, 2)];
        let known = Map::clustered(&ranges, |_, port| Some(servers.node_at_port(port)));
        *servers.map.write().unwrap() = Arc::new(known);
        let has = |slot| servers.map().primary(slot).map(|node| node.address());
        let at = |port| Some(format!("127.0.0.1:{port}"));
        assert_eq!([has(0), has(99), has(100)], [at(1), at(1), at(2)]);
        // To one that is known, to one that is new, and to what is no server.
        servers.moved(0, &seed, "127.0.0.1:2");
        servers.moved(1, &seed, ":3");
        for broken in ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536"] {
            servers.moved(2, &seed, broken);
        }
        let slots = [0, 1, 2, 99, 100].map(has);
        assert_eq!(slots, [at(2), at(3), at(1), at(1), at(2)]);
        assert_eq!(servers.primaries().len(), 3);
    }
}
