//! From the person to the account: who has one to use gets a session, and why the others have none is for staff to read.

use std::time::Duration;

use guardian_auth::config::Config;
use guardian_auth::domain::organization::Portal;
use guardian_auth::proto::{self, BankIdDevice, BankIdStatus};
use guardian_auth::simulators::bankid::Persona;
use serde_json::{Value, json};

use super::bed::{Bed, PATIENCE, kommun, message_id, outcome, persona, with_number};
use super::{audited, audited_code, sessions, verdict};
use crate::session::{jwks, verified};
use crate::support::eventually;
use crate::support::service::{
    Attempt, KOMMUN, NOON_MS, Parts, guardian, hash, metadata, reason, school_and_child,
};
use crate::support::sql::Sql;

const NUMBER: &str = "197001019806";
const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";

fn named(number: &str, surname: &str) -> Persona {
    Persona::new(number, "Kim", surname)
}

async fn of_kommun(bed: &Bed, who: &Persona) -> Result<proto::SessionTokens, tonic::Status> {
    bed.signed(BankIdDevice::Other, who).await.0.complete("").await
}

#[tokio::test]
async fn the_cause_of_every_denial_is_in_the_audit_log_and_in_no_answer() {
    let rows = [
        with_number("locked", "197102029811"),
        with_number("merged", "197203039826"),
        with_number("unrelated", "197304049831"),
        // Somebody who was born on this day and had no number yet.
        with_number("temporary", "19810701-TF12"),
        with_number("parent", NUMBER),
    ];
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &rows).await;
        let mut sql = Sql::open(&bed.service).await;
        for (key, state) in [("locked", "locked"), ("merged", "merged")] {
            sql.run(&format!("UPDATE guardian SET state = '{state}' WHERE source_key = '{key}'")).await;
        }
        for table in ["guardian_login", "child_link"] {
            let unrelated = "(SELECT id FROM guardian WHERE source_key = 'unrelated')";
            assert_eq!(sql.run(&format!("DELETE FROM {table} WHERE guardian_id IN {unrelated}")).await, 1);
        }
        for (who, cause) in [
            (named("199908072391", "Persson"), "unknown_national_id"),
            (named("198107011481", "Ek"), "temporary_number_on_account"),
            // Some banks write names in capitals.
            (named("198107011481", "EK"), "temporary_number_on_account"),
            (named("198107011481", "Berg"), "unknown_national_id"),
            (named("198001011371", "Ek"), "unknown_national_id"),
            (named("197102029811", "Ek"), "account_locked"),
            (named("197203039826", "Ek"), "account_merged"),
            (named("197304049831", "Ek"), "no_relation"),
        ] {
            let answer = of_kommun(&bed, &who).await;
            let status = answer.as_ref().err().expect("no session").clone();
            let wanted = ("EID_LOGIN_DENIED".to_owned(), format!("eid_login_denied {cause}"));
            assert_eq!(verdict(&bed.service, answer).await, wanted, "{parts:?}: {}", who.surname);
            assert_eq!(status.message(), "there is no account for this person to use");
            assert_eq!(metadata(&status, "message_id"), None);
        }
        assert_eq!(sessions(&bed.service).await, 0, "{parts:?}");
        assert_eq!(sql.number("SELECT COUNT(*) FROM eid_evidence").await, 0, "nothing is kept of the denied");
        assert_eq!(sql.number("SELECT COUNT(*) FROM bankid_order WHERE result IS NOT NULL").await, 0);
        of_kommun(&bed, &persona(NUMBER)).await.unwrap();
    }
}

/// A coordination number, and what is no number at all.
#[tokio::test]
async fn who_has_no_personnummer_is_nobody() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", "197302889931")]).await;
        for number in ["197302889931", "197001019807", "7001019806", "19810701TF12", ""] {
            let browser = bed.begin(BankIdDevice::Other).await;
            let order = bed.scan(&browser.qr_text());
            bed.bankid.sign(&order, &persona(number)).unwrap();
            let frames = browser.watch_to_the_end().await;
            assert_eq!(outcome(&frames), BankIdStatus::Failed, "{parts:?}: {number}");
            let last = frames.last().unwrap();
            assert_eq!(message_id(last), "RFA22");
            let cause = audited_code(&bed.service, &last.reference_code).await;
            assert_eq!(cause, "eid_login_denied person_malformed");
            let failed = browser.complete("").await.unwrap_err();
            assert_eq!(reason(&failed), "EID_LOGIN_FAILED");
            assert_eq!(metadata(&failed, "reference_code").as_deref(), Some(last.reference_code.as_str()));
        }
        assert_eq!(sessions(&bed.service).await, 0);
    }
}

fn with_childminders(config: &mut Config) {
    kommun(config).portals.push(Portal::Childminder);
}

fn childminder(number: &str) -> Value {
    json!({
        "type": "guardian",
        "key": "m-1",
        "given_name": "Sanne",
        "family_name": "Bos",
        "user_names": [{"portal": "childminder", "name": "sanne"}],
        "contract": {"confirmed": true},
        "national_id": number,
    })
}

#[tokio::test]
async fn a_childminder_at_the_parents_portal_is_told_which_one_is_right() {
    for parts in Parts::ALL {
        let bed = Bed::start_with(parts, &[], with_childminders).await;
        let mut config = bed.service.config();
        with_childminders(&mut config);
        bed.service.import_with(&config, KOMMUN, &[childminder(NUMBER)]).await;
        let status = of_kommun(&bed, &persona(NUMBER)).await.unwrap_err();
        assert_eq!(reason(&status), "WRONG_PORTAL", "{parts:?}");
        assert_eq!(metadata(&status, "portal").as_deref(), Some("childminder"));
        assert_eq!(audited(&bed.service, &status).await, "eid_login_denied wrong_portal");
        assert_eq!(sessions(&bed.service).await, 0);
    }
}

