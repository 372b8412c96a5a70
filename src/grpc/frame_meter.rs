//! A budget of HTTP/2 frames that ask for nothing: pings, settings, window updates, resets, crumbs of data.
//!
//! `h2` bounds what such frames make it keep, not how many of them a peer has it read and answer. Each costs the sender
//! a dozen bytes and us a parse, often an answer. So they are counted here, before `h2` sees them: a call brings along
//! more of them than any client needs for it, each message that we send brings some, as clients answer it by window
//! updates and pings, and beyond those a connection has a few in a second.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Frames in hand at the beginning, and at most: room for a client that resets all its streams and opens them anew
/// several times over.
const BURST: u32 = 1000;
/// Frames that come back in a second: pings and window updates of long streams need a handful.
const PER_SECOND: u32 = 50;
/// Frames that come back with each HEADERS. A call needs about five: its data, a window update or two, a ping to
/// measure the line, a reset.
const PER_HEADERS: u32 = 20;
/// Frames that come back with each frame of data that we send: gRPC for Go answers it by a window update for its stream
/// and one for the connection, and by a ping that measures the line, if none is under way.
const PER_DATA_SENT: u32 = 4;
/// Of those at most so many are kept: a client that stood still answers what came meanwhile all at once.
const MOST_FOR_DATA_SENT: u32 = 10_000;
/// Data beyond this goes out in another frame: the size that every peer takes.
const DATA_BYTES_OF_A_FRAME: usize = 16 * 1024;
/// A DATA frame of fewer bytes is a crumb, unless it is the last of its stream.
const CRUMB_BYTES: u32 = 64;
/// A frame that asks for nothing counts once more for each of these bytes.
const PAYLOAD_BYTES_OF_A_FRAME: u32 = 1024;

/// How an HTTP/2 connection begins; HTTP/1.1 begins otherwise and has no frames to count.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What the meter of a connection tells to those who serve it, and they to it.
#[derive(Debug, Default)]
pub(super) struct Dial {
    flooded: AtomicBool,
    between_frames: AtomicBool,
    /// Frames that came back for data that we sent, spent when none are in hand.
    earned: AtomicU32,
}

impl Dial {
    /// Whether the connection ended for a flood.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// Whether the peer has begun HTTP/2 and is in the middle of nothing: neither of a frame nor of a request's head.
    pub(super) fn is_between_frames(&self) -> bool {
        self.between_frames.load(Ordering::Relaxed)
    }

    /// So many bytes of data go out.
    pub(super) fn sends(&self, bytes: usize) {
        let frames = u32::try_from(bytes / DATA_BYTES_OF_A_FRAME).unwrap_or(BURST).min(BURST) + 1;
        if self.earned.load(Ordering::Relaxed) < MOST_FOR_DATA_SENT {
            self.earned.fetch_add(frames * PER_DATA_SENT, Ordering::Relaxed);
        }
    }

    /// Spends what came back for data. The meter alone does, so what it sees is there.
    fn spend(&self, cost: u32) -> Result<(), Flood> {
        if self.earned.load(Ordering::Relaxed) < cost {
            return Err(Flood);
        }
        self.earned.fetch_sub(cost, Ordering::Relaxed);
        Ok(())
    }
}

/// Too many frames that ask for nothing.
#[derive(Debug, PartialEq, Eq)]
struct Flood;

/// Where in the stream of bytes we are.
#[derive(Debug)]
enum At {
    /// So many bytes of the preface have come.
    Preface(usize),
    /// So many bytes of a frame's head have come.
    Head([u8; HEAD_BYTES], usize),
    /// So many bytes of a frame's payload are still to come.
    Payload(usize),
    /// A frame is whole, and nothing of the next one has come.
    Between,
    /// Not HTTP/2.
    Uncounted,
}

/// Counts the frames of a connection from its first byte on.
#[derive(Debug)]
struct FrameMeter {
    at: At,
    /// A request's head has begun, and its last frame has not come.
    in_head: bool,
    left: u32,
    refilled: Instant,
    dial: Arc<Dial>,
}

impl FrameMeter {
    fn new(now: Instant) -> Self {
        Self { at: At::Preface(0), in_head: false, left: BURST, refilled: now, dial: Arc::default() }
    }

    /// Whether a frame was whole, and the next one has not begun. The first one is SETTINGS: `h2` sees to that.
    const fn is_between_frames(&self) -> bool {
        match self.at {
            At::Between => !self.in_head,
            At::Preface(_) | At::Head(..) | At::Payload(_) | At::Uncounted => false,
        }
    }

