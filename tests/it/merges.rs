//! One person with two accounts, one child there twice, and what persons may ask for: through the wire.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use serde_json::{Value, json};

use crate::support::service::{
    Attempt, Calls, KOMMUN, Parts, Service, guardian, hash, metadata, reason, school_and_child,
};
use crate::support::sql::Sql;
use crate::support::staff::{Staff, hire, hire_with_password};

const PASSWORD: &str = "grön båt under bron";
const NUMBER: &str = "199908072391";

/// A guardian with two accounts, of which one has a number, and a child that is there twice.
async fn twice(parts: Parts) -> Service {
    let service = Service::start(parts).await;
    let hash = hash(PASSWORD).await;
    let mut rows = school_and_child();
    rows.push(json!({"type": "school", "key": "s-2", "name": "Ekskolan"}));
    rows.push(json!({
        "type": "child", "key": "c-2", "given_name": "Maja", "family_name": "Ek", "school": "s-1"
    }));
    let mut one = guardian("g-1", "KIMONE", Some(&hash));
    one["national_id"] = Value::from(NUMBER);
    one["child_links"] = json!([{"child": "c-1", "confirmed": true}, {"child": "c-2", "confirmed": true}]);
    rows.push(one);
    rows.push(guardian("g-2", "KIMTWO", Some(&hash)));
    service.import(KOMMUN, &rows).await;
    service
}

async fn id(service: &Service, table: &str, key: &str) -> String {
    let question = format!("SELECT id FROM {table} WHERE source_key = '{key}'");
    Sql::open(service).await.texts(&question).await.remove(0)
}

/// Whose account somebody is in.
async fn account(portal: &Calls, login_name: &str) -> String {
    let session = portal.session(Attempt::new(login_name, PASSWORD)).await;
    portal.verify(&session.access_token, KOMMUN, proto::Portal::Parent).await.unwrap().guardian_id
}

async fn merge_of(service: &Service) -> proto::MergeGuardiansRequest {
    proto::MergeGuardiansRequest {
        organization: KOMMUN.to_owned(),
        kept_guardian_id: id(service, "guardian", "g-2").await,
        absorbed_guardian_id: id(service, "guardian", "g-1").await,
        ..Default::default()
    }
}

