//! Links, numbers and locks: what staff change, and what follows from it at once.

use std::time::Duration;

use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use guardian_auth::proto::change_identifier_request::NewNumber;
use guardian_auth::proto::search_guardians_request::By;
use guardian_auth::proto::{IdentifierChange, LinkEvidence, LockReason, Portal};
use serde_json::json;
use tonic::Status;

use super::{PASSWORD, child, events, get, one, search, two_schools};
use crate::support::eventually;
use crate::support::service::{Attempt, KOMMUN, Parts, guardian, metadata, reason};
use crate::support::staff::{Staff, hire, hire_with_password};

const REQUEST: &str = "0191d9a0-5b1c-7cc2-9a77-8a5c6f2f9b10";

async fn change(
    staff: &Staff,
    guardian_id: &str,
    number: &str,
    change: IdentifierChange,
    request_id: &str,
) -> Result<proto::ChangeIdentifierResponse, Status> {
    let request = proto::ChangeIdentifierRequest {
        organization: KOMMUN.to_owned(),
        guardian_id: guardian_id.to_owned(),
        new_number: Some(NewNumber::NationalId(number.to_owned())),
        replaced_national_id: String::new(),
        change: change.into(),
        request_id: request_id.to_owned(),
    };
    Ok(staff.guardians.clone().change_identifier(request).await?.into_inner())
}

async fn confirm(
    staff: &Staff,
    guardian_id: &str,
    child_id: &str,
    request_id: &str,
) -> Result<proto::ChildLink, Status> {
    let request = proto::ConfirmChildLinkRequest {
        organization: KOMMUN.to_owned(),
        guardian_id: guardian_id.to_owned(),
        child_id: child_id.to_owned(),
        evidence: LinkEvidence::PopulationRegister.into(),
        request_id: request_id.to_owned(),
    };
    Ok(staff.guardians.clone().confirm_child_link(request).await?.into_inner().child_link.unwrap())
}

async fn lock(staff: &Staff, guardian_id: &str) -> Result<i32, Status> {
    let request = proto::LockGuardianRequest {
        organization: KOMMUN.to_owned(),
        guardian_id: guardian_id.to_owned(),
        reason: LockReason::Compromised.into(),
        request_id: String::new(),
    };
    Ok(staff.guardians.clone().lock_guardian(request).await?.into_inner().ended_session_count)
}

/// Unikum's second paragraph: the number on the account is wrong; and the next import delivers the wrong one again.
#[tokio::test]
async fn a_wrong_number_is_put_right_and_no_import_undoes_it() {
    for parts in Parts::ALL {
        let service = two_schools(parts).await;
        let staff = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
        let session = service.portal(KOMMUN).await.session(Attempt::new("kim.ek", PASSWORD)).await;
        let kim = one(&staff, "kim").await;
        let changed =
            change(&staff, &kim, "730288-9931", IdentifierChange::Correction, REQUEST).await.unwrap();
        assert_eq!(changed.ended_session_count, 1);
        assert_eq!(changed.national_ids[0].masked, "19730288****");
        let portal = service.portal(KOMMUN).await;
        assert_eq!(reason(&portal.refresh(&session.refresh_token).await.unwrap_err()), "SESSION_INVALID");

        let again = change(&staff, &kim, "730288-9931", IdentifierChange::Correction, REQUEST).await.unwrap();
        assert_eq!((again.ended_session_count, again.national_ids.len()), (0, 1));
        let other = change(&staff, &kim, "990807-2391", IdentifierChange::Correction, REQUEST).await;
        assert_eq!(reason(&other.unwrap_err()), "INVALID_REQUEST");

        let mut row = guardian("g-1", "kim.ek", None);
        row["national_id"] = json!("19990807-2391");
        service.import(KOMMUN, &[row]).await;
        let record = get(&staff, &kim).await.unwrap();
        assert_eq!(record.national_ids.len(), 1);
        assert_eq!(record.national_ids[0].source, "staff");
        assert_eq!(search(&staff, By::NationalId("730288-9931".to_owned())).await.unwrap().len(), 1);
        let seen = events(&staff, &kim, "").await.unwrap();
        let changes: Vec<_> = seen.iter().filter(|event| event.kind == "identifier_changed").collect();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].detail, "se.pnr>se.snr");
    }
}

