//! When the answer must be there: the caller's `grpc-timeout`, within bounds.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;
use tonic::Status;

use super::status::{self, FaultReason, FieldFault};

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The bounds of deadlines.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For callers that set none.
    pub default: Duration,
    /// However long a caller would wait.
    pub max: Duration,
}

impl Default for Deadlines {
    /// 5 s, as the proto files advise for the slowest rpc; 30 s at most, so that no call outlives a drain.
    fn default() -> Self {
        Self { default: Duration::from_secs(5), max: Duration::from_secs(30) }
    }
}

impl Deadlines {
    /// The deadline of a call that came in at `now`.
    ///
    /// # Errors
    /// `INVALID_REQUEST` if the header is not 1 to 8 digits and a unit.
    pub fn read(&self, headers: &HeaderMap, now: Instant) -> Result<Instant, Status> {
        let Some(value) = headers.get(TIMEOUT) else { return Ok(now + self.default.min(self.max)) };
        let timeout = parse(value.as_bytes()).ok_or_else(|| {
            status::invalid_request(&[FieldFault {
                field: "grpc-timeout",
                reason: FaultReason::Malformed,
                description: "the header is 1 to 8 digits and a unit of H, M, S, m, u or n",
            }])
        })?;
        Ok(now + timeout.min(self.max))
    }
}

/// `TimeoutValue TimeoutUnit` of the gRPC over HTTP/2 protocol.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0_u64, |count, digit| count * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        let cases: [(&str, Option<Duration>); 11] = [
            ("1S", Some(Duration::from_secs(1))),
            ("50m", Some(Duration::from_millis(50))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("0n", Some(Duration::ZERO)),
            ("7u", Some(Duration::from_micros(7))),
            ("2M", Some(Duration::from_mins(2))),
            ("123456789S", None),
            ("S", None),
            ("-1S", None),
            ("1s", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn no_deadline_is_later_than_the_greatest() {
        let now = Instant::now();
        let deadlines = Deadlines::default();
        let mut headers = HeaderMap::new();
        assert_eq!(deadlines.read(&headers, now).unwrap(), now + Duration::from_secs(5));
        headers.insert(TIMEOUT, "99999999H".parse().unwrap());
        assert_eq!(deadlines.read(&headers, now).unwrap(), now + Duration::from_secs(30));
    }
}
