//! Which hash slot a name belongs to.

/// Number of hash slots, as Redis Cluster fixes it.
pub(crate) const SLOTS: u16 = 16384;

/// The slot of a name: that of what stands in its first braces, if there is anything, or else of all
/// of it ([Redis Cluster specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags)).
pub(crate) fn of(name: &[u8]) -> u16 {
    crc16(tag(name)) % SLOTS
}

fn tag(name: &[u8]) -> &[u8] {
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
        // What `CLUSTER KEYSLOT` of a Redis 7 answers.
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
