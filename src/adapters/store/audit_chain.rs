//! The chain of the audit log: who adds to it, what is added, and reading it back.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::audit_chain::{ChainDigest, ChainEnd, EventBytes, LoggedEvent, StoredLink};
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Signature;
use crate::ports::store::{
    AuditChainStore, ChainExtent, ChainGrowth, SignedHead, StoredHead, UnchainedEvent, UnchainedPage,
    WorkLease,
};

use super::SqlStore;
use super::bind::{bind, push};
use super::bulk::Insert;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;

/// The lease is taken if nobody has it, if it ran out, or if it is ours.
const TAKE_WORK: Statement = Statement::new(
    "take_work_lease",
    "INSERT INTO work_lease (name, holder, until_ms) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms \
     WHERE work_lease.holder = excluded.holder OR work_lease.until_ms <= $4",
);

/// Asked first: most of those who ask do not get it, and need not write for that.
const FIND_WORK: Statement =
    Statement::new("find_work_lease", "SELECT holder, until_ms FROM work_lease WHERE name = $1");

const RELEASE_WORK: Statement = Statement::new(
    "release_work_lease",
    "UPDATE work_lease SET until_ms = 0 WHERE name = $1 AND holder = $2",
);

/// One row an organization.
const HEADS: Statement = Statement::new(
    "list_audit_heads",
    "SELECT h.organization, h.position, h.digest, h.at_ms, h.signature, h.key_id, l.digest AS link_digest, l.event_id \
     FROM audit_head h LEFT JOIN audit_link l ON l.organization = h.organization AND l.position = h.position \
     ORDER BY h.organization",
);

/// Where a stretch of the log ends: from the index alone.
const STRETCH_END: Statement = Statement::new(
    "find_audit_stretch",
    "SELECT id FROM audit_event WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2",
);

/// Behind every id: they begin with a digit.
const LAST_ID: &str = "~";

macro_rules! event_columns {
    () => {
        "e.id, e.at_ms, e.organization, e.portal, e.kind, e.cause, e.guardian_id, e.session_id, e.reference_code, \
         e.caller, e.address, e.user_agent, e.known_device, e.consecutive_failures, e.password_closed, e.staff_id, \
         e.child_id, e.detail"
    };
}

const UNCHAINED: Statement = Statement::new(
    "find_unchained_events",
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM audit_event e WHERE e.id > $1 AND e.id <= $2 \
         AND NOT EXISTS (SELECT 1 FROM audit_link l WHERE l.event_id = e.id) ORDER BY e.id LIMIT $3"
    ),
);

const ADD_LINK: Insert = Insert {
    name: "add_audit_link",
    head: "INSERT INTO audit_link (organization, position, event_id, digest)",
    columns: 4,
    tail: "",
};

/// Only where the chain has no head: of two who begin it, one does.
const BEGIN_CHAIN: Statement = Statement::new(
    "begin_audit_chain",
    "INSERT INTO audit_head (organization, position, digest, at_ms, signature, key_id) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (organization) DO NOTHING",
);

/// Only from where it ends: of two who add to it, one does.
const MOVE_HEAD: Statement = Statement::new(
    "move_audit_head",
    "UPDATE audit_head SET position = $2, digest = $3, at_ms = $4, signature = $5, key_id = $6 \
     WHERE organization = $1 AND position = $7 AND digest = $8",
);

/// The smallest of each table is the first entry of an index.
const NEXT_AUDITED: Statement = Statement::new(
    "find_next_audited",
    "SELECT (SELECT MIN(organization) FROM audit_head WHERE organization > $1) AS head, \
            (SELECT MIN(organization) FROM audit_link WHERE organization > $1) AS link, \
            (SELECT MIN(organization) FROM audit_event WHERE organization > $1) AS event",
);

/// In one statement: the head is moved with the links that it stands on.
const EXTENT: Statement = Statement::new(
    "find_audit_extent",
    "SELECT n.last, h.organization, h.position, h.digest, h.at_ms, h.signature, h.key_id \
     FROM (SELECT COALESCE((SELECT MAX(position) FROM audit_link WHERE organization = $1), 0) AS last) n \
     LEFT JOIN audit_head h ON h.organization = $1",
);

