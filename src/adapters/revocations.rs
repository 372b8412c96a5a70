//! Sessions that ended lately, kept in memory until no access token of theirs can be valid.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::Revocations;

/// A map of ended sessions. Small: an entry is needed for as long as an access token lives.
#[derive(Default)]
pub struct RecentRevocations {
    ended: RwLock<HashMap<SessionId, Timestamp>>,
}

impl RecentRevocations {
    /// How many are held.
    pub fn len(&self) -> usize {
        self.ended.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Revocations for RecentRevocations {
    fn is_revoked(&self, session: &SessionId) -> bool {
        self.ended.read().unwrap_or_else(PoisonError::into_inner).contains_key(session)
    }

    fn note(&self, session: &SessionId, at: Timestamp) {
        self.ended.write().unwrap_or_else(PoisonError::into_inner).insert(session.clone(), at);
    }

    fn forget(&self, before: Timestamp) {
        self.ended.write().unwrap_or_else(PoisonError::into_inner).retain(|_, at| *at >= before);
    }
}
