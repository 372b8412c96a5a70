//! Writes the changes of a batch: a few statements a table, however many rows.

use aws_lc_rs::digest::{Context, SHA256};

use crate::domain::audit::{Event, SessionEnd};
use crate::domain::id::{AuditEventId, GuardianId};
use crate::domain::name_search::FOLD_VERSION;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

use super::SOURCE;
use super::known::Profile;
use super::plan::{Plan, known_meanwhile};
use crate::adapters::store::bind::{bind, push};
use crate::adapters::store::bulk::Insert;
use crate::adapters::store::statement::Statement;
use crate::adapters::store::unit::Unit;
use crate::adapters::store::{audit, change_password, name_parts, session};

const PUT_SCHOOL: Insert = Insert {
    name: "put_school",
    head: "INSERT INTO school (id, organization, source_key, name)",
    columns: 4,
    tail: "ON CONFLICT (id) DO UPDATE SET name = excluded.name \
           WHERE school.organization = excluded.organization AND school.source_key = excluded.source_key",
};

const PUT_CHILD: Insert = Insert {
    name: "put_child",
    head: "INSERT INTO child (id, organization, source_key, given_name, family_name, school_id, names_folded)",
    columns: 7,
    tail: "ON CONFLICT (id) DO UPDATE SET given_name = excluded.given_name, family_name = excluded.family_name, \
               school_id = excluded.school_id, names_folded = excluded.names_folded \
           WHERE child.organization = excluded.organization AND child.source_key = excluded.source_key",
};

const PUT_GUARDIAN: Insert = Insert {
    name: "put_guardian",
    head: "INSERT INTO guardian (id, organization, source_key, given_name, family_name, locale, email_delivered, \
           email_canonical, mobile_delivered, mobile_canonical, created_ms, updated_ms, state, credential_epoch, \
           names_folded)",
    columns: 15,
    tail: "ON CONFLICT (id) DO UPDATE SET given_name = excluded.given_name, family_name = excluded.family_name, \
               locale = excluded.locale, email_delivered = excluded.email_delivered, \
               email_canonical = excluded.email_canonical, mobile_delivered = excluded.mobile_delivered, \
               mobile_canonical = excluded.mobile_canonical, updated_ms = excluded.updated_ms, \
               names_folded = excluded.names_folded \
           WHERE guardian.organization = excluded.organization AND guardian.source_key = excluded.source_key",
};

const RELEASE_LOGIN: Statement = Statement::new(
    "release_login_name",
    "DELETE FROM guardian_login WHERE organization = $1 AND portal = $2 AND login_name = $3 AND guardian_id = $4",
);

const TAKE_LOGIN: Insert = Insert {
    name: "take_login_name",
    head: "INSERT INTO guardian_login (organization, portal, login_name, guardian_id, kind, is_spare)",
    columns: 6,
    tail: "",
};

const RETIRE_IDENTIFIER: Statement = Statement::new(
    "retire_identifier",
    "UPDATE guardian_identifier SET retired_ms = $1 WHERE guardian_id = $2 AND source = $3 AND retired_ms IS NULL",
);

const ADOPT_IDENTIFIER: Statement = Statement::new(
    "adopt_identifier",
    "UPDATE guardian_identifier SET source = $1 WHERE guardian_id = $2 AND blind_index = $3 AND retired_ms IS NULL",
);

const ADD_IDENTIFIER: Insert = Insert {
    name: "add_identifier",
    head: "INSERT INTO guardian_identifier (organization, guardian_id, scheme, blind_index, sealed, key_id, source, \
           added_ms)",
    columns: 8,
    tail: "",
};

const DROP_LINK: Statement = Statement::new(
    "drop_child_link",
    "DELETE FROM child_link WHERE guardian_id = $1 AND child_id = $2 AND source = $3",
);

const PUT_LINK: Insert = Insert {
    name: "put_child_link",
    head: "INSERT INTO child_link (guardian_id, child_id, source, confirmed_by, confirmed_ms)",
    columns: 5,
    tail: "ON CONFLICT (guardian_id, child_id, source) DO UPDATE SET confirmed_by = excluded.confirmed_by, \
           confirmed_ms = excluded.confirmed_ms",
};

const DROP_CONTRACT: Statement =
    Statement::new("drop_contract", "DELETE FROM contract WHERE guardian_id = $1 AND source = $2");

