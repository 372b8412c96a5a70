//! B34: nothing secret or personal that goes through a staff rpc, well or badly, leaves by the log, the metrics, a span, a
//! refusal, the counters or a clear column.

mod every_field;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use guardian_auth::config::Mail;
use guardian_auth::domain::staff::Role;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::proto;
use guardian_auth::proto::activate_credential_request::Proof;
use guardian_auth::proto::change_identifier_request::NewNumber;
use guardian_auth::proto::issue_fallback_credential_request::Delivery;
use guardian_auth::proto::search_guardians_request::By;
use guardian_auth::proto::{ContactChannel, IdentifierChange, LinkEvidence, LockReason, StaffRole};
use guardian_auth::telemetry;
use serde_json::json;
use tonic::Status;

use self::every_field::fill_every_field;
use super::{invitation, invite};
use crate::change_password::roomy;
use crate::fallback_credential::{activate, code, id_of, issue, sheet};
use crate::login_password::secrets::{dump, redis_dump};
use crate::password_reset::SOON;
use crate::support::collector::Collector;
use crate::support::eventually;
use crate::support::service::{Attempt, Calls, KOMMUN, NOON_MS, Parts, Service, guardian, school_and_child};
use crate::support::sql::Sql;
use crate::support::staff::{PASSWORD, Staff, hire};

const GIVEN_NAME: &str = "Kanariegul";
const FAMILY_NAME: &str = "Kanarieblom";
const CHILD_NAME: &str = "Kanarieunge";
const LOGIN_NAME: &str = "KNR.0817.A";
const EMAIL: &str = "kanarie.mail@example.se";
const EMAIL_OF_STAFF: &str = "kanarie.staff@example.se";
const MOBILE: &str = "+46701740655";
const MOBILE_OF_STAFF: &str = "+46701740656";
const NUMBER: &str = "198112189876";
const CORRECT_NUMBER: &str = "199908072391";
const NUMBER_OF_STAFF: &str = "197001019806";
const UNKNOWN_NUMBER: &str = "198001011371";
const CHOSEN: &str = "kanarie-ettan-i-skogen";
const CHOSEN_NEXT: &str = "kanarie-tvaan-i-skogen";
const REFUSED: &str = "kanari7";
const WRONG_CODE: &str = "77777-KKKKK";
const WRONG_TOKEN: &str = "gak_kanarie0123456789012345678901234567890123456";
const WRONG_STAFF_TOKEN: &str = "kanarie.of.staff";
/// In every field of every request once.
const ANYWHERE: &str = "kanarie-in-every-field";

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The tokens of links in the mails that were written into the folder.
fn link_tokens(service: &Service) -> Vec<String> {
    let Some(Mail::Folder { path }) = service.config().mail else { panic!("mails go into a folder") };
    let Ok(files) = std::fs::read_dir(path) else { return Vec::new() };
    let files = files.filter_map(Result::ok).map(|file| file.path());
    let mails = files.filter(|path| path.extension().is_some_and(|ending| ending == "eml"));
    // Quoted-printable: a long line goes on behind `=`.
    let texts = mails.map(|path| std::fs::read_to_string(path).unwrap().replace("=\r\n", ""));
    let token = |text: String| {
        let at = text.find("gak_")?;
        Some(text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect())
    };
    texts.filter_map(token).collect()
}

/// A code as it is handed over and as it is compared.
fn keep_code(secrets: &mut Vec<String>, code: &str) {
    secrets.extend([code.to_owned(), code.replace('-', "")]);
}

