//! Invitations, roles and their end, through the wire.

use std::process::Command;

use guardian_auth::domain::caller::AllOrSome;
use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use guardian_auth::proto::StaffRole;
use tonic_types::StatusExt as _;

use crate::support::process::minimal_config;
use crate::support::service::{KOMMUN, OPVANG, Parts, Service, metadata, reason};
use crate::support::sql::Sql;
use crate::support::staff::{Staff, at_work, hire, hire_with_password};

use super::{invitation, invite, oneself, school, with_schools};

async fn change_role(
    by: &Staff,
    staff_id: &str,
    role: StaffRole,
    schools: &[&str],
    request_id: &str,
) -> Result<proto::ChangeStaffRoleResponse, tonic::Status> {
    let request = proto::ChangeStaffRoleRequest {
        organization: by.organization.clone(),
        staff_id: staff_id.to_owned(),
        role: role.into(),
        school_ids: schools.iter().map(|&id| id.to_owned()).collect(),
        request_id: request_id.to_owned(),
    };
    Ok(by.staff.clone().change_staff_role(request).await?.into_inner())
}

async fn deactivate(by: &Staff, staff_id: &str) -> Result<proto::DeactivateStaffResponse, tonic::Status> {
    let request = proto::DeactivateStaffRequest {
        organization: by.organization.clone(),
        staff_id: staff_id.to_owned(),
        request_id: String::new(),
    };
    Ok(by.staff.clone().deactivate_staff(request).await?.into_inner())
}

/// The first letter of Entral's list: mobile number and e-mail address are needed, and what is missing is named.
#[tokio::test]
async fn each_missing_field_of_an_invitation_is_named() {
    let service = with_schools(Parts::Embedded).await;
    let admin = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let empty = proto::InviteStaffRequest { organization: KOMMUN.to_owned(), ..Default::default() };
    let refused = invite(&admin, empty).await.unwrap_err();
    let fields = |status: &tonic::Status| {
        let details = status.get_details_bad_request().unwrap();
        details.field_violations.into_iter().map(|it| it.field).collect::<Vec<_>>()
    };
    assert_eq!(fields(&refused), ["given_name", "family_name", "email", "mobile", "role"]);
    let no_school = invitation(KOMMUN, StaffRole::SchoolAdministrator, &[]);
    assert_eq!(fields(&invite(&admin, no_school).await.unwrap_err()), ["school_ids"]);
    let mut bad = invitation(KOMMUN, StaffRole::SupportPerson, &["x"]);
    bad.mobile = "08-12 34 56".to_owned();
    bad.email = "robin@".to_owned();
    bad.eid = Some(proto::invite_staff_request::Eid::NationalId("870101-TF12".to_owned()));
    let refused = invite(&admin, bad).await.unwrap_err();
    assert_eq!(fields(&refused), ["email", "mobile", "school_ids", "national_id"]);
    assert_eq!(Sql::open(&service).await.number("SELECT count(*) FROM staff_member").await, 1);
}

#[tokio::test]
async fn an_invited_member_is_there_with_a_name_and_without_a_password() {
    for parts in Parts::ALL {
        let service = with_schools(parts).await;
        let admin = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let gran = school(&admin, "Granskolan").await;
        let mut request = invitation(KOMMUN, StaffRole::SchoolAdministrator, &[&gran]);
        request.eid = Some(proto::invite_staff_request::Eid::NationalId("19990807-2391".to_owned()));
        let member = invite(&admin, request.clone()).await.unwrap();
        assert_eq!(member.school_ids, [gran]);
        assert!(member.user_name.len() == 10 && !member.has_password && member.has_eid);
        // The same person again, and the same name again.
        let again = invite(&admin, request).await.unwrap_err();
        assert_eq!(
            (reason(&again).as_str(), metadata(&again, "field").unwrap().as_str()),
            ("ALREADY_EXISTS", "eid")
        );
        let mut named = invitation(KOMMUN, StaffRole::SupportPerson, &[]);
        named.user_name = member.user_name.to_lowercase();
        let taken = invite(&admin, named).await.unwrap_err();
        assert_eq!(metadata(&taken, "field").unwrap(), "user_name");
        let audited = "SELECT staff_id FROM audit_event WHERE kind = 'staff_invited'";
        assert_eq!(Sql::open(&service).await.texts(audited).await, [admin.id.as_str()]);
    }
}

