//! What can be wrong with a chain.

use std::fmt;

/// What is wrong with an organization's part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// The event at this position is not the one that was chained, or the link is not.
    Changed {
        /// Where.
        position: i64,
        /// The event that the link names.
        event_id: String,
    },
    /// The event of this position is gone.
    EventGone {
        /// Where.
        position: i64,
        /// The event that the link names.
        event_id: String,
    },
    /// Links are gone.
    Gap {
        /// The first position without a link.
        first: i64,
        /// The last one.
        last: i64,
    },
    /// There are links, and no signed head.
    HeadGone,
    /// The head was not signed by the service.
    HeadForged {
        /// Where it stands.
        position: i64,
    },
    /// The head was signed with a master key that is not configured, so nobody can say whether it was.
    HeadKeyGone {
        /// The key's id.
        key_id: String,
    },
    /// The chain ends before its signed head.
    CutShort {
        /// The last link that is there.
        last: i64,
        /// Where the head stands.
        head: i64,
    },
    /// The chain goes on behind its signed head.
    BeyondHead {
        /// The last link that is there.
        last: i64,
        /// Where the head stands.
        head: i64,
    },
    /// The link that the head stands on is another one: everything before it may have been written anew.
    HeadDiffers {
        /// Where the head stands.
        position: i64,
    },
    /// An event that is in no chain although there was time enough.
    NotChained {
        /// The event.
        event_id: String,
        /// The position of the last link whose event is not younger; 0 if there is none.
        after: i64,
    },
    /// The chain does not contain a head that was kept elsewhere.
    KeptHeadDiffers {
        /// Where the kept head stands.
        position: i64,
    },
    /// The chain does not go as far as a head that was kept elsewhere.
    KeptHeadGone {
        /// Where the kept head stands.
        position: i64,
        /// The last link that is there.
        last: i64,
    },
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { position, event_id } => {
                write!(f, "position {position}: event {event_id} or its link is not what was chained")
            }
            Self::EventGone { position, event_id } => {
                write!(f, "position {position}: event {event_id} is gone")
            }
            Self::Gap { first, last } if first == last => write!(f, "position {first}: the link is gone"),
            Self::Gap { first, last } => write!(f, "positions {first} to {last}: the links are gone"),
            Self::HeadGone => f.write_str("position 1: there are links and no signed head"),
            Self::HeadForged { position } => {
                write!(f, "position {position}: the signature of the head is wrong")
            }
            Self::HeadKeyGone { key_id } => {
                write!(f, "the head is signed with master key {key_id}, which is not configured")
            }
            Self::CutShort { last, head } => {
                write!(f, "position {last}: the chain ends here, and its signed head stands at {head}")
            }
            Self::BeyondHead { last, head } => {
                write!(f, "position {head}: the signed head stands here, and links go on to {last}")
            }
            Self::HeadDiffers { position } => {
                write!(f, "position {position}: the link is not the one that the head was signed on")
            }
            Self::NotChained { event_id, after } => {
                write!(f, "position {after}: event {event_id}, which belongs behind it, is not chained")
            }
            Self::KeptHeadDiffers { position } => {
                write!(f, "position {position}: the link is not that of the head that was kept")
            }
            Self::KeptHeadGone { position, last } => {
                write!(
                    f,
                    "position {last}: the chain ends here, and the head that was kept stands at {position}"
                )
            }
        }
    }
}
