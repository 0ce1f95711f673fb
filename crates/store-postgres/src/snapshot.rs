//! Snapshots of transactions.

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

    /// Returns the SQL condition that selects the rows of transactions that this snapshot did not
    /// see. `xid` is the column with the transaction of a row.
    pub(crate) fn unseen_condition(&self) -> String {
        let list: Vec<String> = self.in_progress.iter().map(u64::to_string).collect();
        format!(
            "(xid >= '{}' OR xid = ANY ('{{{}}}'::xid8[]))",
            self.end,
            list.join(",")
        )
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
        assert_eq!(
            snapshot.unseen_condition(),
            "(xid >= '20' OR xid = ANY ('{10,14,15}'::xid8[]))"
        );
        let idle = Snapshot::parse("10:10:").unwrap();
        assert_eq!(
            idle.unseen_condition(),
            "(xid >= '10' OR xid = ANY ('{}'::xid8[]))"
        );
    }

    #[test]
    fn a_malformed_snapshot_is_rejected() {
        for bad in ["", "1", "1:2", "a:b:c", "a:2:", "1:2:x", "1:-2:"] {
            assert_eq!(Snapshot::parse(bad), None, "{bad}");
        }
    }
}
