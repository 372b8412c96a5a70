//! Issuing fallback credentials: behind a confirmed link only, one at a time, and not too many by one person.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::domain::audit::Fact;
use guardian_auth::domain::fallback_credential::{ActivationEnd, Day};
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::login_password::AccountState;
use guardian_auth::domain::message::Channel;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{
    Acted, ApproveOutcome, CredentialQuery, Ended, FallbackCredentialStore, IssueOutcome, IssuedCredential,
    NewFallbackCredential, RevokeOutcome,
};

use super::contents::{contents, gained};
use super::credential_facts::{
    act, activate, activated, confirm, hire, issue, linked, new_link, new_sheet, try_issue, unconfirm,
    unlinked,
};
use super::directory_import::codes;
use super::on_every_database;
use super::races::at_once;
use super::reset_facts::reachable;
use super::world::{World, at, child, child_relation, guardian, organization, school};

/// Threat: a credential for somebody who only says to be a guardian of a child.
async fn nothing_is_issued_without_a_link_that_staff_confirmed(world: World) {
    let account = unlinked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let ask = async || try_issue(&world, &staff, &new_sheet(&staff, &account.guardian, at(100))).await;
    let before = contents(&world).await;
    assert_eq!(ask().await, IssueOutcome::NotConfirmed, "a link that nobody confirmed");
    world.change("UPDATE child_link SET confirmed_by = 'source', confirmed_ms = 0").await;
    assert_eq!(ask().await, IssueOutcome::NotConfirmed, "one that only the source confirmed");
    world.change("UPDATE child_link SET confirmed_by = NULL, confirmed_ms = NULL").await;
    assert_eq!(contents(&world).await, before, "and nothing was written");

    confirm(&world, &account.guardian).await;
    assert!(matches!(ask().await, IssueOutcome::Issued { .. }));
    unconfirm(&world, &account.guardian).await;
    assert_eq!(ask().await, IssueOutcome::NotConfirmed, "one that staff removed");

    let organization_wide = hire(&world, &[]).await;
    world.change("DELETE FROM child_link").await;
    let sheet = new_sheet(&organization_wide, &account.guardian, at(100));
    assert_eq!(
        try_issue(&world, &organization_wide, &sheet).await,
        IssueOutcome::NotConfirmed,
        "no link at all"
    );
}

async fn a_childminder_needs_a_contract_that_staff_confirmed(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &[]).await;
    let mut sheet = new_sheet(&staff, &account.guardian, at(100));
    sheet.activation.portal = Portal::Childminder;
    assert_eq!(try_issue(&world, &staff, &sheet).await, IssueOutcome::NotConfirmed);
    let contract = "INSERT INTO contract (guardian_id, source, confirmed_by, confirmed_ms) VALUES";
    world.change(&format!("{contract} ('{}', 'staff', 'staff', 0)", account.guardian)).await;
    let outcome = try_issue(&world, &staff, &sheet).await;
    let IssueOutcome::Issued { user_name, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(user_name, sheet.user_names[0], "there is no debtor number at that portal");
    assert_eq!(
        world.number("SELECT count(*) FROM guardian_login WHERE kind = 'user_name' AND is_spare = 1").await,
        1
    );
    sheet.activation.portal = Portal::Staff;
    assert_eq!(try_issue(&world, &staff, &sheet).await, IssueOutcome::NotConfirmed, "staff are invited");
}

/// Threat: staff of one school help themselves to guardians of another.
async fn nothing_is_issued_to_guardians_out_of_scope(world: World) {
    let account = linked(&world, "10042").await;
    world.import(vec![school("other")]).await;
    let elsewhere = hire(&world, &["other"]).await;
    let sheet = new_sheet(&elsewhere, &account.guardian, at(100));
    assert_eq!(try_issue(&world, &elsewhere, &sheet).await, IssueOutcome::NotFound);
    let revoke = act(&elsewhere, at(100), Fact::CredentialRevoked, &account.guardian);
    let revoked = world.store.revoke_credential(&revoke, &account.guardian, Portal::Parent).await;
    assert_eq!(revoked.expect("an answer"), Acted::Now(RevokeOutcome::NotFound));
    issue(&world, &hire(&world, &["s"]).await, new_sheet(&elsewhere, &account.guardian, at(100))).await;
    assert_eq!(list(&world, &elsewhere, None, None).await, []);
}