async fn look(staff: &Staff, guardian_id: &str, refusals: &mut Vec<Status>) {
    let organization = || KOMMUN.to_owned();
    let mut calls = staff.guardians.clone();
    for by in [
        By::Name(GIVEN_NAME.to_owned()),
        By::Name(FAMILY_NAME.to_owned()),
        By::NationalId(NUMBER.to_owned()),
        By::NationalId(UNKNOWN_NUMBER.to_owned()),
        By::LoginName(LOGIN_NAME.to_owned()),
        By::ChildName(CHILD_NAME.to_owned()),
    ] {
        let request = proto::SearchGuardiansRequest {
            organization: organization(),
            by: Some(by),
            ..Default::default()
        };
        refusals.extend(calls.search_guardians(request).await.err());
    }
    let guardian_id = || guardian_id.to_owned();
    let request = proto::GetGuardianRequest { organization: organization(), guardian_id: guardian_id() };
    refusals.extend(calls.get_guardian(request).await.err());
    let request = proto::ShowNationalIdsRequest { organization: organization(), guardian_id: guardian_id() };
    refusals.extend(calls.show_national_ids(request).await.err());
    let request = proto::ExportGuardianRequest { organization: organization(), guardian_id: guardian_id() };
    refusals.extend(calls.export_guardian(request).await.err());
    let request = proto::ListAuditEventsRequest {
        organization: organization(),
        guardian_id: guardian_id(),
        ..Default::default()
    };
    refusals.extend(calls.list_audit_events(request).await.err());
    let request = proto::FindDuplicatesRequest { organization: organization(), ..Default::default() };
    refusals.extend(calls.find_duplicates(request).await.err());
    let request = proto::SearchChildrenRequest {
        organization: organization(),
        name: CHILD_NAME.to_owned(),
        ..Default::default()
    };
    refusals.extend(staff.children.clone().search_children(request).await.err());
}

/// Changes what can be changed; with a broken store everything is refused.
async fn change(staff: &Staff, guardian_id: &str, child_id: &str, refusals: &mut Vec<Status>) {
    let (organization, guardian_id) = (|| KOMMUN.to_owned(), || guardian_id.to_owned());
    let mut calls = staff.guardians.clone();
    let request_id = String::new;
    let request = proto::ConfirmChildLinkRequest {
        organization: organization(),
        guardian_id: guardian_id(),
        child_id: child_id.to_owned(),
        evidence: LinkEvidence::IdentityDocument.into(),
        request_id: request_id(),
    };
    refusals.extend(calls.confirm_child_link(request).await.err());
    for (number, change) in [
        (CORRECT_NUMBER, IdentifierChange::Correction),
        (UNKNOWN_NUMBER, IdentifierChange::First),
        (NUMBER, IdentifierChange::Correction),
    ] {
        let request = proto::ChangeIdentifierRequest {
            organization: organization(),
            guardian_id: guardian_id(),
            new_number: Some(NewNumber::NationalId(number.to_owned())),
            replaced_national_id: String::new(),
            change: change.into(),
            request_id: request_id(),
        };
        refusals.extend(calls.change_identifier(request).await.err());
    }
    let reason = LockReason::Compromised.into();
    let request = proto::LockGuardianRequest {
        organization: organization(),
        guardian_id: guardian_id(),
        reason,
        request_id: request_id(),
    };
    refusals.extend(calls.lock_guardian(request).await.err());
    let request = proto::UnlockGuardianRequest {
        organization: organization(),
        guardian_id: guardian_id(),
        request_id: request_id(),
    };
    refusals.extend(calls.unlock_guardian(request).await.err());
    let mut invited = invitation(KOMMUN, StaffRole::OrganizationAdministrator, &[]);
    invited.given_name = GIVEN_NAME.to_owned();
    invited.email = EMAIL_OF_STAFF.to_owned();
    invited.mobile = MOBILE_OF_STAFF.to_owned();
    invited.eid = Some(proto::invite_staff_request::Eid::NationalId(NUMBER_OF_STAFF.to_owned()));
    refusals.extend(invite(staff, invited.clone()).await.err());
    // The same number again.
    refusals.extend(invite(staff, invited).await.err());
}

