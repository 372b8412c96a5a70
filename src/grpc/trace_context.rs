//! The trace that a caller's call belongs to: `traceparent` and `tracestate` of the W3C, strictly read and bounded.
//!
//! What is malformed is as if it were not there: a trace is never a reason to refuse a call.

use http::{HeaderMap, HeaderName};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of version 00; later versions begin like it.
const PARENT_BYTES: usize = 55;

/// A longer `tracestate` is left out: the W3C asks for 512 bytes to be passed on, and no vendor needs more.
const LONGEST_STATE_BYTES: usize = 512;

/// The span that the call was made in, if the headers tell one.
pub(super) fn read(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (parent, None) = (parents.next()?, parents.next()) else { return None };
    let (trace, span, flags) = parse(parent.as_bytes())?;
    let parent = SpanContext::new(trace, span, flags, true, state(headers));
    parent.is_valid().then_some(parent)
}

/// `version "-" trace-id "-" parent-id "-" trace-flags`, lower-case hexadecimal.
fn parse(text: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, rest) = text.split_at_checked(PARENT_BYTES)?;
    let version = number::<1>(known.get(..2)?)?[0];
    let is_whole = match version {
        0 => rest.is_empty(),
        0xff => false,
        // A later version may say more, behind a dash.
        _ => rest.first().is_none_or(|next| *next == b'-'),
    };
    let parted = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
    if !is_whole || !parted {
        return None;
    }
    let trace = TraceId::from_bytes(number(known.get(3..35)?)?);
    let span = SpanId::from_bytes(number(known.get(36..52)?)?);
    let flags = TraceFlags::new(number::<1>(known.get(53..55)?)?[0]);
    // Of the flags one has a meaning to us.
    Some((trace, span, TraceFlags::default().with_sampled(flags.is_sampled())))
}

/// Bytes from lower-case hexadecimal of exactly their length.
fn number<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = digits else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// What vendors keep beside the parent; nothing if it is malformed or too long.
fn state(headers: &HeaderMap) -> TraceState {
    let mut whole = String::new();
    for part in headers.get_all(TRACESTATE) {
        let Ok(part) = part.to_str() else { return TraceState::default() };
        if whole.len() + 1 + part.len() > LONGEST_STATE_BYTES {
            return TraceState::default();
        }
        if !whole.is_empty() {
            whole.push(',');
        }
        whole.push_str(part);
    }
    whole.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read_from(headers: &[(HeaderName, &str)]) -> Option<SpanContext> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        read(&map)
    }

    #[test]
    fn a_parent_is_read_with_its_flag_and_state() {
        let found = read_from(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")]).unwrap();
        assert_eq!(found.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(found.span_id().to_string(), "b7ad6b7169203331");
        assert!(found.is_sampled() && found.is_remote());
        assert_eq!(found.trace_state().header(), "a=1,b=2");
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let parent = format!("{}{flags}", &PARENT[..53]);
            let found = read_from(&[(TRACEPARENT, &parent)]).unwrap();
            assert_eq!(found.is_sampled(), sampled, "{flags}");
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = format!("cc{}", &PARENT[2..]);
        assert!(read_from(&[(TRACEPARENT, &later)]).is_some());
        assert!(read_from(&[(TRACEPARENT, &format!("{later}-what-comes"))]).is_some());
        assert!(read_from(&[(TRACEPARENT, &format!("{later}.what-comes"))]).is_none());
    }

    #[test]
    fn what_is_malformed_is_not_there() {
        let upper = PARENT.to_uppercase();
        let longer = format!("{PARENT}-00");
        let version = format!("ff{}", &PARENT[2..]);
        for bad in [
            "",
            "00",
            &PARENT[..54],
            &longer,
            &upper,
            &version,
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        ] {
            assert!(read_from(&[(TRACEPARENT, bad)]).is_none(), "{bad}");
        }
        assert!(read_from(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]).is_none(), "two parents");
        assert!(read_from(&[]).is_none());
    }

    #[test]
    fn a_state_that_is_malformed_or_too_long_is_left_out_alone() {
        let long = format!("a={}", "x".repeat(511));
        for bad in ["no member", "A B=1", &long] {
            let found = read_from(&[(TRACEPARENT, PARENT), (TRACESTATE, bad)]).unwrap();
            assert_eq!(found.trace_state().header(), "", "{bad}");
        }
    }
}