/// Threat: rights that were taken away a moment ago are used once more.
async fn a_member_whose_rights_changed_issues_nothing(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    world.change("UPDATE staff_member SET revision = 2").await;
    let sheet = new_sheet(&staff, &account.guardian, at(100));
    let act = act(&staff, at(100), Fact::CredentialIssued, &account.guardian);
    let acted = world.store.issue_credential(&act, &sheet).await.expect("an answer");
    assert_eq!(acted, Acted::OffDuty);
}

async fn a_locked_account_gets_nothing(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    for (state, told) in
        [("locked", AccountState::Locked), ("merged", AccountState::Merged), ("erased", AccountState::Erased)]
    {
        world.change(&format!("UPDATE guardian SET state = '{state}' WHERE kind = 'guardian'")).await;
        let sheet = new_sheet(&staff, &account.guardian, at(100));
        assert_eq!(try_issue(&world, &staff, &sheet).await, IssueOutcome::NotActive(told));
    }
}

async fn one_waits_at_a_time_and_the_password_stays_until_it_is_used(world: World) {
    let account = world.guardian("10042").await;
    confirm(&world, &account.guardian).await;
    let staff = hire(&world, &["s"]).await;
    let first = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let before = contents(&world).await;
    let second = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(101))).await;
    assert_eq!(gained(&before, &contents(&world).await), [("activation", 1), ("audit_event", 1)].into());
    let ends =
        |issued: &[IssuedCredential]| issued.iter().map(|one| (one.id.clone(), one.end)).collect::<Vec<_>>();
    let listed = list(&world, &staff, None, None).await;
    assert_eq!(ends(&listed), [(second, None), (first, Some(ActivationEnd::Replaced))]);
    let now = world.account("10042").await;
    assert!(now.password.is_some() && now.credential_epoch == account.credential_epoch);
}

