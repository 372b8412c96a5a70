//! Resetting a forgotten password through the wire, with mails taken by a real mail server, on both sets of parts.

mod cves;
mod equal_work;
mod flood;
mod links;
mod notices;
mod outage;
mod recipients;
mod replicas;
mod review_outbox;
mod review_requests;
mod story;
mod tries;

use std::time::Duration;

use guardian_auth::config::{Config, Mail, Smtp, SmtpSecurity};
use guardian_auth::domain::password_reset::ResetMethod;
use guardian_auth::proto;
use guardian_auth::proto::request_password_reset_request::Identification;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Status;

use crate::session::number;
use crate::support::eventually;
use crate::support::service::{Calls, KOMMUN, Parts, Service, guardian, hash, school_and_child};
use crate::support::smtp::{ReceivedMail, SmtpServer, Tls};

/// The old password of every guardian here.
pub(crate) const OLD: &str = "lingon-cykel-fyrtorn-vante";
/// A password that satisfies every rule.
pub(crate) const NEW: &str = "mossa-kanel-segel-tratt";

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);

/// A worker looks each second, on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// B28: what was taken in is mailed within five minutes of the end of an outage.
pub(crate) const LATEST: Duration = Duration::from_mins(5);

/// A service, the mail server that takes its mails, and what the portal calls with.
pub(crate) struct Bed {
    pub service: Service,
    pub smtp: SmtpServer,
    pub portal: Calls,
    ca: TempDir,
}

impl Bed {
    /// With the guardians of [`guardians`].
    pub async fn start(parts: Parts) -> Self {
        Self::start_with(parts, |_| {}).await
    }

    /// The same with changes to the configuration.
    pub async fn start_with(parts: Parts, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_at(parts, SmtpServer::start(Tls::StartTls).await, change).await
    }

    /// The same with a mail server of the test's choice.
    pub async fn start_at(parts: Parts, smtp: SmtpServer, change: impl FnOnce(&mut Config)) -> Self {
        let ca = tempfile::tempdir().unwrap();
        let mail = mail(&smtp, &ca);
        let service = Service::start_with(parts, |config| {
            config.mail = Some(mail);
            offer_everything(config);
            change(config);
        })
        .await;
        service.import(KOMMUN, &guardians().await).await;
        let portal = service.portal(KOMMUN).await;
        Self { service, smtp, portal, ca }
    }

    /// Another replica that sends through the same mail server.
    pub async fn replica(&self) -> Service {
        self.replica_with(|_| {}).await
    }

    /// The same with changes to the configuration.
    pub async fn replica_with(&self, change: impl FnOnce(&mut Config)) -> Service {
        let mail = mail(&self.smtp, &self.ca);
        let all = |config: &mut Config| {
            config.mail = Some(mail);
            offer_everything(config);
            change(config);
        };
        self.service.replica_with(all).await
    }

    /// Asks for a link; the reference code.
    pub async fn ask(&self, identification: Identification) -> Result<String, Status> {
        ask(&self.portal, identification).await
    }

    /// Asks for a link for each of these of [`parents`].
    pub async fn ask_for(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.ask(of(number)).await.unwrap();
        }
    }

    /// Waits until every request was looked at.
    pub async fn settled(&self) {
        let left = async || number(&self.service, "SELECT count(*) FROM reset_request").await;
        eventually(SOON, "all requests are looked at", async || left().await == 0).await;
    }

    /// Waits until so many messages are in this state, by the database.
    pub async fn messages(&self, state: &str, count: i64) {
        let query = format!("SELECT count(*) FROM message WHERE state = '{state}'");
        let told = format!("{count} messages are {state}");
        eventually(LATEST, &told, async || number(&self.service, &query).await >= count).await;
        assert_eq!(number(&self.service, &query).await, count, "{told}, and no more");
    }

    /// How many tries of mails had this result, by the metrics of the first replica.
    pub async fn tries(&self, result: &str) -> f64 {
        let labels = format!("channel=\"email\",result=\"{result}\"");
        self.service.metric("guardian_auth_message_tries_total", &labels).await
    }

    /// Asks with user name and address, waits for the mail, and gives the token in it.
    pub async fn token_of(&self, name: &str, email: &str) -> String {
        // Notices of earlier resets come in between.
        let with_links = || self.smtp.mails().into_iter().filter(has_link).collect::<Vec<_>>();
        let before = with_links().len();
        self.ask(by_email(name, email)).await.unwrap();
        eventually(SOON, "a mail with a link comes", async || with_links().len() > before).await;
        token_in(&with_links()[before])
    }
}

/// Sends mail to a server, trusting its authority.
pub(crate) fn mail(smtp: &SmtpServer, directory: &TempDir) -> Mail {
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, smtp.ca_pem()).unwrap();
    Mail::Smtp(Smtp {
        host: "localhost".to_owned(),
        port: smtp.port(),
        security: SmtpSecurity::StartTls,
        credentials: None,
        ca_file: Some(ca_file),
        connections: 4,
        timeout: Duration::from_secs(5),
    })
}

