//! What staff may issue, to whom, and how often.

use std::time::Duration;

use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use guardian_auth::proto::FallbackCredentialState as State;
use guardian_auth::proto::issue_fallback_credential_request::Delivery;

use super::{NEW, activate, code, confirm, fields, id_of, issue, request, sheet, with_guardians};
use crate::session::number;
use crate::support::service::{Attempt, KOMMUN, NOON_MS, OPVANG, Parts, metadata, reason};
use crate::support::sql::Sql;
use crate::support::staff::{Staff, hire, hire_with_password};

/// Threat: a credential for somebody who only says to be a guardian of a child.
#[tokio::test]
async fn nothing_is_issued_without_a_link_that_staff_confirmed() {
    for parts in Parts::ALL {
        let (service, staff) = with_guardians(parts).await;
        let alma = id_of(&service, "alma").await;
        let mut sql = Sql::open(&service).await;
        let refused = issue(&staff, &alma, sheet()).await.unwrap_err();
        assert_eq!(reason(&refused), "LINK_NOT_CONFIRMED", "nobody confirmed it");
        sql.run("UPDATE child_link SET confirmed_by = 'source'").await;
        let refused = issue(&staff, &alma, sheet()).await.unwrap_err();
        assert_eq!(reason(&refused), "LINK_NOT_CONFIRMED", "only the source did");
        sql.run("DELETE FROM child_link").await;
        let wide = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let refused = issue(&wide, &alma, sheet()).await.unwrap_err();
        assert_eq!(reason(&refused), "LINK_NOT_CONFIRMED", "there is none");
        assert_eq!(number(&service, "SELECT COUNT(*) FROM activation").await, 0);
        confirm(&service, "alma").await;
        let issued = issue(&staff, &alma, sheet()).await.unwrap();
        assert_eq!(issued.expire_time.unwrap().seconds, NOON_MS / 1000 + 14 * 86_400);
        let event = "SELECT COUNT(*) FROM audit_event WHERE kind = 'credential_issued' AND detail = 'sheet'";
        assert_eq!(number(&service, &format!("{event} AND staff_id = '{}'", staff.id)).await, 1);
    }
}