/// Joined by the id alone: asked for the organization too, PostgreSQL may go through all events of the organization for each
/// link.
const LINKS: Statement = Statement::new(
    "list_audit_links",
    concat!(
        "SELECT l.position, l.event_id, l.digest, ",
        event_columns!(),
        " FROM audit_link l LEFT JOIN audit_event e ON e.id = l.event_id \
         WHERE l.organization = $1 AND l.position > $2 AND l.position <= $3 ORDER BY l.position LIMIT $4"
    ),
);

const POSITION_AT: Statement = Statement::new(
    "find_audit_position",
    "SELECT l.position FROM audit_event e JOIN audit_link l ON l.event_id = e.id \
     WHERE e.organization = $1 AND e.at_ms <= $2 ORDER BY e.organization DESC, e.at_ms DESC LIMIT 1",
);

fn bytes(row: &AnyRow) -> Result<EventBytes, PortError> {
    let event = LoggedEvent {
        id: row.column("id")?,
        at_ms: row.column("at_ms")?,
        organization: row.column("organization")?,
        portal: row.column("portal")?,
        kind: row.column("kind")?,
        cause: row.column("cause")?,
        guardian_id: row.column("guardian_id")?,
        session_id: row.column("session_id")?,
        reference_code: row.column("reference_code")?,
        caller: row.column("caller")?,
        address: row.column("address")?,
        user_agent: row.column("user_agent")?,
        known_device: row.column("known_device")?,
        consecutive_failures: row.column("consecutive_failures")?,
        password_closed: row.column("password_closed")?,
        staff_id: row.column("staff_id")?,
        child_id: row.column("child_id")?,
        detail: row.column("detail")?,
    };
    Ok(event.bytes())
}

fn unchained(row: &AnyRow) -> Result<UnchainedEvent, PortError> {
    Ok(UnchainedEvent {
        id: row.column("id")?,
        at: row.time("at_ms")?,
        organization: row.parsed("organization", OrganizationId::parse)?,
        bytes: bytes(row)?,
    })
}

/// An event of another organization is not the link's.
fn link(row: &AnyRow, organization: &OrganizationId) -> Result<StoredLink, PortError> {
    let is_there = row.column::<Option<&str>>("organization")? == Some(organization.as_str());
    Ok(StoredLink {
        position: row.column("position")?,
        event_id: row.column("event_id")?,
        digest: row.column("digest")?,
        event: is_there.then(|| bytes(row)).transpose()?,
    })
}

fn head(row: &AnyRow) -> Result<SignedHead, PortError> {
    Ok(SignedHead {
        organization: row.parsed("organization", OrganizationId::parse)?,
        end: ChainEnd { position: row.column("position")?, digest: ChainDigest(row.digest("digest")?) },
        at: row.time("at_ms")?,
        signature: Signature { bytes: row.column("signature")?, key_id: row.column("key_id")? },
    })
}

fn stored_head(row: &AnyRow) -> Result<StoredHead, PortError> {
    let link = row.digest_or_none("link_digest")?.map(ChainDigest);
    let link = link.map(|digest| Ok::<_, PortError>((digest, row.column("event_id")?))).transpose()?;
    Ok(StoredHead { head: head(row)?, link })
}

/// Moves a head, and adds the links on the way; false if the chain does not end where it should.
async fn grow(unit: &mut Unit, growth: &ChainGrowth) -> Result<bool, PortError> {
    let SignedHead { organization, end, at, signature } = &growth.head;
    let touched = if growth.before.position == 0 {
        let values = bind![organization, end.position, end.digest.0, at, signature.bytes, signature.key_id];
        unit.execute(&BEGIN_CHAIN, values).await?
    } else {
        let values = bind![
            organization,
            end.position,
            end.digest.0,
            at,
            signature.bytes,
            signature.key_id,
            growth.before.position,
            growth.before.digest.0,
        ];
        unit.execute(&MOVE_HEAD, values).await?
    };
    if touched == 0 {
        return Ok(false);
    }
    let bind = |link: &_, arguments: &mut _| {
        let crate::ports::store::NewLink { end, event_id } = link;
        push(arguments, organization);
        push(arguments, &end.position);
        push(arguments, event_id);
        push(arguments, &end.digest.0);
    };
    ADD_LINK.run(unit, &growth.links, bind).await?;
    Ok(true)
}

