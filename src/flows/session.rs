//! The life of a session: verify, refresh, list, end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::audit::{Event, Fact, Reuse, SessionEnd};
use crate::domain::caller::Caller;
use crate::domain::client::ClientContext;
use crate::domain::id::{AuditEventId, SessionId};
use crate::domain::organization::{Organization, OrganizationId, Portal};
use crate::domain::session::{Presented, RefreshDigest, Session, classify};
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::{AccessTokens, Claims, PublishedKeys, Revocations};
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::KeyVault;
use crate::ports::store::{EndSessions, Rotation, RotationOutcome, Store};

use super::organizations::Organizations;
use super::page_token;
use super::session_tokens::{RefreshToken, SessionTokens, TokenMint};

/// Why a session call was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token is not valid (any more), or not for this caller: one answer for all of it.
    #[error("the session is not valid")]
    Invalid,
    /// The page token is not one of ours for this list.
    #[error("the page token cannot be read")]
    PageToken,
    /// The store or the signer is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A page of sessions.
pub struct SessionPage {
    /// Newest first.
    pub sessions: Vec<Session>,
    /// The session of the access token.
    pub current: SessionId,
    /// For the next page.
    pub next: Option<String>,
}

/// Which token shows whose session is to be ended.
pub enum EndProof<'a> {
    /// A valid access token.
    Access(&'a str),
    /// A refresh token, also where the access token is over.
    Refresh(&'a str),
}

/// Reuse of refresh tokens by class, for metrics.
#[derive(Clone, Default)]
pub struct ReuseCounts(Arc<[AtomicU64; 2]>);

impl ReuseCounts {
    /// How often so far.
    pub fn of(&self, reuse: Reuse) -> u64 {
        self.0[reuse as usize].load(Ordering::Relaxed)
    }

    fn count(&self, reuse: Reuse) {
        self.0[reuse as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// What the session flows need.
pub struct SessionFlow {
    /// The organizations as configured.
    pub organizations: Arc<Organizations>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Access tokens.
    pub access: Arc<dyn AccessTokens>,
    /// Sessions that ended lately.
    pub revocations: Arc<dyn Revocations>,
    /// Makes tokens.
    pub mint: TokenMint,
    /// Seals page tokens.
    pub vault: Arc<dyn KeyVault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Reuse seen.
    pub reuse: ReuseCounts,
}

impl SessionFlow {
    /// The claims of an access token that is valid now for a caller. No store is asked.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn claims(&self, caller: &Caller, access_token: &str) -> Result<Arc<Claims>, Error> {
        let claims = self.access.verify(access_token, self.clock.now()).ok_or(Error::Invalid)?;
        let allowed = caller.may_act_for(&claims.organization, claims.portal);
        if allowed && !self.revocations.is_revoked(&claims.session) {
            Ok(claims)
        } else {
            Err(Error::Invalid)
        }
    }

    /// The same, for a token that must be of this organization and portal.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn verify(
        &self,
        caller: &Caller,
        access_token: &str,
        organization: &OrganizationId,
        portal: Portal,
    ) -> Result<Arc<Claims>, Error> {
        let claims = self.claims(caller, access_token)?;
        if claims.organization == *organization && claims.portal == portal {
            Ok(claims)
        } else {
            Err(Error::Invalid)
        }
    }

    /// Replaces a refresh token.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn refresh(
        &self,
        caller: &Caller,
        refresh_token: &str,
        client: &ClientContext,
    ) -> Result<SessionTokens, Error> {
        let token = self.mint.read(refresh_token).ok_or(Error::Invalid)?;
        let mut session = self.store.session(&token.session).await?.ok_or(Error::Invalid)?;
        let organization = self.organization_for(caller, &session)?;
        // Three times at most: a change of password that keeps the session may come in between, and a rotation by
        // somebody else, which makes the token the previous one.
        for _ in 0..3 {
            let now = self.clock.now();
            session.alive(now).map_err(|_| Error::Invalid)?;
            match self.classify(&session, &token, now) {
                (Presented::Current, presented) => {
                    match self.rotate(&organization, &session, &token, presented, now).await? {
                        Ok(tokens) => return Ok(tokens),
                        Err(standing) => session = *standing,
                    }
                }
                (Presented::Repeated, _) => return self.repeat(caller, session, &token, client, now).await,
                (Presented::Reused(reuse), _) => {
                    return self.end_reused(caller, &session, reuse, client, now).await;
                }
            }
        }
        Err(Error::Invalid)
    }

    /// Ends a session; the number that ended.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn end(
        &self,
        caller: &Caller,
        proof: EndProof<'_>,
        other: Option<SessionId>,
    ) -> Result<usize, Error> {
        let own = match proof {
            EndProof::Access(text) => self.session_of_access(caller, text).await?,
            EndProof::Refresh(text) => self.session_of_refresh(caller, text, other.as_ref()).await?,
        };
        let target = other.unwrap_or_else(|| own.id.clone());
        if target != own.id {
            let found = self.store.session(&target).await?;
            if !found.is_some_and(|found| found.guardian == own.guardian && found.portal == own.portal) {
                return Ok(0);
            }
        }
        self.end_sessions(caller, &own, Some(target), SessionEnd::LoggedOut).await
    }

    /// Ends all sessions of the guardian; the number that ended.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn end_all(&self, caller: &Caller, access_token: &str) -> Result<usize, Error> {
        let own = self.session_of_access(caller, access_token).await?;
        self.end_sessions(caller, &own, None, SessionEnd::LoggedOutEverywhere).await
    }

    /// Lists the guardian's live sessions at the portal.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list(
        &self,
        caller: &Caller,
        access_token: &str,
        page_size: u32,
        page_token: Option<&str>,
    ) -> Result<SessionPage, Error> {
        let claims = self.claims(caller, access_token)?;
        let context: [&[u8]; 3] =
            [b"sessions", claims.guardian.as_str().as_bytes(), claims.portal.as_str().as_bytes()];
        let before = match page_token {
            Some(text) => {
                let position = page_token::open(self.vault.as_ref(), &context, text);
                let id = position.as_deref().and_then(SessionId::parse);
                Some(id.ok_or(Error::PageToken)?)
            }
            None => None,
        };
        let now = self.clock.now();
        let mut sessions = self
            .store
            .list_sessions(&claims.guardian, claims.portal, before.as_ref(), page_size.saturating_add(1), now)
            .await?;
        let full = sessions.len() > page_size as usize;
        sessions.truncate(page_size as usize);
        let last = sessions.last().filter(|_| full);
        let next = last.map(|last| page_token::seal(self.vault.as_ref(), &context, last.id.as_str()));
        Ok(SessionPage { sessions, current: claims.session.clone(), next })
    }

    /// The public keys.
    pub fn signing_keys(&self) -> PublishedKeys {
        self.access.published(self.clock.now())
    }

    fn organization_for(&self, caller: &Caller, session: &Session) -> Result<Arc<Organization>, Error> {
        if !caller.may_act_for(&session.organization, session.portal) {
            return Err(Error::Invalid);
        }
        self.organizations.with_portal(&session.organization, session.portal).ok_or(Error::Invalid)
    }

    async fn session_of_access(&self, caller: &Caller, access_token: &str) -> Result<Session, Error> {
        let claims = self.claims(caller, access_token)?;
        self.store.session(&claims.session).await?.ok_or(Error::Invalid)
    }

    /// The session of a refresh token that is to end it or another one.
    async fn session_of_refresh(
        &self,
        caller: &Caller,
        refresh_token: &str,
        other: Option<&SessionId>,
    ) -> Result<Session, Error> {
        let token = self.mint.read(refresh_token).ok_or(Error::Invalid)?;
        let session = self.store.session(&token.session).await?.ok_or(Error::Invalid)?;
        self.organization_for(caller, &session)?;
        // An old token of the family may end its own session: that is what its theft would do as well. For another
        // session only one speaks that could be refreshed.
        if other.is_some_and(|other| *other != session.id) {
            let now = self.clock.now();
            session.alive(now).map_err(|_| Error::Invalid)?;
            match self.classify(&session, &token, now).0 {
                Presented::Current | Presented::Repeated => {}
                Presented::Reused(_) => return Err(Error::Invalid),
            }
        }
        Ok(session)
    }

    /// The class of a token under whichever master key made its digest.
    fn classify(
        &self,
        session: &Session,
        token: &RefreshToken,
        now: Timestamp,
    ) -> (Presented, RefreshDigest) {
        let digests = self.mint.digests(token);
        let known =
            digests.iter().find(|digest| **digest == session.current || Some(**digest) == session.previous);
        let digest = known.copied().unwrap_or_else(|| self.mint.digest(token));
        (classify(session, digest, now), digest)
    }

    async fn rotate(
        &self,
        organization: &Organization,
        session: &Session,
        token: &RefreshToken,
        presented: RefreshDigest,
        now: Timestamp,
    ) -> Result<Result<SessionTokens, Box<Session>>, Error> {
        let salt = self.mint.salt();
        let successor = self.mint.successor(token, &salt);
        let rotation = Rotation {
            session: session.id.clone(),
            presented,
            successor: self.mint.digest(&successor),
            salt,
            at: now,
            idle_expires: now.plus(organization.session.idle),
        };
        match self.store.rotate(&rotation).await? {
            RotationOutcome::Rotated(session) => Ok(Ok(self.mint.tokens(session, &successor, now)?)),
            RotationOutcome::Standing(session) => Ok(Err(Box::new(session))),
            RotationOutcome::Unknown => Err(Error::Invalid),
        }
    }

    /// Answers a repeated token with the successor that it has already.
    async fn repeat(
        &self,
        caller: &Caller,
        session: Session,
        token: &RefreshToken,
        client: &ClientContext,
        now: Timestamp,
    ) -> Result<SessionTokens, Error> {
        for successor in self.mint.successors(token, &session.rotation_salt) {
            if self.mint.digests(&successor).contains(&session.current) {
                return Ok(self.mint.tokens(session, &successor, now)?);
            }
        }
        // Only a master key that was taken away between the two calls leads here.
        self.end_reused(caller, &session, Reuse::RecentPrevious, client, now).await
    }

    async fn end_reused(
        &self,
        caller: &Caller,
        session: &Session,
        reuse: Reuse,
        client: &ClientContext,
        now: Timestamp,
    ) -> Result<SessionTokens, Error> {
        self.reuse.count(reuse);
        let mut event = self.event(caller, session, Fact::RefreshReused(reuse), now);
        event.address = client.address;
        event.user_agent.clone_from(&client.user_agent);
        let end = EndSessions {
            guardian: session.guardian.clone(),
            only: Some(session.id.clone()),
            reason: SessionEnd::RefreshReused,
            at: now,
            event,
        };
        self.note_ended(&self.store.end_sessions(&end).await?.sessions, now);
        Err(Error::Invalid)
    }

    async fn end_sessions(
        &self,
        caller: &Caller,
        own: &Session,
        only: Option<SessionId>,
        reason: SessionEnd,
    ) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut event = self.event(caller, own, Fact::SessionEnded(reason), now);
        event.session.clone_from(&only);
        let end = EndSessions { guardian: own.guardian.clone(), only, reason, at: now, event };
        let ended = self.store.end_sessions(&end).await?;
        self.note_ended(&ended.sessions, now);
        Ok(ended.live)
    }

    fn note_ended(&self, sessions: &[SessionId], now: Timestamp) {
        for session in sessions {
            self.revocations.note(session, now);
        }
    }

    fn event(&self, caller: &Caller, session: &Session, fact: Fact, now: Timestamp) -> Event {
        Event {
            id: AuditEventId::new(now, random_bytes(self.entropy.as_ref())),
            at: now,
            organization: session.organization.clone(),
            portal: Some(session.portal),
            fact,
            guardian: Some(session.guardian.clone()),
            session: Some(session.id.clone()),
            reference: None,
            caller: caller.name.clone(),
            address: None,
            user_agent: String::new(),
            known_device: false,
            staff: None,
            child: None,
            detail: None,
        }
    }
}
