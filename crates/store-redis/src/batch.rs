//! What many ask of one server at the same time, sent together.

use std::{sync::Weak, time::Duration};

use redis::{Cmd, Pipeline, Value, aio::MultiplexedConnection, cmd};
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::{Error, Result},
    node::{Live, Node},
};

/// Most jobs that may wait, and most that are sent together.
const QUEUE: usize = 1024;
const BATCH: usize = 128;

/// Writes something, also where the memory is full: a script that has written may set.
const WRITE: &str = "redis.call('PERSIST', KEYS[1]) return redis.call('SET', KEYS[1], '1')";

/// What came of a job.
pub(crate) enum Outcome {
    /// The server's answers, whether enough replicas have what was changed, and whether changes on
    /// that server are heard of, and it is the primary still.
    Answered {
        answers: Vec<Value>,
        confirmed: bool,
        heard: bool,
    },
    /// It was not sent.
    NotSent(Error),
    /// It was sent, and what became of it is not known.
    Lost(Error),
}

struct Job {
    asked: Asked,
    answer: oneshot::Sender<Outcome>,
}

/// What a job asks for.
pub(crate) enum Asked {
    /// Each of these.
    Commands(Vec<Cmd>),
    /// What is stored under two names: one answer, as that to `MGET`.
    Pair([Vec<u8>; 2]),
}

/// Sends whatever is waiting at once, on one connection, and then what came meanwhile: a message and
/// an answer for many jobs cost little more than for one.
#[derive(Debug)]
pub(crate) struct Batches {
    jobs: mpsc::Sender<Job>,
}

/// How the jobs of a queue are done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// How many replicas are waited for; where any are, on a connection of its own, since `WAIT` on
    /// another one confirms nothing.
    pub(crate) replicas: u32,
    /// How long the server may take to answer, and half of it the replicas.
    pub(crate) patience: Duration,
}

impl Batches {
    pub(crate) fn start(node: Weak<Node>, manner: Manner) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let worker = Worker {
            node,
            manner,
            own: None,
        };
        tokio::spawn(worker.run(queue));
        Self { jobs }
    }

    /// Waits for what comes of it. Any executor may poll this.
    pub(crate) async fn run(&self, asked: Asked) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        if self.jobs.send(Job { asked, answer }).await.is_err() {
            return Outcome::NotSent(Error::Ended);
        }
        outcome.await.unwrap_or(Outcome::Lost(Error::Ended))
    }
}

struct Worker {
    node: Weak<Node>,
    manner: Manner,
    own: Option<Live>,
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            // For whoever has given up meanwhile nothing is done.
            batch.retain(|job: &Job| !job.answer.is_closed());
            let Some(node) = self.node.upgrade() else {
                return;
            };
            if self.manner.replicas > 0 {
                self.confirm(&node, batch.drain(..)).await;
            } else {
                self.send(&node, batch.drain(..)).await;
            }
        }
    }

    /// On the connection that all share.
    async fn send(&self, node: &Node, batch: impl Iterator<Item = Job>) {
        let mut live = match node.connection().await {
            Ok(live) => live,
            Err(error) => return batch.for_each(|job| job.end(Outcome::NotSent(error.clone()))),
        };
        let (pipeline, waiting) = collect(batch, node.is_alone());
        match self.talk(&mut live.connection, &pipeline).await {
            Ok(answers) => waiting.answer(answers, true, node.hears_of(&live)),
            Err(error) => {
                node.discard(&live);
                waiting.lose(&error);
            }
        }
    }

    /// On a connection of its own, and with a `WAIT` for all of them.
    async fn confirm(&mut self, node: &Node, batch: impl Iterator<Item = Job>) {
        let own = match self.own.take().filter(|own| !own.has_ended()) {
            Some(own) => Ok(own),
            None => node.connect().await,
        };
        let mut own = match own {
            Ok(own) => own,
            Err(error) => return batch.for_each(|job| job.end(Outcome::NotSent(error.clone()))),
        };
        let (mut pipeline, waiting) = collect(batch, false);
        // `WAIT` waits for what this connection has written. A repeat may have nothing to write, and
        // what it finds done may be another connection's.
        pipeline.cmd("EVAL").arg(WRITE).arg(1).arg(node.own_name());
        let mut wait = cmd("WAIT");
        let patience = (self.manner.patience / 2).as_millis();
        wait.arg(self.manner.replicas)
            .arg(u64::try_from(patience).unwrap_or(u64::MAX));
        pipeline.add_command(wait);
        match self.talk(&mut own.connection, &pipeline).await {
            Ok(mut answers) => {
                let replicas = answers.pop();
                let written = matches!(answers.pop(), Some(Value::Okay));
                // Where it may not write, the address may lead to another server by now.
                self.own = written.then_some(own);
                let wanted = i64::from(self.manner.replicas);
                let enough = matches!(replicas, Some(Value::Int(count)) if count >= wanted);
                waiting.answer(answers, written && enough, false);
            }
            Err(error) => waiting.lose(&error),
        }
    }

    async fn talk(
        &self,
        connection: &mut MultiplexedConnection,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>> {
        let count = pipeline.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let answers = connection.send_packed_commands(pipeline, 0, count);
        Ok(tokio::time::timeout(self.manner.patience, answers)
            .await
            .map_err(|_| Error::TimedOut)??)
    }
}

