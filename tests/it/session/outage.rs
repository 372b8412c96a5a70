//! B27: without the database sessions go on as far as they can, and nobody is told that a session is invalid.

use std::time::Duration;

use guardian_auth::config::{Config, StoreBackend};
use guardian_auth::domain::secret::Secret;
use guardian_auth::proto::end_session_request::Token;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{PASSWORD, alma, end, end_all, import_into, is_valid, list, two_guardians};
use crate::change_password::change_with_session;
use crate::support::eventually;
use crate::support::postgres::PostgresServer;
use crate::support::service::{Attempt, KOMMUN, Parts, Service, reason};

/// The longest wait of a call to the store is 2 s; the rest is a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

async fn service_on(server: &PostgresServer) -> Service {
    let url = server.url();
    let on_server = |config: &mut Config| {
        config.store.backend = StoreBackend::Postgres { url: Secret::new(url.clone()), max_connections: 10 };
    };
    let service = Service::start_with(Parts::Shared, on_server).await;
    let mut config = service.config();
    on_server(&mut config);
    import_into(&config, KOMMUN, &two_guardians().await).await;
    service
}

#[track_caller]
fn assert_away<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.expect_err("the database is away");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
}

#[tokio::test]
async fn b27_a_database_outage_is_never_an_invalid_session() {
    let mut server = PostgresServer::start().await;
    let service = service_on(&server).await;
    let portal = service.portal(KOMMUN).await;
    let tokens = alma(&portal).await;
    let first = alma(&portal).await;
    let replaced = portal.refresh(&first.refresh_token).await.unwrap();

    server.stop();
    for _ in 0..3 {
        assert!(is_valid(&portal, &tokens.access_token).await);
        // One that this replica has never seen verified.
        assert!(is_valid(&portal, &replaced.access_token).await);
        for token in [&tokens.refresh_token, &first.refresh_token, &replaced.refresh_token] {
            let begin = Instant::now();
            assert_away(portal.refresh(token).await);
            assert!(begin.elapsed() < ANSWERED_WITHIN, "{:?}", begin.elapsed());
        }
        assert_away(end(&portal, Token::AccessToken(tokens.access_token.clone()), "").await);
        assert_away(end(&portal, Token::RefreshToken(tokens.refresh_token.clone()), "").await);
        assert_away(end_all(&portal, &tokens.access_token).await);
        assert_away(list(&portal, &tokens.access_token, 0, "").await);
        assert_away(change_with_session(&portal, &tokens, PASSWORD, "mossa-kanel-segel-tratt").await);
        assert_away(portal.log_in(Attempt::new("alma", PASSWORD)).await);
    }

    server.restart().await;
    eventually(Duration::from_secs(3), "sessions are refreshed again", async || {
        match portal.refresh(&tokens.refresh_token).await {
            Ok(_) => true,
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                false
            }
        }
    })
    .await;
    // What was refused changed nothing.
    assert_eq!(portal.refresh(&first.refresh_token).await.unwrap().refresh_token, replaced.refresh_token);
    portal.refresh(&replaced.refresh_token).await.unwrap();
    alma(&portal).await;
}

#[tokio::test]
async fn b27_a_database_that_hangs_is_no_invalid_session_either() {
    let mut server = PostgresServer::start().await;
    let service = service_on(&server).await;
    let portal = service.portal(KOMMUN).await;
    let tokens = alma(&portal).await;
    server.sigstop();
    assert!(is_valid(&portal, &tokens.access_token).await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (portal, token) = (portal.clone(), tokens.refresh_token.clone());
        calls.spawn(async move {
            let begin = Instant::now();
            (portal.refresh(&token).await, begin.elapsed())
        });
    }
    for (answer, taken) in calls.join_all().await {
        assert_away(answer);
        assert!(taken < ANSWERED_WITHIN, "{taken:?}");
    }
    server.sigcont();
    eventually(Duration::from_secs(3), "sessions are refreshed again", async || {
        portal.refresh(&tokens.refresh_token).await.is_ok()
    })
    .await;
}
