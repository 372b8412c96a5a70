//! Staff, and credentials that they issue, as flows hand them to the store.

use std::time::Duration;

use guardian_auth::domain::audit::{Cause, Event, Fact};
use guardian_auth::domain::fallback_credential::{Day, Delivery, RestsOn};
use guardian_auth::domain::id::{ActivationId, GuardianId};
use guardian_auth::domain::login_password::Account;
use guardian_auth::domain::message::{Channel, NewMessage, Template};
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::store::{
    Act, Acted, ActivateOutcome, ActivatedCredential, ActivationFailure, FallbackCredentialStore,
    IssueOutcome, NewActivation, NewFallbackCredential,
};

use super::world::{World, at, child, event, guardian, hash, login_name, organization, random, school};

/// A school administrator of schools by their keys, or an organization administrator where there are none.
pub async fn hire(world: &World, schools: &[&str]) -> GuardianId {
    let id = GuardianId::new(at(0), random());
    let (role, scope) = if schools.is_empty() {
        ("organization_administrator", "organization")
    } else {
        ("school_administrator", "schools")
    };
    let zero = at(0).as_millis();
    world
        .change(&format!(
            "INSERT INTO guardian (id, organization, source_key, given_name, family_name, locale, state, \
             credential_epoch, created_ms, updated_ms, kind, names_folded) VALUES ('{id}', 'sunnanvik', 'staff {id}', \
             'Alex', 'Exempel', 'sv', 'active', 0, {zero}, {zero}, 'staff', 1)"
        ))
        .await;
    world
        .change(&format!(
            "INSERT INTO staff_member (id, organization, role, scope, state, revision, invited_ms) \
             VALUES ('{id}', 'sunnanvik', '{role}', '{scope}', 'active', 1, {zero})"
        ))
        .await;
    for school in schools {
        world
            .change(&format!(
                "INSERT INTO staff_school (staff_id, school_id) SELECT '{id}', id FROM school WHERE source_key = '{school}'"
            ))
            .await;
    }
    id
}

/// A guardian of the child `c` at the school `s`, with a debtor number, without a password; nobody confirmed the link.
pub async fn unlinked(world: &World, debtor_number: &str) -> Account {
    let mut record = guardian(debtor_number);
    record.relations = vec![super::world::child_relation("c", false)];
    record.password = None;
    world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    world.account(debtor_number).await
}

/// The same with a link that staff confirmed, beside the source's.
pub async fn linked(world: &World, debtor_number: &str) -> Account {
    let account = unlinked(world, debtor_number).await;
    confirm(world, &account.guardian).await;
    account
}

/// Staff confirm the link to the child `c`.
pub async fn confirm(world: &World, guardian: &GuardianId) {
    let statement = format!(
        "INSERT INTO child_link (guardian_id, child_id, source, confirmed_by, confirmed_ms) \
         SELECT '{guardian}', id, 'staff', 'staff', 0 FROM child WHERE source_key = 'c'"
    );
    world.change(&statement).await;
}

/// Staff's own row of the link goes.
pub async fn unconfirm(world: &World, guardian: &GuardianId) {
    world
        .change(&format!("DELETE FROM child_link WHERE guardian_id = '{guardian}' AND source = 'staff'"))
        .await;
}

pub fn act(staff: &GuardianId, at: Timestamp, fact: Fact, guardian: &GuardianId) -> Act {
    let event = Event { staff: Some(staff.clone()), reference: None, at, ..event(fact, Some(guardian)) };
    Act {
        organization: organization("sunnanvik"),
        staff: staff.clone(),
        revision: 1,
        request: None,
        at,
        events: vec![event],
    }
}

/// A sheet of the portal `parent`, good for two weeks; its code has the hash 9.
pub fn new_sheet(staff: &GuardianId, guardian: &GuardianId, issued: Timestamp) -> NewFallbackCredential {
    NewFallbackCredential {
        activation: NewActivation {
            id: ActivationId::new(issued, random()),
            organization: organization("sunnanvik"),
            portal: Portal::Parent,
            guardian: guardian.clone(),
            rests_on: RestsOn::Staff,
            delivery: Delivery::Sheet,
            code_hash: Some(hash(9)),
            token_digest: None,
            issued_by: Some(staff.clone()),
            at: issued,
            expires: issued.plus(Duration::from_hours(14 * 24)),
        },
        message: None,
        user_names: vec![login_name(&format!("CDF{}HJK", random::<2>().map(|it| it.to_string()).concat()))],
        counted_from: issued.minus(Duration::from_hours(1)),
        most: 60,
        day: Day::of(issued),
    }
}

/// A link by a channel, good for a day.
pub fn new_link(
    staff: &GuardianId,
    guardian: &GuardianId,
    issued: Timestamp,
    channel: Channel,
) -> NewFallbackCredential {
    let sheet = new_sheet(staff, guardian, issued);
    let delivery = match channel {
        Channel::Email => Delivery::Email,
        Channel::Sms => Delivery::Sms,
    };
    let message = NewMessage {
        channel,
        idempotency_key: guardian_auth::domain::fallback_credential::message_key(
            &sheet.activation.id,
            channel,
        ),
        locale: None,
        reference: None,
        at: issued,
        ..super::reset_facts::message(Some(guardian), Some(Template::ActivationLink))
    };
    let expires = issued.plus(Duration::from_hours(24));
    let activation = NewActivation { delivery, code_hash: None, expires, ..sheet.activation };
    NewFallbackCredential { activation, message: Some(message), ..sheet }
}

pub async fn try_issue(world: &World, staff: &GuardianId, new: &NewFallbackCredential) -> IssueOutcome {
    let act = act(staff, new.activation.at, Fact::CredentialIssued, &new.activation.guardian);
    let Acted::Now(outcome) = world.store.issue_credential(&act, new).await.expect("an answer") else {
        panic!("it was looked at")
    };
    outcome
}

/// Issues; the id of what was issued.
pub async fn issue(world: &World, staff: &GuardianId, new: NewFallbackCredential) -> ActivationId {
    let outcome = try_issue(world, staff, &new).await;
    assert!(matches!(outcome, IssueOutcome::Issued { .. }), "{outcome:?}");
    new.activation.id
}

/// The password 3, chosen at a minute with what was issued.
pub fn activated(
    account: &Account,
    activation: &ActivationId,
    epoch: i64,
    at: Timestamp,
) -> ActivatedCredential {
    ActivatedCredential {
        activation: activation.clone(),
        guardian: account.guardian.clone(),
        organization: organization("sunnanvik"),
        portal: Portal::Parent,
        rests_on: RestsOn::Staff,
        credential_epoch: epoch,
        hash: hash(3),
        at,
        event: event(Fact::CredentialActivated, Some(&account.guardian)),
        notices: vec![],
    }
}

pub async fn activate(world: &World, activated: &ActivatedCredential) -> ActivateOutcome {
    world.store.activate_credential(activated).await.expect("an answer")
}

/// A wrong code for what was issued.
pub async fn mistype(world: &World, activation: &ActivationId, guardian: &GuardianId) {
    let failure = ActivationFailure {
        activation: activation.clone(),
        at: at(110),
        event: event(Fact::ActivationDenied(Cause::WrongActivationCode), Some(guardian)),
    };
    world.store.record_activation_failure(&failure).await.expect("it is counted");
}