async fn the_debtor_number_is_the_user_name(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let sheet = new_sheet(&staff, &account.guardian, at(100));
    let outcome = try_issue(&world, &staff, &sheet).await;
    let IssueOutcome::Issued { user_name, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(user_name.as_str(), "10042");
    assert_eq!(world.number("SELECT count(*) FROM guardian_login").await, 1);
}

async fn a_name_that_is_taken_is_passed_over(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    world.change("UPDATE guardian_login SET login_name = 'CDF2222HJK', guardian_id = (SELECT id FROM staff_member)").await;
    let mut sheet = new_sheet(&staff, &account.guardian, at(100));
    sheet.user_names = ["CDF2222HJK", "CDF3333HJK"].map(super::world::login_name).to_vec();
    let outcome = try_issue(&world, &staff, &sheet).await;
    let IssueOutcome::Issued { user_name, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(user_name.as_str(), "CDF3333HJK");
}

async fn a_link_needs_a_contact_on_file(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    for channel in Channel::ALL {
        let link = new_link(&staff, &account.guardian, at(100), channel);
        assert_eq!(try_issue(&world, &staff, &link).await, IssueOutcome::NoContact(channel));
    }
    let mut record = reachable("10042");
    record.relations = vec![child_relation("c", false)];
    world.import(vec![record.into()]).await;
    issue(&world, &staff, new_link(&staff, &account.guardian, at(100), Channel::Email)).await;
    assert_eq!(world.number("SELECT count(*) FROM message WHERE template = 'activation_link'").await, 1);
}

/// Threat: one person makes credentials for a whole town in a night.
async fn the_sixty_first_in_an_hour_waits_for_another_administrator(world: World) {
    let account = linked(&world, "10042").await;
    let (staff, other) = (hire(&world, &["s"]).await, hire(&world, &[]).await);
    let sheet =
        |minute| NewFallbackCredential { most: 3, ..new_sheet(&staff, &account.guardian, at(minute)) };
    for minute in [100, 110, 120] {
        issue(&world, &staff, sheet(minute)).await;
    }
    assert_eq!(try_issue(&world, &staff, &sheet(159)).await, IssueOutcome::NeedsApproval);
    issue(&world, &other, new_sheet(&other, &account.guardian, at(159))).await;

    let approve = async |by: &GuardianId, minute| {
        let day = Day::of(at(minute));
        let act = act(by, at(minute), Fact::IssuingApproved, &staff);
        world.store.approve_issuing(&act, &staff, day).await.expect("an answer")
    };
    // The day before is over.
    assert_eq!(approve(&other, 159 - 24 * 60).await, Acted::Now(ApproveOutcome::Approved));
    assert_eq!(try_issue(&world, &staff, &sheet(159)).await, IssueOutcome::NeedsApproval);
    for _ in 0..2 {
        assert_eq!(approve(&other, 159).await, Acted::Now(ApproveOutcome::Approved));
    }
    for minute in [159, 159, 159] {
        issue(&world, &staff, sheet(minute)).await;
    }
    // Without an approval, an hour later.
    world.change("DELETE FROM issuing_approval").await;
    assert_eq!(try_issue(&world, &staff, &sheet(218)).await, IssueOutcome::NeedsApproval);
    issue(&world, &staff, sheet(219)).await;
}

async fn a_colleague_is_approved_within_the_scope_only(world: World) {
    linked(&world, "10042").await;
    world.import(vec![school("other")]).await;
    let (here, elsewhere) = (hire(&world, &["s"]).await, hire(&world, &["other"]).await);
    let (both, wide) = (hire(&world, &["s", "other"]).await, hire(&world, &[]).await);
    let approve = async |by: &GuardianId, colleague: &GuardianId| {
        let act = act(by, at(100), Fact::IssuingApproved, colleague);
        let acted = world.store.approve_issuing(&act, colleague, Day::of(at(100))).await.expect("an answer");
        acted == Acted::Now(ApproveOutcome::Approved)
    };
    assert!(!approve(&here, &elsewhere).await && !approve(&elsewhere, &here).await);
    assert!(approve(&both, &here).await && approve(&here, &both).await && approve(&wide, &here).await);
    world.change(&format!("UPDATE staff_member SET role = 'support_person' WHERE id = '{here}'")).await;
    assert!(!approve(&both, &here).await, "who issues nothing waits for nobody");
    world.change(&format!("UPDATE staff_member SET state = 'deactivated' WHERE id = '{both}'")).await;
    assert!(!approve(&wide, &both).await);
}

/// Threat: many requests at once pass the count together.
async fn of_many_at_once_no_more_are_issued_than_may_be(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let outcomes = at_once((0..20).map(|_| {
        let store = Arc::clone(&world.store);
        let new = NewFallbackCredential { most: 7, ..new_sheet(&staff, &account.guardian, at(100)) };
        let act = act(&staff, at(100), Fact::CredentialIssued, &account.guardian);
        async move { store.issue_credential(&act, &new).await.expect("an answer") }
    }))
    .await;
    let issued = |acted: &&Acted<IssueOutcome>| matches!(acted, Acted::Now(IssueOutcome::Issued { .. }));
    assert_eq!(outcomes.iter().filter(issued).count(), 7);
    assert_eq!(world.number("SELECT count(*) FROM activation WHERE ended_ms IS NULL").await, 1);
}

/// Threat: a credential is issued while the link that it rests on is removed.
async fn a_link_that_is_removed_meanwhile_leaves_no_usable_credential(world: World) {
    for round in 0..20 {
        let account = linked(&world, &format!("2{round:04}")).await;
        let staff = hire(&world, &["s"]).await;
        let new = new_sheet(&staff, &account.guardian, at(100));
        let act = act(&staff, at(100), Fact::CredentialIssued, &account.guardian);
        let store = Arc::clone(&world.store);
        let issuing = {
            let (act, new) = (act, new.clone());
            tokio::spawn(async move { store.issue_credential(&act, &new).await.expect("an answer") })
        };
        unconfirm(&world, &account.guardian).await;
        let acted = issuing.await.expect("no panic");
        let made = activated(&account, &new.activation.id, account.credential_epoch, at(101));
        let outcome = activate(&world, &made).await;
        assert!(!matches!(outcome, guardian_auth::ports::store::ActivateOutcome::Activated(_)), "{acted:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM credential").await, 0);
}

async fn list(
    world: &World,
    staff: &GuardianId,
    guardian: Option<&GuardianId>,
    before: Option<&IssuedCredential>,
) -> Vec<IssuedCredential> {
    let query = CredentialQuery {
        organization: organization("sunnanvik"),
        staff: staff.clone(),
        guardian: guardian.cloned(),
        only_waiting: false,
        before: before.map(|one| one.id.clone()),
        limit: 2,
        now: at(200),
    };
    world.store.list_credentials(&query).await.expect("credentials")
}

async fn credentials_are_listed_in_pages_newest_first(world: World) {
    let (one, other) = (linked(&world, "10042").await, linked(&world, "10043").await);
    let staff = hire(&world, &["s"]).await;
    let mut ids = Vec::new();
    for (minute, account) in [(100, &one), (101, &other), (102, &one), (103, &one)] {
        ids.push(issue(&world, &staff, new_sheet(&staff, &account.guardian, at(minute))).await);
    }
    let found = |page: &[IssuedCredential]| page.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
    let first = list(&world, &staff, None, None).await;
    assert_eq!(found(&first), [ids[3].clone(), ids[2].clone()]);
    assert_eq!(first[0].issued_by.as_ref(), Some(&staff));
    let second = list(&world, &staff, None, Some(&first[1])).await;
    assert_eq!(found(&second), [ids[1].clone(), ids[0].clone()]);
    assert_eq!(found(&list(&world, &staff, Some(&other.guardian), None).await), [ids[1].clone()]);

    let waiting = CredentialQuery {
        organization: organization("sunnanvik"),
        staff: staff.clone(),
        guardian: None,
        only_waiting: true,
        before: None,
        limit: 10,
        now: at(200),
    };
    let listed = world.store.list_credentials(&waiting).await.expect("credentials");
    assert_eq!(found(&listed), [ids[3].clone(), ids[1].clone()]);
    let later = CredentialQuery { now: at(102).plus(Duration::from_hours(14 * 24)), ..waiting };
    assert_eq!(found(&world.store.list_credentials(&later).await.expect("credentials")), [ids[3].clone()]);
}

async fn revoking_takes_password_code_and_sessions(world: World) {
    let account = world.guardian("10042").await;
    confirm(&world, &account.guardian).await;
    let staff = hire(&world, &["s"]).await;
    let session = world.log_in(&account).await;
    issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    let revoke = async || {
        let act = act(&staff, at(110), Fact::CredentialRevoked, &account.guardian);
        world.store.revoke_credential(&act, &account.guardian, Portal::Parent).await.expect("an answer")
    };
    let ended = Ended { sessions: vec![session.id.clone()], live: 1 };
    assert_eq!(revoke().await, Acted::Now(RevokeOutcome::Revoked(ended)));
    let now = world.account("10042").await;
    assert!(now.password.is_none() && now.credential_epoch > account.credential_epoch);
    assert_eq!(list(&world, &staff, None, None).await[0].end, Some(ActivationEnd::Revoked));

    // Again: it succeeds, and nothing is written down.
    let before = contents(&world).await;
    assert_eq!(revoke().await, Acted::Now(RevokeOutcome::Revoked(Ended::default())));
    assert_eq!(contents(&world).await, before);
}

/// Threat: the next import brings the password back that staff took away.
async fn a_bar_to_imports_is_written_down_once(world: World) {
    let account = unlinked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    for minute in [110, 111] {
        let act = act(&staff, at(minute), Fact::CredentialRevoked, &account.guardian);
        let revoked = world.store.revoke_credential(&act, &account.guardian, Portal::Parent).await;
        assert_eq!(revoked.expect("an answer"), Acted::Now(RevokeOutcome::Revoked(Ended::default())));
        let events = "SELECT count(*) FROM audit_event WHERE kind = 'credential_revoked'";
        assert_eq!(world.number(events).await, 1);
    }
}

async fn no_import_brings_a_revoked_password_back(world: World) {
    let account = world.guardian("10042").await;
    let staff = hire(&world, &["s"]).await;
    let act = act(&staff, at(110), Fact::CredentialRevoked, &account.guardian);
    world.store.revoke_credential(&act, &account.guardian, Portal::Parent).await.expect("an answer");
    for seed in [1, 2] {
        let mut record = guardian("10042");
        record.password = Some(super::world::password(Portal::Parent, seed));
        let outcome = world.import(vec![record.into()]).await;
        assert_eq!(codes(&outcome[0]), ["password_revoked"]);
        assert!(world.account("10042").await.password.is_none());
    }
}

/// Threat: an import takes the password of a guardian whom staff have seen in person.
async fn an_import_leaves_what_staff_issued_and_the_owner_chose(world: World) {
    let account = linked(&world, "10042").await;
    let staff = hire(&world, &["s"]).await;
    let id = issue(&world, &staff, new_sheet(&staff, &account.guardian, at(100))).await;
    activate(&world, &activated(&account, &id, account.credential_epoch, at(101))).await;
    let chosen = async || world.account("10042").await.password.expect("a password").hash;
    let hash = chosen().await;

    // The source confirms and delivers another one, then takes its link back.
    assert!(codes(&world.import(vec![guardian("10042").into()]).await[0]).is_empty());
    assert_eq!(chosen().await, hash);
    let mut record = guardian("10042");
    record.password = None;
    record.relations = vec![];
    let withdrawn = world.import(vec![record.clone().into()]).await;
    assert_eq!(codes(&withdrawn[0]), ["link_of_staff_kept"]);
    assert_eq!(chosen().await, hash);

    // Staff's own link is gone: the source's alone does not bear what staff issued.
    unconfirm(&world, &account.guardian).await;
    record.relations = vec![child_relation("c", true)];
    let outcome = world.import(vec![school("s"), child("c", "s"), record.into()]).await;
    assert_eq!(codes(&outcome[2]), ["credential_removed"]);
    assert!(world.account("10042").await.password.is_none());
}

on_every_database! {
    nothing_is_issued_without_a_link_that_staff_confirmed,
    a_childminder_needs_a_contract_that_staff_confirmed,
    nothing_is_issued_to_guardians_out_of_scope,
    a_member_whose_rights_changed_issues_nothing,
    a_locked_account_gets_nothing,
    one_waits_at_a_time_and_the_password_stays_until_it_is_used,
    the_debtor_number_is_the_user_name,
    a_name_that_is_taken_is_passed_over,
    a_link_needs_a_contact_on_file,
    the_sixty_first_in_an_hour_waits_for_another_administrator,
    a_colleague_is_approved_within_the_scope_only,
    of_many_at_once_no_more_are_issued_than_may_be,
    a_link_that_is_removed_meanwhile_leaves_no_usable_credential,
    credentials_are_listed_in_pages_newest_first,
    revoking_takes_password_code_and_sessions,
    a_bar_to_imports_is_written_down_once,
    no_import_brings_a_revoked_password_back,
    an_import_leaves_what_staff_issued_and_the_owner_chose,
}
