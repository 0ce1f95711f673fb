//! The hash slot of a name.

/// The number of hash slots in Redis Cluster.
pub(crate) const SLOTS: u16 = 16384;

/// Returns the slot of a name.
///
/// If the first pair of braces is not empty, only the text in it is hashed ([Redis Cluster
/// specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags)).
pub(crate) fn of(name: &[u8]) -> u16 {
    crc16(hash_tag(name)) % SLOTS
}

fn hash_tag(name: &[u8]) -> &[u8] {
    let inside = name
        .iter()
        .position(|byte| *byte == b'{')
        .and_then(|open| name.get(open + 1..))
        .and_then(|rest| {
            let close = rest.iter().position(|byte| *byte == b'}')?;
            rest.get(..close)
        });
    match inside {
        Some(tag) if !tag.is_empty() => tag,
        _ => name,
    }
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // The replies of Redis 7 to `CLUSTER KEYSLOT`.
        for (name, slot) in [
            ("foo", 12182),
            ("kw:r:{abc}:0U5lKtf6abc00000", 7638),
            ("{}foo", 9500),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
            ("", 0),
        ] {
            assert_eq!(of(name.as_bytes()), slot, "{name}");
        }
        assert_eq!(of(b"kw:u:{abc}:x"), of(b"abc"));
    }
}
