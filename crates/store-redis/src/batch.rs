//! Batches: the concurrent requests to one server, sent together.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, Pipeline, Value, aio::MultiplexedConnection, cmd};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{
    connection::{Connection, Endpoint, within},
    error::{Error, Result},
};

/// The maximum number of jobs in the queue.
const QUEUE: usize = 1024;

/// The maximum number of jobs in a batch.
const BATCH: usize = 128;

/// Writes to a name, even if the server's memory is full. Such a server accepts a SET from a script
/// that has run another write command before it. The name expires, since nothing reads it.
const WRITE: &str =
    "redis.call('PERSIST', KEYS[1]) return redis.call('SET', KEYS[1], '1', 'PX', 60000)";

/// The result of a job.
pub(crate) enum BatchOutcome {
    /// The server replied.
    Replied {
        replies: Vec<Value>,
        /// Whether enough replicas have confirmed the job's changes.
        confirmed: bool,
        /// Whether the server is still the primary, and its changes are tracked.
        tracked: bool,
    },
    /// The job was not sent.
    NotSent(Error),
    /// The job was sent, but its reply was lost. It may have been done.
    ReplyLost(Error),
}

struct BatchJob {
    request: BatchRequest,
    outcome: oneshot::Sender<BatchOutcome>,
}

/// The request of a job.
pub(crate) enum BatchRequest {
    /// Commands that are sent as they are.
    Commands(Vec<Cmd>),
    /// A read of two names in one slot. The reply is an array, as for `MGET`.
    Pair([Vec<u8>; 2]),
}

/// A queue of jobs, and the workers that send them.
///
/// A worker sends all jobs that are waiting in one batch, awaits the replies, and then sends the
/// jobs that arrived in the meantime. A batch costs the client and the server little more than a
/// single job. With two workers, the server has a batch to work on while the client handles the
/// replies to the other.
#[derive(Debug)]
pub(crate) struct BatchQueue {
    jobs: mpsc::Sender<BatchJob>,
}

/// How a queue sends its batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchOptions {
    /// The number of workers: the maximum number of batches that await their replies.
    pub(crate) workers: u32,
    /// The number of replicas that must confirm each batch.
    ///
    /// If it is not 0, the queue needs a separate connection, since `WAIT` waits only for the
    /// writes of its own connection.
    pub(crate) min_replicas: u32,
    /// Whether the queue has a separate connection instead of the shared one.
    pub(crate) separate: bool,
    /// How long to wait for the server's replies. The replicas get half of it.
    pub(crate) timeout: Duration,
}

impl BatchQueue {
    /// Starts the workers. They end when the queue is dropped.
    pub(crate) fn start(endpoint: &Arc<Endpoint>, options: BatchOptions) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..options.workers {
            let worker = Worker {
                queue: Arc::clone(&queue),
                endpoint: Arc::clone(endpoint),
                options,
                separate: None,
            };
            tokio::spawn(worker.run());
        }
        Self { jobs }
    }

    /// Queues a job and waits for its outcome. Any executor may poll this future.
    pub(crate) async fn run(&self, request: BatchRequest) -> BatchOutcome {
        let (sender, receiver) = oneshot::channel();
        let job = BatchJob {
            request,
            outcome: sender,
        };
        if self.jobs.send(job).await.is_err() {
            return BatchOutcome::NotSent(Error::Stopped);
        }
        receiver
            .await
            .unwrap_or(BatchOutcome::ReplyLost(Error::Stopped))
    }
}

struct Worker {
    /// Locked by the worker that takes the next batch.
    queue: Arc<Mutex<mpsc::Receiver<BatchJob>>>,
    endpoint: Arc<Endpoint>,
    options: BatchOptions,
    /// The separate connection, if the worker has one and it is open.
    separate: Option<Connection>,
}

impl Worker {
    async fn run(mut self) {
        let mut batch = Vec::new();
        while self.take(&mut batch).await > 0 {
            // Skip the jobs of callers that have given up.
            batch.retain(|job: &BatchJob| !job.outcome.is_closed());
            if self.options.min_replicas > 0 {
                self.send_and_confirm(batch.drain(..)).await;
            } else {
                self.send(batch.drain(..)).await;
            }
        }
    }

    /// Waits for jobs and takes them. Takes none if the queue was dropped.
    async fn take(&self, batch: &mut Vec<BatchJob>) -> usize {
        self.queue.lock().await.recv_many(batch, BATCH).await
    }

    /// Returns the connection for the next batch.
    async fn connection(&mut self) -> Result<Connection> {
        if !self.options.separate {
            return self.endpoint.connection().await;
        }
        let usable = |connection: &Connection| self.endpoint.is_usable(connection);
        match self.separate.take().filter(usable) {
            Some(connection) => Ok(connection),
            None => self.endpoint.connect().await,
        }
    }

