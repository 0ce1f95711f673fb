//! The lease by itself. Not beside it: the model check compiles that file over other primitives.

use std::time::Duration;

use super::Lease;
use crate::KeyId;

fn id() -> KeyId {
    KeyId::parse("key_0U5lKtf600000000").unwrap()
}

#[test]
fn holds_until_its_end_and_not_after() {
    let lease = Lease::lapsed();
    let stamp = lease.stamp(&id());
    assert!(!lease.holds(&id(), stamp));
    lease.extend(lease.now() + Duration::from_secs(3600));
    assert!(lease.holds(&id(), stamp));
    // It has ended before anybody can look.
    lease.extend(lease.now());
    assert!(!lease.holds(&id(), stamp));
    lease.extend(lease.now() + Duration::from_secs(3600));
    assert!(lease.holds(&id(), stamp));
    // However far, it has an end: only the store that nobody else can change has none.
    lease.extend(lease.now() + Duration::from_secs(1 << 40));
    assert!(lease.remaining().is_some());
    lease.end();
    assert_eq!(lease.remaining(), Some(Duration::ZERO));
    assert!(!lease.holds(&id(), stamp));
    assert_eq!(Lease::unlimited().remaining(), None);
}

#[test]
fn a_change_ends_what_was_copied_before_it() {
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
