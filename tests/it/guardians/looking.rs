//! Finding guardians and reading about them.

use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use guardian_auth::proto::search_guardians_request::By;

use super::{events, get, one, search, two_schools};
use crate::support::service::{Attempt, KOMMUN, OPVANG, Parts, metadata, reason};
use crate::support::staff::{hire, hire_with_password};

#[tokio::test]
async fn staff_find_guardians_of_their_schools_in_every_way() {
    for parts in Parts::ALL {
        let service = two_schools(parts).await;
        let everywhere = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let here = hire_with_password(&service, KOMMUN, Role::SupportPerson, &["s-1"]).await;
        let there = hire_with_password(&service, KOMMUN, Role::SupportPerson, &["s-2"]).await;
        let kim = one(&everywhere, "kim").await;
        let maja = super::child(&everywhere, "maj").await;
        for by in [
            By::Name("EK ki".to_owned()),
            By::NationalId("990807-2391".to_owned()),
            By::LoginName(" Kim.Ek".to_owned()),
            By::ChildName("maja".to_owned()),
            By::ChildId(maja.clone()),
        ] {
            for staff in [&everywhere, &here] {
                let found = search(staff, by.clone()).await.unwrap();
                assert_eq!(found.len(), 1, "{by:?}");
                assert_eq!(found[0].guardian_id, kim);
                assert_eq!(found[0].children, ["Maja"]);
            }
            assert!(search(&there, by.clone()).await.unwrap().is_empty(), "{by:?}");
        }
        assert_eq!(search(&there, By::Name("aberg".to_owned())).await.unwrap().len(), 1);
        // Staff are no guardians.
        assert!(search(&everywhere, By::Name("exempel".to_owned())).await.unwrap().is_empty());
        assert!(search(&everywhere, By::LoginName(here.user_name.clone())).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn who_is_out_of_scope_is_not_there() {
    let service = two_schools(Parts::Embedded).await;
    let everywhere = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let kim = one(&everywhere, "kim").await;
    let there = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-2"]).await;
    let abroad = hire(&service, OPVANG, Role::OrganizationAdministrator, &[]).await;
    for staff in [&there, &abroad] {
        let organization = staff.organization.clone();
        let guardian_id = kim.clone();
        let mut calls = staff.guardians.clone();
        let lock = proto::LockGuardianRequest {
            organization: organization.clone(),
            guardian_id: guardian_id.clone(),
            reason: proto::LockReason::Misuse.into(),
            ..Default::default()
        };
        let show = proto::ShowNationalIdsRequest {
            organization: organization.clone(),
            guardian_id: guardian_id.clone(),
        };
        let change = proto::ChangeIdentifierRequest {
            organization: organization.clone(),
            guardian_id: guardian_id.clone(),
            new_number: Some(proto::change_identifier_request::NewNumber::NationalId(
                if organization == OPVANG { "123456782" } else { "730288-9931" }.to_owned(),
            )),
            change: proto::IdentifierChange::Correction.into(),
            ..Default::default()
        };
        let refusals = [
            get(staff, &kim).await.unwrap_err(),
            calls.lock_guardian(lock).await.unwrap_err(),
            calls.show_national_ids(show).await.unwrap_err(),
            calls.change_identifier(change).await.unwrap_err(),
        ];
        for refusal in refusals {
            assert_eq!(reason(&refusal), "NOT_FOUND");
            assert_eq!(metadata(&refusal, "field").as_deref(), Some("guardian_id"));
        }
        assert!(events(staff, &kim, "").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn numbers_are_masked_and_an_event_says_who_saw_them() {
    for parts in Parts::ALL {
        let service = two_schools(parts).await;
        let staff = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
        let kim = one(&staff, "kim").await;
        let record = get(&staff, &kim).await.unwrap();
        assert_eq!(record.national_ids[0].masked, "19990807****");
        assert_eq!(record.national_ids[0].source, "import");
        assert_eq!(record.login_names[0].login_name, "KIM.EK");
        assert_eq!(record.child_links.len(), 1);
        assert!(!record.child_links[0].confirmed_by_staff);
        assert_eq!(record.passwords.len(), 1);
        let request =
            proto::ShowNationalIdsRequest { organization: KOMMUN.to_owned(), guardian_id: kim.clone() };
        let shown = staff.guardians.clone().show_national_ids(request).await.unwrap().into_inner();
        assert_eq!(shown.national_ids[0].number, "199908072391");
        let seen = events(&staff, &kim, "").await.unwrap();
        assert_eq!(seen[0].kind, "identifiers_shown");
        assert_eq!(seen[0].staff_id, staff.id);
    }
}

#[tokio::test]
async fn a_reference_code_leads_to_what_happened() {
    for parts in Parts::ALL {
        let service = two_schools(parts).await;
        let portal = service.portal(KOMMUN).await;
        let denied = portal.log_in(Attempt::new("kim.ek", "not the password")).await.unwrap_err();
        let code = metadata(&denied, "reference_code").unwrap();
        let typed = format!("{}-{}", &code[..4].to_lowercase(), &code[4..]);
        let here = hire_with_password(&service, KOMMUN, Role::SupportPerson, &["s-1"]).await;
        let there = hire_with_password(&service, KOMMUN, Role::SupportPerson, &["s-2"]).await;
        let found = events(&here, "", &typed).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind.as_str(), found[0].cause.as_str()), ("login_denied", "wrong_password"));
        assert!(events(&there, "", &typed).await.unwrap().is_empty());
        let everything = events(&here, "", "").await.unwrap_err();
        assert_eq!(reason(&everything), "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_page_token_is_good_for_its_list_alone() {
    let service = two_schools(Parts::Embedded).await;
    let staff = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let other = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let page = |by: &str, page_token: &str| proto::SearchGuardiansRequest {
        organization: KOMMUN.to_owned(),
        by: Some(By::Name(by.to_owned())),
        page_size: 1,
        page_token: page_token.to_owned(),
    };
    // The children of both are named Ek.
    let by_child = |page_token: &str| proto::SearchGuardiansRequest {
        by: Some(By::ChildName("ek".to_owned())),
        ..page("", page_token)
    };
    let mut calls = staff.guardians.clone();
    let first = calls.search_guardians(by_child("")).await.unwrap().into_inner();
    let token = first.next_page_token;
    let second = calls.search_guardians(by_child(&token)).await.unwrap().into_inner();
    assert_ne!(first.guardians[0].guardian_id, second.guardians[0].guardian_id);
    for refused in [
        calls.search_guardians(page("ek", &token)).await,
        calls.search_guardians(by_child("x")).await,
        other.guardians.clone().search_guardians(by_child(&token)).await,
    ] {
        assert_eq!(reason(&refused.unwrap_err()), "INVALID_REQUEST");
    }
}