#[tokio::test]
async fn a_number_that_another_account_has_says_whose_if_staff_may_see_it() {
    let service = two_schools(Parts::Embedded).await;
    let everywhere = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let there = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-2"]).await;
    let (kim, ali) = (one(&everywhere, "kim").await, one(&everywhere, "ali").await);
    for (staff, holder) in [(&everywhere, Some(kim)), (&there, None)] {
        let taken = change(staff, &ali, "19990807-2391", IdentifierChange::First, "").await.unwrap_err();
        assert_eq!(reason(&taken), "ALREADY_EXISTS");
        assert_eq!(metadata(&taken, "guardian_id"), holder);
    }
    let seen = events(&everywhere, &ali, "").await.unwrap();
    assert_eq!(seen.iter().filter(|event| event.kind == "identifier_taken").count(), 2);
    let none = change(&there, &ali, "730288-9931", IdentifierChange::Succession, "").await.unwrap_err();
    assert_eq!(metadata(&none, "conflict").as_deref(), Some("has_no_number"));
    change(&there, &ali, "870101-TF12", IdentifierChange::First, "").await.unwrap();
    change(&there, &ali, "730288-9931", IdentifierChange::Succession, "").await.unwrap();
    let back = change(&there, &ali, "870101-TF12", IdentifierChange::Succession, "").await.unwrap_err();
    assert_eq!(metadata(&back, "conflict").as_deref(), Some("not_a_successor"));
    let typed = change(&there, &ali, "870101", IdentifierChange::Correction, "").await.unwrap_err();
    assert_eq!(reason(&typed), "INVALID_REQUEST");
}

/// Unikum's first paragraph: a child is missing; and the day when the relation ends.
#[tokio::test]
async fn a_link_is_added_confirmed_and_removed_with_what_rested_on_it() {
    for parts in Parts::ALL {
        let service = two_schools(parts).await;
        let everywhere = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let here = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
        let there = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-2"]).await;
        let (kim, tove) = (one(&everywhere, "kim").await, child(&there, "tove").await);
        let maja = child(&here, "maja").await;
        let add = proto::AddChildLinkRequest {
            organization: KOMMUN.to_owned(),
            guardian_id: kim.clone(),
            child_id: tove.clone(),
            request_id: REQUEST.to_owned(),
        };
        let refused = here.guardians.clone().add_child_link(add.clone()).await.unwrap_err();
        assert_eq!(metadata(&refused, "field").as_deref(), Some("child_id"));
        // Kim belongs to the other school: who could link anybody could take any account over.
        let refused = there.guardians.clone().add_child_link(add.clone()).await.unwrap_err();
        assert_eq!(metadata(&refused, "field").as_deref(), Some("guardian_id"));
        for _ in 0..2 {
            let added = everywhere.guardians.clone().add_child_link(add.clone()).await.unwrap().into_inner();
            assert_eq!(added.child_link.unwrap().sources, ["staff"]);
        }
        let link = confirm(&there, &kim, &tove, "").await.unwrap();
        assert!(link.confirmed_by_staff);
        assert_eq!(link.confirming_staff_id, there.id);
        assert_eq!(link.evidence(), LinkEvidence::PopulationRegister);
        assert_eq!(get(&everywhere, &kim).await.unwrap().child_links.len(), 2);

        let portal = service.portal(KOMMUN).await;
        let session = portal.session(Attempt::new("kim.ek", PASSWORD)).await;
        let remove = |child_id: &str| proto::RemoveChildLinkRequest {
            organization: KOMMUN.to_owned(),
            guardian_id: kim.clone(),
            child_id: child_id.to_owned(),
            request_id: String::new(),
        };
        // The other school's link still bears the password.
        let removed = here.guardians.clone().remove_child_link(remove(&maja)).await.unwrap().into_inner();
        assert!(removed.revoked_portals.is_empty());
        portal.verify(&session.access_token, KOMMUN, Portal::Parent).await.unwrap();
        let removed = there.guardians.clone().remove_child_link(remove(&tove)).await.unwrap().into_inner();
        assert_eq!(removed.revoked_portals, [i32::from(Portal::Parent)]);
        assert_eq!(removed.ended_session_count, 1);
        let ended = portal.verify(&session.access_token, KOMMUN, Portal::Parent).await.unwrap_err();
        assert_eq!(reason(&ended), "SESSION_INVALID");
        let denied = portal.log_in(Attempt::new("kim.ek", PASSWORD)).await.unwrap_err();
        assert_eq!(reason(&denied), "INVALID_CREDENTIALS");
    }
}