    /// Takes bytes as they come, cut anywhere. `now` is asked when the frames in hand are spent.
    fn feed(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let taken = match &mut self.at {
                At::Uncounted => return Ok(()),
                At::Preface(seen) => {
                    let expected = &PREFACE[*seen..];
                    let length = expected.len().min(bytes.len());
                    *seen += length;
                    if bytes[..length] != expected[..length] {
                        self.at = At::Uncounted;
                    } else if *seen == PREFACE.len() {
                        self.at = At::Head([0; HEAD_BYTES], 0);
                    }
                    length
                }
                At::Between => {
                    self.at = At::Head([0; HEAD_BYTES], 0);
                    0
                }
                At::Head(head, seen) => {
                    let length = (HEAD_BYTES - *seen).min(bytes.len());
                    head[*seen..*seen + length].copy_from_slice(&bytes[..length]);
                    *seen += length;
                    if *seen == HEAD_BYTES {
                        let head = *head;
                        let payload = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                        self.at = after_head(payload);
                        self.count(head[3], head[4], payload, &now)?;
                    }
                    length
                }
                At::Payload(left) => {
                    let length = (*left).min(bytes.len());
                    *left -= length;
                    if *left == 0 {
                        self.at = At::Between;
                    }
                    length
                }
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn count(&mut self, kind: u8, flags: u8, payload: u32, now: impl Fn() -> Instant) -> Result<(), Flood> {
        if kind == HEADERS || kind == CONTINUATION {
            self.in_head = flags & END_HEADERS == 0;
        }
        let cost = match kind {
            HEADERS => {
                self.left = (self.left + PER_HEADERS).min(BURST);
                return Ok(());
            }
            DATA if flags & END_STREAM != 0 || payload >= CRUMB_BYTES => return Ok(()),
            _ => 1 + payload / PAYLOAD_BYTES_OF_A_FRAME,
        };
        if self.left < cost {
            self.refill(now());
        }
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None => self.dial.spend(cost)?,
        }
        Ok(())
    }

    fn refill(&mut self, now: Instant) {
        let millis = now.saturating_duration_since(self.refilled).as_millis();
        let back = u32::try_from(millis * u128::from(PER_SECOND) / 1000).unwrap_or(BURST);
        // What is less than one frame is not lost.
        if back > 0 {
            self.left = self.left.saturating_add(back).min(BURST);
            self.refilled = now;
        }
    }
}

const fn after_head(payload: u32) -> At {
    if payload == 0 { At::Between } else { At::Payload(payload as usize) }
}

/// A stream of bytes that ends in an error when its peer floods it.
pub(super) struct Metered<S> {
    stream: S,
    meter: FrameMeter,
}

impl<S> Metered<S> {
    /// Counts what comes from `stream`.
    pub(super) fn new(stream: S) -> (Self, Arc<Dial>) {
        let meter = FrameMeter::new(Instant::now());
        let dial = Arc::clone(&meter.dial);
        (Self { stream, meter }, dial)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let fed = this.meter.feed(&buffer.filled()[before..], Instant::now);
        this.meter.dial.between_frames.store(this.meter.is_between_frames(), Ordering::Relaxed);
        if fed.is_err() {
            this.meter.dial.flooded.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other("too many frames that ask for nothing")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PING: u8 = 6;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + payload, 0);
        frame
    }

    fn meter(now: Instant) -> FrameMeter {
        let mut meter = FrameMeter::new(now);
        meter.feed(PREFACE, || now).unwrap();
        meter
    }

    /// How many of these frames pass, of 5000.
    fn passed(meter: &mut FrameMeter, frame: &[u8], now: Instant) -> u32 {
        (0..5000).find(|_| meter.feed(frame, || now).is_err()).unwrap_or(5000)
    }

    #[test]
    fn frames_pass_until_the_burst_is_spent_and_then_as_many_as_come_back_in_a_second() {
        let begin = Instant::now();
        let mut meter = meter(begin);
        // Without a payload: what follows a frame that was one too many is not read, and no connection goes on after it.
        let settings = frame(SETTINGS, 0, 0);
        assert_eq!(passed(&mut meter, &settings, begin), BURST);
        assert_eq!(passed(&mut meter, &settings, begin + Duration::from_secs(1)), PER_SECOND);
        assert_eq!(passed(&mut meter, &settings, begin + Duration::from_hours(1)), BURST, "and never more");
    }