const PUT_CONTRACT: Insert = Insert {
    name: "put_contract",
    head: "INSERT INTO contract (guardian_id, source, confirmed_by, confirmed_ms)",
    columns: 4,
    tail: "ON CONFLICT (guardian_id, source) DO UPDATE SET confirmed_by = excluded.confirmed_by, \
           confirmed_ms = excluded.confirmed_ms",
};

const REMOVE_CREDENTIAL: Statement =
    Statement::new("remove_credential", "DELETE FROM credential WHERE guardian_id = $1 AND portal = $2");

/// A password that its owner has set is never replaced, whatever was read before.
const PUT_CREDENTIAL: Insert = Insert {
    name: "put_credential",
    head: "INSERT INTO credential (guardian_id, portal, organization, hash, hash_parameters, origin, \
           import_fingerprint, must_change, failures_unknown, failures_known, set_ms)",
    columns: 11,
    tail: "ON CONFLICT (guardian_id, portal) DO UPDATE SET hash = excluded.hash, \
               hash_parameters = excluded.hash_parameters, import_fingerprint = excluded.import_fingerprint, \
               must_change = excluded.must_change, expires_ms = NULL, failures_unknown = 0, failures_known = 0, \
               closed_unknown_ms = NULL, closed_known_ms = NULL, set_ms = excluded.set_ms \
           WHERE credential.origin = 'import'",
};

const BUMP_EPOCH: Statement = Statement::new(
    "bump_epoch_by_import",
    "UPDATE guardian SET credential_epoch = credential_epoch + 1 WHERE id = $1",
);

/// The epoch of an account that nothing was changed on.
const FIRST_EPOCH: i64 = 1;

pub(super) async fn apply(
    unit: &mut Unit,
    organization: &OrganizationId,
    plan: &Plan<'_>,
    at: Timestamp,
    removal_event: &Event,
) -> Result<(), PortError> {
    people(unit, organization, plan, at).await?;
    logins(unit, organization, plan).await?;
    identifiers(unit, organization, plan, at).await?;
    relations(unit, plan, at).await?;
    credentials(unit, organization, plan, at).await?;
    for guardian in &plan.changed_accounts {
        unit.execute(&change_password::DROP_TICKETS, bind![guardian]).await?;
        session::end(unit, guardian, None, None, (at, SessionEnd::AccountChanged)).await?;
    }
    let events: Vec<Event> = plan
        .removed_credentials
        .iter()
        .map(|(guardian, portal)| removal(removal_event, guardian, *portal))
        .collect();
    audit::record_all(unit, &events).await
}

/// Fails if an id is that of another row.
fn all_of<T>(rows: &[T], touched: u64) -> Result<(), PortError> {
    if u64::try_from(rows.len()) == Ok(touched) { Ok(()) } else { Err(known_meanwhile()) }
}

async fn people(
    unit: &mut Unit,
    organization: &OrganizationId,
    plan: &Plan<'_>,
    at: Timestamp,
) -> Result<(), PortError> {
    let touched = PUT_SCHOOL
        .run(unit, &plan.schools, |school, arguments| {
            push(arguments, &school.id);
            push(arguments, organization);
            push(arguments, &school.record.key);
            push(arguments, &school.record.name);
        })
        .await?;
    all_of(&plan.schools, touched)?;
    let touched = PUT_CHILD
        .run(unit, &plan.children, |(child, school), arguments| {
            push(arguments, &child.id);
            push(arguments, organization);
            push(arguments, &child.record.key);
            push(arguments, &child.record.given_name);
            push(arguments, &child.record.family_name);
            push(arguments, school);
            push(arguments, &FOLD_VERSION);
        })
        .await?;
    all_of(&plan.children, touched)?;
    let touched = PUT_GUARDIAN
        .run(unit, &plan.guardians, |guardian, arguments| {
            let Profile { given_name, family_name, locale, email, mobile } = Profile::of(&guardian.record);
            let (email, email_canonical) =
                email.map_or((None, None), |(text, canonical)| (Some(text), canonical));
            let (mobile, mobile_canonical) =
                mobile.map_or((None, None), |(text, canonical)| (Some(text), canonical));
            push(arguments, &guardian.id);
            push(arguments, organization);
            push(arguments, &guardian.record.key);
            push(arguments, &given_name);
            push(arguments, &family_name);
            push(arguments, &locale);
            push(arguments, &email);
            push(arguments, &email_canonical);
            push(arguments, &mobile);
            push(arguments, &mobile_canonical);
            push(arguments, &at);
            push(arguments, &at);
            push(arguments, "active");
            push(arguments, &FIRST_EPOCH);
            push(arguments, &FOLD_VERSION);
        })
        .await?;
    all_of(&plan.guardians, touched)?;
    name_parts::put(unit, organization, &plan.names).await
}

