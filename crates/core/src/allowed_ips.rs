//! The addresses from which a key may be used.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The networks from which a key may be used: 1 to 32 addresses and CIDR prefixes, in ascending
/// order.
///
/// IPv4-mapped IPv6 addresses count as IPv4 addresses, both in the set and in
/// [`contains`](Self::contains). So `::/0` contains no IPv4 address. To allow every address, list
/// both `0.0.0.0/0` and `::/0`.
///
/// ```
/// use keywright_core::AllowedIps;
///
/// let office: AllowedIps = "192.0.2.7,2001:db8::/32".parse()?;
/// assert!(office.contains("192.0.2.7".parse()?));
/// assert!(office.contains("::ffff:192.0.2.7".parse()?));
/// assert!(!office.contains("192.0.2.8".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
// Not `Arc<[IpNet]>`, because one word is enough in each cached key.
pub struct AllowedIps(Arc<Vec<IpNet>>);

impl AllowedIps {
    /// The maximum number of addresses and prefixes.
    pub const MAX_COUNT: usize = 32;

    /// Parses addresses and CIDR prefixes. Duplicates count once.
    ///
    /// # Errors
    ///
    /// [`AllowedIpsError`] if there are no entries or too many, or if one of them is not valid.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, AllowedIpsError> {
        let mut set = Vec::new();
        for text in networks {
            if set.len() == Self::MAX_COUNT {
                return Err(AllowedIpsError::Count);
            }
            set.push(network(text)?);
        }
        if set.is_empty() {
            return Err(AllowedIpsError::Count);
        }
        set.sort();
        set.dedup();
        set.shrink_to_fit();
        Ok(Self(Arc::new(set)))
    }

    /// Whether an address is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether every address of `other` is in one of the networks.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // Together, two networks may contain a third that neither contains alone.
        let merged = IpNet::aggregate(&self.0);
        let is_covered = |network| merged.iter().any(|outer| outer.contains(network));
        other.0.iter().all(is_covered)
    }

    /// Whether every address of `inner` is one of `outer`. `None` contains every address, as in the
    /// fields of a [`Key`](crate::Key) and a [`Caller`](crate::Caller).
    #[must_use]
    pub fn includes(outer: Option<&Self>, inner: Option<&Self>) -> bool {
        match (outer, inner) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(outer), Some(inner)) => outer.covers(inner),
        }
    }

    /// Returns the addresses that both sets contain. `None` if there are none, or if it takes more
    /// than [`MAX_COUNT`](Self::MAX_COUNT) prefixes to list them.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        // Of two prefixes that overlap, one contains the other.
        let within = |inner: &Self, outer: &Self| -> Vec<IpNet> {
            let is_within = |network: &&IpNet| outer.0.iter().any(|net| net.contains(*network));
            inner.0.iter().filter(is_within).copied().collect()
        };
        let mut common = within(self, other);
        common.extend(within(other, self));
        common.sort();
        common.dedup();
        (1..=Self::MAX_COUNT)
            .contains(&common.len())
            .then(|| Self(Arc::new(common)))
    }

    /// Returns the addresses and prefixes as text, in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = impl fmt::Display> {
        self.0.iter().copied().map(Network)
    }
}

/// A network, displayed without a length if it contains a single address.
struct Network(IpNet);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

/// Parses an address or a CIDR prefix.
fn network(text: &str) -> Result<IpNet, AllowedIpsError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = text.parse().map_err(|_| AllowedIpsError::Malformed)?;
    let network = canonical(network);
    if network != network.trunc() {
        return Err(AllowedIpsError::HostBits {
            meant: network.trunc().to_string().into(),
        });
    }
    Ok(network)
}

/// Converts a prefix of IPv4-mapped addresses into one of IPv4 addresses.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(v6) = network else {
        return network;
    };
    let mapped = v6
        .addr()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(MAPPED));
    mapped
        .and_then(|(address, length)| Ipv4Net::new(address, length).ok())
        .map_or(network, IpNet::V4)
}

