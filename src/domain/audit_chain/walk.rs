//! Going along a chain, to find what does not fit.

use super::{ChainDigest, ChainEnd, ChainFault, EventBytes};

/// A link as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLink {
    /// Where.
    pub position: i64,
    /// The event that it names.
    pub event_id: String,
    /// Its digest as stored; empty or of another length if somebody wrote it so.
    pub digest: Vec<u8>,
    /// The event, if it is there and of the chain's organization.
    pub event: Option<EventBytes>,
}

/// Goes along a chain and finds what does not fit. After a fault it goes on from what is stored, so that one change is one
/// fault.
#[derive(Clone, Debug)]
pub struct ChainWalk {
    end: ChainEnd,
    events: u64,
    kept: Vec<ChainEnd>,
}

impl ChainWalk {
    /// At the beginning of a chain, with the heads that it must contain.
    pub fn new(kept: Vec<ChainEnd>) -> Self {
        Self { end: ChainEnd::NONE, events: 0, kept }
    }

    /// Where the walk stands.
    pub fn end(&self) -> ChainEnd {
        self.end
    }

    /// Events that were where they belong.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// One link more, in order of positions.
    pub fn step(&mut self, link: StoredLink, faults: &mut Vec<ChainFault>) {
        let expected = self.end.position.saturating_add(1);
        if link.position > expected {
            faults.push(ChainFault::Gap { first: expected, last: link.position - 1 });
        }
        // After a gap the digest before is not known: the event cannot be checked, and the gap says so.
        let unbroken = link.position == expected;
        let stored = <[u8; 32]>::try_from(link.digest.as_slice()).ok().map(ChainDigest);
        match (&link.event, stored) {
            (None, _) => {
                faults.push(ChainFault::EventGone { position: link.position, event_id: link.event_id });
            }
            (Some(event), Some(stored))
                if !unbroken || self.end.digest.next(link.position, event) == stored =>
            {
                self.events += 1;
            }
            (Some(_), _) => {
                faults.push(ChainFault::Changed { position: link.position, event_id: link.event_id });
            }
        }
        self.end = ChainEnd { position: link.position, digest: stored.unwrap_or(ChainDigest::START) };
        for kept in &self.kept {
            if kept.position == link.position && kept.digest != self.end.digest {
                faults.push(ChainFault::KeptHeadDiffers { position: kept.position });
            }
        }
    }

    /// The chain is over; `head` is where its signed head stands.
    pub fn finish(&self, head: Option<ChainEnd>, faults: &mut Vec<ChainFault>) {
        let last = self.end.position;
        match head {
            None if last > 0 => faults.push(ChainFault::HeadGone),
            Some(head) if head.position > last => {
                faults.push(ChainFault::CutShort { last, head: head.position });
            }
            Some(head) if head.position < last => {
                faults.push(ChainFault::BeyondHead { last, head: head.position });
            }
            Some(head) if head.digest != self.end.digest => {
                faults.push(ChainFault::HeadDiffers { position: last });
            }
            Some(_) | None => {}
        }
        for kept in self.kept.iter().filter(|kept| kept.position > last) {
            faults.push(ChainFault::KeptHeadGone { position: kept.position, last });
        }
    }
}