/// A teacher who is a parent has two accounts with one number: neither portal leads to the other's.
#[tokio::test]
async fn a_member_and_a_guardian_may_have_one_number() {
    let service = with_schools(Parts::Shared).await;
    let parent = serde_json::json!({
        "type": "guardian", "key": "g-1", "given_name": "Robin", "family_name": "Exempel",
        "national_id": "19990807-2391",
    });
    service.import(KOMMUN, &[parent]).await;
    let admin = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let mut request = invitation(KOMMUN, StaffRole::SupportPerson, &[]);
    request.eid = Some(proto::invite_staff_request::Eid::NationalId("19990807-2391".to_owned()));
    invite(&admin, request).await.unwrap();
    let active = "SELECT count(*) FROM guardian_identifier WHERE retired_ms IS NULL";
    assert_eq!(Sql::open(&service).await.number(active).await, 2);
    let indexes = "SELECT count(DISTINCT blind_index) FROM guardian_identifier";
    assert_eq!(Sql::open(&service).await.number(indexes).await, 2);
}

#[tokio::test]
async fn a_school_has_as_many_support_persons_as_the_organization_allows() {
    for parts in Parts::ALL {
        let service = with_schools(parts).await;
        let admin = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let (gran, ek) = (school(&admin, "Granskolan").await, school(&admin, "Ekskolan").await);
        let mut members = Vec::new();
        for _ in 0..5 {
            let one = invite(&admin, invitation(KOMMUN, StaffRole::SupportPerson, &[&gran])).await.unwrap();
            members.push(one.staff_id);
        }
        let sixth = invitation(KOMMUN, StaffRole::SupportPerson, &[&ek, &gran]);
        let refused = invite(&admin, sixth).await.unwrap_err();
        assert_eq!(reason(&refused), "STAFF_LIMIT_REACHED");
        assert_eq!(metadata(&refused, "school_id").as_deref(), Some(gran.as_str()));
        assert_eq!(metadata(&refused, "limit").as_deref(), Some("5"));
        // Nothing of the refused one is left, and an administrator of the school does not count.
        assert_eq!(Sql::open(&service).await.number("SELECT count(*) FROM staff_member").await, 6);
        invite(&admin, invitation(KOMMUN, StaffRole::SchoolAdministrator, &[&gran])).await.unwrap();
        // Leavers make room at once, and the answer says when a school has too few.
        for (left, id) in members.iter().enumerate() {
            let few = deactivate(&admin, id).await.unwrap().understaffed_school_ids;
            assert_eq!(few == [gran.as_str()], 5 - left - 1 < 2, "{} are left", 5 - left - 1);
        }
        invite(&admin, invitation(KOMMUN, StaffRole::SupportPerson, &[&gran])).await.unwrap();
    }
}