async fn logins(unit: &mut Unit, organization: &OrganizationId, plan: &Plan<'_>) -> Result<(), PortError> {
    for (guardian, portal, name) in &plan.released_logins {
        unit.execute(&RELEASE_LOGIN, bind![organization, portal, name, guardian]).await?;
    }
    TAKE_LOGIN
        .run(unit, &plan.taken_logins, |login, arguments| {
            push(arguments, organization);
            push(arguments, &login.portal);
            push(arguments, login.name);
            push(arguments, login.guardian);
            push(arguments, &login.kind);
            push(arguments, &login.is_spare);
        })
        .await
        .map(|_| ())
}

async fn identifiers(
    unit: &mut Unit,
    organization: &OrganizationId,
    plan: &Plan<'_>,
    at: Timestamp,
) -> Result<(), PortError> {
    for guardian in &plan.retired_identifiers {
        unit.execute(&RETIRE_IDENTIFIER, bind![at, guardian, SOURCE]).await?;
    }
    for (guardian, index) in &plan.adopted_identifiers {
        unit.execute(&ADOPT_IDENTIFIER, bind![SOURCE, guardian, index]).await?;
    }
    ADD_IDENTIFIER
        .run(unit, &plan.added_identifiers, |(guardian, number), arguments| {
            push(arguments, organization);
            push(arguments, guardian);
            push(arguments, number.scheme);
            push(arguments, &number.index);
            push(arguments, &number.sealed);
            push(arguments, &number.key_id);
            push(arguments, SOURCE);
            push(arguments, &at);
        })
        .await
        .map(|_| ())
}

async fn relations(unit: &mut Unit, plan: &Plan<'_>, at: Timestamp) -> Result<(), PortError> {
    for (guardian, child) in &plan.dropped_links {
        unit.execute(&DROP_LINK, bind![guardian, child, SOURCE]).await?;
    }
    PUT_LINK
        .run(unit, &plan.links, |(guardian, child, confirmed), arguments| {
            push(arguments, guardian);
            push(arguments, child);
            push(arguments, SOURCE);
            push(arguments, &confirmed.then_some("source"));
            push(arguments, &confirmed.then_some(at));
        })
        .await?;
    for guardian in &plan.dropped_contracts {
        unit.execute(&DROP_CONTRACT, bind![guardian, SOURCE]).await?;
    }
    PUT_CONTRACT
        .run(unit, &plan.contracts, |(guardian, confirmed), arguments| {
            push(arguments, guardian);
            push(arguments, SOURCE);
            push(arguments, &confirmed.then_some("source"));
            push(arguments, &confirmed.then_some(at));
        })
        .await
        .map(|_| ())
}

async fn credentials(
    unit: &mut Unit,
    organization: &OrganizationId,
    plan: &Plan<'_>,
    at: Timestamp,
) -> Result<(), PortError> {
    for guardian in &plan.changed_accounts {
        unit.execute(&BUMP_EPOCH, bind![guardian]).await?;
    }
    for (guardian, portal) in &plan.removed_credentials {
        unit.execute(&REMOVE_CREDENTIAL, bind![guardian, portal]).await?;
    }
    PUT_CREDENTIAL
        .run(unit, &plan.passwords, |(guardian, password, fingerprint), arguments| {
            push(arguments, guardian);
            push(arguments, &password.portal);
            push(arguments, organization);
            push(arguments, &password.hash);
            push(arguments, &password.hash.parameters().to_string());
            push(arguments, "import");
            push(arguments, fingerprint);
            push(arguments, &password.must_change);
            push(arguments, &0);
            push(arguments, &0);
            push(arguments, &at);
        })
        .await
        .map(|_| ())
}

/// The event of one removal, from the one that stands for all: with an id of its own, made from that one's.
fn removal(template: &Event, guardian: &GuardianId, portal: Portal) -> Event {
    let mut context = Context::new(&SHA256);
    for part in [template.id.as_str(), guardian.as_str(), portal.as_str()] {
        context.update(part.as_bytes());
    }
    let mut random = [0; 10];
    random.copy_from_slice(&context.finish().as_ref()[..10]);
    Event {
        id: AuditEventId::new(template.at, random),
        portal: Some(portal),
        guardian: Some(guardian.clone()),
        ..template.clone()
    }
}