    #[test]
    fn a_client_that_calls_is_never_a_flood() {
        let begin = Instant::now();
        let mut meter = meter(begin);
        let mut call = frame(HEADERS, 4, 200);
        for each in [frame(DATA, 0, 5), frame(DATA, END_STREAM, 300), frame(8, 0, 4), frame(8, 0, 4)] {
            call.extend(each);
        }
        for each in [frame(PING, 0, 8), frame(PING, 1, 8), frame(RST_STREAM, 0, 4)] {
            call.extend(each);
        }
        assert_eq!(passed(&mut meter, &call, begin), 5000);
    }

    #[test]
    fn a_client_that_answers_what_we_send_is_never_a_flood() {
        let begin = Instant::now();
        let mut meter = meter(begin);
        let update = frame(8, 0, 4);
        let answer = [update.clone(), update, frame(PING, 0, 8), frame(PING, 1, 8)].concat();
        for number in 0..5000 {
            meter.dial.sends(100);
            assert_eq!(meter.feed(&answer, || begin), Ok(()), "answer {number}");
        }
        // What is sent in many frames is answered as often.
        meter.dial.sends(4_000_000);
        assert!(passed(&mut meter, &answer, begin) >= 4_000_000 / (16 * 1024));
    }

    #[test]
    fn what_comes_back_for_what_we_send_has_a_bound() {
        let begin = Instant::now();
        let mut meter = meter(begin);
        for _ in 0..5000 {
            meter.dial.sends(100);
        }
        let settings = frame(SETTINGS, 0, 0);
        let passed = (0..20_000).find(|_| meter.feed(&settings, || begin).is_err());
        assert_eq!(passed, Some(BURST + MOST_FOR_DATA_SENT), "those in hand, and those that came back");
    }

    #[test]
    fn who_has_begun_and_is_in_the_middle_of_nothing_is_known() {
        let begin = Instant::now();
        let mut meter = FrameMeter::new(begin);
        let mut after = |bytes: &[u8]| {
            meter.feed(bytes, || begin).unwrap();
            meter.is_between_frames()
        };
        assert!(!after(PREFACE), "SETTINGS belong to the beginning");
        let settings = frame(SETTINGS, 0, 6);
        assert!(!after(&settings[..4]) && !after(&settings[4..10]));
        assert!(after(&settings[10..]));
        assert!(!after(&frame(HEADERS, 0, 20)), "half a head");
        assert!(!after(&frame(CONTINUATION, 0, 20)));
        assert!(after(&frame(CONTINUATION, END_HEADERS, 20)));
        assert!(after(&frame(SETTINGS, 1, 0)));
        let mut http_1 = FrameMeter::new(begin);
        http_1.feed(b"GET / HTTP/1.1\r\n\r\n", || begin).unwrap();
        assert!(!http_1.is_between_frames());
    }

    #[test]
    fn crumbs_of_data_are_counted_and_slices_and_ends_are_not() {
        let begin = Instant::now();
        assert_eq!(passed(&mut meter(begin), &frame(DATA, 0, 1), begin), BURST);
        assert_eq!(passed(&mut meter(begin), &frame(DATA, 0, 0), begin), BURST);
        assert_eq!(passed(&mut meter(begin), &frame(DATA, END_STREAM, 1), begin), 5000);
        assert_eq!(passed(&mut meter(begin), &frame(DATA, 0, 1024), begin), 5000);
    }

    #[test]
    fn a_frame_that_asks_for_nothing_counts_by_its_size() {
        let begin = Instant::now();
        assert_eq!(passed(&mut meter(begin), &frame(SETTINGS, 0, 9 * 1024), begin), BURST / 10);
    }

    #[test]
    fn bytes_may_be_cut_anywhere() {
        let begin = Instant::now();
        let mut stream = PREFACE.to_vec();
        for _ in 0..=BURST {
            stream.extend(frame(PING, 0, 8));
        }
        for size in [1, 2, 7, 1000, stream.len()] {
            let mut meter = FrameMeter::new(begin);
            let mut fed = stream.chunks(size).map(|bytes| meter.feed(bytes, || begin));
            assert!(fed.any(|result| result.is_err()), "cut every {size} bytes");
        }
        let mut meter = FrameMeter::new(begin);
        assert_eq!(meter.feed(&stream[..stream.len() - 17], || begin), Ok(()), "one frame fewer");
    }

    #[test]
    fn http_1_is_not_counted() {
        let begin = Instant::now();
        let mut meter = FrameMeter::new(begin);
        meter.feed(b"PRI is no method of HTTP/1.1", || begin).unwrap();
        assert_eq!(passed(&mut meter, &[0; 4096], begin), 5000);
    }
}