#[async_trait]
impl AuditChainStore for SqlStore {
    async fn take_work(&self, lease: &WorkLease, now: Timestamp) -> Result<bool, PortError> {
        let mut unit = self.write_once().await?;
        if let Some(row) = unit.row(&FIND_WORK, bind![lease.name]).await?
            && row.column::<&str>("holder")? != lease.holder
            && row.time("until_ms")? > now
        {
            return Ok(false);
        }
        let values = bind![lease.name, lease.holder, lease.until, now];
        Ok(unit.execute(&TAKE_WORK, values).await? == 1)
    }

    async fn release_work(&self, lease: &WorkLease) -> Result<(), PortError> {
        let mut unit = self.write_once().await?;
        unit.execute(&RELEASE_WORK, bind![lease.name, lease.holder]).await.map(|_| ())
    }

    async fn audit_heads(&self) -> Result<Vec<StoredHead>, PortError> {
        let rows = self.read().await?.rows(&HEADS, bind![]).await?;
        rows.iter().map(stored_head).collect()
    }

    async fn unchained_events(&self, after: &str, limit: u32) -> Result<UnchainedPage, PortError> {
        let mut unit = self.read().await?;
        let skipped = i64::from(limit).saturating_sub(1);
        let end = unit.row(&STRETCH_END, bind![after, skipped]).await?;
        let next_after = end.map(|row| row.column::<String>("id")).transpose()?;
        let values = bind![after, next_after.as_deref().unwrap_or(LAST_ID), i64::from(limit)];
        let rows = unit.rows(&UNCHAINED, values).await?;
        Ok(UnchainedPage { events: rows.iter().map(unchained).collect::<Result<_, _>>()?, next_after })
    }

    async fn grow_chains(&self, growths: &[ChainGrowth]) -> Result<bool, PortError> {
        let mut unit = self.write().await?;
        for growth in growths {
            if !grow(&mut unit, growth).await? {
                unit.rollback().await?;
                return Ok(false);
            }
        }
        unit.commit().await?;
        Ok(true)
    }

    async fn next_audited(&self, after: &str) -> Result<Option<OrganizationId>, PortError> {
        let Some(row) = self.read().await?.row(&NEXT_AUDITED, bind![after]).await? else { return Ok(None) };
        let mut names = Vec::new();
        for column in ["head", "link", "event"] {
            names.extend(row.parsed_or_none(column, OrganizationId::parse)?);
        }
        Ok(names.into_iter().min_by(|one, other| one.as_str().cmp(other.as_str())))
    }

    async fn chain_extent(&self, organization: &OrganizationId) -> Result<ChainExtent, PortError> {
        let row = self.read().await?.row(&EXTENT, bind![organization]).await?;
        let Some(row) = row else { return Ok(ChainExtent { head: None, last: 0 }) };
        let is_there = row.column::<Option<&str>>("organization")?.is_some();
        Ok(ChainExtent { head: is_there.then(|| head(&row)).transpose()?, last: row.column("last")? })
    }

    async fn chain_links(
        &self,
        organization: &OrganizationId,
        after: i64,
        up_to: i64,
        limit: u32,
    ) -> Result<Vec<StoredLink>, PortError> {
        let values = bind![organization, after, up_to, i64::from(limit)];
        let rows = self.read().await?.rows(&LINKS, values).await?;
        rows.iter().map(|row| link(row, organization)).collect()
    }

    async fn position_at(&self, organization: &OrganizationId, at: Timestamp) -> Result<i64, PortError> {
        let row = self.read().await?.row(&POSITION_AT, bind![organization, at]).await?;
        row.map_or(Ok(0), |row| row.column("position"))
    }
}
