//! Formats a table of results, and inserts it into a document.

use std::fmt::Write;

use crate::rows::{RowResult, Target};

pub(crate) fn table(results: &[RowResult], machine: &str) -> String {
    let mut text = String::from(concat!(
        "| # | work | Keywright | reference | ratio | target | |\n",
        "| --- | --- | --- | --- | --- | --- | --- |\n",
    ));
    for result in results {
        let (format, bound): (fn(f64) -> String, _) = match result.target {
            Target::Time(most) => (time, format!("≤ {most}×")),
            Target::Rate(least) => (rate, format!("≥ {least}×")),
            Target::Bytes(most) => (bytes, format!("≤ {}", bytes(most))),
            Target::Duration(most) => (time, format!("≤ {}", time(most))),
            Target::Share(most) => (percent, format!("≤ {}", percent(most))),
            Target::Size => (bytes, String::new()),
            Target::None => (time, String::new()),
        };
        let figure = |value: f64| {
            if value.is_nan() {
                "not measured".into()
            } else {
                format(value)
            }
        };
        let references: Vec<String> = result
            .references
            .iter()
            .map(|(label, nanos)| format!("{label}: {}", figure(*nanos)))
            .collect();
        let ratio = result.ratio.filter(|ratio| !ratio.is_nan());
        let ratio = ratio.map(|ratio| three_digits(ratio) + "×");
        let decisive = result.ratio.unwrap_or(result.ours);
        let verdict = match result.target {
            Target::Size | Target::None => "",
            _ if decisive.is_nan() => "",
            target if target.is_met_by(decisive) => "met",
            _ => "missed",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {bound} | {verdict} |",
            result.number,
            result.work,
            figure(result.ours),
            references.join("; "),
            ratio.unwrap_or_default(),
        );
    }
    let _ = writeln!(text, "\nMeasured on {machine}.");
    text
}

/// Replaces the text between the markers `<!-- name -->` and `<!-- /name -->`.
///
/// # Errors
///
/// If a marker is missing.
pub(crate) fn replace(document: &str, name: &str, text: &str) -> Result<String, String> {
    let (start, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let (before, rest) = document
        .split_once(&start)
        .ok_or_else(|| format!("the marker {start} is missing"))?;
    let (_, after) = rest
        .split_once(&end)
        .ok_or_else(|| format!("the marker {end} is missing after {start}"))?;
    Ok(format!("{before}{start}\n{text}{end}{after}"))
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

fn percent(share: f64) -> String {
    format!("{} %", three_digits(share * 100.0))
}

/// Formats a number with three significant digits. Further digits would be noise.
fn three_digits(value: f64) -> String {
    let decimals = match value {
        ..0.01 => 4,
        0.01..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(target: Target, ratio: f64) -> RowResult {
        RowResult {
            number: "4",
            work: "mint".into(),
            ours: 612.4,
            references: vec![("pak".into(), 2_345.6), ("aks".into(), 13e6)],
            ratio: Some(ratio),
            target,
        }
    }

    #[test]
    fn a_row_shows_its_figures_and_whether_the_target_is_met() {
        let met = table(&[result(Target::Time(0.5), 0.261)], "a machine");
        assert!(
            met.contains(
                "| 4 | mint | 612 ns | pak: 2.35 µs; aks: 13.0 ms | 0.26× | ≤ 0.5× | met |\n"
            ),
            "{met}"
        );
        assert!(met.ends_with("\n\nMeasured on a machine.\n"), "{met}");
        let missed = table(&[result(Target::Rate(12.0), 11.96)], "");
        assert!(
            missed.contains("| 1633k/s | pak: 426k/s; aks: 76.9/s | 12.0× | ≥ 12× | missed |\n"),
            "{missed}"
        );
    }

    #[test]
    fn a_row_without_a_target_has_no_verdict() {
        let shown = table(&[result(Target::None, 0.261)], "");
        assert!(shown.contains("| 0.26× |  |  |\n"), "{shown}");
    }

    #[test]
    fn a_size_is_compared_with_its_target_directly() {
        let most = Target::Bytes(400.0);
        for (target, ours, cells) in [
            (most, 400.0, "| 400 bytes |  |  | ≤ 400 bytes | met |\n"),
            (most, 401.0, "| 401 bytes |  |  | ≤ 400 bytes | missed |\n"),
            (Target::Size, 401.0, "| 401 bytes |  |  |  |  |\n"),
        ] {
            let bytes = table(
                &[RowResult {
                    ours,
                    references: Vec::new(),
                    ratio: None,
                    ..result(target, 0.0)
                }],
                "",
            );
            assert!(bytes.contains(cells), "{bytes}");
        }
    }

    #[test]
    fn a_time_and_a_share_of_a_core_are_compared_with_their_targets_directly() {
        for (target, ours, cells) in [
            (
                Target::Duration(20e6),
                17.4e6,
                "| 17.4 ms |  |  | ≤ 20.0 ms | met |\n",
            ),
            (
                Target::Share(0.01),
                0.0123,
                "| 1.23 % |  |  | ≤ 1.00 % | missed |\n",
            ),
        ] {
            let shown = table(
                &[RowResult {
                    ours,
                    references: Vec::new(),
                    ratio: None,
                    ..result(target, 0.0)
                }],
                "",
            );
            assert!(shown.contains(cells), "{shown}");
        }
    }

    #[test]
    fn a_result_that_was_not_measured_has_no_ratio_and_no_verdict() {
        let missing = RowResult {
            ours: f64::NAN,
            ..result(Target::Time(0.5), f64::NAN)
        };
        let shown = table(&[missing], "");
        let cells = "| not measured | pak: 2.35 µs; aks: 13.0 ms |  | ≤ 0.5× |  |\n";
        assert!(shown.contains(cells), "{shown}");
    }

    #[test]
    fn only_the_text_between_the_markers_is_replaced() {
        let document = "a\n<!-- b -->\nold\n<!-- /b -->\n<!-- c -->\nkept\n<!-- /c -->\n";
        let once = replace(document, "b", "new\n").unwrap();
        assert_eq!(once, document.replace("old", "new"));
        assert_eq!(replace(&once, "b", "new\n").unwrap(), once);
    }

    #[test]
    fn a_document_without_a_marker_is_rejected() {
        for document in ["", "<!-- b -->", "<!-- /b --><!-- b -->"] {
            assert!(replace(document, "b", "new\n").is_err(), "{document}");
        }
    }
}
