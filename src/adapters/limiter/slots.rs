//! The slots of Redis Cluster: which one a key is in, and which server has it.

use redis::{ErrorKind, RedisError, RedisResult, Value};

use super::settings::RedisNode;

/// Slots of a cluster, as the [specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)
/// says.
pub(super) const SLOTS: u16 = 16_384;

/// The slot of all keys with this between their braces.
pub(super) fn slot_of(hash_tag: &str) -> u16 {
    crc16(hash_tag.as_bytes()) % SLOTS
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, from 0. Bit by bit: names of organizations are short.
fn crc16(bytes: &[u8]) -> u16 {
    let shifted = |crc: u16, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
    bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ (u16::from(*byte) << 8), shifted))
}

/// Slots in a row on one primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotRange {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) primary: RedisNode,
}

/// Reads the answer to `CLUSTER SLOTS` that `from` gave: first slot, last slot, primary, replicas; in order of slots.
pub(super) fn read_slots(answer: Value, from: &RedisNode) -> RedisResult<Vec<SlotRange>> {
    let unreadable = || RedisError::from((ErrorKind::UnexpectedReturnType, "CLUSTER SLOTS answers ranges"));
    let Value::Array(rows) = answer.extract_error()? else { return Err(unreadable()) };
    // More ranges than slots are no map.
    if rows.is_empty() || rows.len() > usize::from(SLOTS) {
        return Err(unreadable());
    }
    let mut ranges =
        rows.iter().map(|row| read_range(row, from)).collect::<Option<Vec<_>>>().ok_or_else(unreadable)?;
    ranges.sort_by_key(|range| range.first);
    Ok(ranges)
}

fn read_range(row: &Value, from: &RedisNode) -> Option<SlotRange> {
    let Value::Array(row) = row else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = row.as_slice() else {
        return None;
    };
    let [host, Value::Int(port), ..] = primary.as_slice() else { return None };
    let host = if let Value::BulkString(host) = host {
        std::str::from_utf8(host).ok()?.to_owned()
    } else {
        // `cluster-preferred-endpoint-type unknown-endpoint`: the host by which we came.
        (*host == Value::Nil).then(String::new)?
    };
    // A node that is to announce its name, and has none, announces this.
    let host = if host == "?" { String::new() } else { host };
    let primary = RedisNode { host, port: u16::try_from(*port).ok()? }.on_host_of(from);
    let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    (first <= last && last < SLOTS).then_some(SlotRange { first, last, primary })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of("user1000"), 3_443);
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())])
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn ranges_are_read_with_their_primaries_and_put_in_order() {
        let from = RedisNode { host: "seed".to_owned(), port: 1 };
        let row = |first, last, primary| {
            Value::Array(vec![Value::Int(first), Value::Int(last), primary, node(text("replica"), 9)])
        };
        let answer = Value::Array(vec![
            row(8192, 16383, node(Value::Nil, 6380)),
            row(0, 5, node(text("a"), 6379)),
            row(6, 8191, node(text("?"), 6381)),
        ]);
        let ranges = read_slots(answer, &from).unwrap();
        let shown: Vec<_> =
            ranges.iter().map(|range| (range.first, range.last, range.primary.to_string())).collect();
        let expected = [(0, 5, "a:6379"), (6, 8191, "seed:6381"), (8192, 16383, "seed:6380")];
        assert_eq!(shown, expected.map(|(first, last, node)| (first, last, node.to_owned())));
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let from = RedisNode { host: "seed".to_owned(), port: 1 };
        for rows in [
            vec![],
            vec![Value::Int(1)],
            vec![Value::Array(vec![Value::Int(0), Value::Int(16_384), node(text("a"), 1)])],
            vec![Value::Array(vec![Value::Int(2), Value::Int(1), node(text("a"), 1)])],
            vec![Value::Array(vec![Value::Int(0), Value::Int(1), node(text("a"), 70_000)])],
            vec![Value::Array(vec![Value::Int(0), Value::Int(1), node(Value::Int(1), 1)])],
        ] {
            assert!(read_slots(Value::Array(rows), &from).is_err());
        }
    }
}
