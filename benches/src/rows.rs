//! The rows of the table: what is compared with what, and what must come out.

use keywright_benches::{BYTES_A_KEY, BYTES_A_ROW};

use crate::estimates::Estimates;

/// One row. The names of benches are criterion's, without the turn.
pub(crate) struct Row {
    number: &'static str,
    work: &'static str,
    ours: &'static str,
    reference: Bench,
    beside: Option<Bench>,
    target: Target,
}

/// A bench of something that is not ours, and what the table calls it.
struct Bench {
    label: &'static str,
    name: &'static str,
}

/// What must come out.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The time by the reference's: at most this.
    Time(f64),
    /// The rate by the reference's: at least this.
    Rate(f64),
    /// Bytes, compared with nothing: at most this.
    Bytes(f64),
    /// Times that are shown, and bound by nothing.
    Shown,
}

impl Target {
    /// Ours by the reference's, from their times.
    fn ratio(self, ours: f64, reference: f64) -> f64 {
        match self {
            Self::Rate(_) => reference / ours,
            Self::Time(_) | Self::Bytes(_) | Self::Shown => ours / reference,
        }
    }

    /// By the ratio, or by ours where there is none.
    pub(crate) fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::Time(most) | Self::Bytes(most) => value <= most,
            Self::Rate(least) => value >= least,
            Self::Shown => true,
        }
    }
}

