//! The life of sessions through the wire: rotation, ends, tenants, tokens, outages, on both sets of parts.

mod access_tokens;
mod kill;
mod lifetimes;
mod lists;
mod master_keys;
mod outage;
mod rotation;
mod tenants;

pub(crate) use access_tokens::{jwks, keys_of_document, keys_of_rpc, verified};
pub(crate) use rotation::bent;

use std::time::Duration;

use guardian_auth::app;
use guardian_auth::cli::import;
use guardian_auth::config::Config;
use guardian_auth::proto;
use guardian_auth::proto::end_session_request::Token;
use serde_json::{Value, json};
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use tonic::Status;

use crate::support::service::{
    Attempt, Calls, KOMMUN, OPVANG, Parts, Service, guardian, hash, reason, school_and_child,
};

/// The password of every guardian here.
pub(crate) const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";

/// A revocation is seen by every replica within this time.
pub(crate) const SEEN_WITHIN: Duration = Duration::from_secs(1);

pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const MS: Duration = Duration::from_millis(1);

/// A service with the guardians `alma` and `bo` of the Swedish organization.
pub(crate) async fn service(parts: Parts) -> Service {
    service_with(parts, |_| {}).await
}

/// The same with changes to its configuration.
pub(crate) async fn service_with(parts: Parts, change: impl FnOnce(&mut Config)) -> Service {
    let service = Service::start_with(parts, change).await;
    service.import(KOMMUN, &two_guardians().await).await;
    service
}

/// The rows of `alma` and `bo`.
pub(crate) async fn two_guardians() -> Vec<Value> {
    let hash = hash(PASSWORD).await;
    let mut rows = school_and_child();
    rows.push(guardian("g-1", "alma", Some(&hash)));
    rows.push(guardian("g-2", "bo", Some(&hash)));
    rows
}

/// Two replicas, and what the portal calls each with.
pub(crate) struct Pair {
    pub first: Service,
    pub second: Service,
    pub here: Calls,
    pub there: Calls,
}

/// Two replicas with the guardians of [`service`].
pub(crate) async fn pair(parts: Parts) -> Pair {
    pair_with(parts, |_| {}).await
}

/// The same with changes to the configuration of both.
pub(crate) async fn pair_with(parts: Parts, change: impl Fn(&mut Config)) -> Pair {
    let first = service_with(parts, &change).await;
    let second = first.replica_with(&change).await;
    let (here, there) = (first.portal(KOMMUN).await, second.portal(KOMMUN).await);
    Pair { first, second, here, there }
}

/// A connection to the store of a service.
pub(crate) async fn sql(service: &Service) -> AnyConnection {
    install_default_drivers();
    let location = service.store_location();
    let url = if location.contains("://") { location } else { format!("sqlite:{location}") };
    AnyConnection::connect(&url).await.unwrap()
}

/// The number that a query answers.
pub(crate) async fn number(service: &Service, query: &str) -> i64 {
    let mut connection = sql(service).await;
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap()
}

/// Rows of the audit log with this kind and cause and, unless empty, about this session.
pub(crate) async fn audited(service: &Service, kind: &str, cause: &str, session: &str) -> i64 {
    let query = format!(
        "SELECT count(*) FROM audit_event WHERE kind = '{kind}' AND cause = '{cause}' \
         AND ('{session}' = '' OR session_id = '{session}')"
    );
    number(service, &query).await
}

/// Why a session ended, as stored; empty while it lives.
pub(crate) async fn end_reason(service: &Service, session: &str) -> String {
    let mut connection = sql(service).await;
    let query = format!("SELECT coalesce(end_reason, '') FROM session WHERE id = '{session}'");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap()
}

/// How often the store was asked for sessions, accounts and tickets, or told of a rotation.
pub(crate) async fn questions(service: &Service) -> f64 {
    let metrics = service.metrics().await;
    let of = |statement: &str| {
        let label = format!("statement=\"{statement}\"");
        crate::support::service::sum_of(&metrics, "guardian_auth_sql_statements_total", &label)
    };
    of("find_session") + of("rotate_refresh_token") + of("find_account") + of("find_ticket_holder")
}

/// A login of `alma`.
pub(crate) async fn alma(portal: &Calls) -> proto::SessionTokens {
    portal.session(Attempt::new("alma", PASSWORD)).await
}

/// Whether an access token is valid at the parent portal of the Swedish organization.
pub(crate) async fn is_valid(portal: &Calls, access_token: &str) -> bool {
    match portal.verify(access_token, KOMMUN, proto::Portal::Parent).await {
        Ok(_) => true,
        Err(status) => {
            assert_invalid(&status);
            false
        }
    }
}

/// The one answer to everything that is wrong with a session.
#[track_caller]
pub(crate) fn assert_invalid(status: &Status) {
    assert_eq!(reason(status), "SESSION_INVALID", "{status:?}");
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
}

/// Ends the session of a token, or another one.
pub(crate) async fn end(portal: &Calls, token: Token, session_id: &str) -> Result<i32, Status> {
    let request = proto::EndSessionRequest { token: Some(token), session_id: session_id.to_owned() };
    portal.session.clone().end_session(request).await.map(|answer| answer.into_inner().ended_count)
}

/// Ends all sessions.
pub(crate) async fn end_all(portal: &Calls, access_token: &str) -> Result<i32, Status> {
    let request = proto::EndAllSessionsRequest { access_token: access_token.to_owned() };
    portal.session.clone().end_all_sessions(request).await.map(|answer| answer.into_inner().ended_count)
}

/// A page of sessions.
pub(crate) async fn list(
    portal: &Calls,
    access_token: &str,
    page_size: i32,
    page_token: &str,
) -> Result<proto::ListSessionsResponse, Status> {
    let request = proto::ListSessionsRequest {
        access_token: access_token.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    };
    portal.session.clone().list_sessions(request).await.map(tonic::Response::into_inner)
}

/// Takes rows in through a configuration of a test's own.
pub(crate) async fn import_into(config: &Config, organization: &str, rows: &[Value]) {
    let text = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    let flow = app::directory_import(config).await.unwrap();
    let organization = app::organization(config, organization).unwrap();
    let bytes = std::io::Cursor::new(text.into_bytes());
    let summary = import::quietly(&flow, organization, app::directory_rows(bytes).as_mut()).await.unwrap();
    assert_eq!(summary.rejected, 0, "rows of the test were rejected");
}

/// A guardian of the Dutch organization with a password at the parent portal and one at the childminder portal.
pub(crate) async fn import_noor(service: &Service) {
    let hash = hash(PASSWORD).await;
    for portal in ["parent", "childminder"] {
        let mut rows = school_and_child();
        rows.push(json!({
            "type": "guardian",
            "key": "o-1",
            "given_name": "Noor",
            "family_name": "van Dijk",
            "user_names": [{"portal": "parent", "name": "noor"}, {"portal": "childminder", "name": "noor"}],
            "child_links": [{"child": "c-1", "confirmed": true}],
            "contract": {"confirmed": true},
            "password": {"portal": portal, "hash": hash, "must_change": false},
        }));
        service.import(OPVANG, &rows).await;
    }
}