/// Codes and links, good and bad.
async fn credentials(
    service: &Service,
    (staff, portal): (&Staff, &Calls),
    guardian_id: &str,
    (secrets, refusals): (&mut Vec<String>, &mut Vec<Status>),
) {
    let issued = issue(staff, guardian_id, sheet()).await.unwrap();
    keep_code(secrets, &issued.activation_code);
    for (proof, chosen) in [
        (code(LOGIN_NAME, WRONG_CODE), CHOSEN),
        (code(LOGIN_NAME, &issued.activation_code), REFUSED),
        (Proof::LinkToken(WRONG_TOKEN.to_owned()), CHOSEN),
    ] {
        refusals.push(activate(portal, proof, chosen).await.unwrap_err());
    }
    activate(portal, code(LOGIN_NAME, &issued.activation_code), CHOSEN).await.unwrap();
    let tokens = portal.session(Attempt::new(LOGIN_NAME, CHOSEN)).await;
    secrets.extend([tokens.access_token, tokens.refresh_token]);
    let before = link_tokens(service);
    let by_mail = proto::ActivationLink { channel: ContactChannel::Email.into() };
    issue(staff, guardian_id, Delivery::Link(by_mail)).await.unwrap();
    eventually(SOON, "a mail with a link is written", async || link_tokens(service).len() > before.len())
        .await;
    let all = link_tokens(service);
    let token = all.iter().find(|token| !before.contains(token)).unwrap();
    activate(portal, Proof::LinkToken(token.clone()), CHOSEN_NEXT).await.unwrap();
    refusals.push(activate(portal, Proof::LinkToken(token.clone()), CHOSEN).await.unwrap_err());
    secrets.extend(all);
    // One that waits when the database is looked through.
    let waiting = issue(staff, guardian_id, sheet()).await.unwrap();
    keep_code(secrets, &waiting.activation_code);
}

