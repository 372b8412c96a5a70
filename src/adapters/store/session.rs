//! The life of a session: its refresh tokens, its end, and the feed that tells replicas of it.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::audit::SessionEnd;
use crate::domain::id::{GuardianId, SessionId};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::session::{Method, RefreshDigest, Session};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{EndSessions, Ended, Revocation, Rotation, RotationOutcome, SessionStore};

use super::bind::{bind, push};
use super::bulk::Insert;
use super::row::{Columns, corrupt};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, audit};

/// The columns of a session, and the epoch of its account now.
macro_rules! session_columns {
    ($account_epoch:literal) => {
        concat!(
            "s.id, s.guardian_id, s.organization, s.portal, s.client, s.method, s.authenticated_ms, s.refreshed_ms, ",
            "s.idle_expires_ms, s.absolute_expires_ms, s.credential_epoch, s.current_digest, s.previous_digest, ",
            "s.rotation_salt, s.rotated_ms, s.ended_ms, s.end_reason, s.user_agent, ",
            $account_epoch,
            " AS account_epoch"
        )
    };
}

const FIND: Statement = Statement::new(
    "find_session",
    concat!(
        "SELECT ",
        session_columns!("g.credential_epoch"),
        " FROM session s JOIN guardian g ON g.id = s.guardian_id WHERE s.id = $1"
    ),
);

const ADD: Statement = Statement::new(
    "add_session",
    "INSERT INTO session (id, guardian_id, organization, portal, client, method, authenticated_ms, refreshed_ms, \
     idle_expires_ms, absolute_expires_ms, credential_epoch, current_digest, previous_digest, rotation_salt, \
     rotated_ms, user_agent) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
);

/// All that makes a session alive stands here once more: of two statements the world could change in between.
const ROTATE: Statement = Statement::new(
    "rotate_refresh_token",
    "UPDATE session SET previous_digest = current_digest, current_digest = $3, rotation_salt = $4, rotated_ms = $5, \
         refreshed_ms = $5, idle_expires_ms = $6 \
     WHERE id = $1 AND current_digest = $2 AND ended_ms IS NULL AND idle_expires_ms > $5 AND absolute_expires_ms > $5 \
       AND credential_epoch = (SELECT g.credential_epoch FROM guardian g WHERE g.id = session.guardian_id) \
     RETURNING id, guardian_id, organization, portal, client, method, authenticated_ms, refreshed_ms, idle_expires_ms, \
         absolute_expires_ms, credential_epoch, current_digest, previous_digest, rotation_salt, rotated_ms, ended_ms, \
         end_reason, user_agent, credential_epoch AS account_epoch",
);

/// `$4` is a session to end, or `''` for all of them; `$5` is one to keep, or `''`. One that ran out ends as well: the
/// clock of another replica may be behind.
const END: Statement = Statement::new(
    "end_sessions",
    "UPDATE session SET ended_ms = $2, end_reason = $3 \
     WHERE guardian_id = $1 AND ended_ms IS NULL AND ($4 = '' OR id = $4) AND id <> $5 \
     RETURNING id, \
         CAST(CASE WHEN idle_expires_ms > $2 AND absolute_expires_ms > $2 THEN 1 ELSE 0 END AS bigint) AS live",
);

const ADD_REVOCATION: Insert = Insert {
    name: "add_revocation",
    head: "INSERT INTO revocation (session_id, at_ms)",
    columns: 2,
    tail: "",
};

const LIST: Statement = Statement::new(
    "list_sessions",
    concat!(
        "SELECT ",
        session_columns!("g.credential_epoch"),
        " FROM session s JOIN guardian g ON g.id = s.guardian_id AND g.credential_epoch = s.credential_epoch \
         WHERE s.guardian_id = $1 AND s.portal = $2 AND s.id < $3 AND s.ended_ms IS NULL \
           AND s.idle_expires_ms > $4 AND s.absolute_expires_ms > $4 \
         ORDER BY s.id DESC LIMIT $5"
    ),
);

/// Sorts behind every id.
const BEHIND_ALL_IDS: &str = "~";

const FEED: Statement = Statement::new(
    "read_revocations",
    "SELECT position, session_id, at_ms FROM revocation WHERE position > $1 ORDER BY position LIMIT $2",
);

/// Sweeps take this many rows of a kind at once, so that no login waits long behind them.
pub(super) const SWEEP_ROWS: i64 = 10_000;

const SWEEP_FEED: Statement = Statement::new(
    "sweep_revocations",
    "DELETE FROM revocation WHERE position IN \
     (SELECT position FROM revocation WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)",
);

const SWEEP_TICKETS: Statement = Statement::new(
    "sweep_change_tickets",
    "DELETE FROM change_ticket WHERE digest IN \
     (SELECT digest FROM change_ticket WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2)",
);

const SWEEP_SESSIONS: Statement = Statement::new(
    "sweep_sessions",
    "DELETE FROM session WHERE id IN \
     (SELECT id FROM session WHERE absolute_expires_ms < $1 ORDER BY absolute_expires_ms LIMIT $2)",
);

/// Writes a session that begins.
pub(super) async fn add(unit: &mut Unit, begun: &Session) -> Result<(), PortError> {
    let values = bind![
        begun.id,
        begun.guardian,
        begun.organization,
        begun.portal,
        begun.client,
        begun.method.amr(),
        begun.authenticated,
        begun.refreshed,
        begun.idle_expires,
        begun.absolute_expires,
        begun.credential_epoch,
        begun.current,
        begun.previous,
        begun.rotation_salt,
        begun.rotated,
        begun.user_agent,
    ];
    unit.execute(&ADD, values).await.map(|_| ())
}

