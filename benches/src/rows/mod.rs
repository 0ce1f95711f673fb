//! The rows of the tables: the subjects, their references and their targets.

mod compared;
mod measured;

use std::borrow::Cow;

pub(crate) use self::{
    compared::ROWS,
    measured::{cold_start, scaling, sizes},
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

/// The figures of a row. Times are in nanoseconds. There is no ratio without a reference. A figure
/// that was not measured is NaN.
pub(crate) struct RowResult {
    pub(crate) number: &'static str,
    pub(crate) work: Cow<'static, str>,
    pub(crate) ours: f64,
    pub(crate) references: Vec<(Cow<'static, str>, f64)>,
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Target,
}

/// The numbers of the rows that fill a disk or use the whole machine for long.
const WHOLE_MACHINE: [&str; 4] = ["13", "18", "19", "20"];

impl RowResult {
    /// Whether the row belongs to the second table.
    pub(crate) fn is_of_whole_machine(&self) -> bool {
        WHOLE_MACHINE.contains(&self.number)
    }
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