impl fmt::Display for AllowedIps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.iter().enumerate() {
            write!(f, "{}{network}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for AllowedIps {
    type Err = AllowedIpsError;

    /// Parses addresses and prefixes separated by commas.
    fn from_str(text: &str) -> Result<Self, AllowedIpsError> {
        Self::parse(text.split(','))
    }
}

impl Serialize for AllowedIps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|network| network.to_string()))
    }
}

impl<'de> Deserialize<'de> for AllowedIps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A serde error would quote a value that is not a list, and that value may be a token.
        let networks = Vec::<String>::deserialize(deserializer)
            .map_err(|_| de::Error::custom(AllowedIpsError::Malformed))?;
        Self::parse(networks.iter().map(String::as_str)).map_err(de::Error::custom)
    }
}

/// An error from parsing [`AllowedIps`]. Does not repeat the text, which may be a token that was
/// sent in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AllowedIpsError {
    /// The set is empty or has more than [`AllowedIps::MAX_COUNT`] entries.
    #[error("allowed_ips must be 1 to 32 addresses or CIDR prefixes")]
    Count,
    /// A text is neither an IP address nor a CIDR prefix.
    #[error("allowed_ips must be IP addresses such as 192.0.2.7 or prefixes such as 192.0.2.0/24")]
    Malformed,
    /// The address of a prefix has bits after the prefix.
    #[error(
        "a prefix in allowed_ips has bits set after its length: write {meant}, or a single address without a length"
    )]
    HostBits {
        /// The prefix without these bits.
        meant: Box<str>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> AllowedIps {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_and_prefixes_are_sorted_and_mapped_addresses_become_ipv4() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("2001:db8::/32,10.0.0.1,10.0.0.1", "10.0.0.1,2001:db8::/32"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::1", "::1"),
            ("0.0.0.0/0,::/0", "0.0.0.0/0,::/0"),
        ] {
            assert_eq!(parse(text).to_string(), expected, "{text}");
            let json = serde_json::to_string(&parse(text)).unwrap();
            let read: AllowedIps = serde_json::from_str(&json).unwrap();
            assert_eq!(read, parse(text), "{json}");
        }
    }

    #[test]
    fn invalid_addresses_are_rejected_and_host_bits_name_the_prefix() {
        use AllowedIpsError::{Count, HostBits, Malformed};
        let many = |count: usize| {
            let texts: Vec<_> = (0..count)
                .map(|number| format!("10.0.0.{number}"))
                .collect();
            texts.join(",").parse::<AllowedIps>().map(drop)
        };
        assert_eq!(many(32), Ok(()));
        assert_eq!(many(33), Err(Count));
        assert_eq!(AllowedIps::parse([]), Err(Count));
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "x",
            "10.0.0.0/-1",
            " 10.0.0.1",
            "fe80::1%eth0",
        ] {
            assert_eq!(text.parse::<AllowedIps>(), Err(Malformed), "{text}");
        }
        for (text, meant) in [
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1/104", "10.0.0.0/8"),
        ] {
            let error = text.parse::<AllowedIps>().unwrap_err();
            assert_eq!(
                error,
                HostBits {
                    meant: meant.into()
                }
            );
            assert!(error.to_string().contains(meant), "{error}");
        }
    }

    #[test]
    fn a_set_contains_the_addresses_of_its_networks() {
        let set = parse("10.0.0.0/8,2001:db8::/32");
        for inside in ["10.255.0.1", "::ffff:10.1.2.3", "2001:db8:1::1"] {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.0", "::ffff:11.0.0.0", "2001:db9::", "::10.1.2.3"] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn a_set_covers_what_its_networks_contain_together() {
        for (outer, inner) in [
            ("10.0.0.0/8", "10.1.0.0/16,10.2.3.4"),
            ("10.0.0.0/9,10.128.0.0/9", "10.0.0.0/8"),
            ("0.0.0.0/0", "192.0.2.1"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert!(parse(outer).covers(&parse(inner)), "{outer} covers {inner}");
        }
        for (outer, inner) in [
            ("10.1.0.0/16", "10.0.0.0/8"),
            ("10.0.0.0/8", "10.1.0.0/16,11.0.0.1"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "10.0.0.1"),
        ] {
            assert!(
                !parse(outer).covers(&parse(inner)),
                "{outer} does not cover {inner}"
            );
        }
    }
}
