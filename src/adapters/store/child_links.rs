//! Links between guardians and children, as staff add, confirm and remove them.
//!
//! A child in the member's scope is linked to a guardian in it, or to one who has no relation to anybody yet. A guardian who
//! belongs to another school is linked by staff of the whole organization: a link bears a credential, so who could link
//! anybody could take any account over.

use crate::domain::audit::Event;
use crate::domain::child_link::LinkEvidence;
use crate::domain::id::{ChildId, GuardianId};
use crate::domain::login_password::AccountState;
use crate::ports::error::PortError;
use crate::ports::store::{Act, Acted, Changed, Ended, Withdrawn};

use super::bind::bind;
use super::dialect::PerDialect;
use super::guardian::nothing;
use super::row::{Columns, account_state};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act, audit, bearing};

/// The name under which the rows of staff stand beside those of the sources.
pub(super) const STAFF: &str = "staff";

macro_rules! hold_text {
    ($lock:literal) => {
        concat!("SELECT state FROM guardian WHERE id = $1 AND organization = $2 AND kind = 'guardian'", $lock)
    };
}

/// PostgreSQL: changes of one guardian take turns. SQLite: the transaction excludes other writers.
const HOLD: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("hold_guardian_of_organization", hold_text!("")),
    postgres: Statement::new("hold_guardian_of_organization", hold_text!(" FOR UPDATE")),
};

const FIND: Statement = Statement::new(
    "find_rows_of_child_link",
    "SELECT source, confirmed_by FROM child_link WHERE guardian_id = $1 AND child_id = $2",
);

const HAS_NO_RELATION: Statement = Statement::new(
    "find_guardian_without_relation",
    "SELECT g.id FROM guardian g WHERE g.id = $1 \
       AND NOT EXISTS (SELECT 1 FROM child_link k WHERE k.guardian_id = g.id LIMIT 1 OFFSET 0) \
       AND NOT EXISTS (SELECT 1 FROM contract k WHERE k.guardian_id = g.id LIMIT 1 OFFSET 0)",
);

const PUT: Statement = Statement::new(
    "put_child_link_of_staff",
    "INSERT INTO child_link (guardian_id, child_id, source, confirmed_by, confirmed_ms, confirmed_staff_id, \
         confirmed_how) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (guardian_id, child_id, source) DO UPDATE SET confirmed_by = excluded.confirmed_by, \
         confirmed_ms = excluded.confirmed_ms, confirmed_staff_id = excluded.confirmed_staff_id, \
         confirmed_how = excluded.confirmed_how",
);

const REMOVE: Statement =
    Statement::new("remove_child_link", "DELETE FROM child_link WHERE guardian_id = $1 AND child_id = $2");

const REMEMBER_REMOVAL: Statement = Statement::new(
    "remember_removed_child_link",
    "INSERT INTO removed_child_link (guardian_id, child_id, staff_id, at_ms) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (guardian_id, child_id) DO UPDATE SET staff_id = excluded.staff_id, at_ms = excluded.at_ms",
);

const FORGET_REMOVAL: Statement = Statement::new(
    "forget_removed_child_link",
    "DELETE FROM removed_child_link WHERE guardian_id = $1 AND child_id = $2",
);

/// How a pair stands, both held.
enum Pair {
    NoGuardian,
    NoChild,
    Gone(AccountState),
    Linked { is_confirmed: bool },
    Unlinked { may_be_linked: bool },
}

impl Pair {
    async fn hold(
        unit: &mut Unit,
        act: &Act,
        guardian: &GuardianId,
        child: &ChildId,
    ) -> Result<Self, PortError> {
        let hold = HOLD.of(unit.dialect());
        let row = unit.row(&hold, bind![guardian, act.organization]).await?;
        // The answer is of the child first: who may not see it learns nothing of the guardian.
        if !act::hold_child(unit, act, child).await? {
            return Ok(Self::NoChild);
        }
        let Some(row) = row else { return Ok(Self::NoGuardian) };
        match row.parsed("state", account_state)? {
            AccountState::Active | AccountState::Locked => {}
            gone @ (AccountState::Merged | AccountState::Erased) => return Ok(Self::Gone(gone)),
        }
        let rows = unit.rows(&FIND, bind![guardian, child]).await?;
        let mut is_confirmed = false;
        for row in &rows {
            is_confirmed |= row.column::<Option<&str>>("confirmed_by")? == Some("staff");
        }
        if !rows.is_empty() {
            return Ok(Self::Linked { is_confirmed });
        }
        let may_be_linked = act::sees_guardian(unit, &act.organization, &act.staff, guardian).await?
            || unit.row(&HAS_NO_RELATION, bind![guardian]).await?.is_some();
        Ok(Self::Unlinked { may_be_linked })
    }
}

