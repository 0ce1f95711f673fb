//! Changes that replicas confirm, many at once.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use redis::{Cmd, Pipeline, RedisError, Value, aio::MultiplexedConnection, cmd};
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::Error,
    node::{self, Node},
};

/// Most changes that may wait, and most that share one `WAIT`.
const QUEUE: usize = 1024;
const BATCH: usize = 128;

/// What came of a change.
pub(crate) enum Outcome {
    /// The server's answers, whether enough replicas have it, and whether changes on that server are
    /// heard of.
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

/// Makes changes on a connection of its own: `WAIT` on another one confirms nothing. It has whatever
/// is waiting confirmed at once.
pub(crate) struct Confirmed {
    jobs: mpsc::Sender<Job>,
}

impl Confirmed {
    pub(crate) fn start(node: &Arc<Node>, replicas: u32, patience: Duration) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let worker = Worker {
            node: Arc::downgrade(node),
            replicas,
            patience,
            connection: None,
        };
        tokio::spawn(worker.run(queue));
        Self { jobs }
    }

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
    replicas: u32,
    patience: Duration,
    connection: Option<MultiplexedConnection>,
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            // Whoever has given up meanwhile is told nothing, and nothing is done for him.
            batch.retain(|job: &Job| !job.answer.is_closed());
            self.make(std::mem::take(&mut batch)).await;
        }
    }

    async fn make(&mut self, batch: Vec<Job>) {
        let Some(node) = self.node.upgrade() else {
            return;
        };
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => node.open(node::config()).await,
        };
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(error) => {
                let mut error = Some(error);
                for job in batch {
                    let error = error.take().unwrap_or(Error::TimedOut);
                    let _ = job.answer.send(Outcome::NotSent(error));
                }
                return;
            }
        };
        match self.send(&mut connection, &node, &batch).await {
            Ok((answers, confirmed)) => {
                self.connection = Some(connection);
                let mut answers = answers.into_iter();
                for job in batch {
                    let answers = answers.by_ref().take(job.commands.len()).collect();
                    let _ = job.answer.send(Outcome::Answered {
                        answers,
                        confirmed,
                        heard: false,
                    });
                }
            }
            Err(error) => {
                for job in batch {
                    let error = error.clone().map_or(Error::TimedOut, Error::Redis);
                    let _ = job.answer.send(Outcome::Lost(error));
                }
            }
        }
    }

    /// All answers, and whether enough replicas have confirmed. No error is one that took too long.
    async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        node: &Node,
        batch: &[Job],
    ) -> Result<(Vec<Value>, bool), Option<RedisError>> {
        let mut pipeline = Pipeline::new();
        for command in batch.iter().flat_map(|job| &job.commands) {
            pipeline.add_command(command.clone());
        }
        // `WAIT` waits for what this connection has written. A repeat may have nothing to write, and
        // what it finds done may be another connection's.
        pipeline.cmd("SET").arg(node.own_name()).arg("1");
        let mut wait = cmd("WAIT");
        wait.arg(self.replicas)
            .arg(u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX));
        pipeline.add_command(wait);
        let count = pipeline.len();
        let answers = connection.send_packed_commands(&pipeline, 0, count);
        let mut answers = tokio::time::timeout(self.patience * 3, answers)
            .await
            .map_err(|_| None)?
            .map_err(Some)?;
        let replicas = answers.pop();
        let written = matches!(answers.pop(), Some(Value::Okay));
        let enough =
            matches!(replicas, Some(Value::Int(count)) if count >= i64::from(self.replicas));
        Ok((answers, written && enough))
    }
}
