//! B20: what staff do to an account ends its sessions on each replica within a second.

use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use guardian_auth::proto::change_identifier_request::NewNumber;
use guardian_auth::proto::{IdentifierChange, LockReason, Portal};

use crate::change_password::roomy;
use crate::fallback_credential::id_of;
use crate::session::{PASSWORD, SEEN_WITHIN, assert_invalid, is_valid};
use crate::support::eventually;
use crate::support::service::{Attempt, KOMMUN, Parts, Service, guardian, hash, school_and_child};
use crate::support::staff::{Staff, hire};

/// A guardian for each act; the last one is who stays when one is merged.
const NAMES: [&str; 8] = ["lock", "merge", "revoke", "number", "erase", "unlink", "bystander", "kept"];

async fn act(service: &Service, staff: &Staff, name: &str) -> i32 {
    let (organization, guardian_id) = (KOMMUN.to_owned(), id_of(service, name).await);
    let (request_id, mut calls) = (String::new(), staff.guardians.clone());
    match name {
        "lock" => {
            let reason = LockReason::Compromised.into();
            let request = proto::LockGuardianRequest { organization, guardian_id, reason, request_id };
            calls.lock_guardian(request).await.unwrap().into_inner().ended_session_count
        }
        "merge" => {
            let request = proto::MergeGuardiansRequest {
                organization,
                kept_guardian_id: id_of(service, "kept").await,
                absorbed_guardian_id: guardian_id,
                validate_only: false,
                request_id,
            };
            calls.merge_guardians(request).await.unwrap().into_inner().ended_session_count
        }
        "revoke" => {
            let portal = Portal::Parent.into();
            let request =
                proto::RevokeFallbackCredentialRequest { organization, portal, guardian_id, request_id };
            let answer = staff.credentials.clone().revoke_fallback_credential(request).await;
            answer.unwrap().into_inner().ended_session_count
        }
        "number" => {
            let request = proto::ChangeIdentifierRequest {
                organization,
                guardian_id,
                new_number: Some(NewNumber::NationalId("19990807-2391".to_owned())),
                replaced_national_id: String::new(),
                change: IdentifierChange::First.into(),
                request_id,
            };
            calls.change_identifier(request).await.unwrap().into_inner().ended_session_count
        }
        "erase" => {
            let request = proto::EraseGuardianRequest { organization, guardian_id, request_id };
            calls.erase_guardian(request).await.unwrap().into_inner().ended_session_count
        }
        "unlink" => {
            let search = proto::SearchChildrenRequest {
                organization: organization.clone(),
                name: "Maja".to_owned(),
                ..Default::default()
            };
            let found = staff.children.clone().search_children(search).await.unwrap().into_inner();
            let child_id = found.children[0].child_id.clone();
            let request = proto::RemoveChildLinkRequest { organization, guardian_id, child_id, request_id };
            calls.remove_child_link(request).await.unwrap().into_inner().ended_session_count
        }
        other => panic!("what is {other}?"),
    }
}

#[tokio::test]
async fn b20_what_staff_do_to_an_account_ends_its_sessions_on_each_replica() {
    for parts in Parts::ALL {
        let service = Service::start_with(parts, roomy).await;
        let other = service.replica_with(roomy).await;
        let hash = hash(PASSWORD).await;
        let mut rows = school_and_child();
        rows.extend(NAMES.map(|name| guardian(name, name, Some(&hash))));
        service.import(KOMMUN, &rows).await;
        let staff = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let (here, there) = (service.portal(KOMMUN).await, other.portal(KOMMUN).await);
        let bystander = here.session(Attempt::new("bystander", PASSWORD)).await;
        for name in ["lock", "revoke", "number", "erase", "unlink", "merge"] {
            let one = here.session(Attempt::new(name, PASSWORD)).await;
            let two = there.session(Attempt::new(name, PASSWORD)).await;
            // Both replicas have verified both, and so remember them.
            for tokens in [&one, &two] {
                assert!(is_valid(&here, &tokens.access_token).await);
                assert!(is_valid(&there, &tokens.access_token).await);
            }
            let what = format!("{parts:?}, {name}");
            assert_eq!(act(&service, &staff, name).await, 2, "{what}");
            for tokens in [&one, &two] {
                assert!(!is_valid(&here, &tokens.access_token).await, "{what}: where it was done, at once");
                eventually(SEEN_WITHIN, &what, async || !is_valid(&there, &tokens.access_token).await).await;
                for portal in [&here, &there] {
                    assert_invalid(&portal.refresh(&tokens.refresh_token).await.unwrap_err());
                }
            }
        }
        assert!(is_valid(&there, &bystander.access_token).await, "{parts:?}");
        there.refresh(&bystander.refresh_token).await.unwrap();
    }
}
