//! The database is away: said fast, never answered with something else, over as soon as it is back.

use std::time::{Duration, Instant};

use guardian_auth::adapters::store::{SqlStore, StoreConfig, StoreMetrics};
use guardian_auth::domain::limits::Lane;
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::error::PortError;
use guardian_auth::ports::store::{LoginPasswordStore, SessionStore, StoreHealth};
use prometheus_client::registry::Registry;

use super::world::{
    World, assert_unavailable, at, failure, login_name, new_session, organization, random, session_of,
};
use crate::support::eventually;
use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::postgres::PostgresServer;

/// The promise is 2 s; the rest is for a busy machine.
const SAID: Duration = Duration::from_millis(2500);
/// And 3 s for being back.
const BACK: Duration = Duration::from_secs(3);

async fn connect(url: String) -> Result<SqlStore, PortError> {
    let metrics = StoreMetrics::register(&mut Registry::default());
    SqlStore::connect(&StoreConfig::Postgres { url: Secret::new(url), pool_size: 4 }, &metrics).await
}

/// Asks for everything that a login needs, at once, and wants an outage said in time for each.
async fn all_calls_say_so(store: &SqlStore) {
    let begin = Instant::now();
    let nobody = guardian_auth::domain::id::GuardianId::new(at(1), random());
    let name = login_name("10042");
    let organization = organization("sunnanvik");
    let failed = failure(&nobody, Lane::UnknownDevice);
    let session = guardian_auth::domain::id::SessionId::new(at(1), random());
    let (ping, candidates, counted, found) = tokio::join!(
        store.ping(),
        store.login_candidates(&organization, Portal::Parent, &name),
        store.record_login_failure(&failed),
        store.session(&session),
    );
    assert_unavailable(ping);
    assert_unavailable(candidates);
    assert_unavailable(counted);
    assert_unavailable(found);
    assert!(begin.elapsed() <= SAID, "it took {:?}", begin.elapsed());
}

async fn is_back(store: &SqlStore) {
    eventually(BACK, "the store answers again", async || store.ping().await.is_ok()).await;
    // And every connection of the pool with it: none answers from before.
    let session = guardian_auth::domain::id::SessionId::new(at(1), random());
    for answer in futures_util::future::join_all((0..8).map(|_| store.session(&session))).await {
        assert_eq!(answer.expect("an answer"), None);
    }
}

#[tokio::test]
async fn a_stopped_postgres_is_said_fast_and_over_when_it_is_back() {
    let mut server = PostgresServer::start().await;
    let store = connect(server.url()).await.expect("the store opens");
    store.migrate().await.expect("the migrations apply");
    is_back(&store).await;
    server.stop();
    all_calls_say_so(&store).await;
    all_calls_say_so(&store).await;
    server.restart().await;
    is_back(&store).await;
    store.close().await;
}

#[tokio::test]
async fn a_frozen_postgres_is_said_fast_and_over_when_it_goes_on() {
    let mut server = PostgresServer::start().await;
    let store = connect(server.url()).await.expect("the store opens");
    store.migrate().await.expect("the migrations apply");
    is_back(&store).await;
    server.sigstop();
    all_calls_say_so(&store).await;
    server.sigcont();
    is_back(&store).await;
    store.close().await;
}

#[tokio::test]
async fn a_silent_network_is_said_fast_and_over_when_it_speaks() {
    let server = PostgresServer::start().await;
    let proxy = FaultProxy::in_front_of(&server.url()).await;
    let store = connect(proxy.url()).await.expect("the store opens");
    store.migrate().await.expect("the migrations apply");
    is_back(&store).await;
    for mode in [Mode::Blackhole, Mode::Reset] {
        proxy.set(mode);
        all_calls_say_so(&store).await;
        proxy.set(Mode::Pass);
        is_back(&store).await;
    }
    store.close().await;
}

#[tokio::test]
async fn what_was_acknowledged_before_the_outage_is_there_after_it() {
    let mut server = PostgresServer::start().await;
    let world = World::on_server(&server.url()).await;
    let account = world.guardian("10042").await;
    let session = world.log_in(&account).await;
    server.stop();
    assert_unavailable(world.store.open_session(&new_session(&session_of(&account))).await);
    server.restart().await;
    is_back(&world.store).await;
    assert_eq!(world.store.session(&session.id).await.expect("an answer"), Some(session));
    assert_eq!(world.number("SELECT count(*) FROM session").await, 1);
    world.store.close().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_at_the_start_is_an_outage() {
    let url = format!("postgres://guardian@127.0.0.1:{}/postgres", crate::support::ports::free_port());
    let begin = Instant::now();
    assert_unavailable(connect(url).await);
    assert!(begin.elapsed() <= SAID);
}

#[tokio::test]
async fn an_address_that_is_none_is_no_outage() {
    assert!(matches!(connect("not an address".to_owned()).await, Err(PortError::Corrupt(_))));
}

#[tokio::test]
async fn errors_quote_neither_address_nor_password() {
    let url =
        format!("postgres://guardian:hunter2@127.0.0.1:{}/postgres", crate::support::ports::free_port());
    let error = connect(url).await.expect_err("nobody is there").to_string();
    assert!(!error.contains("hunter2") && !error.contains("127.0.0.1"), "{error}");
}

/// Another process writes and does not end.
#[tokio::test]
async fn a_locked_sqlite_file_is_said_fast_and_read_on() {
    use sqlx::{AnyConnection, Connection, Executor};
    let world = World::on_sqlite().await;
    let account = world.guardian("10042").await;
    let mut other = AnyConnection::connect(&world.url()).await.expect("a connection");
    other.execute("BEGIN IMMEDIATE").await.expect("the lock");
    let begin = Instant::now();
    assert_unavailable(world.store.open_session(&new_session(&session_of(&account))).await);
    assert!(begin.elapsed() <= SAID, "it took {:?}", begin.elapsed());
    assert!(world.account("10042").await.password.is_some());
    other.execute("ROLLBACK").await.expect("the lock is given back");
    world.log_in(&account).await;
    other.close().await.expect("it closes");
}
