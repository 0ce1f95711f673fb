//! How long the store works on each kind of request: the constants of `SCALING.md`.

use std::{fs, time::Duration};

use crate::parameters::{Feed, Parameters};

pub(crate) struct Costs {
    /// Reading a record.
    pub(crate) read: Duration,
    /// Revoking a key.
    pub(crate) revoke: Duration,
    /// The polls or heartbeats of one process in a second.
    pub(crate) follow: Duration,
    /// Reporting a change to one process.
    pub(crate) report: Duration,
}

impl Costs {
    /// Reads the constants of PostgreSQL or Redis from the table in `SCALING.md`.
    pub(crate) fn of(feed: Feed) -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../SCALING.md");
        let document = fs::read_to_string(file).unwrap();
        let rows: Vec<Vec<&str>> = document
            .lines()
            .skip_while(|line| *line != "<!-- constants -->")
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let store = match feed {
            Feed::Polls => "PostgreSQL",
            Feed::Pushes => "Redis",
        };
        let header = rows.iter().find(|cells| cells.contains(&store)).unwrap();
        let column = header.iter().position(|cell| *cell == store).unwrap();
        let constant = |name: &str| {
            let row = rows.iter().find(|cells| cells.contains(&name)).unwrap();
            let micros: f64 = row[column].strip_suffix(" µs").unwrap().parse().unwrap();
            Duration::from_secs_f64(micros / 1e6)
        };
        Self {
            read: constant("`read`"),
            revoke: constant("`revoke`"),
            follow: constant("`follow`"),
            report: constant("`report`"),
        }
    }

    /// How long the store works on a poll or heartbeat.
    pub(crate) fn request(&self, feed: Feed) -> Duration {
        self.follow.mul_f64(feed.interval().as_secs_f64())
    }

    /// Returns the load of the store, in seconds of work for each second, by the formula of
    /// `SCALING.md`.
    pub(crate) fn load(&self, parameters: Parameters, reads: f64, revocations: f64) -> f64 {
        let processes = parameters.processes as f64;
        let reading = reads * self.read.as_secs_f64();
        let following = processes * self.follow.as_secs_f64();
        let revoking =
            revocations * (self.revoke.as_secs_f64() + processes * self.report.as_secs_f64());
        reading + following + revoking
    }
}
