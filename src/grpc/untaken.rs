//! Answers that their peer does not take: a window of zero, or one that opens byte by byte.
//!
//! A peer that answers pings keeps its connection, and with it each answer that it has asked for. So a connection is
//! asked from time to time whether an answer has made no progress since the last time but one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::body::Body;

use super::frame_meter::Dial;

/// Answers of a connection that wait for their peer, by the turn in which they began to.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    turn: AtomicU32,
    /// Of this turn, of the last one, and one to count the next one in: at turn modulo three.
    waiting: [AtomicU32; 3],
}

impl Untaken {
    /// Begins a turn; whether an answer has been waiting for the whole of the last one.
    pub(super) fn turn(&self) -> bool {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        // The turn before, and the one after the next: the same place.
        self.of(turn.wrapping_add(2)).load(Ordering::Relaxed) > 0
    }

    fn of(&self, turn: u32) -> &AtomicU32 {
        // Three numbers, so one of them is there.
        let [first, second, third] = &self.waiting;
        match turn % 3 {
            0 => first,
            1 => second,
            _ => third,
        }
    }

    fn begin(&self) -> u32 {
        let turn = self.turn.load(Ordering::Relaxed);
        self.of(turn).fetch_add(1, Ordering::Relaxed);
        turn
    }

    fn end(&self, turn: u32) {
        self.of(turn).fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that says when its peer is to take something, and how much is sent.
pub(super) struct Watched {
    body: Body,
    dial: Arc<Dial>,
    untaken: Arc<Untaken>,
    /// Since which turn the peer has something to take.
    since: Option<u32>,
}

impl Watched {
    /// Its head is to be taken.
    pub(super) fn new(body: Body, untaken: &Arc<Untaken>, dial: &Arc<Dial>) -> Self {
        let since = Some(untaken.begin());
        Self { body, dial: Arc::clone(dial), untaken: Arc::clone(untaken), since }
    }

    fn taken(&mut self) {
        if let Some(turn) = self.since.take() {
            self.untaken.end(turn);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = self.get_mut();
        // Asked for more: what there was is on its way.
        this.taken();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(frame)) = &polled {
            this.since = Some(this.untaken.begin());
            if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
                this.dial.sends(data.len());
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.taken();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    fn body(untaken: &Arc<Untaken>) -> Watched {
        Watched::new(Body::new(Full::new(Bytes::from_static(b"answer"))), untaken, &Arc::default())
    }

    #[test]
    fn an_answer_that_nobody_takes_is_told_after_a_whole_turn() {
        let untaken = Arc::new(Untaken::default());
        for _ in 0..7 {
            let answer = body(&untaken);
            assert!(!untaken.turn(), "it may have begun just now");
            assert!(untaken.turn());
            drop(answer);
            assert!(!untaken.turn(), "an answer that is gone waits for nobody");
        }
    }

    #[tokio::test]
    async fn an_answer_that_goes_on_is_not_told() {
        let untaken = Arc::new(Untaken::default());
        let mut answer = body(&untaken);
        assert!(!untaken.turn());
        assert!(answer.frame().await.is_some());
        assert!(!untaken.turn(), "its head was taken in this turn");
        assert!(untaken.turn(), "its data was not");
        assert!(answer.frame().await.is_none());
    }

    #[test]
    fn an_answer_that_we_have_not_made_is_not_the_peers_fault() {
        let untaken = Arc::new(Untaken::default());
        let never = http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<Frame<Bytes>, tonic::Status>,
        >());
        let mut answer = Watched::new(Body::new(never), &untaken, &Arc::default());
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(http_body::Body::poll_frame(Pin::new(&mut answer), &mut context).is_pending());
        assert!(!(untaken.turn() || untaken.turn() || untaken.turn()));
    }
}
