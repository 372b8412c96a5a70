//! The one hint that a right password earns: that it is for the other guardian portal.

use guardian_auth::proto::Portal;
use tonic::Code;

use super::{PASSWORD, childminder, refusal, service_with};
use crate::support::service::{
    Attempt, KOMMUN, OPVANG, Parts, Service, guardian, hash, metadata, reason, school_and_child,
};
use crate::support::sql::Sql;

fn at(portal: Portal, login_name: &'static str, password: &'static str) -> Attempt<'static> {
    Attempt { organization: OPVANG, portal, ..Attempt::new(login_name, password) }
}

#[tokio::test]
async fn a_right_password_at_the_other_guardian_portal_is_told_and_opens_and_costs_nothing() {
    for parts in Parts::ALL {
        let service = Service::start(parts).await;
        let hash = hash(PASSWORD).await;
        let rows = [
            school_and_child(),
            vec![childminder("m-1", "sanne", &hash), guardian("g-1", "alma", Some(&hash))],
        ];
        service.import(OPVANG, &rows.concat()).await;
        let calls = service.portal(OPVANG).await;
        let mut sql = Sql::open(&service).await;
        // More often than any bucket holds at once: nothing stays charged.
        for _ in 0..20 {
            for (name, here, there) in
                [("sanne", Portal::Parent, "childminder"), ("alma", Portal::Childminder, "parent")]
            {
                let status = calls.log_in(at(here, name, PASSWORD)).await.unwrap_err();
                assert_eq!(
                    (status.code(), reason(&status).as_str()),
                    (Code::FailedPrecondition, "WRONG_PORTAL")
                );
                assert_eq!(metadata(&status, "portal").unwrap(), there);
                assert_eq!(metadata(&status, "reference_code").unwrap().len(), 8);
            }
        }
        assert_eq!(sql.number("SELECT count(*) FROM session").await, 0);
        assert_eq!(sql.number("SELECT CAST(SUM(failures_unknown) AS BIGINT) FROM credential").await, 0);
        // A wrong one learns nothing, and counts.
        assert_eq!(refusal(&calls, at(Portal::Parent, "sanne", "wrong")).await, "INVALID_CREDENTIALS");
        assert_eq!(sql.number("SELECT CAST(SUM(failures_unknown) AS BIGINT) FROM credential").await, 1);
        calls.session(at(Portal::Childminder, "sanne", PASSWORD)).await;
    }
}

#[tokio::test]
async fn the_budget_of_a_login_name_is_one_for_both_portals() {
    let service = Service::start(Parts::Embedded).await;
    let hash = hash(PASSWORD).await;
    service.import(OPVANG, &[childminder("m-1", "sanne", &hash)]).await;
    let calls = service.portal(OPVANG).await;
    for number in 0..12 {
        let portal = if number % 2 == 0 { Portal::Parent } else { Portal::Childminder };
        let ip = super::address(number);
        let expected = if number < 10 { "INVALID_CREDENTIALS" } else { "RATE_LIMITED" };
        assert_eq!(refusal(&calls, at(portal, "sanne", "wrong").from(&ip)).await, expected, "{number}");
    }
}

#[tokio::test]
async fn an_account_at_the_portal_of_the_call_comes_before_its_namesake_at_the_other() {
    for parts in Parts::ALL {
        let service = Service::start(parts).await;
        let (here, there) = (hash(PASSWORD).await, hash("another long password").await);
        let rows = [
            school_and_child(),
            vec![guardian("g-1", "kim", Some(&here)), childminder("m-1", "kim", &there)],
        ];
        service.import(OPVANG, &rows.concat()).await;
        let calls = service.portal(OPVANG).await;
        calls.session(at(Portal::Parent, "kim", PASSWORD)).await;
        // One password is compared, that of this portal: the other's is no hint here.
        let answer = refusal(&calls, at(Portal::Parent, "kim", "another long password")).await;
        assert_eq!(answer, "INVALID_CREDENTIALS", "{parts:?}");
    }
}

#[tokio::test]
async fn staff_is_nobodys_sibling() {
    for parts in Parts::ALL {
        let service =
            service_with(parts, |_| {}, &[guardian("g-1", "rektor", Some(&hash(PASSWORD).await))]).await;
        let mut sql = Sql::open(&service).await;
        // Staff get their login by invitation: no import makes one.
        assert_eq!(sql.run("UPDATE guardian_login SET portal = 'staff'").await, 1);
        assert_eq!(sql.run("UPDATE credential SET portal = 'staff'").await, 1);
        let calls = service.portal(KOMMUN).await;
        assert_eq!(refusal(&calls, Attempt::new("rektor", PASSWORD)).await, "INVALID_CREDENTIALS");
        let causes = sql.texts("SELECT cause FROM audit_event WHERE kind = 'login_denied'").await;
        assert_eq!(causes, ["unknown_login_name"], "{parts:?}");
        let at_staff = Attempt { portal: Portal::Staff, ..Attempt::new("rektor", PASSWORD) };
        calls.session(at_staff).await;
    }
}
