//! Sessions and the rotation of their refresh tokens.

use std::time::Duration;

use super::audit::{Reuse, SessionEnd};
use super::id::{GuardianId, SessionId};
use super::organization::{OrganizationId, Portal, SessionPolicy};
use super::time::Timestamp;

/// Access tokens live 5 minutes: a portal that verifies offline sees a revocation after that at the latest.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(5);

/// A replaced refresh token is answered with its one successor for 30 s: lost answers and parallel tabs are no theft.
pub const REFRESH_GRACE: Duration = Duration::from_secs(30);

/// The keyed digest of a refresh token; the token itself is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefreshDigest(pub [u8; 32]);

/// How a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// User name or debtor number and password.
    Password,
    /// BankID or another eID.
    Eid,
}

impl Method {
    /// The name in the store, and the `amr` value of access tokens (RFC 8176).
    pub const fn amr(self) -> &'static str {
        match self {
            Self::Password => "pwd",
            Self::Eid => "eid",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Password, Self::Eid].into_iter().find(|method| method.amr() == text)
    }

    /// The `acr` value of access tokens: what strength the login had.
    pub const fn acr(self) -> &'static str {
        match self {
            Self::Password => "urn:guardian-auth:acr:password",
            Self::Eid => "urn:guardian-auth:acr:eid",
        }
    }
}

/// A session as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id; `sid` in access tokens.
    pub id: SessionId,
    /// Whose it is.
    pub guardian: GuardianId,
    /// The organization.
    pub organization: OrganizationId,
    /// The portal; with the organization the audience of its tokens.
    pub portal: Portal,
    /// The caller that it was opened through; `client_id` in access tokens.
    pub client: String,
    /// How it began.
    pub method: Method,
    /// When the guardian authenticated.
    pub authenticated: Timestamp,
    /// When it was last refreshed.
    pub refreshed: Timestamp,
    /// Over after this, if not refreshed.
    pub idle_expires: Timestamp,
    /// Over after this, whatever happens.
    pub absolute_expires: Timestamp,
    /// The account's epoch when it began.
    pub credential_epoch: i64,
    /// The epoch that the account has now.
    pub account_epoch: i64,
    /// Digest of the refresh token in use.
    pub current: RefreshDigest,
    /// Digest of the one before it.
    pub previous: Option<RefreshDigest>,
    /// Random value from which the token in use was derived together with the one before it.
    pub rotation_salt: [u8; 32],
    /// When the token in use replaced the previous one.
    pub rotated: Timestamp,
    /// Why and when it ended.
    pub ended: Option<(Timestamp, SessionEnd)>,
    /// User agent at login, for the list of sessions.
    pub user_agent: String,
}

/// Why a session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It was ended.
    Ended,
    /// Not refreshed in time.
    Idle,
    /// Its whole lifetime is over.
    Lifetime,
    /// The account's epoch was bumped: password changed, account locked, merged.
    Epoch,
}

impl Session {
    /// Whether the session can go on at `now`.
    ///
    /// # Errors
    /// Why not.
    pub fn alive(&self, now: Timestamp) -> Result<(), Over> {
        if self.ended.is_some() {
            Err(Over::Ended)
        } else if self.credential_epoch != self.account_epoch {
            Err(Over::Epoch)
        } else if self.absolute_expires <= now {
            Err(Over::Lifetime)
        } else if self.idle_expires <= now {
            Err(Over::Idle)
        } else {
            Ok(())
        }
    }

    /// When the session is over if it is not refreshed again.
    pub fn expires(&self) -> Timestamp {
        self.idle_expires.min(self.absolute_expires)
    }
}

/// What a presented refresh token of this session's family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// The one in use: rotate.
    Current,
    /// The one before, within the grace period, its successor unused: answer with the same successor.
    Repeated,
    /// Replaced for good: end the session.
    Reused(Reuse),
}

/// Classifies a genuine refresh token (its check value is ours) of a live session.
///
/// The successor of a previous token is unused by construction: had it been used, it would be the previous one itself.
pub fn classify(session: &Session, presented: RefreshDigest, now: Timestamp) -> Presented {
    if presented == session.current {
        return Presented::Current;
    }
    match session.previous {
        Some(previous) if previous == presented => {
            if now.since(session.rotated) <= REFRESH_GRACE {
                Presented::Repeated
            } else {
                Presented::Reused(Reuse::RecentPrevious)
            }
        }
        Some(_) | None => Presented::Reused(Reuse::StaleLineage),
    }
}

/// The ends of a session that begins at `now`.
pub fn lifetimes(policy: &SessionPolicy, method: Method, now: Timestamp) -> (Timestamp, Timestamp) {
    let absolute = match method {
        Method::Password => policy.absolute_password,
        Method::Eid => policy.absolute_eid,
    };
    (now.plus(policy.idle), now.plus(absolute))
}