/// Ends a guardian's sessions, or one, or all but one, and puts them into the feed.
pub(super) async fn end(
    unit: &mut Unit,
    guardian: &GuardianId,
    only: Option<&SessionId>,
    but: Option<&SessionId>,
    (at, reason): (Timestamp, SessionEnd),
) -> Result<Ended, PortError> {
    let only = only.map_or("", SessionId::as_str);
    let but = but.map_or("", SessionId::as_str);
    let rows = unit.rows(&END, bind![guardian, at, reason.as_str(), only, but]).await?;
    let sessions =
        rows.iter().map(|row| row.parsed("id", SessionId::parse)).collect::<Result<Vec<_>, _>>()?;
    let mut live = 0;
    for row in &rows {
        live += usize::from(row.flag("live")?);
    }
    ADD_REVOCATION
        .run(unit, &sessions, |session, arguments| {
            push(arguments, session);
            push(arguments, &at);
        })
        .await?;
    Ok(Ended { sessions, live })
}

fn session(row: &AnyRow) -> Result<Session, PortError> {
    let ended = match (row.time_or_none("ended_ms")?, row.parsed_or_none("end_reason", SessionEnd::parse)?) {
        (None, None) => None,
        (Some(at), Some(reason)) => Some((at, reason)),
        (Some(_), None) | (None, Some(_)) => return Err(corrupt("end_reason")),
    };
    Ok(Session {
        id: row.parsed("id", SessionId::parse)?,
        guardian: row.parsed("guardian_id", GuardianId::parse)?,
        organization: row.parsed("organization", OrganizationId::parse)?,
        portal: row.portal()?,
        client: row.column("client")?,
        method: row.parsed("method", Method::parse)?,
        authenticated: row.time("authenticated_ms")?,
        refreshed: row.time("refreshed_ms")?,
        idle_expires: row.time("idle_expires_ms")?,
        absolute_expires: row.time("absolute_expires_ms")?,
        credential_epoch: row.column("credential_epoch")?,
        account_epoch: row.column("account_epoch")?,
        current: RefreshDigest(row.digest("current_digest")?),
        previous: row.digest_or_none("previous_digest")?.map(RefreshDigest),
        rotation_salt: row.digest("rotation_salt")?,
        rotated: row.time("rotated_ms")?,
        ended,
        user_agent: row.column("user_agent")?,
    })
}

#[async_trait]
impl SessionStore for SqlStore {
    async fn session(&self, id: &SessionId) -> Result<Option<Session>, PortError> {
        let row = self.read().await?.row(&FIND, bind![id]).await?;
        row.as_ref().map(session).transpose()
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<RotationOutcome, PortError> {
        let mut unit = self.write_once().await?;
        let values = bind![
            rotation.session,
            rotation.presented,
            rotation.successor,
            rotation.salt,
            rotation.at,
            rotation.idle_expires,
        ];
        if let Some(row) = unit.row(&ROTATE, values).await? {
            return session(&row).map(RotationOutcome::Rotated);
        }
        Ok(match unit.row(&FIND, bind![rotation.session]).await? {
            Some(row) => RotationOutcome::Standing(session(&row)?),
            None => RotationOutcome::Unknown,
        })
    }

    async fn end_sessions(&self, end_sessions: &EndSessions) -> Result<Ended, PortError> {
        let EndSessions { guardian, only, reason, at, event } = end_sessions;
        let mut unit = self.write().await?;
        let ended = end(&mut unit, guardian, only.as_ref(), None, (*at, *reason)).await?;
        if ended.sessions.is_empty() {
            unit.rollback().await?;
        } else {
            audit::record(&mut unit, event).await?;
            unit.commit().await?;
        }
        Ok(ended)
    }

    async fn list_sessions(
        &self,
        guardian: &GuardianId,
        portal: Portal,
        before: Option<&SessionId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Session>, PortError> {
        let before = before.map_or(BEHIND_ALL_IDS, SessionId::as_str);
        let values = bind![guardian, portal, before, now, i64::from(limit)];
        let rows = self.read().await?.rows(&LIST, values).await?;
        rows.iter().map(session).collect()
    }

    async fn revocations_after(&self, position: i64, limit: u32) -> Result<Vec<Revocation>, PortError> {
        let rows = self.read().await?.rows(&FEED, bind![position, i64::from(limit)]).await?;
        rows.iter()
            .map(|row| {
                Ok(Revocation {
                    position: row.column("position")?,
                    session: row.parsed("session_id", SessionId::parse)?,
                    at: row.time("at_ms")?,
                })
            })
            .collect()
    }

    async fn sweep_sessions(
        &self,
        feed_before: Timestamp,
        sessions_before: Timestamp,
    ) -> Result<u64, PortError> {
        let mut unit = self.write_batch().await?;
        let mut swept = unit.execute(&SWEEP_FEED, bind![feed_before, SWEEP_ROWS]).await?;
        swept += unit.execute(&SWEEP_TICKETS, bind![feed_before, SWEEP_ROWS]).await?;
        swept += unit.execute(&SWEEP_SESSIONS, bind![sessions_before, SWEEP_ROWS]).await?;
        unit.commit().await?;
        Ok(swept)
    }
}
