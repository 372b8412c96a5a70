//! A guardian as staff see one; what staff change is written in files of their own.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::audit::Event;
use crate::domain::child_link::LinkEvidence;
use crate::domain::id::{ChildId, GuardianId, ProposalId, SchoolId};
use crate::domain::identifier_change::Scheme;
use crate::ports::error::PortError;
use crate::ports::store::{
    Act, Acted, Changed, ChildLink, Confirmation, ContactOnFile, Ended, GuardianStore, NewNumber,
    NumberOutcome, PasswordOnFile, SchoolName, StoredGuardian, StoredIdentifier, StoredProposal, Viewer,
    Withdrawn,
};

use super::act::{child_in_scope, guardian_in_scope};
use super::bind::bind;
use super::row::{Columns, account_state, locale, login_name};
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act, child_links, contracts, guardian_locks, identifiers};

const GUARDIAN: Statement = Statement::new(
    "find_guardian_for_staff",
    concat!(
        "SELECT g.given_name, g.family_name, g.locale, g.state, g.merged_into, g.email_delivered, g.email_canonical, \
             g.mobile_delivered, g.mobile_canonical \
         FROM guardian g WHERE g.id = $1 AND ",
        guardian_in_scope!()
    ),
);

const IDENTIFIERS: Statement = Statement::new(
    "list_identifiers_of_guardian",
    "SELECT scheme, sealed, key_id, source, added_ms, retired_ms FROM guardian_identifier WHERE guardian_id = $1",
);

const PROPOSALS: Statement = Statement::new(
    "list_number_proposals",
    "SELECT id, scheme, sealed, key_id, at_ms FROM number_proposal \
     WHERE organization = $1 AND guardian_id = $2 AND settled_ms IS NULL ORDER BY id",
);

const PROPOSAL: Statement = Statement::new(
    "find_number_proposal",
    "SELECT id, scheme, sealed, key_id, at_ms FROM number_proposal \
     WHERE id = $3 AND organization = $1 AND guardian_id = $2",
);

const LOGINS: Statement = Statement::new(
    "list_login_names_of_guardian",
    "SELECT portal, login_name FROM guardian_login WHERE guardian_id = $1 ORDER BY portal, login_name",
);

/// Of the children in the member's scope: what goes on at another school is not this one's business.
macro_rules! links {
    ($more:literal) => {
        concat!(
            "SELECT k.source, k.confirmed_by, k.confirmed_ms, k.confirmed_staff_id, k.confirmed_how, c.id, c.given_name, \
                 c.family_name, c.school_id, s.name \
             FROM child_link k JOIN child c ON c.id = k.child_id JOIN school s ON s.id = c.school_id \
             WHERE k.guardian_id = $1 AND ",
            child_in_scope!(),
            $more
        )
    };
}

/// By the child's name: ids mean nothing to people.
const LINKS: Statement = Statement::new(
    "list_child_links_of_guardian",
    links!(" ORDER BY c.given_name, c.family_name, c.id, k.source"),
);

const LINK: Statement = Statement::new("find_child_link", links!(" AND k.child_id = $4 ORDER BY k.source"));

const CONTRACTS: Statement =
    Statement::new("list_contracts_of_guardian", "SELECT confirmed_by FROM contract WHERE guardian_id = $1");

const PASSWORDS: Statement = Statement::new(
    "list_passwords_of_guardian",
    "SELECT portal, set_ms, must_change, closed_unknown_ms, closed_known_ms FROM credential WHERE guardian_id = $1 \
     ORDER BY portal",
);

fn identifier(row: &AnyRow) -> Result<StoredIdentifier, PortError> {
    Ok(StoredIdentifier {
        scheme: row.parsed("scheme", Scheme::parse)?,
        sealed: row.sealed("sealed", "key_id")?,
        source: row.column("source")?,
        added: row.time("added_ms")?,
        retired: row.time_or_none("retired_ms")?,
    })
}

fn proposal(row: &AnyRow) -> Result<StoredProposal, PortError> {
    Ok(StoredProposal {
        id: row.parsed("id", ProposalId::parse)?,
        scheme: row.parsed("scheme", Scheme::parse)?,
        sealed: row.sealed("sealed", "key_id")?,
        at: row.time("at_ms")?,
    })
}

