//! The rows whose figures are computed from several benchmarks, or are not those of criterion.

use keywright_benches::{
    ALLOCATED_PER_KEY, BYTES_PER_KEY, BYTES_PER_KEY_WITH_OPTIONAL_FIELDS, BYTES_PER_ROW,
    COLD_START, IDLE_CLIENT, IDLE_SERVER, POSTGRES_BYTES_PER_EVENT, POSTGRES_BYTES_PER_KEY,
    PROPAGATION,
};

use super::{RowResult, Target, median};
use crate::estimates::Estimates;

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
    let ratio = median(ratios.collect());
    let of_one = |label: &str, ratios: Vec<f64>| match median(ratios) {
        unknown if unknown.is_nan() => label.to_owned().into(),
        ratio => format!("{label}: {ratio:.2}× of one").into(),
    };
    Ok(RowResult {
        number: "1",
        work: of_one(
            "verify a token, 1,000 cached keys, `argon2id`, two threads",
            ours,
        ),
        ours: time,
        references: vec![(
            of_one("prefixed-api-key 0.3.0, two threads", reference),
            reference_time,
        )],
        ratio: Some(ratio),
        target: Target::Rate(0.97),
    })
}

/// Returns the rows of a cold start.
pub(crate) fn cold_start(estimates: &Estimates) -> Result<Vec<RowResult>, String> {
    let row = |work: &'static str, ours, label: &'static str, reference, target: Target| {
        let number = |name| estimates.number(&format!("{COLD_START}{name}"));
        let (ours, reference) = (number(ours)?, number(reference)?);
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
            Target::Time(1.05),
        )?,
        row(
            "`GET /v1/whoami` with a cached key meanwhile, median",
            "during-50",
            "before",
            "before-50",
            Target::Time(2.0),
        )?,
        row(
            "`GET /v1/whoami` with a cached key meanwhile, 99th percentile",
            "during-99",
            "before",
            "before-99",
            Target::Time(2.0),
        )?,
        row(
            "first use of each key after a restart with verification by tag, `argon2id`, SQLite, 64 tasks: time of each key",
            "by-tag-keys",
            "argon2, reusing its memory, on all cores",
            "argon2",
            Target::None,
        )?,
        row(
            "`GET /v1/whoami` with a cached key while hashes are checked, median",
            "by-tag-during-50",
            "before",
            "by-tag-before-50",
            Target::None,
        )?,
        row(
            "`GET /v1/whoami` with a cached key while hashes are checked, 99th percentile",
            "by-tag-during-99",
            "before",
            "by-tag-before-99",
            Target::None,
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
            "the same, without what the allocator adds",
            ALLOCATED_PER_KEY,
            Target::Size,
        )?,
        size(
            "14",
            "the first with an owner and 40 bytes of attributes, which keys share, and 2 allowed prefixes",
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