/// The account changes between the look-up and the session: the row is held until then.
#[tokio::test]
async fn an_account_that_changes_meanwhile_gets_no_session() {
    let bed = Bed::start(Parts::Shared, &[with_number("g-1", NUMBER)]).await;
    let (browser, _) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
    let (mut holder, mut looker) = (Sql::open(&bed.service).await, Sql::open(&bed.service).await);
    holder.run("BEGIN").await;
    holder.run("UPDATE guardian SET credential_epoch = credential_epoch + 1").await;
    let completing = tokio::spawn(async move { browser.complete("").await });
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND datname = current_database()";
    eventually(PATIENCE, "the session waits for the account", async || looker.number(waiting).await > 0)
        .await;
    holder.run("COMMIT").await;
    let answer = completing.await.unwrap();
    let wanted = ("EID_LOGIN_DENIED".to_owned(), "eid_login_denied changed_meanwhile".to_owned());
    assert_eq!(verdict(&bed.service, answer).await, wanted);
    assert_eq!(sessions(&bed.service).await, 0);
}

/// Rule 2: BankID neither sets nor opens nor closes a password.
#[tokio::test]
async fn a_login_with_bankid_changes_nothing_of_a_password() {
    let with_password = |hash: &str| {
        let mut row = guardian("g-1", "user-g-1", Some(hash));
        row["national_id"] = json!(NUMBER);
        row
    };
    const ROW: &str = "SELECT guardian_id || ' ' || portal || ' ' || hash || ' ' || origin || ' ' || must_change || ' ' \
                       || failures_unknown || ' ' || failures_known || ' ' || set_ms || ' ' \
                       || COALESCE(closed_unknown_ms, 0) || ' ' || COALESCE(closed_known_ms, 0) FROM credential";
    for parts in Parts::ALL {
        let hash = hash(PASSWORD).await;
        let bed = Bed::start(parts, &[with_password(&hash), with_number("g-2", "198001011371")]).await;
        for _ in 0..2 {
            bed.portal.log_in(Attempt::new("user-g-1", "a wrong guess")).await.unwrap_err();
        }
        let mut sql = Sql::open(&bed.service).await;
        let before = sql.texts(ROW).await;
        assert_eq!(before.len(), 1);
        assert!(before[0].contains(" 2 0 "), "the guesses are counted: {before:?}");
        of_kommun(&bed, &persona(NUMBER)).await.unwrap();
        of_kommun(&bed, &persona("198001011371")).await.unwrap();
        of_kommun(&bed, &persona("199908072391")).await.unwrap_err();
        assert_eq!(sql.texts(ROW).await, before, "{parts:?}");
        // Neither has it touched the limits of the password.
        bed.portal.session(Attempt::new("user-g-1", PASSWORD)).await;
    }
}

#[tokio::test]
async fn the_session_says_that_it_was_an_eid_and_lives_as_long_as_those_may() {
    const ABSOLUTE: Duration = Duration::from_hours(5);
    for parts in Parts::ALL {
        let bed = Bed::start_with(parts, &[with_number("g-1", NUMBER)], |config| {
            for organization in &mut config.organizations {
                organization.session.absolute_eid = ABSOLUTE;
            }
        })
        .await;
        let tokens = of_kommun(&bed, &persona(NUMBER)).await.unwrap();
        let claims = verified(&jwks(&bed.service).await, &tokens.access_token).unwrap().claims;
        assert_eq!(claims["amr"], json!(["eid"]), "{parts:?}");
        assert_eq!(claims["acr"], "urn:guardian-auth:acr:eid");
        assert_eq!(claims["auth_time"], NOON_MS / 1000);
        assert!(!claims.to_string().contains(&NUMBER[2..]), "nothing personal: {claims}");
        let mut sql = Sql::open(&bed.service).await;
        let row = "SELECT method || ' ' || client FROM session";
        assert_eq!(sql.texts(row).await, ["eid sample-kommun-portal"]);
        let lifetime = sql.number("SELECT absolute_expires_ms - authenticated_ms FROM session").await;
        assert_eq!(lifetime, i64::try_from(ABSOLUTE.as_millis()).unwrap());
        bed.portal.refresh(&tokens.refresh_token).await.unwrap();
    }
}

/// A second directory row with the number of another account is not how two accounts come about; the number moves with
/// staff only. So a number that was taken from an account opens nothing.
#[tokio::test]
async fn a_number_that_an_account_no_longer_has_opens_nothing() {
    for parts in Parts::ALL {
        let bed = Bed::start(parts, &[with_number("g-1", NUMBER)]).await;
        let (browser, _) = bed.signed(BankIdDevice::Other, &persona(NUMBER)).await;
        let mut rows = school_and_child();
        rows.push(with_number("g-1", "198001011371"));
        bed.service.import(KOMMUN, &rows).await;
        let wanted = ("EID_LOGIN_DENIED".to_owned(), "eid_login_denied unknown_national_id".to_owned());
        assert_eq!(verdict(&bed.service, browser.complete("").await).await, wanted, "{parts:?}");
        of_kommun(&bed, &persona("198001011371")).await.unwrap();
    }
}
