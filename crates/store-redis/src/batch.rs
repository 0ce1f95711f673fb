//! What many ask of one server at the same time, sent together.

use std::{sync::Weak, time::Duration};

use redis::{Cmd, Pipeline, Value, aio::MultiplexedConnection, cmd};
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::{Error, Result},
    node::{self, Node},
};

/// Most jobs that may wait, and most that are sent together.
const QUEUE: usize = 1024;
const BATCH: usize = 128;

/// What came of a job.
pub(crate) enum Outcome {
    /// The server's answers, whether enough replicas have what was changed, and whether changes on
    /// that server are heard of.
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
    commands: Vec<Cmd>,
    answer: oneshot::Sender<Outcome>,
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
    pub(crate) async fn run(&self, commands: Vec<Cmd>) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        if self.jobs.send(Job { commands, answer }).await.is_err() {
            return Outcome::NotSent(Error::Ended);
        }
        outcome.await.unwrap_or(Outcome::Lost(Error::Ended))
    }
}

struct Worker {
    node: Weak<Node>,
    manner: Manner,
    own: Option<MultiplexedConnection>,
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
        let (pipeline, jobs) = collect(batch);
        match self.talk(&mut live.connection, &pipeline).await {
            Ok(answers) => {
                let heard = node.hears_of(&live);
                distribute(jobs, answers, true, heard);
            }
            Err(error) => {
                node.discard(&live);
                jobs.into_iter()
                    .for_each(|(_, job)| drop(job.send(Outcome::Lost(error.clone()))));
            }
        }
    }

    /// On a connection of its own, and with a `WAIT` for all of them.
    async fn confirm(&mut self, node: &Node, batch: impl Iterator<Item = Job>) {
        let own = match self.own.take() {
            Some(own) => Ok(own),
            None => node.open(node::config()).await,
        };
        let mut own = match own {
            Ok(own) => own,
            Err(error) => return batch.for_each(|job| job.end(Outcome::NotSent(error.clone()))),
        };
        let (mut pipeline, jobs) = collect(batch);
        // `WAIT` waits for what this connection has written. A repeat may have nothing to write, and
        // what it finds done may be another connection's.
        pipeline.cmd("SET").arg(node.own_name()).arg("1");
        let mut wait = cmd("WAIT");
        let patience = (self.manner.patience / 2).as_millis();
        wait.arg(self.manner.replicas)
            .arg(u64::try_from(patience).unwrap_or(u64::MAX));
        pipeline.add_command(wait);
        match self.talk(&mut own, &pipeline).await {
            Ok(mut answers) => {
                self.own = Some(own);
                let replicas = answers.pop();
                let written = matches!(answers.pop(), Some(Value::Okay));
                let wanted = i64::from(self.manner.replicas);
                let enough = matches!(replicas, Some(Value::Int(count)) if count >= wanted);
                distribute(jobs, answers, written && enough, false);
            }
            Err(error) => jobs
                .into_iter()
                .for_each(|(_, job)| drop(job.send(Outcome::Lost(error.clone())))),
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

/// The commands of all jobs, and how many each has.
fn collect(batch: impl Iterator<Item = Job>) -> (Pipeline, Vec<(usize, oneshot::Sender<Outcome>)>) {
    let mut pipeline = Pipeline::new();
    let jobs = batch
        .map(|job| {
            let count = job.commands.len();
            for command in job.commands {
                pipeline.add_command(command);
            }
            (count, job.answer)
        })
        .collect();
    (pipeline, jobs)
}

fn distribute(
    jobs: Vec<(usize, oneshot::Sender<Outcome>)>,
    answers: Vec<Value>,
    confirmed: bool,
    heard: bool,
) {
    let mut answers = answers.into_iter();
    for (count, job) in jobs {
        let answers = answers.by_ref().take(count).collect();
        // Who has given up is not told.
        let _ = job.send(Outcome::Answered {
            answers,
            confirmed,
            heard,
        });
    }
}
