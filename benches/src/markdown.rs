//! The table as text, and its place in the README.

use std::fmt::Write;

use crate::rows::{Outcome, Target};

const START: &str = "<!-- benches -->";
const END: &str = "<!-- /benches -->";

pub(crate) fn table(outcomes: &[Outcome], machine: &str) -> String {
    let mut text = String::from(
        "| # | work | ours | reference | ratio | target | |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for outcome in outcomes {
        let (figure, bound): (fn(f64) -> String, _) = match outcome.target {
            Target::Time(most) => (time, format!("≤ {most}×")),
            Target::Rate(least) => (rate, format!("≥ {least}×")),
            Target::Bytes(most) => (bytes, format!("≤ {}", bytes(most))),
            Target::Shown => (time, String::new()),
        };
        let references: Vec<String> = outcome
            .references
            .iter()
            .map(|&(label, nanos)| format!("{label}: {}", figure(nanos)))
            .collect();
        let ratio = outcome.ratio.map(|ratio| three_digits(ratio) + "×");
        let decisive = outcome.ratio.unwrap_or(outcome.ours);
        let verdict = match outcome.target {
            Target::Shown => "",
            target if target.is_met_by(decisive) => "met",
            _ => "missed",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {bound} | {verdict} |",
            outcome.number,
            outcome.work,
            figure(outcome.ours),
            references.join("; "),
            ratio.unwrap_or_default(),
        );
    }
    let _ = writeln!(text, "\nMeasured on {machine}.");
    text
}

/// Puts the table between the markers of the README.
pub(crate) fn replace(readme: &str, table: &str) -> Result<String, String> {
    let (before, rest) = readme
        .split_once(START)
        .ok_or_else(|| format!("there is no line {START}"))?;
    let (_, after) = rest
        .split_once(END)
        .ok_or_else(|| format!("there is no line {END} after {START}"))?;
    Ok(format!("{before}{START}\n{table}{END}{after}"))
}

fn time(nanos: f64) -> String {
    let (unit, size) = match nanos {
        ..1e3 => ("ns", 1.0),
        1e3..1e6 => ("µs", 1e3),
        1e6..1e9 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    format!("{} {unit}", three_digits(nanos / size))
}

fn rate(nanos: f64) -> String {
    match 1e9 / nanos {
        rate @ 1e3.. => format!("{}k/s", three_digits(rate / 1e3)),
        rate => format!("{}/s", three_digits(rate)),
    }
}

fn bytes(count: f64) -> String {
    format!("{count:.0} bytes")
}

/// As many decimals as make three digits: more would be noise.
fn three_digits(value: f64) -> String {
    let decimals = match value {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(target: Target, ratio: f64) -> Outcome {
        Outcome {
            number: "4",
            work: "mint",
            ours: 612.4,
            references: vec![("pak", 2_345.6), ("aks", 13e6)],
            ratio: Some(ratio),
            target,
        }
    }

    #[test]
    fn a_row_has_its_figures_and_its_verdict() {
        let met = table(&[outcome(Target::Time(0.5), 0.261)], "a machine");
        assert!(
            met.contains(
                "| 4 | mint | 612 ns | pak: 2.35 µs; aks: 13.0 ms | 0.26× | ≤ 0.5× | met |\n"
            ),
            "{met}"
        );
        assert!(met.ends_with("\n\nMeasured on a machine.\n"), "{met}");
        let missed = table(&[outcome(Target::Rate(12.0), 11.96)], "");
        assert!(
            missed.contains("| 1633k/s | pak: 426k/s; aks: 76.9/s | 12.0× | ≥ 12× | missed |\n"),
            "{missed}"
        );
    }

    #[test]
    fn a_row_that_is_bound_by_nothing_has_no_verdict() {
        let shown = table(&[outcome(Target::Shown, 0.261)], "");
        assert!(shown.contains("| 0.26× |  |  |\n"), "{shown}");
    }

    #[test]
    fn bytes_are_held_against_their_bound_by_themselves() {
        for (ours, cells) in [
            (400.0, "| 400 bytes |  |  | ≤ 400 bytes | met |\n"),
            (401.0, "| 401 bytes |  |  | ≤ 400 bytes | missed |\n"),
        ] {
            let bytes = table(
                &[Outcome {
                    ours,
                    references: Vec::new(),
                    ratio: None,
                    ..outcome(Target::Bytes(400.0), 0.0)
                }],
                "",
            );
            assert!(bytes.contains(cells), "{bytes}");
        }
    }

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let readme = "a\n<!-- benches -->\nold\n<!-- /benches -->\nb\n";
        let once = replace(readme, "new\n").unwrap();
        assert_eq!(once, "a\n<!-- benches -->\nnew\n<!-- /benches -->\nb\n");
        assert_eq!(replace(&once, "new\n").unwrap(), once);
    }

    #[test]
    fn a_readme_without_a_marker_is_left_alone() {
        for readme in ["", "<!-- benches -->", "<!-- /benches --><!-- benches -->"] {
            assert!(replace(readme, "new\n").is_err(), "{readme}");
        }
    }
}
