//! Logging in with BankID, through the wire and against the simulated BankID.

mod accounts;
pub(crate) mod bed;
mod canary;
mod fixation;
mod kill;
mod limits;
mod master_keys;
mod outage;
mod replicas;
mod review;
mod risk;
mod story;
mod watch;

use guardian_auth::proto;

use crate::support::service::{Service, metadata, reason};
use crate::support::sql::Sql;

/// What the audit log says of the reference code of a refusal: `kind cause`.
async fn audited(service: &Service, status: &tonic::Status) -> String {
    let code = metadata(status, "reference_code").expect("a code for support");
    audited_code(service, &code).await
}

/// The same of a code.
async fn audited_code(service: &Service, code: &str) -> String {
    let query = format!("SELECT kind || ' ' || cause FROM audit_event WHERE reference_code = '{code}'");
    Sql::open(service).await.texts(&query).await.join(", ")
}

/// The reason of a refusal and what the audit log says of it.
async fn verdict(service: &Service, answer: Result<proto::SessionTokens, tonic::Status>) -> (String, String) {
    let status = answer.expect_err("no session");
    (reason(&status), audited(service, &status).await)
}

/// How many sessions there are.
async fn sessions(service: &Service) -> i64 {
    Sql::open(service).await.number("SELECT COUNT(*) FROM session").await
}