/// B20, authentik CVE-2025-29928: a deactivated member's token is good for nothing, at the next call and everywhere.
#[tokio::test]
async fn b20_a_deactivation_and_a_change_of_role_act_at_once_on_each_replica() {
    for parts in Parts::ALL {
        let service = with_schools(parts).await;
        let replica = service.replica().await;
        let admin = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let gran = school(&admin, "Granskolan").await;
        let member = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
        let at_replica =
            at_work(&replica, KOMMUN, (&member.id, &member.user_name), &member.token, &member.refresh_token)
                .await;
        oneself(&member).await.unwrap();
        oneself(&at_replica).await.unwrap();

        change_role(&admin, &member.id, StaffRole::SupportPerson, &[&gran], "").await.unwrap();
        for here in [&member, &at_replica] {
            // A change of rights ends the sessions: here by the list of sessions that ended, there by the epoch at the
            // next refresh; the rights are read anew anyway.
            match oneself(here).await {
                Ok(seen) => assert_eq!(seen.member.unwrap().role, i32::from(StaffRole::SupportPerson)),
                Err(refused) => assert_eq!(reason(&refused), "STAFF_TOKEN_INVALID"),
            }
        }
        deactivate(&admin, &member.id).await.unwrap();
        for here in [&member, &at_replica] {
            assert_eq!(reason(&oneself(here).await.unwrap_err()), "STAFF_TOKEN_INVALID");
        }
        let calls = replica.caller(&format!("{KOMMUN}-admin")).await;
        assert_eq!(reason(&calls.refresh(&member.refresh_token).await.unwrap_err()), "SESSION_INVALID");
        let passwords = format!("SELECT count(*) FROM credential WHERE guardian_id = '{}'", member.id);
        assert_eq!(Sql::open(&service).await.number(&passwords).await, 0);
    }
}

#[tokio::test]
async fn an_organization_keeps_its_last_administrator() {
    for parts in Parts::ALL {
        let service = with_schools(parts).await;
        let one = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let other = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        // Nobody changes oneself.
        assert_eq!(reason(&deactivate(&one, &one.id).await.unwrap_err()), "STAFF_NOT_ALLOWED");
        // Two that deactivate each other at once: one of them is left.
        let (first, second) = tokio::join!(deactivate(&one, &other.id), deactivate(&other, &one.id));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        let operator = hire(&service, KOMMUN, Role::PlatformOperator, &[]).await;
        let left = if first.is_ok() { &one } else { &other };
        let refused = deactivate(&operator, &left.id).await.unwrap_err();
        assert_eq!(metadata(&refused, "conflict").as_deref(), Some("last_administrator"));
        let active = "SELECT count(*) FROM staff_member \
                      WHERE role = 'organization_administrator' AND state = 'active'";
        assert_eq!(Sql::open(&service).await.number(active).await, 1);
    }
}

#[tokio::test]
async fn a_platform_operator_appoints_administrators_everywhere_and_nobody_else() {
    let service = Service::start_with(Parts::Embedded, |config| {
        let admin = config.callers.iter_mut().find(|it| it.caller.name == format!("{KOMMUN}-admin"));
        admin.unwrap().caller.organizations = AllOrSome::All;
    })
    .await;
    let operator = hire(&service, KOMMUN, Role::PlatformOperator, &[]).await;
    let there = invite(&operator, invitation(OPVANG, StaffRole::OrganizationAdministrator, &[])).await;
    let there = there.unwrap();
    for role in [StaffRole::SupportPerson, StaffRole::SchoolAdministrator] {
        let school = ["01KAMXJ7VQ3S8Z0H2T9B4C5D6E"];
        let refused = invite(&operator, invitation(OPVANG, role, &school)).await.unwrap_err();
        assert_eq!(reason(&refused), "STAFF_NOT_ALLOWED");
    }
    let list = proto::ListStaffRequest { organization: OPVANG.to_owned(), ..Default::default() };
    let listed = operator.staff.clone().list_staff(list).await.unwrap().into_inner().members;
    assert_eq!(listed.iter().map(|it| &it.staff_id).collect::<Vec<_>>(), [&there.staff_id]);
    // An administrator of one organization has no way into the other.
    let admin = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let refused = invite(&admin, invitation(OPVANG, StaffRole::SupportPerson, &[])).await.unwrap_err();
    assert_eq!(reason(&refused), "STAFF_NOT_ALLOWED");
    let above = invite(&admin, invitation(KOMMUN, StaffRole::PlatformOperator, &[])).await.unwrap_err();
    assert_eq!(reason(&above), "STAFF_NOT_ALLOWED");
}