async fn merge(
    staff: &Staff,
    request: proto::MergeGuardiansRequest,
) -> Result<proto::MergeGuardiansResponse, tonic::Status> {
    staff.guardians.clone().merge_guardians(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn two_accounts_of_one_person_are_found_merged_and_parted_again() {
    for parts in Parts::ALL {
        let service = twice(parts).await;
        let staff = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
        let portal = service.portal(KOMMUN).await;
        let request = proto::FindDuplicatesRequest { organization: KOMMUN.to_owned(), ..Default::default() };
        let found = staff.guardians.clone().find_duplicates(request).await.unwrap().into_inner();
        assert_eq!((found.pairs.len(), found.next_page_token.as_str()), (1, ""));
        let signs: Vec<_> = found.pairs[0].signs().collect();
        assert_eq!(signs, [proto::DuplicateSign::Name, proto::DuplicateSign::Child]);

        let before = portal.session(Attempt::new("KIMONE", PASSWORD)).await;
        let request = merge_of(&service).await;
        let validated =
            merge(&staff, proto::MergeGuardiansRequest { validate_only: true, ..request.clone() }).await;
        let validated = validated.unwrap();
        assert_eq!((validated.merge_id.as_str(), validated.ended_session_count), ("", 1));
        portal.verify(&before.access_token, KOMMUN, proto::Portal::Parent).await.unwrap();

        let merged = merge(&staff, request.clone()).await.unwrap();
        assert_eq!(merged.moved_national_id_count, validated.moved_national_id_count);
        assert_eq!((merged.moved_national_id_count, merged.moved_login_name_count), (1, 1));
        assert_eq!((merged.moved_child_link_count, merged.ended_session_count), (1, 1));
        assert_eq!(merged.colliding_portals().collect::<Vec<_>>(), [proto::Portal::Parent]);
        let ended = portal.verify(&before.access_token, KOMMUN, proto::Portal::Parent).await.unwrap_err();
        assert_eq!(reason(&ended), "SESSION_INVALID");
        assert_eq!(account(&portal, "KIMONE").await, request.kept_guardian_id);

        let undo = proto::UndoMergeRequest {
            organization: KOMMUN.to_owned(),
            merge_id: merged.merge_id.clone(),
            ..Default::default()
        };
        let undone = staff.guardians.clone().undo_merge(undo.clone()).await.unwrap().into_inner();
        assert_eq!(undone.ended_session_count, 1);
        assert_eq!(account(&portal, "KIMONE").await, request.absorbed_guardian_id);
        assert_eq!(account(&portal, "KIMTWO").await, request.kept_guardian_id);
        staff.guardians.clone().undo_merge(undo).await.unwrap();
    }
}

#[tokio::test]
async fn the_same_merge_twice_is_answered_with_the_first() {
    let service = twice(Parts::Embedded).await;
    let staff = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let mut request = merge_of(&service).await;
    request.request_id = "0191d9a0-5b1c-7cc2-9a77-8a5c6f2f9b10".to_owned();
    let first = merge(&staff, request.clone()).await.unwrap();
    assert_eq!(merge(&staff, request.clone()).await.unwrap(), first);
    request.request_id.clear();
    let refused = merge(&staff, request).await.unwrap_err();
    assert_eq!(metadata(&refused, "conflict").as_deref(), Some("account_merged"));
}

#[tokio::test]
async fn accounts_with_two_personnummer_are_not_for_a_school_to_merge() {
    for parts in Parts::ALL {
        let service = Service::start(parts).await;
        let mut rows = school_and_child();
        for (key, name, number) in [("g-1", "KIMONE", NUMBER), ("g-2", "KIMTWO", "197203039826")] {
            let mut row = guardian(key, name, None);
            row["national_id"] = Value::from(number);
            rows.push(row);
        }
        service.import(KOMMUN, &rows).await;
        let request = merge_of(&service).await;
        let school = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
        for validate_only in [true, false] {
            let refused =
                merge(&school, proto::MergeGuardiansRequest { validate_only, ..request.clone() }).await;
            let refused = refused.unwrap_err();
            assert_eq!(reason(&refused), "STATE_CONFLICT");
            assert_eq!(metadata(&refused, "conflict").as_deref(), Some("two_numbers"));
        }
        let organization = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        assert_eq!(merge(&organization, request).await.unwrap().moved_national_id_count, 1);
    }
}

#[tokio::test]
async fn who_may_merge_hand_out_and_erase() {
    let service = twice(Parts::Embedded).await;
    let request = merge_of(&service).await;
    let guardian_id = request.kept_guardian_id.clone();
    let weak = hire_with_password(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    assert_eq!(reason(&merge(&weak, request.clone()).await.unwrap_err()), "STRONGER_LOGIN_NEEDED");
    let elsewhere = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-2"]).await;
    let refused = merge(&elsewhere, request.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_FOUND");
    assert_eq!(metadata(&refused, "field").as_deref(), Some("kept_guardian_id"));
    let here = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    let organization = KOMMUN.to_owned();
    let export =
        proto::ExportGuardianRequest { organization: organization.clone(), guardian_id: guardian_id.clone() };
    let refused = here.guardians.clone().export_guardian(export).await.unwrap_err();
    assert_eq!(reason(&refused), "STAFF_NOT_ALLOWED");
    let erase = proto::EraseGuardianRequest { organization, guardian_id, ..Default::default() };
    let refused = here.guardians.clone().erase_guardian(erase).await.unwrap_err();
    assert_eq!(reason(&refused), "STAFF_NOT_ALLOWED");
    let mut itself = request;
    itself.absorbed_guardian_id.clone_from(&itself.kept_guardian_id);
    assert_eq!(reason(&merge(&here, itself).await.unwrap_err()), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_child_that_is_there_twice_is_found_merged_and_parted_again() {
    let service = twice(Parts::Embedded).await;
    let staff = hire(&service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await;
    let organization = KOMMUN.to_owned();
    let find =
        proto::FindDuplicateChildrenRequest { organization: organization.clone(), ..Default::default() };
    let found = staff.children.clone().find_duplicate_children(find.clone()).await.unwrap().into_inner();
    assert_eq!((found.pairs.len(), found.pairs[0].common_guardian_count), (1, 1));
    let request = proto::MergeChildrenRequest {
        organization: organization.clone(),
        kept_child_id: id(&service, "child", "c-1").await,
        absorbed_child_id: id(&service, "child", "c-2").await,
        ..Default::default()
    };
    let merged = staff.children.clone().merge_children(request.clone()).await.unwrap().into_inner();
    // The guardian has the link to the other child already.
    assert_eq!(merged.moved_child_link_count, 0);
    let none = staff.children.clone().find_duplicate_children(find.clone()).await.unwrap().into_inner();
    assert!(none.pairs.is_empty());
    let again = staff.children.clone().merge_children(request).await.unwrap_err();
    assert_eq!(metadata(&again, "conflict").as_deref(), Some("child_merged"));
    let undo =
        proto::UndoMergeChildrenRequest { organization, merge_id: merged.merge_id, ..Default::default() };
    staff.children.clone().undo_merge_children(undo).await.unwrap();
    let found = staff.children.clone().find_duplicate_children(find).await.unwrap().into_inner();
    assert_eq!(found.pairs.len(), 1);
}

#[tokio::test]
async fn a_person_gets_everything_and_is_erased() {
    for parts in Parts::ALL {
        let service = twice(parts).await;
        let staff = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
        let portal = service.portal(KOMMUN).await;
        let merged = merge(&staff, merge_of(&service).await).await.unwrap();
        portal.session(Attempt::new("KIMONE", PASSWORD)).await;
        let organization = KOMMUN.to_owned();
        let guardian_id = id(&service, "guardian", "g-2").await;
        let export = proto::ExportGuardianRequest {
            organization: organization.clone(),
            guardian_id: guardian_id.clone(),
        };
        let document = staff.guardians.clone().export_guardian(export).await.unwrap().into_inner().document;
        let read: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(read["data"]["national_ids"][0]["number"], NUMBER, "moved, and sealed anew");
        assert_eq!(read["data"]["accounts"].as_array().unwrap().len(), 2, "the absorbed one too");
        assert_eq!(read["data"]["login_names"].as_array().unwrap().len(), 2);
        assert_eq!(read["data"]["sessions"].as_array().unwrap().len(), 1);
        assert_eq!(read["cut"], json!([]));
        assert!(!document.contains("$argon2"), "no hash");
        let exported =
            "SELECT count(*) FROM audit_event WHERE kind = 'guardian_exported' AND staff_id IS NOT NULL";
        assert_eq!(Sql::open(&service).await.number(exported).await, 1);

        let erase = proto::EraseGuardianRequest {
            organization: organization.clone(),
            guardian_id,
            ..Default::default()
        };
        let erased = staff.guardians.clone().erase_guardian(erase.clone()).await.unwrap().into_inner();
        assert_eq!(erased.ended_session_count, 1);
        let refused = portal.log_in(Attempt::new("KIMONE", PASSWORD)).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_CREDENTIALS");
        let again = staff.guardians.clone().erase_guardian(erase).await.unwrap().into_inner();
        assert_eq!(again.ended_session_count, 0);
        let undo = proto::UndoMergeRequest { organization, merge_id: merged.merge_id, ..Default::default() };
        let gone = staff.guardians.clone().undo_merge(undo).await.unwrap_err();
        assert_eq!(
            metadata(&gone, "field").as_deref(),
            Some("merge_id"),
            "its journal went with the account"
        );
    }
}
