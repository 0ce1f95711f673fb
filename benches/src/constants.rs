//! The constants of SCALING.md, which the benchmark `server_load` measures.

use std::fmt::Write;

use keywright_benches::load;

use crate::estimates::Estimates;

/// The stores, with their names in the table.
const STORES: [(&str, &str); 3] = [
    ("SQLite", load::SQLITE),
    ("Redis", load::REDIS),
    ("PostgreSQL", load::POSTGRES),
];

/// The names of the constants in SCALING.md and what they are, with the names of their files.
const TIMES: [(&str, &str, &str); 9] = [
    ("read", "read a record", load::READ[0]),
    ("", "the same, 64 at once", load::READ[1]),
    ("create", "create a key, with its event", load::CREATE[0]),
    ("", "the same, 64 at once", load::CREATE[1]),
    ("revoke", "revoke a key, with its event", load::REVOKE[0]),
    ("", "the same, 64 at once", load::REVOKE[1]),
    (
        "use",
        "write the last use of a key, up to 512 at once",
        load::LAST_USE,
    ),
    (
        "follow",
        "let a server follow the changes, each second",
        load::FOLLOW,
    ),
    ("report", "report a change to a server", load::REPORT),
];

const SIZES: [(&str, &str, &str); 2] = [
    (
        "key",
        "store a key, with an `hmac-sha256` hash",
        load::KEY_BYTES,
    ),
    ("event", "store an event", load::EVENT_BYTES),
];

/// Returns the table, or `None` if a constant was not measured.
pub(crate) fn table(estimates: &Estimates) -> Result<Option<String>, String> {
    let names: String = STORES
        .iter()
        .map(|(name, _)| format!(" {name} |"))
        .collect();
    let mut text = format!("| constant | to |{names}\n| --- | --- | --- | --- | --- |\n");
    let micros = |nanos: f64| format!("{} µs", two_digits(nanos / 1e3));
    let bytes = |count: f64| format!("{} bytes", two_digits(count));
    let rows = TIMES.map(|row| (row, micros as fn(f64) -> String));
    let sizes = SIZES.map(|row| (row, bytes as fn(f64) -> String));
    for ((name, meaning, constant), format) in rows.into_iter().chain(sizes) {
        let mut cells = String::new();
        for (_, store) in STORES {
            let number = estimates.number(&load::file(store, constant))?;
            if number.is_nan() {
                return Ok(None);
            }
            // Writing to a String cannot fail.
            let _ = write!(cells, " {} |", format(number));
        }
        let name = if name.is_empty() {
            String::new()
        } else {
            format!("`{name}`")
        };
        let _ = writeln!(text, "| {name} | {meaning} |{cells}");
    }
    Ok(Some(text))
}

/// Formats a number with two significant digits. A plan needs no more.
fn two_digits(value: f64) -> String {
    if value < 1.0 {
        return format!("{value:.2}");
    }
    if value < 10.0 {
        return format!("{value:.1}");
    }
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    format!("{:.0}", (value / unit).round() * unit)
}

#[cfg(test)]
mod tests {
    use super::two_digits;

    #[test]
    fn a_constant_has_two_digits() {
        for (value, shown) in [
            (0.04, "0.04"),
            (0.96, "0.96"),
            (9.44, "9.4"),
            (10.4, "10"),
            (123.0, "120"),
            (995.0, "1000"),
            (4_567.0, "4600"),
        ] {
            assert_eq!(two_digits(value), shown);
        }
    }
}
