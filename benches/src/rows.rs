//! The rows of the table: the subjects, their references and their targets.

use std::borrow::Cow;

use keywright_benches::{
    BYTES_PER_KEY, BYTES_PER_KEY_WITH_OPTIONAL_FIELDS, BYTES_PER_ROW, COLD_START, IDLE_CLIENT,
    IDLE_SERVER, POSTGRES_BYTES_PER_EVENT, POSTGRES_BYTES_PER_KEY, PROPAGATION,
};

use crate::estimates::Estimates;

/// A row of the table. The names of benchmarks are those of criterion, without the turn.
pub(crate) struct Row {
    number: &'static str,
    work: &'static str,
    ours: &'static str,
    reference: Reference,
    second_reference: Option<Reference>,
    target: Target,
}

/// A reference: its label in the table, and the name of its benchmark.
struct Reference {
    label: &'static str,
    name: &'static str,
}

/// The target of a row.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The maximum ratio of the time to that of the reference.
    Time(f64),
    /// The minimum ratio of the rate to that of the reference.
    Rate(f64),
    /// The maximum size in bytes.
    Bytes(f64),
    /// The maximum time, in nanoseconds.
    Duration(f64),
    /// The maximum share of a core.
    Share(f64),
    /// No target. The row shows a size in bytes.
    Size,
    /// No target. The row shows times.
    None,
}

impl Target {
    /// Returns the ratio to the reference, computed from the times.
    fn ratio(self, ours: f64, reference: f64) -> f64 {
        match self {
            Self::Rate(_) => reference / ours,
            Self::Time(_)
            | Self::Bytes(_)
            | Self::Duration(_)
            | Self::Share(_)
            | Self::Size
            | Self::None => ours / reference,
        }
    }

    /// Whether a value meets the target. The value is the ratio, or the size if there is no
    /// reference.
    pub(crate) fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::Time(most) | Self::Bytes(most) | Self::Duration(most) | Self::Share(most) => {
                value <= most
            }
            Self::Rate(least) => value >= least,
            Self::Size | Self::None => true,
        }
    }
}