pub(super) async fn add(
    store: &SqlStore,
    act: &Act,
    guardian: &GuardianId,
    child: &ChildId,
) -> Result<Acted<Changed<()>>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    let outcome = match Pair::hold(&mut unit, act, guardian, child).await? {
        Pair::NoGuardian | Pair::Unlinked { may_be_linked: false } => Changed::NoGuardian,
        Pair::NoChild => Changed::NoChild,
        Pair::Gone(state) => Changed::Gone(state),
        Pair::Linked { .. } => Changed::AlreadySo,
        Pair::Unlinked { may_be_linked: true } => {
            put(&mut unit, act, guardian, child, None).await?;
            act::finish(unit, act).await?;
            return Ok(Acted::Now(Changed::Done(())));
        }
    };
    nothing(unit, outcome).await
}

pub(super) async fn confirm(
    store: &SqlStore,
    act: &Act,
    guardian: &GuardianId,
    child: &ChildId,
    evidence: LinkEvidence,
) -> Result<Acted<Changed<()>>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    let outcome = match Pair::hold(&mut unit, act, guardian, child).await? {
        Pair::NoGuardian | Pair::Unlinked { may_be_linked: false } => Changed::NoGuardian,
        Pair::NoChild => Changed::NoChild,
        Pair::Gone(state) => Changed::Gone(state),
        // Who confirmed it first is who confirmed it.
        Pair::Linked { is_confirmed: true } => Changed::AlreadySo,
        Pair::Linked { is_confirmed: false } | Pair::Unlinked { may_be_linked: true } => {
            put(&mut unit, act, guardian, child, Some(evidence)).await?;
            act::finish(unit, act).await?;
            return Ok(Acted::Now(Changed::Done(())));
        }
    };
    nothing(unit, outcome).await
}

async fn put(
    unit: &mut Unit,
    act: &Act,
    guardian: &GuardianId,
    child: &ChildId,
    evidence: Option<LinkEvidence>,
) -> Result<(), PortError> {
    let values = bind![
        guardian,
        child,
        STAFF,
        evidence.map(|_| STAFF),
        evidence.map(|_| act.at),
        evidence.map(|_| act.staff.clone()),
        evidence.map(LinkEvidence::as_str),
    ];
    unit.execute(&PUT, values).await?;
    unit.execute(&FORGET_REMOVAL, bind![guardian, child]).await.map(|_| ())
}

pub(super) async fn remove(
    store: &SqlStore,
    act: &Act,
    guardian: &GuardianId,
    child: &ChildId,
    revoked: &[Event],
) -> Result<Acted<Changed<Withdrawn>>, PortError> {
    let mut unit = store.write().await?;
    if let Some(refused) = act::enter(&mut unit, act, None).await? {
        unit.rollback().await?;
        return Ok(refused);
    }
    let outcome = match Pair::hold(&mut unit, act, guardian, child).await? {
        Pair::NoGuardian => Changed::NoGuardian,
        Pair::NoChild => Changed::NoChild,
        Pair::Gone(state) => Changed::Gone(state),
        Pair::Unlinked { .. } => Changed::AlreadySo,
        Pair::Linked { .. } => {
            unit.execute(&REMOVE, bind![guardian, child]).await?;
            unit.execute(&REMEMBER_REMOVAL, bind![guardian, child, act.staff, act.at]).await?;
            let withdrawn = withdraw(&mut unit, act, guardian, revoked).await?;
            act::finish(unit, act).await?;
            return Ok(Acted::Now(Changed::Done(withdrawn)));
        }
    };
    nothing(unit, outcome).await
}

/// Takes away what nothing bears any more, and writes the events of the portals where there was something. The relation
/// is gone already.
pub(super) async fn withdraw(
    unit: &mut Unit,
    act: &Act,
    guardian: &GuardianId,
    events: &[Event],
) -> Result<Withdrawn, PortError> {
    let revoked = bearing::revoke_unborne(unit, guardian, act.at).await?;
    if revoked.is_empty() {
        return Ok(Withdrawn { revoked, ended: Ended { sessions: Vec::new(), live: 0 } });
    }
    let ended = bearing::bump(unit, guardian, act.at).await?;
    let events: Vec<Event> = events
        .iter()
        .filter(|event| event.portal.is_some_and(|portal| revoked.contains(&portal)))
        .cloned()
        .collect();
    audit::record_all(unit, &events).await?;
    Ok(Withdrawn { revoked, ended })
}