/// Threat: staff of another school or organization, or with too weak a login.
#[tokio::test]
async fn only_who_may_issue_issues_and_in_the_own_schools() {
    let (service, _) = with_guardians(Parts::Embedded).await;
    let alma = id_of(&service, "alma").await;
    confirm(&service, "alma").await;
    let elsewhere = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-2"]).await;
    assert_eq!(reason(&issue(&elsewhere, &alma, sheet()).await.unwrap_err()), "NOT_FOUND");
    let support = hire(&service, KOMMUN, Role::SupportPerson, &["s-1"]).await;
    assert_eq!(reason(&issue(&support, &alma, sheet()).await.unwrap_err()), "STAFF_NOT_ALLOWED");
    let weak = hire_with_password(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    assert_eq!(reason(&issue(&weak, &alma, sheet()).await.unwrap_err()), "STRONGER_LOGIN_NEEDED");
    let strong = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    let other =
        proto::IssueFallbackCredentialRequest { organization: OPVANG.to_owned(), ..request(&alma, sheet()) };
    let refused = strong.credentials.clone().issue_fallback_credential(other).await.unwrap_err();
    assert_eq!(reason(&refused), "STAFF_NOT_ALLOWED");
    assert_eq!(number(&service, "SELECT COUNT(*) FROM activation").await, 0);
}

#[tokio::test]
async fn every_fault_of_a_request_is_told_by_its_field() {
    let (service, staff) = with_guardians(Parts::Embedded).await;
    let alma = id_of(&service, "alma").await;
    let ask = async |request| {
        fields(&staff.credentials.clone().issue_fallback_credential(request).await.unwrap_err())
    };
    let nothing =
        proto::IssueFallbackCredentialRequest { organization: KOMMUN.to_owned(), ..Default::default() };
    assert_eq!(ask(nothing).await, ["portal", "guardian_id", "delivery"]);
    for portal in [proto::Portal::Staff, proto::Portal::Childminder] {
        let request =
            proto::IssueFallbackCredentialRequest { portal: portal.into(), ..request(&alma, sheet()) };
        assert_eq!(ask(request).await, ["portal"]);
    }
    for seconds in [-1, 0, 3_599, 30 * 86_400 + 1] {
        let lifetime = Some(prost_types::Duration { seconds, nanos: 0 });
        let sheet = Delivery::Sheet(proto::ActivationSheet { lifetime });
        assert_eq!(ask(request(&alma, sheet)).await, ["sheet.lifetime"], "{seconds}");
    }
    for channel in [0, 9] {
        let link = Delivery::Link(proto::ActivationLink { channel });
        assert_eq!(ask(request(&alma, link)).await, ["link.channel"]);
    }
    confirm(&service, "alma").await;
    for channel in [proto::ContactChannel::Email, proto::ContactChannel::Sms] {
        let link = Delivery::Link(proto::ActivationLink { channel: channel.into() });
        let refused = issue(&staff, &alma, link).await.unwrap_err();
        assert_eq!(metadata(&refused, "conflict").as_deref(), Some("no_usable_contact"));
    }
}

#[tokio::test]
async fn a_sheet_holds_all_that_is_needed_in_the_language_that_is_asked_for() {
    let (service, staff) = with_guardians(Parts::Embedded).await;
    let alma = id_of(&service, "alma").await;
    confirm(&service, "alma").await;
    for (locale, word) in [("", "Användarnamn"), ("nl-BE", "Gebruikersnaam"), ("fi", "User name")] {
        let request =
            proto::IssueFallbackCredentialRequest { locale: locale.to_owned(), ..request(&alma, sheet()) };
        let issued = staff.credentials.clone().issue_fallback_credential(request).await.unwrap().into_inner();
        assert_eq!(issued.user_name, "ALMA");
        let url = format!("activate#token={}", issued.activation_code);
        assert!(issued.activation_url.ends_with(&url), "{}", issued.activation_url);
        assert!(!format!("{issued:?}").contains(&issued.activation_code), "a code is in a Debug");
        let page = issued.activation_url.split('#').next().unwrap();
        for part in [word, "ALMA", &issued.activation_code, page, "2026-12-05 12:00 UTC", "Sample kommun"] {
            assert!(issued.sheet_text.contains(part), "{part} in\n{}", issued.sheet_text);
        }
    }
}

/// Threat: one person makes credentials for a whole town in a night.
#[tokio::test]
async fn the_61st_issue_in_an_hour_waits_for_approval_of_another_administrator() {
    let (service, staff) = with_guardians(Parts::Embedded).await;
    let alma = id_of(&service, "alma").await;
    confirm(&service, "alma").await;
    for _ in 0..60 {
        issue(&staff, &alma, sheet()).await.unwrap();
    }
    let refused = issue(&staff, &alma, sheet()).await.unwrap_err();
    assert_eq!(reason(&refused), "ISSUING_NEEDS_APPROVAL");
    assert_eq!(metadata(&refused, "staff_id"), Some(staff.id.clone()));
    assert_eq!(metadata(&refused, "limit").as_deref(), Some("60"));

    let approve = async |by: &Staff| {
        let request = proto::ApproveIssuingRequest {
            organization: KOMMUN.to_owned(),
            staff_id: staff.id.clone(),
            request_id: String::new(),
        };
        by.credentials.clone().approve_issuing(request).await.map(tonic::Response::into_inner)
    };
    assert_eq!(fields(&approve(&staff).await.unwrap_err()), ["staff_id"], "never for oneself");
    let elsewhere = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-2"]).await;
    assert_eq!(reason(&approve(&elsewhere).await.unwrap_err()), "NOT_FOUND");
    issue(&staff, &alma, sheet()).await.unwrap_err();
    let colleague = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    let until = approve(&colleague).await.unwrap().expire_time.unwrap();
    assert_eq!(until.seconds, NOON_MS / 1000 + 12 * 3600, "the end of the day");
    issue(&staff, &alma, sheet()).await.unwrap();
}

#[tokio::test]
async fn what_was_issued_is_listed_with_where_it_stands() {
    let (service, staff) = with_guardians(Parts::Embedded).await;
    let (alma, bo) = (id_of(&service, "alma").await, id_of(&service, "bo").await);
    confirm(&service, "alma").await;
    confirm(&service, "bo").await;
    let portal = service.portal(KOMMUN).await;
    for guardian in [&alma, &alma, &bo] {
        issue(&staff, guardian, sheet()).await.unwrap();
        service.clock.advance(Duration::from_secs(1));
    }
    let used = issue(&staff, &bo, sheet()).await.unwrap();
    activate(&portal, code("bo", &used.activation_code), NEW).await.unwrap();

    let list = async |by: &Staff, size, token: &str| {
        let request = proto::ListFallbackCredentialsRequest {
            organization: KOMMUN.to_owned(),
            page_size: size,
            page_token: token.to_owned(),
            ..Default::default()
        };
        by.credentials.clone().list_fallback_credentials(request).await.map(tonic::Response::into_inner)
    };
    let states = |page: &proto::ListFallbackCredentialsResponse| {
        page.credentials.iter().map(|one| (one.guardian_id.clone(), one.state())).collect::<Vec<_>>()
    };
    let first = list(&staff, 3, "").await.unwrap();
    assert_eq!(
        states(&first),
        [(bo.clone(), State::Activated), (bo.clone(), State::Replaced), (alma.clone(), State::Waiting)]
    );
    assert_eq!(first.credentials[0].issuing_staff_id, staff.id);
    let second = list(&staff, 3, &first.next_page_token).await.unwrap();
    assert_eq!(states(&second), [(alma.clone(), State::Replaced)]);
    assert_eq!(second.next_page_token, "");
    let support = hire(&service, KOMMUN, Role::SupportPerson, &[]).await;
    assert_eq!(list(&support, 0, "").await.unwrap().credentials.len(), 4);
    let stolen = list(&support, 3, &first.next_page_token).await.unwrap_err();
    assert_eq!(fields(&stolen), ["page_token"], "a page token is its reader's");
    let elsewhere = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-2"]).await;
    assert_eq!(list(&elsewhere, 0, "").await.unwrap().credentials, []);
}

#[tokio::test]
async fn revoking_ends_sessions_at_once_and_may_be_repeated() {
    for parts in Parts::ALL {
        let (service, staff) = with_guardians(parts).await;
        let alma = id_of(&service, "alma").await;
        confirm(&service, "alma").await;
        let portal = service.portal(KOMMUN).await;
        let issued = issue(&staff, &alma, sheet()).await.unwrap();
        activate(&portal, code("alma", &issued.activation_code), NEW).await.unwrap();
        let session = portal.session(Attempt::new("alma", NEW)).await;
        let revoke = async |portal: proto::Portal| {
            let request = proto::RevokeFallbackCredentialRequest {
                organization: KOMMUN.to_owned(),
                portal: portal.into(),
                guardian_id: alma.clone(),
                request_id: "0191d9a0-5b1c-7cc2-9a77-8a5c6f2f9b10".to_owned(),
            };
            staff
                .credentials
                .clone()
                .revoke_fallback_credential(request)
                .await
                .map(tonic::Response::into_inner)
        };
        assert_eq!(revoke(proto::Portal::Parent).await.unwrap().ended_session_count, 1);
        let ended = portal.verify(&session.access_token, KOMMUN, proto::Portal::Parent).await;
        assert_eq!(reason(&ended.unwrap_err()), "SESSION_INVALID");
        assert_eq!(
            reason(&portal.log_in(Attempt::new("alma", NEW)).await.unwrap_err()),
            "INVALID_CREDENTIALS"
        );
        assert_eq!(revoke(proto::Portal::Parent).await.unwrap().ended_session_count, 0);
        assert_eq!(fields(&revoke(proto::Portal::Staff).await.unwrap_err()), ["portal"]);
        let events = "SELECT COUNT(*) FROM audit_event WHERE kind = 'credential_revoked'";
        assert_eq!(number(&service, events).await, 1);
    }
}