/// With a password alone staff search and look.
#[tokio::test]
async fn a_session_by_password_looks_and_changes_nothing() {
    let service = with_schools(Parts::Embedded).await;
    let weak = hire_with_password(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    assert!(!oneself(&weak).await.unwrap().session_may_change);
    let refused = invite(&weak, invitation(KOMMUN, StaffRole::SupportPerson, &[])).await.unwrap_err();
    assert_eq!(reason(&refused), "STRONGER_LOGIN_NEEDED");
    assert_eq!(metadata(&refused, "acr").as_deref(), Some("urn:guardian-auth:acr:eid"));
    let lenient = Service::start_with(Parts::Embedded, |config| {
        let because = "a small preschool without eID for staff, decided by its board".to_owned();
        let lenient = config.organizations.iter_mut().find(|it| it.id.as_str() == KOMMUN).unwrap();
        lenient.staff.password_is_enough_because = Some(because);
        let admin = config.callers.iter_mut().find(|it| it.caller.name == format!("{KOMMUN}-admin"));
        admin.unwrap().caller.organizations = AllOrSome::All;
    })
    .await;
    let weak = hire_with_password(&lenient, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    invite(&weak, invitation(KOMMUN, StaffRole::SupportPerson, &[])).await.unwrap();
    // What one organization finds enough is not enough in another.
    let operator = hire_with_password(&lenient, KOMMUN, Role::PlatformOperator, &[]).await;
    invite(&operator, invitation(KOMMUN, StaffRole::OrganizationAdministrator, &[])).await.unwrap();
    let elsewhere = invitation(OPVANG, StaffRole::OrganizationAdministrator, &[]);
    assert_eq!(reason(&invite(&operator, elsewhere).await.unwrap_err()), "STRONGER_LOGIN_NEEDED");
}

#[tokio::test]
async fn a_repeated_request_happens_once_and_its_id_is_no_other_requests() {
    let service = with_schools(Parts::Shared).await;
    let admin = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let (gran, ek) = (school(&admin, "Granskolan").await, school(&admin, "Ekskolan").await);
    let member = hire(&service, KOMMUN, Role::SupportPerson, &["s-1"]).await;
    let id = "0191d9a0-5b1c-7cc2-9a77-8a5c6f2f9b10";
    let to_ek = [ek.as_str()];
    let to_ek = || change_role(&admin, &member.id, StaffRole::SupportPerson, &to_ek, id);
    to_ek().await.unwrap();
    change_role(&admin, &member.id, StaffRole::SupportPerson, &[&gran], "").await.unwrap();
    // The retry of the first one, late: it is answered with what is true now, and changes nothing.
    let answer = to_ek().await.unwrap();
    assert_eq!(answer.member.unwrap().school_ids, [gran.as_str()]);
    let other = change_role(&admin, &member.id, StaffRole::SchoolAdministrator, &[&ek], id).await;
    let other = other.unwrap_err();
    assert_eq!(reason(&other), "INVALID_REQUEST");
    assert_eq!(other.get_details_bad_request().unwrap().field_violations[0].field, "request_id");
}

#[tokio::test]
async fn the_first_account_is_made_at_the_command_line_and_only_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    let text = minimal_config(directory.path());
    std::fs::write(&config, text).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guardian-auth"));
        command.arg("--config").arg(&config).args(["staff", "bootstrap", "--organization", KOMMUN]);
        command.args([
            "--role",
            "organization_administrator",
            "--given-name",
            "Alex",
            "--family-name",
            "Exempel",
        ]);
        let done =
            command.args(["--email", "alex@example.se", "--mobile", "+46701740605"]).args(more).output();
        let done = done.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let (code, out, err) = run(&[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("user name") && out.contains("gak_"), "{out}");
    let (code, out, err) = run(&[]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("there are 1 active members"), "{err}");
    let (code, ..) = run(&["--even-so"]);
    assert_eq!(code, Some(0));
    let (code, _, err) = run(&["--even-so", "--mobile", "08-12 34 56"]);
    assert_ne!(code, Some(0), "{err}");
}