fn contact(
    row: &AnyRow,
    delivered: &'static str,
    canonical: &'static str,
) -> Result<Option<ContactOnFile>, PortError> {
    let is_usable = row.column::<Option<&str>>(canonical)?.is_some();
    Ok(row.column::<Option<String>>(delivered)?.map(|delivered| ContactOnFile { delivered, is_usable }))
}

/// Rows of one link, one for each who delivers it, become one. Sorted by child.
fn links(rows: &[AnyRow]) -> Result<Vec<ChildLink>, PortError> {
    let mut links: Vec<ChildLink> = Vec::new();
    for row in rows {
        let child = row.parsed("id", ChildId::parse)?;
        if links.last().is_none_or(|last| last.child != child) {
            links.push(ChildLink {
                child,
                given_name: row.column("given_name")?,
                family_name: row.column("family_name")?,
                school: SchoolName {
                    id: row.parsed("school_id", SchoolId::parse)?,
                    name: row.column("name")?,
                },
                sources: Vec::new(),
                confirmation: None,
            });
        }
        let Some(link) = links.last_mut() else { continue };
        link.sources.push(row.column("source")?);
        if row.column::<Option<&str>>("confirmed_by")? == Some("staff") {
            link.confirmation = Some(Confirmation {
                staff: row.parsed_or_none("confirmed_staff_id", GuardianId::parse)?,
                at: row.time_or_none("confirmed_ms")?,
                evidence: row.parsed_or_none("confirmed_how", LinkEvidence::parse)?,
            });
        }
    }
    Ok(links)
}

async fn stored_identifiers(
    unit: &mut Unit,
    guardian: &GuardianId,
) -> Result<Vec<StoredIdentifier>, PortError> {
    let rows = unit.rows(&IDENTIFIERS, bind![guardian]).await?;
    let mut found = rows.iter().map(identifier).collect::<Result<Vec<_>, _>>()?;
    found.sort_by_key(|identifier| (identifier.retired.is_some(), std::cmp::Reverse(identifier.added)));
    Ok(found)
}

async fn stored(
    unit: &mut Unit,
    viewer: &Viewer,
    guardian: &GuardianId,
) -> Result<Option<StoredGuardian>, PortError> {
    let values = bind![guardian, viewer.organization, viewer.staff];
    let Some(row) = unit.row(&GUARDIAN, values).await? else { return Ok(None) };
    let mut identifiers = stored_identifiers(unit, guardian).await?;
    identifiers.retain(|identifier| identifier.retired.is_none());
    let proposals = unit.rows(&PROPOSALS, bind![viewer.organization, guardian]).await?;
    let logins = unit.rows(&LOGINS, bind![guardian]).await?;
    let login = |row: &AnyRow| Ok((row.portal()?, row.parsed("login_name", login_name)?));
    let link_rows = unit.rows(&LINKS, bind![guardian, viewer.organization, viewer.staff]).await?;
    let contracts = unit.rows(&CONTRACTS, bind![guardian]).await?;
    let mut contract = None;
    for row in &contracts {
        let by_staff = row.column::<Option<&str>>("confirmed_by")? == Some("staff");
        contract = Some(contract.unwrap_or(false) || by_staff);
    }
    let passwords = unit.rows(&PASSWORDS, bind![guardian]).await?;
    let password = |row: &AnyRow| {
        Ok(PasswordOnFile {
            portal: row.portal()?,
            set: row.time("set_ms")?,
            is_closed: row.time_or_none("closed_unknown_ms")?.is_some()
                || row.time_or_none("closed_known_ms")?.is_some(),
            must_change: row.flag("must_change")?,
        })
    };
    Ok(Some(StoredGuardian {
        id: guardian.clone(),
        given_name: row.column("given_name")?,
        family_name: row.column("family_name")?,
        locale: row.parsed("locale", locale)?,
        state: row.parsed("state", account_state)?,
        merged_into: row.parsed_or_none("merged_into", GuardianId::parse)?,
        email: contact(&row, "email_delivered", "email_canonical")?,
        mobile: contact(&row, "mobile_delivered", "mobile_canonical")?,
        identifiers,
        proposals: proposals.iter().map(proposal).collect::<Result<_, _>>()?,
        logins: logins.iter().map(login).collect::<Result<_, PortError>>()?,
        links: links(&link_rows)?,
        contract,
        passwords: passwords.iter().map(password).collect::<Result<_, PortError>>()?,
    }))
}