impl Job {
    fn end(self, outcome: Outcome) {
        // Who has given up is not told.
        let _ = self.answer.send(outcome);
    }
}

/// Who waits for the answers to a pipeline.
#[derive(Default)]
struct Waiting {
    /// Each with the number of its commands.
    for_commands: Vec<(usize, oneshot::Sender<Outcome>)>,
    /// For two values each of the answer to one `MGET`, which comes last.
    for_pairs: Vec<oneshot::Sender<Outcome>>,
}

/// The commands of all jobs. A server that has all slots is asked for all pairs at once.
fn collect(batch: impl Iterator<Item = Job>, together: bool) -> (Pipeline, Waiting) {
    let mut pipeline = Pipeline::new();
    let mut waiting = Waiting::default();
    let mut pairs = cmd("MGET");
    for Job { asked, answer } in batch {
        match asked {
            Asked::Commands(commands) => {
                waiting.for_commands.push((commands.len(), answer));
                for command in commands {
                    pipeline.add_command(command);
                }
            }
            Asked::Pair(names) if together => {
                waiting.for_pairs.push(answer);
                pairs.arg(&names);
            }
            Asked::Pair(names) => {
                waiting.for_commands.push((1, answer));
                pipeline.cmd("MGET").arg(&names);
            }
        }
    }
    if !waiting.for_pairs.is_empty() {
        pipeline.add_command(pairs);
    }
    (pipeline, waiting)
}

impl Waiting {
    fn answer(self, answers: Vec<Value>, confirmed: bool, heard: bool) {
        let send = |job: oneshot::Sender<Outcome>, answers| {
            // Who has given up is not told.
            let _ = job.send(Outcome::Answered {
                answers,
                confirmed,
                heard,
            });
        };
        let mut answers = answers.into_iter();
        for (count, job) in self.for_commands {
            send(job, answers.by_ref().take(count).collect());
        }
        match answers.next() {
            Some(Value::Array(values)) => {
                let mut values = values.into_iter();
                for job in self.for_pairs {
                    send(job, vec![Value::Array(values.by_ref().take(2).collect())]);
                }
            }
            // An error: it is that of all.
            Some(other) => {
                for job in self.for_pairs {
                    send(job, vec![other.clone()]);
                }
            }
            None => {}
        }
    }

    fn lose(self, error: &Error) {
        let jobs = self.for_commands.into_iter().map(|(_, job)| job);
        for job in jobs.chain(self.for_pairs) {
            // Who has given up is not told.
            let _ = job.send(Outcome::Lost(error.clone()));
        }
    }
}