/// B20, by staff.
#[tokio::test]
async fn a_locked_account_is_shut_at_once_on_every_replica() {
    for parts in Parts::ALL {
        let service = two_schools(parts).await;
        let staff = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
        let kim = one(&staff, "kim").await;
        let portal = service.portal(KOMMUN).await;
        let session = portal.session(Attempt::new("kim.ek", PASSWORD)).await;
        let replica = service.replica().await;
        let elsewhere = replica.portal(KOMMUN).await;
        elsewhere.verify(&session.access_token, KOMMUN, Portal::Parent).await.unwrap();

        assert_eq!(lock(&staff, &kim).await.unwrap(), 1);
        assert_eq!(lock(&staff, &kim).await.unwrap(), 0);
        let ended = portal.verify(&session.access_token, KOMMUN, Portal::Parent).await.unwrap_err();
        assert_eq!(reason(&ended), "SESSION_INVALID");
        for calls in [&portal, &elsewhere] {
            let refused = calls.refresh(&session.refresh_token).await.unwrap_err();
            assert_eq!(reason(&refused), "SESSION_INVALID");
            let denied = calls.log_in(Attempt::new("kim.ek", PASSWORD)).await.unwrap_err();
            assert_eq!(reason(&denied), "INVALID_CREDENTIALS");
        }
        eventually(Duration::from_secs(1), "the replica refuses the access token", async || {
            elsewhere.verify(&session.access_token, KOMMUN, Portal::Parent).await.is_err()
        })
        .await;
        let seen = events(&staff, &kim, "").await.unwrap();
        let locked = seen.iter().find(|event| event.kind == "guardian_locked").unwrap();
        assert_eq!((locked.detail.as_str(), locked.staff_id.as_str()), ("compromised", staff.id.as_str()));

        let unlock = proto::UnlockGuardianRequest {
            organization: KOMMUN.to_owned(),
            guardian_id: kim,
            request_id: String::new(),
        };
        staff.guardians.clone().unlock_guardian(unlock).await.unwrap();
        portal.session(Attempt::new("kim.ek", PASSWORD)).await;
        let refused = portal.refresh(&session.refresh_token).await.unwrap_err();
        assert_eq!(reason(&refused), "SESSION_INVALID");
    }
}

#[tokio::test]
async fn a_support_person_and_a_session_by_password_change_nothing() {
    let service = two_schools(Parts::Embedded).await;
    let support = hire(&service, KOMMUN, Role::SupportPerson, &["s-1"]).await;
    let weak = hire_with_password(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    let kim = one(&support, "kim").await;
    let maja = child(&support, "maja").await;
    for (staff, expected) in [(&support, "STAFF_NOT_ALLOWED"), (&weak, "STRONGER_LOGIN_NEEDED")] {
        let refusals = [
            lock(staff, &kim).await.unwrap_err(),
            confirm(staff, &kim, &maja, "").await.unwrap_err(),
            change(staff, &kim, "730288-9931", IdentifierChange::Correction, "").await.unwrap_err(),
        ];
        assert!(refusals.iter().all(|refusal| reason(refusal) == expected));
    }
}
