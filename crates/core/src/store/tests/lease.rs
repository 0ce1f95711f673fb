//! Tests of the lease.

use std::time::Duration;

use crate::{KeyId, store::Lease};

fn id() -> KeyId {
    KeyId::parse("key_0U5lKtf600000000").unwrap()
}

#[test]
fn a_lease_holds_until_its_end_and_not_after() {
    let lease = Lease::lapsed();
    let stamp = lease.stamp(&id());
    assert!(!lease.holds(&id(), stamp));
    lease.extend(lease.now() + Duration::from_secs(3600));
    assert!(lease.holds(&id(), stamp));
    // The lease ends as soon as it is extended.
    lease.extend(lease.now());
    assert!(!lease.holds(&id(), stamp));
    lease.extend(lease.now() + Duration::from_secs(3600));
    assert!(lease.holds(&id(), stamp));
    // However late its end, the lease has one. Only an unlimited lease has none.
    lease.extend(lease.now() + Duration::from_secs(1 << 40));
    assert!(lease.remaining().is_some());
    lease.end();
    assert_eq!(lease.remaining(), Some(Duration::ZERO));
    assert!(!lease.holds(&id(), stamp));
    assert_eq!(Lease::unlimited().remaining(), None);
}

#[test]
fn a_change_invalidates_copies_that_were_taken_before_it() {
    let lease = Lease::unlimited();
    for change in [
        |lease: &Lease| lease.changed(&id()),
        |lease: &Lease| lease.changed_all(),
    ] {
        let stamp = lease.stamp(&id());
        assert!(lease.holds(&id(), stamp));
        change(&lease);
        assert!(!lease.holds(&id(), stamp));
        assert!(lease.holds(&id(), lease.stamp(&id())));
    }
}