/// One row with its figures; times are in nanoseconds, and there is no ratio without a reference.
pub(crate) struct Outcome {
    pub(crate) number: &'static str,
    pub(crate) work: &'static str,
    pub(crate) ours: f64,
    pub(crate) references: Vec<(&'static str, f64)>,
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Target,
}

const API_KEYS_SIMPLIFIED: &str = "api-keys-simplified 0.5.1";

pub(crate) const ROWS: &[Row] = &[
    Row {
        number: "1",
        work: "verify a hot key of 1,000, `argon2id`",
        ours: "verify/keywright-1000",
        reference: PARSE_AND_CHECK,
        beside: Some(Bench {
            label: API_KEYS_SIMPLIFIED,
            name: "verify/api-keys-simplified",
        }),
        target: Target::Time(0.6),
    },
    Row {
        number: "1",
        work: "the same of 1,000,000, picked at random",
        ours: "verify/keywright-1000000",
        reference: PARSE_AND_CHECK,
        beside: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "1",
        work: "the same of 1,000, two threads",
        ours: "verify/keywright-1000-two-threads",
        reference: Bench {
            label: "one thread",
            name: "verify/keywright-1000",
        },
        beside: None,
        target: Target::Rate(1.9),
    },
    Row {
        number: "2",
        work: "refuse a malformed token",
        ours: "verify/keywright-malformed",
        reference: PARSE_AND_CHECK,
        beside: None,
        target: Target::Shown,
    },
    Row {
        number: "2",
        work: "refuse a bad checksum",
        ours: "verify/keywright-bad-checksum",
        reference: PARSE_AND_CHECK,
        beside: None,
        target: Target::Time(0.2),
    },
    Row {
        number: "2",
        work: "refuse a wrong secret of a hot key",
        ours: "verify/keywright-wrong-secret",
        reference: PARSE_AND_CHECK,
        beside: None,
        target: Target::Time(0.6),
    },
    Row {
        number: "3",
        work: "refuse a wrong secret of a key that is not in the cache, `argon2id`, SQLite, 64 tasks",
        ours: "cold/keywright-wrong-secret",
        reference: Bench {
            label: "the store's own point read, 64 tasks",
            name: "cold/find",
        },
        beside: None,
        target: Target::Time(1.15),
    },
    Row {
        number: "4",
        work: "mint a token, with the `hmac-sha256` hash and tag of its secret",
        ours: "mint/keywright",
        reference: Bench {
            label: "prefixed-api-key 0.3.0",
            name: "mint/prefixed-api-key",
        },
        beside: Some(Bench {
            label: API_KEYS_SIMPLIFIED,
            name: "mint/api-keys-simplified",
        }),
        target: Target::Time(0.5),
    },
    Row {
        number: "5",
        work: "first verification of a key, `hmac-sha256`, SQLite, 64 tasks",
        ours: "cold/keywright-64",
        reference: SELECT,
        beside: None,
        target: Target::Rate(0.5),
    },
    Row {
        number: "5",
        work: "the same alone",
        ours: "cold/keywright-1",
        reference: SELECT,
        beside: None,
        target: Target::Shown,
    },
    Row {
        number: "6",
        work: "first verification of a key, `argon2id`",
        ours: "first-verification/keywright",
        reference: Bench {
            label: "argon2, memory reused",
            name: "first-verification/argon2",
        },
        beside: Some(Bench {
            label: API_KEYS_SIMPLIFIED,
            name: "first-verification/api-keys-simplified",
        }),
        target: Target::Time(1.05),
    },
    Row {
        number: "7",
        work: "durable create on SQLite, `hmac-sha256`, 1 caller",
        ours: "durable-create/keywright-1",
        reference: Bench {
            label: "rusqlite, one `INSERT` a transaction",
            name: "durable-create/rusqlite",
        },
        beside: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "7",
        work: "the same, 64 callers",
        ours: "durable-create/keywright-64",
        reference: Bench {
            label: "the same, one thread",
            name: "durable-create/rusqlite",
        },
        beside: None,
        target: Target::Rate(12.0),
    },
    Row {
        number: "8",
        work: "first verification of a key over Redis, `hmac-sha256`, 64 tasks",
        ours: "redis-verification/keywright",
        reference: Bench {
            label: "redis, one `GET`",
            name: "redis-verification/redis-rs",
        },
        beside: None,
        target: Target::Rate(0.9),
    },
    Row {
        number: "9",
        work: "create over Redis, `hmac-sha256`, 64 tasks",
        ours: "redis-create/keywright",
        reference: Bench {
            label: "redis, one `EVALSHA` of the same writes",
            name: "redis-create/redis-rs",
        },
        beside: None,
        target: Target::Rate(0.9),
    },
    Row {
        number: "10",
        work: "`GET /v1/whoami` with a hot key, SQLite, 64 connections",
        ours: "whoami/keywright",
        reference: Bench {
            label: "the same route without the layer",
            name: "whoami/no-layer",
        },
        beside: None,
        target: Target::Rate(0.93),
    },
    Row {
        number: "11",
        work: "`POST /v1/api-keys`, `hmac-sha256`, durable on SQLite, 64 connections",
        ours: "create-over-http/keywright",
        reference: Bench {
            label: "axum, JSON echo of the same sizes",
            name: "create-over-http/axum-echo",
        },
        beside: None,
        target: Target::Rate(0.5),
    },
    Row {
        number: "12",
        work: "page of 100 by cursor on SQLite, workspace of 1,000,000 keys, at the start",
        ours: "page/large-start",
        reference: PAGE_OF_FEW,
        beside: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "the same, in the middle",
        ours: "page/large-middle",
        reference: PAGE_OF_FEW,
        beside: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "the same, at the end",
        ours: "page/large-end",
        reference: PAGE_OF_FEW,
        beside: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "12",
        work: "the same, every page in a scattered order",
        ours: "page/large",
        reference: PAGE_OF_FEW,
        beside: None,
        target: Target::Time(1.5),
    },
    Row {
        number: "13",
        work: "a file of 10,000,000 keys, SQLite: first verification, 64 tasks",
        ours: "scale/large-verify",
        reference: Bench {
            label: "the same, 10,000 keys",
            name: "scale/small-verify",
        },
        beside: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "the same file: a page of 100 by cursor, workspace of 1,000",
        ours: "scale/large-page",
        reference: Bench {
            label: "the same, 10,000 keys",
            name: "scale/small-page",
        },
        beside: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "the same file: durable create, 1 caller",
        ours: "scale/large-create-1",
        reference: Bench {
            label: "the same, 10,000 keys",
            name: "scale/small-create-1",
        },
        beside: None,
        target: Target::Time(2.0),
    },
    Row {
        number: "13",
        work: "the same file: durable create, 64 callers",
        ours: "scale/large-create-64",
        reference: Bench {
            label: "the same, 10,000 keys",
            name: "scale/small-create-64",
        },
        beside: None,
        target: Target::Time(2.0),
    },
];

const PARSE_AND_CHECK: Bench = Bench {
    label: "prefixed-api-key 0.3.0, parse and check",
    name: "verify/prefixed-api-key",
};

const SELECT: Bench = Bench {
    label: "rusqlite, prepared `SELECT` by primary key, one thread",
    name: "cold/select",
};

const PAGE_OF_FEW: Bench = Bench {
    label: "a workspace of 1,000 keys, all pages",
    name: "page/small",
};

/// The rows that are compared with nothing: sizes, the last of 13 and 14.
pub(crate) fn sizes(estimates: &Estimates) -> Result<[Outcome; 2], String> {
    let size = |number, work, file, most| {
        Ok::<_, String>(Outcome {
            number,
            work,
            ours: estimates.number(file)?,
            references: Vec::new(),
            ratio: None,
            target: Target::Bytes(most),
        })
    };
    Ok([
        size(
            "13",
            "a key in the same file, with its Argon2id hash",
            BYTES_A_ROW,
            500.0,
        )?,
        size(
            "14",
            "a key in a cache of 1,000,000, with a name of 20 characters and 3 permissions",
            BYTES_A_KEY,
            400.0,
        )?,
    ])
}

impl Row {
    pub(crate) fn result(&self, estimates: &Estimates) -> Result<Outcome, String> {
        let ours = estimates.means(self.ours)?;
        let reference = estimates.means(self.reference.name)?;
        let ratios = ours
            .iter()
            .zip(reference)
            .map(|(&ours, reference)| self.target.ratio(ours, reference));
        let ratio = median(ratios.collect());
        let mut references = vec![(self.reference.label, median(reference.to_vec()))];
        if let Some(bench) = &self.beside {
            references.push((bench.label, median(estimates.means(bench.name)?.to_vec())));
        }
        Ok(Outcome {
            number: self.number,
            work: self.work,
            ours: median(ours.to_vec()),
            references,
            ratio: Some(ratio),
            target: self.target,
        })
    }
}

/// The middle one; of an even number, the upper of both; of none, no number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_time_is_twice_the_rate() {
        let (time, rate) = (Target::Time(0.5), Target::Rate(2.0));
        assert!(time.is_met_by(time.ratio(50.0, 100.0)));
        assert!(rate.is_met_by(rate.ratio(50.0, 100.0)));
        assert!(!time.is_met_by(time.ratio(51.0, 100.0)));
        assert!(!rate.is_met_by(rate.ratio(51.0, 100.0)));
    }

    #[test]
    fn one_slow_turn_does_not_move_the_median() {
        assert_eq!(median(vec![3.0, 900.0, 1.0]), 3.0);
    }
}
