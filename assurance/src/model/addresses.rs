//! Sets of addresses, as ranges of numbers.

use std::net::IpAddr;

/// The addresses from `first` to `last`, which are both IPv6 addresses or both IPv4 addresses.
struct Range {
    is_ipv6: bool,
    first: u128,
    last: u128,
}

/// Whether a set of addresses and prefixes contains an address.
pub(super) fn contains(set: &str, address: &str) -> bool {
    let Range { is_ipv6, first, .. } = range(address);
    end_of_range(&ranges(set), is_ipv6, first).is_some()
}

/// Whether the set `outer` contains every address of `inner`.
pub(super) fn includes(outer: &str, inner: &str) -> bool {
    let outer = ranges(outer);
    ranges(inner).iter().all(|inner| {
        let mut next = inner.first;
        // Several ranges of the outer set together may contain one of the inner set.
        while let Some(end) = end_of_range(&outer, inner.is_ipv6, next) {
            if end >= inner.last {
                return true;
            }
            next = end + 1;
        }
        false
    })
}

/// The end of a range that contains an address.
fn end_of_range(ranges: &[Range], is_ipv6: bool, address: u128) -> Option<u128> {
    let containing = ranges
        .iter()
        .filter(|range| range.is_ipv6 == is_ipv6 && (range.first..=range.last).contains(&address));
    containing.map(|range| range.last).max()
}

fn ranges(set: &str) -> Vec<Range> {
    set.split(',').map(range).collect()
}

/// The range of an address or of a prefix without host bits.
fn range(text: &str) -> Range {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().expect("an address");
    let (is_ipv6, first, bits) = match address.to_canonical() {
        IpAddr::V4(address) => (false, u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (true, u128::from(address), 128),
    };
    let length = length.map_or(bits, |length| length.parse().expect("a length"));
    // A prefix of no bits of an IPv6 address contains 2 to the power of 128 addresses.
    let size = 1_u128.checked_shl(bits - length).unwrap_or_default();
    Range {
        is_ipv6,
        first,
        last: first + size.wrapping_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_the_addresses_of_its_ranges() {
        for (set, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("10.1.2.3,192.0.2.0/24", "192.0.2.255", "10.1.2.4"),
            ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
            ("::/0", "ffff::1", "10.0.0.1"),
        ] {
            assert!(contains(set, inside), "{set}: {inside}");
            assert!(!contains(set, outside), "{set}: {outside}");
        }
    }

    #[test]
    fn ranges_include_what_they_contain_together() {
        for (outer, inner) in [
            ("10.0.0.0/8", "10.1.0.0/16,10.2.3.4"),
            ("10.0.0.0/9,10.128.0.0/9", "10.0.0.0/8"),
            ("0.0.0.0/0,::/0", "::/0,10.0.0.0/8"),
        ] {
            assert!(includes(outer, inner), "{outer}: {inner}");
        }
        for (outer, inner) in [
            ("10.0.0.0/9", "10.0.0.0/8"),
            ("10.0.0.0/10,10.128.0.0/9", "10.0.0.0/8"),
            ("::/0", "10.0.0.1"),
        ] {
            assert!(!includes(outer, inner), "{outer}: {inner}");
        }
    }
}