/// The figures of a row. Times are in nanoseconds. There is no ratio without a reference.
pub(crate) struct RowResult {
    pub(crate) number: &'static str,
    pub(crate) work: Cow<'static, str>,
    pub(crate) ours: f64,
    pub(crate) references: Vec<(Cow<'static, str>, f64)>,
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Target,
}

const API_KEYS_SIMPLIFIED: &str = "api-keys-simplified 0.5.1";

pub(crate) const ROWS: &[Row] = &[
    Row {
        number: "1",
        work: "verify a token, 1,000 cached keys, `argon2id`",
        ours: "verify/keywright-1000",
        reference: PARSE_AND_CHECK,
        second_reference: Some(Reference {
            label: API_KEYS_SIMPLIFIED,
            name: "verify/api-keys-simplified",
        }),
        target: Target::Time(0.5),
    },
    Row {
        number: "1",
        work: "verify a token, 1,000,000 cached keys in random order, `argon2id`",
        ours: "verify/keywright-1000000",
        reference: Reference {
            label: "prefixed-api-key 0.3.0, parse, look-up in a `HashMap` behind an `RwLock`, and check",
            name: "verify/prefixed-api-key-1000000",
        },
        second_reference: None,
        target: Target::Time(1.0),
    },
    Row {
        number: "2",
        work: "reject a malformed token",
        ours: "verify/keywright-malformed",
        reference: PARSE_AND_CHECK,
        second_reference: None,
        target: Target::None,
    },
    Row {
        number: "2",
        work: "reject a token with a wrong checksum",
        ours: "verify/keywright-bad-checksum",
        reference: PARSE_AND_CHECK,
        second_reference: None,
        target: Target::Time(0.2),
    },
    Row {
        number: "2",
        work: "reject a wrong secret for a cached key",
        ours: "verify/keywright-wrong-secret",
        reference: PARSE_AND_CHECK,
        second_reference: None,
        target: Target::Time(0.5),
    },
    Row {
        number: "3",
        work: "reject a wrong secret for a key that is not cached, `argon2id`, SQLite, 64 tasks",
        ours: "cold/keywright-wrong-secret",
        reference: Reference {
            label: "read of one record from the store, 64 tasks",
            name: "cold/find",
        },
        second_reference: None,
        target: Target::Time(1.15),
    },
    Row {
        number: "4",
        work: "mint a token, including the `hmac-sha256` hash and the tag of its secret",
        ours: "mint/keywright",
        reference: Reference {
            label: "its parts: 32 bytes of the system, ChaCha20, SHA-256, two HMACs, CRC-32",
            name: "mint/parts",
        },
        second_reference: Some(Reference {
            label: "prefixed-api-key 0.3.0",
            name: "mint/prefixed-api-key",
        }),
        target: Target::Time(1.25),
    },
    Row {
        number: "5",
        work: "first verification of a key, `hmac-sha256`, SQLite, 64 tasks",
        ours: "cold/keywright-64",
        reference: Reference {
            label: "rusqlite, prepared `SELECT` by primary key, one thread",
            name: "cold/select",
        },
        second_reference: None,
        target: Target::Rate(0.9),
    },
    Row {
        number: "5",
        work: "first verification of a key, `hmac-sha256`, SQLite, 1 task",
        ours: "cold/keywright-1",
        reference: Reference {
            label: "the same `SELECT` through `spawn_blocking`",
            name: "cold/select-blocking",
        },
        second_reference: None,
        target: Target::Time(1.1),
    },
    Row {
        number: "6",
        work: "first verification of a key, `argon2id`",
        ours: "first-verification/keywright",
        reference: Reference {
            label: "argon2, reusing its memory",
            name: "first-verification/argon2",
        },
        second_reference: Some(Reference {
            label: API_KEYS_SIMPLIFIED,
            name: "first-verification/api-keys-simplified",
        }),
        target: Target::Time(1.05),
    },
    Row {
        number: "7",
        work: "create a key durably, `hmac-sha256`, SQLite, 1 task",
        ours: "durable-create/keywright-1",
        reference: Reference {
            label: "rusqlite, one `INSERT` per transaction through `spawn_blocking`",
            name: "durable-create/rusqlite-blocking",
        },
        second_reference: None,
        target: Target::Time(1.1),
    },
    Row {
        number: "7",
        work: "create a key durably, `hmac-sha256`, SQLite, 64 tasks",
        ours: "durable-create/keywright-64",
        reference: Reference {
            label: "rusqlite, one `INSERT` per transaction, one thread",
            name: "durable-create/rusqlite",
        },
        second_reference: None,
        target: Target::Rate(12.0),
    },
    Row {
        number: "8",
        work: "first verification of a key, `hmac-sha256`, Redis, 64 tasks",
        ours: "redis-verification/keywright",
        reference: Reference {
            label: "redis, one `MGET` of both values, decoded, and one HMAC",
            name: "redis-verification/redis-rs",
        },
        second_reference: None,
        target: Target::Rate(1.0),
    },
    Row {
        number: "9",
        work: "create a key, `hmac-sha256`, Redis, 64 tasks",
        ours: "redis-create/keywright",
        reference: Reference {
            label: "redis, one `EVALSHA` with the same writes, and the hash",
            name: "redis-create/redis-rs",
        },
        second_reference: None,
        target: Target::Rate(0.9),
    },
    Row {
        number: "10",
        work: "`GET /v1/whoami` with a cached key, SQLite, 64 connections",
        ours: "whoami/keywright",
        reference: Reference {
            label: "the same route without the layer",
            name: "whoami/no-layer",
        },
        second_reference: None,
        target: Target::Rate(0.95),
    },
    Row {
        number: "11",
        work: "`POST /v1/api-keys`, `hmac-sha256`, durable on SQLite, 64 connections",
        ours: "create-over-http/keywright",
        reference: Reference {
            label: "axum, JSON echo of the same size",
            name: "create-over-http/axum-echo",
        },
        second_reference: None,
        target: Target::Rate(0.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 by cursor, SQLite, workspace of 1,000,000 keys, near the start",
        ours: "page/large-start",
        reference: PAGE_OF_FEW,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 by cursor, SQLite, workspace of 1,000,000 keys, in the middle",
        ours: "page/large-middle",
        reference: PAGE_OF_FEW,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 by cursor, SQLite, workspace of 1,000,000 keys, at the end",
        ours: "page/large-end",
        reference: PAGE_OF_FEW,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 by cursor, SQLite, workspace of 1,000,000 keys, all pages in scattered order",
        ours: "page/large",
        reference: PAGE_OF_FEW,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "read a page of 100 events by cursor, SQLite, workspace of 1,000,000 events, all pages in scattered order",
        ours: "page/events-large",
        reference: Reference {
            label: "a workspace of 1,000 events",
            name: "page/events-small",
        },
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "13",
        work: "first verification in a SQLite file of 10,000,000 keys, 64 tasks",
        ours: "scale/large-verify",
        reference: Reference {
            label: "a file of 10,000 keys",
            name: "scale/small-verify",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "read a page of 100 by cursor in a SQLite file of 10,000,000 keys, workspaces of 1,000",
        ours: "scale/large-page",
        reference: Reference {
            label: "a file of 10,000 keys",
            name: "scale/small-page",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "create a key durably in a SQLite file of 10,000,000 keys, 1 task",
        ours: "scale/large-create-1",
        reference: Reference {
            label: "a file of 10,000 keys",
            name: "scale/small-create-1",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "create a key durably in a SQLite file of 10,000,000 keys, 64 tasks",
        ours: "scale/large-create-64",
        reference: Reference {
            label: "a file of 10,000 keys",
            name: "scale/small-create-64",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "first verification with 1,000,000 keys in PostgreSQL, 64 tasks",
        ours: "scale-postgres-1000000/large-verify",
        reference: Reference {
            label: "10,000 keys",
            name: "scale-postgres-1000000/small-verify",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "read a page of 100 by cursor with 1,000,000 keys in PostgreSQL, workspaces of 1,000",
        ours: "scale-postgres-1000000/large-page",
        reference: Reference {
            label: "10,000 keys",
            name: "scale-postgres-1000000/small-page",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "create a key with 1,000,000 keys in PostgreSQL, 1 task",
        ours: "scale-postgres-1000000/large-create-1",
        reference: Reference {
            label: "10,000 keys",
            name: "scale-postgres-1000000/small-create-1",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "create a key with 1,000,000 keys in PostgreSQL, 64 tasks",
        ours: "scale-postgres-1000000/large-create-64",
        reference: Reference {
            label: "10,000 keys",
            name: "scale-postgres-1000000/small-create-64",
        },
        second_reference: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "15",
        work: "first verification of a key, `hmac-sha256`, PostgreSQL, 64 tasks",
        ours: "postgres-verification/keywright-64",
        reference: Reference {
            label: "sqlx, `fetch_one` by primary key, 64 tasks, the same pool",
            name: "postgres-verification/sqlx-64",
        },
        second_reference: None,
        target: Target::Rate(4.0),
    },
    Row {
        number: "15",
        work: "first verification of a key, `hmac-sha256`, PostgreSQL, 1 task",
        ours: "postgres-verification/keywright-1",
        reference: Reference {
            label: "sqlx, `fetch_one` by primary key",
            name: "postgres-verification/sqlx-1",
        },
        second_reference: None,
        target: Target::Time(1.15),
    },
    Row {
        number: "16",
        work: "create a key with its event, `hmac-sha256`, PostgreSQL, 64 tasks",
        ours: "postgres-create/keywright-64",
        reference: Reference {
            label: "sqlx, one `INSERT` per transaction, 64 tasks, the same pool",
            name: "postgres-create/sqlx-64",
        },
        second_reference: None,
        target: Target::Rate(5.0),
    },
    Row {
        number: "16",
        work: "create a key with its event, `hmac-sha256`, PostgreSQL, 1 task",
        ours: "postgres-create/keywright-1",
        reference: Reference {
            label: "sqlx, one `INSERT` per transaction",
            name: "postgres-create/sqlx-1",
        },
        second_reference: None,
        target: Target::Time(1.2),
    },
    Row {
        number: "17",
        work: "create a key with an event, SQLite, 64 tasks",
        ours: "events-sqlite/create",
        reference: Reference {
            label: "without events",
            name: "events-sqlite/create-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "revoke a key with an event, SQLite, 64 tasks",
        ours: "events-sqlite/revoke",
        reference: Reference {
            label: "without events",
            name: "events-sqlite/revoke-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "create a key with an event, Redis, 64 tasks",
        ours: "events-redis/create",
        reference: Reference {
            label: "without events",
            name: "events-redis/create-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "revoke a key with an event, Redis, 64 tasks",
        ours: "events-redis/revoke",
        reference: Reference {
            label: "without events",
            name: "events-redis/revoke-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "create a key with an event, PostgreSQL, 64 tasks",
        ours: "events-postgres/create",
        reference: Reference {
            label: "without events",
            name: "events-postgres/create-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "revoke a key with an event, PostgreSQL, 64 tasks",
        ours: "events-postgres/revoke",
        reference: Reference {
            label: "without events",
            name: "events-postgres/revoke-without",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "17",
        work: "`POST /v1/api-keys` with an event, durable on SQLite, 64 connections",
        ours: "create-over-http/keywright",
        reference: Reference {
            label: "without events",
            name: "create-over-http/without-events",
        },
        second_reference: None,
        target: Target::Rate(0.7),
    },
    Row {
        number: "18",
        work: "revoke a key while 8 other stores poll, PostgreSQL, 64 tasks",
        ours: "feed/polling",
        reference: Reference {
            label: "no other store",
            name: "feed/none",
        },
        second_reference: None,
        target: Target::Rate(0.95),
    },
    Row {
        number: "21",
        work: "verify an imported token, 1,000 cached keys, imported with SHA-256",
        ours: "verify/keywright-imported",
        reference: HOT_KEY,
        second_reference: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "21",
        work: "verify an imported token, 1,000 cached keys, imported with bcrypt",
        ours: "verify/keywright-imported-bcrypt",
        reference: HOT_KEY,
        second_reference: None,
        target: Target::Time(1.5),
    },
];

const HOT_KEY: Reference = Reference {
    label: "a token of this library, 1,000 cached keys",
    name: "verify/keywright-1000",
};

const PARSE_AND_CHECK: Reference = Reference {
    label: "prefixed-api-key 0.3.0, parse and check",
    name: "verify/prefixed-api-key",
};

const PAGE_OF_FEW: Reference = Reference {
    label: "a workspace of 1,000 keys, all pages in scattered order",
    name: "page/small",
};

/// Returns the row of two threads. Its reference is how the other library scales on the same cores.
pub(crate) fn scaling(estimates: &Estimates) -> Result<RowResult, String> {
    let rate_of_two = |library: &str| {
        let one = estimates.means(&format!("verify/{library}"))?;
        let two = estimates.means(&format!("verify/{library}-two-threads"))?;
        let ratios = one.iter().zip(two).map(|(one, two)| one / two);
        Ok::<_, String>((median(two.to_vec()), ratios.collect::<Vec<f64>>()))
    };
    let (time, ours) = rate_of_two("keywright-1000")?;
    let (reference_time, reference) = rate_of_two("prefixed-api-key")?;
    let ratios = ours
        .iter()
        .zip(&reference)
        .map(|(ours, other)| ours / other);
    let (ratio, ours, reference) = (median(ratios.collect()), median(ours), median(reference));
    Ok(RowResult {
        number: "1",
        work: format!(
            "verify a token, 1,000 cached keys, `argon2id`, two threads: {ours:.2}× of one"
        )
        .into(),
        ours: time,
        references: vec![(
            format!("prefixed-api-key 0.3.0, two threads: {reference:.2}× of one").into(),
            reference_time,
        )],
        ratio: Some(ratio),
        target: Target::Rate(0.97),
    })
}

/// Returns the rows of a cold start.
pub(crate) fn cold_start(estimates: &Estimates) -> Result<Vec<RowResult>, String> {
    let row = |work: &'static str, ours, label: &'static str, reference, most| {
        let number = |name| estimates.number(&format!("{COLD_START}{name}"));
        let (ours, reference, target) = (number(ours)?, number(reference)?, Target::Time(most));
        Ok::<_, String>(RowResult {
            number: "19",
            work: work.into(),
            ours,
            references: vec![(label.into(), reference)],
            ratio: Some(target.ratio(ours, reference)),
            target,
        })
    };
    Ok(vec![
        row(
            "first use of each key after a restart, `argon2id`, SQLite, 64 tasks: time of each key",
            "keys",
            "argon2, reusing its memory, on all cores",
            "argon2",
            1.05,
        )?,
        row(
            "`GET /v1/whoami` with a cached key meanwhile, median",
            "during-50",
            "before",
            "before-50",
            2.0,
        )?,
        row(
            "`GET /v1/whoami` with a cached key meanwhile, 99th percentile",
            "during-99",
            "before",
            "before-99",
            2.0,
        )?,
    ])
}

/// Returns the rows without a reference: sizes, shares of a core, and percentiles of times.
pub(crate) fn sizes(estimates: &Estimates) -> Result<Vec<RowResult>, String> {
    let size = |number, work: &'static str, file: &str, target| {
        Ok::<_, String>(RowResult {
            number,
            work: work.into(),
            ours: estimates.number(file)?,
            references: Vec::new(),
            ratio: None,
            target,
        })
    };
    let mut sizes = vec![
        size(
            "13",
            "size of a key in a SQLite file of 10,000,000 keys, with an Argon2id hash",
            BYTES_PER_ROW,
            Target::Bytes(500.0),
        )?,
        size(
            "14",
            "size of a key in a cache of 1,000,000 keys, with a name of 20 characters and 3 permissions",
            BYTES_PER_KEY,
            Target::Bytes(350.0),
        )?,
        size(
            "14",
            "the same with an owner and 40 bytes of attributes, which keys share, and 2 allowed prefixes",
            BYTES_PER_KEY_WITH_OPTIONAL_FIELDS,
            Target::Size,
        )?,
        size(
            "13",
            "size of a key in PostgreSQL, of 100,000, with an `hmac-sha256` hash and indexes",
            POSTGRES_BYTES_PER_KEY,
            Target::Bytes(500.0),
        )?,
        size(
            "13",
            "size of an event in PostgreSQL, of 100,000, with indexes",
            POSTGRES_BYTES_PER_EVENT,
            Target::Size,
        )?,
        size(
            "18",
            "an idle store that polls PostgreSQL: share of a core in the process",
            IDLE_CLIENT,
            Target::Share(0.01),
        )?,
        size(
            "18",
            "an idle store that polls PostgreSQL: share of a core in the server",
            IDLE_SERVER,
            Target::Share(0.01),
        )?,
    ];
    for (store, work, most) in [
        (
            "sqlite",
            "SQLite: 3 busy processes reject a revoked key, 99th percentile",
            100e6,
        ),
        (
            "redis",
            "Redis: 3 busy processes reject a revoked key, 99th percentile",
            20e6,
        ),
        (
            "postgres",
            "PostgreSQL: 3 busy processes reject a revoked key, 99th percentile",
            250e6,
        ),
    ] {
        let file = format!("{PROPAGATION}{store}");
        sizes.push(size("20", work, &file, Target::Duration(most))?);
    }
    Ok(sizes)
}

impl Row {
    pub(crate) fn result(&self, estimates: &Estimates) -> Result<RowResult, String> {
        let ours = estimates.means(self.ours)?;
        let reference = estimates.means(self.reference.name)?;
        let ratios = ours
            .iter()
            .zip(reference)
            .map(|(&ours, reference)| self.target.ratio(ours, reference));
        let ratio = median(ratios.collect());
        let mut references = vec![(self.reference.label.into(), median(reference.to_vec()))];
        if let Some(bench) = &self.second_reference {
            references.push((
                bench.label.into(),
                median(estimates.means(bench.name)?.to_vec()),
            ));
        }
        Ok(RowResult {
            number: self.number,
            work: self.work.into(),
            ours: median(ours.to_vec()),
            references,
            ratio: Some(ratio),
            target: self.target,
        })
    }
}

/// Returns the median. For an even number of values, this is the upper of the two middle values.
/// Without values, it is NaN.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_time_equals_twice_the_rate() {
        let (time, rate) = (Target::Time(0.5), Target::Rate(2.0));
        assert!(time.is_met_by(time.ratio(50.0, 100.0)));
        assert!(rate.is_met_by(rate.ratio(50.0, 100.0)));
        assert!(!time.is_met_by(time.ratio(51.0, 100.0)));
        assert!(!rate.is_met_by(rate.ratio(51.0, 100.0)));
    }

    #[test]
    fn one_slow_turn_does_not_change_the_median() {
        assert_eq!(median(vec![3.0, 900.0, 1.0]), 3.0);
    }
}
