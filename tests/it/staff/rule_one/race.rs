//! Issuing and activating beside the removal of what they rest on.

use guardian_auth::proto;
use guardian_auth::proto::LinkEvidence;

use super::ADMINISTRATOR;
use super::bed::{Bed, unlimited};
use super::case::Case;
use crate::fallback_credential::{activate, code};
use crate::support::full_size;
use crate::support::service::{Attempt, KOMMUN, Parts};
use crate::support::sql::Sql;

/// Threat: staff take the relation away while the guardian chooses the password, on another replica.
#[tokio::test]
async fn issuing_and_activating_beside_the_removal_of_the_link_leaves_no_credential() {
    let rounds = if full_size() { 500 } else { 25 };
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let other = bed.service.replica_with(unlimited).await;
        let there = other.portal(KOMMUN).await;
        let case = Case::begin(&bed).await;
        let staff = &bed.staff[ADMINISTRATOR].staff;
        let mut sql = Sql::open(&bed.service).await;
        let (guardian, child) = (case.guardians[0].clone(), case.children[0].clone());
        let (mut before, mut after) = (0, 0);
        for round in 0..rounds {
            let pair = (staff.organization.clone(), guardian.clone(), child.clone());
            let confirm = proto::ConfirmChildLinkRequest {
                organization: pair.0.clone(),
                guardian_id: pair.1.clone(),
                child_id: pair.2.clone(),
                evidence: LinkEvidence::KnownPerson.into(),
                request_id: String::new(),
            };
            staff.guardians.clone().confirm_child_link(confirm).await.unwrap();
            let remove = proto::RemoveChildLinkRequest {
                organization: pair.0,
                guardian_id: pair.1,
                child_id: pair.2,
                request_id: String::new(),
            };
            let chosen = format!("lingon-cykel-{round}-fyrtorn");
            let give = async {
                let sheet = crate::fallback_credential::sheet();
                let Ok(issued) = crate::fallback_credential::issue(staff, &guardian, sheet).await else {
                    return false;
                };
                activate(&there, code(&issued.user_name, &issued.activation_code), &chosen).await.is_ok()
            };
            let take = async {
                let mut calls = staff.guardians.clone();
                // Each round some calls later, so that it meets issuing, activating and what is between them.
                for _ in 0..round % 12 {
                    let look = proto::GetGuardianRequest {
                        organization: remove.organization.clone(),
                        guardian_id: remove.guardian_id.clone(),
                    };
                    calls.get_guardian(look).await.unwrap();
                }
                calls.remove_child_link(remove).await.unwrap();
            };
            let (given, ()) = tokio::join!(give, take);
            if given {
                before += 1;
            } else {
                after += 1;
            }
            let what = format!("{parts:?}, round {round}, given {given}");
            for portal in [&bed.portals[0], &there] {
                let login = portal.log_in(Attempt::new(&case.name(0), &chosen)).await;
                assert!(login.is_err(), "{what}");
            }
            let left = format!(
                "SELECT (SELECT count(*) FROM credential WHERE guardian_id = '{guardian}') \
                 + (SELECT count(*) FROM activation WHERE guardian_id = '{guardian}' AND ended_ms IS NULL) \
                 + (SELECT count(*) FROM child_link WHERE guardian_id = '{guardian}')"
            );
            assert_eq!(sql.number(&left).await, 0, "{what}");
        }
        assert!(before > 0 && after > 0, "{parts:?}: the race went one way only: {before} and {after}");
    }
}
