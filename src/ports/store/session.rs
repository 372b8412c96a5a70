//! The store's part in the life of a session.

use async_trait::async_trait;

use crate::domain::audit::{Event, SessionEnd};
use crate::domain::id::{GuardianId, SessionId};
use crate::domain::organization::Portal;
use crate::domain::session::{RefreshDigest, Session};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

/// A refresh token to be replaced.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The session.
    pub session: SessionId,
    /// Digest of the presented token: nothing happens unless it is the current one.
    pub presented: RefreshDigest,
    /// Digest of its successor.
    pub successor: RefreshDigest,
    /// Salt from which the successor was derived.
    pub salt: [u8; 32],
    /// Now.
    pub at: Timestamp,
    /// New idle end.
    pub idle_expires: Timestamp,
}

/// What became of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationOutcome {
    /// The presented token was current and the session alive; this is the session after it.
    Rotated(Session),
    /// Not rotated; this is the session as it stands, to be classified.
    Standing(Session),
    /// No such session.
    Unknown,
}

/// Sessions to be ended.
#[derive(Clone, Debug)]
pub struct EndSessions {
    /// Whose.
    pub guardian: GuardianId,
    /// This one, or all of the guardian's.
    pub only: Option<SessionId>,
    /// Why.
    pub reason: SessionEnd,
    /// When.
    pub at: Timestamp,
    /// What the audit log says of it; written only if a session ended.
    pub event: Event,
}

/// How many sessions ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Those that ended now, so that this replica need not wait for the feed.
    pub sessions: Vec<SessionId>,
    /// How many of them could have gone on: people are told this number. The others had run out already.
    pub live: usize,
}

/// A session that ended, as replicas learn of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Position in the feed; grows, with gaps, and not strictly in the order of commits.
    pub position: i64,
    /// The session.
    pub session: SessionId,
    /// When it ended.
    pub at: Timestamp,
}

/// Questions of the session flows.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// A session by id, with the account's epoch as it is now.
    ///
    /// # Errors
    /// [`PortError`].
    async fn session(&self, session: &SessionId) -> Result<Option<Session>, PortError>;

    /// Replaces the refresh token in one guarded statement: of many at once with the same token, one rotates.
    ///
    /// # Errors
    /// [`PortError`].
    async fn rotate(&self, rotation: &Rotation) -> Result<RotationOutcome, PortError>;

    /// Ends sessions and puts them into the revocation feed, in one transaction with the audit event.
    ///
    /// # Errors
    /// [`PortError`].
    async fn end_sessions(&self, end: &EndSessions) -> Result<Ended, PortError>;

    /// Live sessions of a guardian at a portal after a position (the last session id of the page before), newest first.
    ///
    /// # Errors
    /// [`PortError`].
    async fn list_sessions(
        &self,
        guardian: &GuardianId,
        portal: Portal,
        before: Option<&SessionId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Session>, PortError>;

    /// The feed after a position, in order of position, at most `limit` rows.
    ///
    /// # Errors
    /// [`PortError`].
    async fn revocations_after(&self, position: i64, limit: u32) -> Result<Vec<Revocation>, PortError>;

    /// Deletes feed rows and change tickets that no valid token can need, and sessions long over.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sweep_sessions(
        &self,
        feed_before: Timestamp,
        sessions_before: Timestamp,
    ) -> Result<u64, PortError>;
}