fn offer_everything(config: &mut Config) {
    for reset in config.organizations.iter_mut().filter_map(|it| it.reset.as_mut()) {
        reset.methods = ResetMethod::ALL.to_vec();
    }
}

/// A guardian with an address as the source delivers it, and a debtor number beside the user name.
pub(crate) fn with_email(row: Value, number: &str, email: &str) -> Value {
    let mut row = row;
    row["debtor_numbers"] = json!([{"portal": "parent", "number": number}]);
    row["email"] = json!(email);
    row
}

/// `alma` with a messy address on file, `bo` with a clean one, `eva` and `eva2` who share one, `per` without a password,
/// `siv` without an address, `ulf` with one that is none.
async fn guardians() -> Vec<Value> {
    let hash = hash(OLD).await;
    let mut rows = school_and_child();
    rows.push(with_email(guardian("g-1", "alma", Some(&hash)), "10 234", " Alma.Berg@Exempel.se; "));
    rows.push(with_email(guardian("g-2", "bo", Some(&hash)), "00123", "bo@exempel.se"));
    rows.push(with_email(guardian("g-3", "eva", Some(&hash)), "3001", "familjen@exempel.se"));
    rows.push(with_email(guardian("g-4", "eva2", Some(&hash)), "3002", "Familjen@exempel.se"));
    rows.push(with_email(guardian("g-5", "per", None), "3003", "per@exempel.se"));
    rows.push(guardian("g-6", "siv", Some(&hash)));
    rows.push(with_email(guardian("g-7", "ulf", Some(&hash)), "3005", "ulf at exempel.se"));
    rows
}

/// Guardians `m0`, `m1`, …, each with an address of its own; the others must be imported before.
pub(crate) async fn parents(count: usize) -> Vec<Value> {
    let hash = hash(OLD).await;
    let parent = |number| {
        let row = guardian(&format!("g-m{number}"), &format!("m{number}"), Some(&hash));
        with_email(row, &format!("70{number:04}"), &address(number))
    };
    (0..count).map(parent).collect()
}

/// The address of one of [`parents`].
pub(crate) fn address(number: usize) -> String {
    format!("m{number}@exempel.se")
}

/// What one of [`parents`] types.
pub(crate) fn of(number: usize) -> Identification {
    by_email(&format!("m{number}"), &address(number))
}

/// Runs a case on both sets of parts side by side: it waits more than it works.
pub(crate) async fn on_all_parts(case: impl AsyncFn(Parts)) {
    let [embedded, shared] = Parts::ALL;
    tokio::join!(Box::pin(case(embedded)), Box::pin(case(shared)));
}

/// By debtor number or user name, and address.
pub(crate) fn by_email(number: &str, email: &str) -> Identification {
    Identification::DebtorNumberAndEmail(proto::DebtorNumberAndEmail {
        debtor_number: number.to_owned(),
        email: email.to_owned(),
    })
}

/// A request at the parent portal.
pub(crate) fn request(identification: Identification) -> proto::RequestPasswordResetRequest {
    proto::RequestPasswordResetRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        identification: Some(identification),
        locale: String::new(),
        client: None,
    }
}

/// Asks for a link; the reference code.
pub(crate) async fn ask(portal: &Calls, identification: Identification) -> Result<String, Status> {
    let answer = portal.reset.clone().request_password_reset(request(identification)).await?;
    Ok(answer.into_inner().reference_code)
}

/// Looks at a link.
pub(crate) async fn inspect(portal: &Calls, token: &str) -> Result<proto::InspectResetTokenResponse, Status> {
    let request = proto::InspectResetTokenRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        reset_token: token.to_owned(),
        locale: "sv".to_owned(),
        client: None,
    };
    portal.reset.clone().inspect_reset_token(request).await.map(tonic::Response::into_inner)
}

/// Sets a new password through a link.
pub(crate) async fn confirm(
    portal: &Calls,
    token: &str,
    new: &str,
) -> Result<proto::ConfirmPasswordResetResponse, Status> {
    let request = proto::ConfirmPasswordResetRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        reset_token: token.to_owned(),
        new_password: new.to_owned(),
        client: None,
    };
    portal.reset.clone().confirm_password_reset(request).await.map(tonic::Response::into_inner)
}

/// The token in the link of a mail.
pub(crate) fn token_in(mail: &ReceivedMail) -> String {
    let (_, rest) = mail.plain.split_once("grt_").expect("a link with a token");
    let token: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    format!("grt_{token}")
}

/// The subject of a mail says which one it is.
pub(crate) fn has_link(mail: &ReceivedMail) -> bool {
    mail.plain.contains("grt_")
}
