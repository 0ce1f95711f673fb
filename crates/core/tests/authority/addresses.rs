//! An independent model of sets of addresses, which compares two sets by trying each address.

use std::net::{IpAddr, Ipv4Addr};

use keywright_core::AllowedIps;

/// Sets of addresses, and which of [`ADDRESSES`] each contains.
const SETS: [(&str, [bool; 5]); 5] = [
    ("10.0.0.0/8", [true, true, true, false, false]),
    ("10.1.0.0/16", [true, true, false, false, false]),
    ("10.1.2.3", [true, false, false, false, false]),
    ("192.0.2.0/24", [false, false, false, true, false]),
    ("10.1.0.0/16,192.0.2.0/24", [true, true, false, true, false]),
];

/// Addresses that distinguish the sets. The last is in none of them.
const ADDRESSES: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
    IpAddr::V4(Ipv4Addr::new(10, 1, 9, 9)),
    IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
];

pub(crate) fn sets() -> Vec<AllowedIps> {
    SETS.map(|(text, _)| text.parse().unwrap()).to_vec()
}

/// Returns each address and whether the set contains it.
pub(crate) fn membership(set: Option<&AllowedIps>) -> impl Iterator<Item = (IpAddr, bool)> {
    let contained = set.map_or([true; 5], |set| {
        let text = set.to_string();
        let entry = SETS.iter().find(|(name, _)| *name == text);
        entry.unwrap().1
    });
    ADDRESSES.into_iter().zip(contained)
}

/// Returns an address in the set.
pub(crate) fn inside(set: Option<&AllowedIps>) -> IpAddr {
    let mut inside = membership(set).filter(|(_, contained)| *contained);
    inside.next().unwrap().0
}

/// Whether `outer` contains each address that `inner` contains.
pub(crate) fn includes(outer: Option<&AllowedIps>, inner: Option<&AllowedIps>) -> bool {
    let pairs = membership(outer).zip(membership(inner));
    pairs
        .into_iter()
        .all(|((_, outer), (_, inner))| outer || !inner)
}
