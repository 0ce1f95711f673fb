//! Routing of requests to the server that has their slot, with retries.

use std::{sync::Arc, time::Instant};

use redis::Value;
use tokio::time;

use super::{Response, Servers};
use crate::{
    backoff::Backoff,
    batch::{BatchOutcome, BatchRequest},
    connection::ok,
    error::{Error, Result},
    node::Node,
    request::{Lane, Reply, Request, is_permanent},
};

/// The maximum number of redirections that a request follows without a pause.
///
/// A slot that moves again during the request needs two redirections. Servers that disagree would
/// redirect the request to each other forever.
const MAX_QUICK_REDIRECTIONS: u32 = 3;

impl Servers {
    /// Returns the deadline of a call that begins now.
    pub(crate) fn deadline(&self) -> Instant {
        self.lease.now() + self.options.deadline
    }

    /// Sends a request, and retries until the deadline.
    pub(crate) async fn run(self: &Arc<Self>, request: Request) -> Result<Response> {
        self.run_until(self.deadline(), request).await
    }

    /// Sends a request, and retries until this deadline.
    pub(crate) async fn run_until(
        self: &Arc<Self>,
        deadline: Instant,
        request: Request,
    ) -> Result<Response> {
        let mut failure = Error::TimedOut;
        match time::timeout_at(deadline.into(), self.attempts(&request, &mut failure)).await {
            Ok(result) => result,
            Err(_) => Err(failure),
        }
    }

    /// Reads two names in one slot, in one attempt at the server that should have them. Returns
    /// `None` if the server is not connected or returns an error. Any executor may poll this
    /// future.
    pub(crate) async fn try_read_pair(&self, names: [Vec<u8>; 2]) -> Option<Response> {
        let [first, _] = &names;
        let node = self.primary(first)?;
        if !node.endpoint.is_connected() {
            return None;
        }
        let queue = node.queue(Lane::Single, false);
        match queue.run(BatchRequest::Pair(names)).await {
            BatchOutcome::Replied {
                replies,
                confirmed,
                tracked,
            } => match Reply::from_values(replies) {
                Reply::Value(value) => Some(Response {
                    value,
                    tracked,
                    confirmed,
                }),
                _ => None,
            },
            _ => None,
        }
    }

    /// Sends a read command of a walk to one server, and retries until the deadline.
    pub(crate) async fn run_at(&self, node: &Node, command: &redis::Cmd) -> Result<Value> {
        let mut failure = Error::TimedOut;
        let attempts = async {
            let mut backoff = Backoff::new();
            loop {
                let commands = BatchRequest::Commands(vec![command.clone()]);
                failure = match node.queue(Lane::Walk, false).run(commands).await {
                    BatchOutcome::Replied { mut replies, .. } => {
                        return ok(replies.pop().ok_or(Error::Malformed("reply"))?);
                    }
                    BatchOutcome::NotSent(error) if is_permanent(&error) => return Err(error),
                    BatchOutcome::NotSent(error) | BatchOutcome::ReplyLost(error) => error,
                };
                backoff.fail();
                backoff.pause().await;
            }
        };
        match time::timeout(self.options.deadline, attempts).await {
            Ok(result) => result,
            Err(_) => Err(failure),
        }
    }

    /// Sends a request until it succeeds or fails for good. Keeps the error of the last attempt in
    /// `failure`, for a caller that gives up.
    async fn attempts(
        self: &Arc<Self>,
        request: &Request,
        failure: &mut Error,
    ) -> Result<Response> {
        let mut backoff = Backoff::new();
        let mut by_source = false;
        // The server to which an `ASK` reply has redirected the next attempt.
        let mut ask_node: Option<Arc<Node>> = None;
        let mut redirections = 0;
        loop {
            let asking = ask_node.is_some();
            let node = ask_node
                .take()
                .or_else(|| self.slot_map().primary(request.slot).cloned());
            let Some(node) = node else {
                *failure = Error::NoServer;
                self.refresh().await;
                backoff.fail();
                backoff.pause().await;
                continue;
            };
            let queue = node.queue(request.lane, request.effect.needs_confirmation());
            let commands = BatchRequest::Commands(request.commands(by_source, asking));
            *failure = match queue.run(commands).await {
                BatchOutcome::Replied {
                    replies,
                    confirmed,
                    tracked,
                } => match Reply::from_values(replies) {
                    Reply::Value(value) => {
                        return Ok(Response {
                            value,
                            tracked,
                            confirmed,
                        });
                    }
                    Reply::NoScript => {
                        by_source = true;
                        // The slot is still being migrated.
                        ask_node = asking.then_some(node);
                        continue;
                    }
                    Reply::Ask(address) => {
                        ask_node = self.node_at_address(&node, &address);
                        redirections += 1;
                        if redirections > MAX_QUICK_REDIRECTIONS {
                            backoff.fail();
                            backoff.pause().await;
                        }
                        continue;
                    }
                    Reply::Moved(address) => {
                        self.move_slot(request.slot, &node, &address);
                        redirections += 1;
                        if redirections <= MAX_QUICK_REDIRECTIONS {
                            let servers = Arc::clone(self);
                            tokio::spawn(async move { servers.refresh().await });
                            continue;
                        }
                        Error::NoServer
                    }
                    Reply::Failed(error) => return Err(error),
                    Reply::Retry(error) if error.is_split() && request.effect.is_together() => {
                        return Err(error);
                    }
                    Reply::Retry(error) => {
                        if error.is_read_only() {
                            // The address may lead to another server by now.
                            node.endpoint.discard_all();
                        }
                        error
                    }
                },
                BatchOutcome::NotSent(error) if is_permanent(&error) => return Err(error),
                BatchOutcome::ReplyLost(error) if request.effect.is_once() => {
                    return Err(error);
                }
                BatchOutcome::NotSent(error) | BatchOutcome::ReplyLost(error) => error,
            };
            self.refresh().await;
            backoff.fail();
            backoff.pause().await;
        }
    }

    fn move_slot(&self, slot: u16, from: &Arc<Node>, address: &str) {
        if let Some(node) = self.node_at_address(from, address) {
            self.set_slot_map(self.slot_map().with_moved_slot(slot, &node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot_map::{SlotMap, SlotRange};

    #[tokio::test]
    async fn a_moved_slot_is_requested_from_its_new_server() {
        let servers = Servers::test_cluster();
        let seed = Arc::clone(&servers.seeds[0]);
        let range = |first, last, port| SlotRange {
            first,
            last,
            host: "127.0.0.1".into(),
            port,
        };
        let ranges = [range(0, 99, 1), range(100, 16383, 2)];
        let map = SlotMap::clustered(&ranges, |_, port| Some(servers.node_at_port(port)));
        servers.set_slot_map(map);
        let address = |slot| {
            let map = servers.slot_map();
            map.primary(slot).map(|node| node.endpoint.address())
        };
        let at = |port| Some(format!("127.0.0.1:{port}"));
        assert_eq!([0, 99, 100].map(address), [at(1), at(1), at(2)]);
        // To a known server, to a new server, and to invalid addresses.
        servers.move_slot(0, &seed, "127.0.0.1:2");
        servers.move_slot(1, &seed, ":3");
        for broken in ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536"] {
            servers.move_slot(2, &seed, broken);
        }
        let slots = [0, 1, 2, 99, 100].map(address);
        assert_eq!(slots, [at(2), at(3), at(1), at(1), at(2)]);
        assert_eq!(servers.primaries().len(), 3);
    }
}
