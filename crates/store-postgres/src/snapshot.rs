//! Snapshots of transactions.

use std::iter;

/// The transactions that a statement saw, as `pg_current_snapshot()` returns them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot {
    /// All transactions before this number had ended.
    pub(crate) begin: u64,
    /// No transaction from this number on had begun when the snapshot was taken.
    pub(crate) end: u64,
    /// The transactions before it that were in progress.
    pub(crate) in_progress: Vec<u64>,
}

impl Snapshot {
    /// Parses `xmin:xmax:xip_list`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (begin, end, list) = (parts.next()?, parts.next()?, parts.next()?);
        let in_progress = list
            .split(',')
            .filter(|number| !number.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        Some(Self {
            begin: begin.parse().ok()?,
            end: end.parse().ok()?,
            in_progress,
        })
    }

    /// Returns the SQL conditions that each select a part of the rows of transactions that this
    /// snapshot did not see. `xid` is the column with the transaction of a row.
    pub(crate) fn unseen_conditions(&self) -> impl Iterator<Item = String> {
        let list: Vec<String> = self.in_progress.iter().map(u64::to_string).collect();
        let later = format!("xid >= '{}'", self.end);
        let earlier = format!("xid = ANY ('{{{}}}'::xid8[])", list.join(","));
        iter::once(later).chain((!list.is_empty()).then_some(earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_parsed_and_selects_the_transactions_that_it_did_not_see() {
        let snapshot = Snapshot::parse("10:20:10,14,15").unwrap();
        assert_eq!((snapshot.begin, snapshot.end), (10, 20));
        assert_eq!(snapshot.in_progress, [10, 14, 15]);
        let conditions: Vec<String> = snapshot.unseen_conditions().collect();
        let expected = ["xid >= '20'", "xid = ANY ('{10,14,15}'::xid8[])"];
        assert_eq!(conditions, expected);
        let idle = Snapshot::parse("10:10:").unwrap();
        assert!(idle.unseen_conditions().eq(["xid >= '10'"]));
    }

    #[test]
    fn a_malformed_snapshot_is_rejected() {
        for bad in ["", "1", "1:2", "a:b:c", "a:2:", "1:2:x", "1:-2:"] {
            assert_eq!(Snapshot::parse(bad), None, "{bad}");
        }
    }
}