    /// Sends a batch.
    async fn send(&mut self, batch: impl Iterator<Item = BatchJob>) {
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => return reject(batch, &error),
        };
        let (pipeline, pending) = build(batch, self.endpoint.has_all_slots());
        match self.exchange(&mut connection.redis, &pipeline).await {
            Ok(replies) => {
                pending.complete(replies, true, self.endpoint.is_tracked(&connection));
                self.separate = self.options.separate.then_some(connection);
            }
            Err(error) => {
                self.endpoint.discard(&connection);
                pending.fail(&error);
            }
        }
    }

    /// Sends a batch on the separate connection, followed by one `WAIT` for all jobs.
    async fn send_and_confirm(&mut self, batch: impl Iterator<Item = BatchJob>) {
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => return reject(batch, &error),
        };
        let (mut pipeline, pending) = build(batch, false);
        // `WAIT` waits for the last write of this connection. A repeated request may write nothing,
        // because an earlier attempt on another connection was successful. So write something: the
        // replicas that have it also have everything before it.
        let heartbeat = self.endpoint.heartbeat();
        pipeline.cmd("EVAL").arg(WRITE).arg(1).arg(heartbeat);
        let mut wait = cmd("WAIT");
        let timeout = (self.options.timeout / 2).as_millis();
        wait.arg(self.options.min_replicas)
            .arg(u64::try_from(timeout).unwrap_or(u64::MAX));
        pipeline.add_command(wait);
        match self.exchange(&mut connection.redis, &pipeline).await {
            Ok(mut replies) => {
                let replicas = replies.pop();
                let written = matches!(replies.pop(), Some(Value::Okay));
                // If the server rejects writes, the address may lead to another server by now.
                self.separate = written.then_some(connection);
                let wanted = i64::from(self.options.min_replicas);
                let enough = matches!(replicas, Some(Value::Int(count)) if count >= wanted);
                pending.complete(replies, written && enough, false);
            }
            Err(error) => pending.fail(&error),
        }
    }

    async fn exchange(
        &self,
        connection: &mut MultiplexedConnection,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>> {
        let count = pipeline.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let replies = connection.send_packed_commands(pipeline, 0, count);
        Ok(within(self.options.timeout, replies).await??)
    }
}

/// Completes all jobs as not sent.
fn reject(batch: impl Iterator<Item = BatchJob>, error: &Error) {
    for job in batch {
        // The caller may have given up.
        let _ = job.outcome.send(BatchOutcome::NotSent(error.clone()));
    }
}

/// The jobs that await the replies to a pipeline.
#[derive(Default)]
struct PendingJobs {
    /// The jobs with commands, with the number of their replies, in order.
    commands: Vec<(usize, oneshot::Sender<BatchOutcome>)>,
    /// The jobs that share one `MGET` at the end of the pipeline. Each gets two of its values.
    pairs: Vec<oneshot::Sender<BatchOutcome>>,
}

/// Builds the pipeline of a batch. With `join_pairs`, one `MGET` reads all pairs: the server must
/// have all slots.
fn build(batch: impl Iterator<Item = BatchJob>, join_pairs: bool) -> (Pipeline, PendingJobs) {
    let mut pipeline = Pipeline::new();
    let mut pending = PendingJobs::default();
    let mut mget = cmd("MGET");
    for BatchJob { request, outcome } in batch {
        match request {
            BatchRequest::Commands(commands) => {
                pending.commands.push((commands.len(), outcome));
                for command in commands {
                    pipeline.add_command(command);
                }
            }
            BatchRequest::Pair(names) if join_pairs => {
                pending.pairs.push(outcome);
                mget.arg(&names);
            }
            BatchRequest::Pair(names) => {
                pending.commands.push((1, outcome));
                pipeline.cmd("MGET").arg(&names);
            }
        }
    }
    if !pending.pairs.is_empty() {
        pipeline.add_command(mget);
    }
    (pipeline, pending)
}

impl PendingJobs {
    fn complete(self, replies: Vec<Value>, confirmed: bool, tracked: bool) {
        let send = |job: oneshot::Sender<BatchOutcome>, replies| {
            // The caller may have given up.
            let _ = job.send(BatchOutcome::Replied {
                replies,
                confirmed,
                tracked,
            });
        };
        let mut replies = replies.into_iter();
        for (count, job) in self.commands {
            send(job, replies.by_ref().take(count).collect());
        }
        match replies.next() {
            Some(Value::Array(values)) => {
                let mut values = values.into_iter();
                for job in self.pairs {
                    send(job, vec![Value::Array(values.by_ref().take(2).collect())]);
                }
            }
            // The shared `MGET` failed, and with it each pair.
            Some(error) => {
                for job in self.pairs {
                    send(job, vec![error.clone()]);
                }
            }
            None => {}
        }
    }

    fn fail(self, error: &Error) {
        let jobs = self.commands.into_iter().map(|(_, job)| job);
        for job in jobs.chain(self.pairs) {
            // The caller may have given up.
            let _ = job.send(BatchOutcome::ReplyLost(error.clone()));
        }
    }
}