/// Gives the connection of a change back that came to nothing, and its outcome on.
pub(super) async fn nothing<T>(unit: Unit, outcome: T) -> Result<Acted<T>, PortError> {
    unit.rollback().await?;
    Ok(Acted::Now(outcome))
}

#[async_trait]
impl GuardianStore for SqlStore {
    async fn guardian(
        &self,
        viewer: &Viewer,
        guardian: &GuardianId,
    ) -> Result<Option<StoredGuardian>, PortError> {
        stored(&mut self.read().await?, viewer, guardian).await
    }

    async fn show_identifiers(
        &self,
        act: &Act,
        guardian: &GuardianId,
    ) -> Result<Acted<Option<Vec<StoredIdentifier>>>, PortError> {
        let mut unit = self.write().await?;
        if let Some(refused) = act::enter(&mut unit, act, None).await? {
            unit.rollback().await?;
            return Ok(refused);
        }
        if !act::sees_guardian(&mut unit, &act.organization, &act.staff, guardian).await? {
            return nothing(unit, None).await;
        }
        let identifiers = stored_identifiers(&mut unit, guardian).await?;
        act::finish(unit, act).await?;
        Ok(Acted::Now(Some(identifiers)))
    }

    async fn child_link(
        &self,
        viewer: &Viewer,
        guardian: &GuardianId,
        child: &ChildId,
    ) -> Result<Option<ChildLink>, PortError> {
        let values = bind![guardian, viewer.organization, viewer.staff, child];
        Ok(links(&self.read().await?.rows(&LINK, values).await?)?.pop())
    }

    async fn add_child_link(
        &self,
        act: &Act,
        guardian: &GuardianId,
        child: &ChildId,
    ) -> Result<Acted<Changed<()>>, PortError> {
        child_links::add(self, act, guardian, child).await
    }

    async fn confirm_child_link(
        &self,
        act: &Act,
        guardian: &GuardianId,
        child: &ChildId,
        evidence: LinkEvidence,
    ) -> Result<Acted<Changed<()>>, PortError> {
        child_links::confirm(self, act, guardian, child, evidence).await
    }

    async fn remove_child_link(
        &self,
        act: &Act,
        guardian: &GuardianId,
        child: &ChildId,
        revoked: &[Event],
    ) -> Result<Acted<Changed<Withdrawn>>, PortError> {
        child_links::remove(self, act, guardian, child, revoked).await
    }

    async fn confirm_contract(
        &self,
        act: &Act,
        guardian: &GuardianId,
        evidence: LinkEvidence,
    ) -> Result<Acted<Changed<()>>, PortError> {
        contracts::confirm(self, act, guardian, evidence).await
    }

    async fn remove_contract(
        &self,
        act: &Act,
        guardian: &GuardianId,
        revoked: &[Event],
    ) -> Result<Acted<Changed<Withdrawn>>, PortError> {
        contracts::remove(self, act, guardian, revoked).await
    }

    async fn change_identifier(&self, act: &Act, new: &NewNumber) -> Result<Acted<NumberOutcome>, PortError> {
        identifiers::change(self, act, new).await
    }

    async fn number_proposal(
        &self,
        viewer: &Viewer,
        guardian: &GuardianId,
        id: &ProposalId,
    ) -> Result<Option<StoredProposal>, PortError> {
        let mut unit = self.read().await?;
        if !act::sees_guardian(&mut unit, &viewer.organization, &viewer.staff, guardian).await? {
            return Ok(None);
        }
        let row = unit.row(&PROPOSAL, bind![viewer.organization, guardian, id]).await?;
        row.as_ref().map(proposal).transpose()
    }

    async fn reject_number_proposal(
        &self,
        act: &Act,
        guardian: &GuardianId,
        proposal: &ProposalId,
    ) -> Result<Acted<Option<Changed<()>>>, PortError> {
        identifiers::reject(self, act, guardian, proposal).await
    }

    async fn lock_guardian(
        &self,
        act: &Act,
        guardian: &GuardianId,
    ) -> Result<Acted<Changed<Ended>>, PortError> {
        guardian_locks::lock(self, act, guardian).await
    }

    async fn unlock_guardian(
        &self,
        act: &Act,
        guardian: &GuardianId,
    ) -> Result<Acted<Changed<()>>, PortError> {
        guardian_locks::unlock(self, act, guardian).await
    }
}