/// What may be nowhere, the refusals, and the places to look through.
async fn story(parts: Parts) -> (Vec<String>, Vec<(String, String)>) {
    let collector = Collector::start().await;
    let mut service = Service::start_with(parts, |config| {
        roomy(config);
        config.traces = Some(collector.settings());
    })
    .await;
    let mut rows = school_and_child();
    rows[1]["given_name"] = json!(CHILD_NAME);
    let mut row = guardian("g-1", LOGIN_NAME, None);
    row["given_name"] = json!(GIVEN_NAME);
    row["family_name"] = json!(FAMILY_NAME);
    row["email"] = json!(EMAIL);
    row["mobile"] = json!(MOBILE);
    row["national_id"] = json!(NUMBER);
    rows.push(row);
    service.import(KOMMUN, &rows).await;
    let staff = hire(&service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    let portal = service.portal(KOMMUN).await;
    let guardian_id = id_of(&service, "g-1").await;
    let mut sql = Sql::open(&service).await;
    let child_id = sql.texts("SELECT id FROM child").await.remove(0);
    let mut secrets = vec![staff.token.clone(), staff.refresh_token.clone()];
    let mut refusals = Vec::new();

    change(&staff, &guardian_id, &child_id, &mut refusals).await;
    // Those of the wrong kind of change and of the member who is there already.
    assert_eq!(refusals.len(), 2, "{parts:?}: {refusals:?}");
    look(&staff, &guardian_id, &mut refusals).await;
    assert_eq!(refusals.len(), 2, "{parts:?}: {refusals:?}");
    credentials(&service, (&staff, &portal), &guardian_id, (&mut secrets, &mut refusals)).await;
    fill_every_field(&service, &staff.token, &mut refusals).await;
    fill_every_field(&service, WRONG_STAFF_TOKEN, &mut refusals).await;

    // The store fails, in the middle of statements.
    sql.run("ALTER TABLE guardian RENAME TO guardian_gone").await;
    let before = refusals.len();
    look(&staff, &guardian_id, &mut refusals).await;
    change(&staff, &guardian_id, &child_id, &mut refusals).await;
    refusals.extend(issue(&staff, &guardian_id, sheet()).await.err());
    refusals.extend(activate(&portal, code(LOGIN_NAME, WRONG_CODE), CHOSEN).await.err());
    assert!(refusals.len() > before + 15, "{parts:?}: an outage refuses");
    sql.run("ALTER TABLE guardian_gone RENAME TO guardian").await;

    let mut places = vec![(format!("{parts:?} metrics"), service.metrics().await)];
    for status in refusals {
        let details = String::from_utf8_lossy(status.details()).into_owned();
        places.push(("refusal".to_owned(), format!("{} {details}", status.message())));
    }
    if parts == Parts::Shared {
        places.push(("redis".to_owned(), redis_dump().await));
    }
    service.stop().await;
    let spans = collector.text();
    for name in ["GuardianService/ChangeIdentifier", "hold_guardian", "argon2"] {
        assert!(spans.contains(name), "{parts:?}: spans were exported: {name}");
    }
    places.push((format!("{parts:?} spans"), spans));
    dump(&service, parts, &mut places).await;
    (secrets, places)
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Where something planted may be by design.
fn is_kept_by_design(planted: &str, place: &str) -> bool {
    let ends: &[&str] = match planted {
        GIVEN_NAME | FAMILY_NAME => &["guardian.given_name", "guardian.family_name"],
        CHILD_NAME => &["child.given_name"],
        EMAIL | EMAIL_OF_STAFF => &["guardian.email_delivered", "guardian.email_canonical"],
        MOBILE | MOBILE_OF_STAFF => &["guardian.mobile_delivered", "guardian.mobile_canonical"],
        LOGIN_NAME => &["guardian_login.login_name"],
        _ => &[],
    };
    let is_folded = matches!(planted, GIVEN_NAME | FAMILY_NAME | CHILD_NAME) && place.contains("name_part.");
    is_folded || ends.iter().any(|end| place.ends_with(end))
}

fn leaks(secrets: &[String], places: &[(String, String)]) -> Vec<String> {
    let planted = [
        GIVEN_NAME,
        FAMILY_NAME,
        CHILD_NAME,
        LOGIN_NAME,
        EMAIL,
        EMAIL_OF_STAFF,
        MOBILE,
        MOBILE_OF_STAFF,
        NUMBER,
        &NUMBER[2..],
        CORRECT_NUMBER,
        &CORRECT_NUMBER[2..],
        NUMBER_OF_STAFF,
        &NUMBER_OF_STAFF[2..],
        UNKNOWN_NUMBER,
        &UNKNOWN_NUMBER[2..],
        CHOSEN,
        CHOSEN_NEXT,
        REFUSED,
        PASSWORD,
        WRONG_CODE,
        WRONG_TOKEN,
        WRONG_STAFF_TOKEN,
        ANYWHERE,
    ];
    let mut leaks = Vec::new();
    for secret in secrets.iter().map(String::as_str).chain(planted) {
        let forms = [secret.to_lowercase(), hex(secret)];
        for (place, text) in places.iter().filter(|(place, _)| !is_kept_by_design(secret, place)) {
            let text = text.to_lowercase();
            if forms.iter().any(|form| text.contains(form.as_str())) {
                leaks.push(format!("{secret} in {place}"));
            }
        }
    }
    leaks
}

#[test]
fn b34_what_goes_through_staff_rpcs_leaves_by_no_other_way() {
    for parts in Parts::ALL {
        let kept = Kept::default();
        let now = Box::new(|| Timestamp::from_millis(NOON_MS));
        let (subscriber, guard) =
            telemetry::json_lines(tracing::Level::TRACE, now, Box::new(kept.clone())).unwrap();
        // With one dispatcher in the process, tracing remembers a "no" of the thread that meets an event first.
        let second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
        let default = tracing::subscriber::set_default(subscriber);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (secrets, mut places) = runtime.block_on(story(parts));
        drop((default, second, guard));
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        for rpc in ["ConfirmChildLink", "IssueFallbackCredential", "ActivateCredential", "InviteStaff"] {
            assert!(log.contains(rpc), "the log was kept: {rpc}");
        }
        places.push((format!("{parts:?} log"), log));
        assert!(
            places
                .iter()
                .any(|(place, text)| place.ends_with("guardian.given_name") && text.contains(GIVEN_NAME)),
            "the dump holds what is kept by design"
        );
        assert!(secrets.len() >= 9, "{}", secrets.len());
        assert_eq!(leaks(&secrets, &places), Vec::<String>::new());

        // Positive control: it finds what is there.
        places.push(("a leak".to_owned(), hex(CHOSEN)));
        assert_eq!(leaks(&secrets, &places), [format!("{CHOSEN} in a leak")]);
    }
}
