//! User and password of the database are replaced while the service runs.

use guardian_auth::config::{Config, StoreBackend};
use guardian_auth::domain::secret::Secret;

use crate::support::service::{Attempt, Calls, KOMMUN, Parts, Service, guardian, hash, school_and_child};
use crate::support::sql::Sql;
use crate::support::unique_name;

const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";

/// The same database, entered as somebody else.
fn as_role(role: &str, service: &Service) -> impl FnOnce(&mut Config) {
    by(role, service, 10)
}

/// And by so many connections.
fn by(role: &str, service: &Service, max_connections: u32) -> impl FnOnce(&mut Config) {
    let url = service.store_location().replacen("//guardian@", &format!("//{role}@"), 1);
    assert!(url.contains(role));
    move |config| config.store.backend = StoreBackend::Postgres { url: Secret::new(url), max_connections }
}

/// The connections of the service other than this one, by who made them.
async fn present(sql: &mut Sql, who: &str) -> i64 {
    sql.number(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND usename = '{who}' AND pid <> pg_backend_pid()"
    ))
    .await
}

/// Ends them, as their age does, and waits until the service logs in anew, which it can as nobody else than `role`.
async fn logs_in_as(role: &str, sql: &mut Sql, portal: &Calls) {
    let all = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert!(!sql.texts(all).await.is_empty());
    crate::support::eventually(crate::support::START_DEADLINE, "logins go on", async || {
        portal.log_in(Attempt::new("user-0", PASSWORD)).await.is_ok()
    })
    .await;
    assert!(present(sql, role).await > 0, "{role} logs in");
}

#[tokio::test]
async fn another_login_to_the_database_is_used_for_new_connections() {
    let service = Service::start(Parts::Shared).await;
    let mut rows = school_and_child();
    rows.push(guardian("g-0", "user-0", Some(&hash(PASSWORD).await)));
    service.import(KOMMUN, &rows).await;
    let portal = service.portal(KOMMUN).await;
    portal.session(Attempt::new("user-0", PASSWORD)).await;
    let mut sql = Sql::open(&service).await;
    let role = unique_name("role");
    sql.run(&format!("CREATE ROLE \"{role}\" LOGIN SUPERUSER")).await;

    let nobody = service.reload(as_role("nobody_of_this_name", &service)).await.unwrap_err();
    assert!(nobody.to_string().contains("store.postgres.url"), "{nobody:#}");
    portal.session(Attempt::new("user-0", PASSWORD)).await;

    assert_eq!(service.reload(as_role(&role, &service)).await.unwrap(), [""; 0]);
    logs_in_as(&role, &mut sql, &portal).await;
    assert_eq!(present(&mut sql, "guardian").await, 0);

    let elsewhere = |config: &mut Config| {
        let url = "postgres://guardian@db.example/other".to_owned();
        config.store.backend = StoreBackend::Postgres { url: Secret::new(url), max_connections: 10 };
    };
    assert_eq!(service.reload(elsewhere).await.unwrap(), ["store"], "another database needs a restart");
    portal.session(Attempt::new("user-0", PASSWORD)).await;
}

/// The password is replaced in the same change as something that waits for a restart, and is used all the same; what was
/// never used is not taken for what is in use.
#[tokio::test]
async fn another_login_to_the_database_is_used_beside_what_needs_a_restart() {
    let service = Service::start(Parts::Shared).await;
    let mut rows = school_and_child();
    rows.push(guardian("g-0", "user-0", Some(&hash(PASSWORD).await)));
    service.import(KOMMUN, &rows).await;
    let portal = service.portal(KOMMUN).await;
    let mut sql = Sql::open(&service).await;
    let roles = ["one", "two"].map(unique_name);
    for role in &roles {
        sql.run(&format!("CREATE ROLE \"{role}\" LOGIN SUPERUSER")).await;
    }

    assert_eq!(service.reload(by(&roles[0], &service, 20)).await.unwrap(), ["store"]);
    logs_in_as(&roles[0], &mut sql, &portal).await;
    assert_eq!(service.reload(by(&roles[0], &service, 10)).await.unwrap(), [""; 0]);

    // Another database waits for a restart, and so does who logs in there. Then it is taken back, but for the login.
    let url = service.store_location().replacen("//guardian@", &format!("//{}@", roles[1]), 1);
    let elsewhere = |config: &mut Config| {
        let url = format!("{url}_elsewhere");
        config.store.backend = StoreBackend::Postgres { url: Secret::new(url), max_connections: 10 };
    };
    assert_eq!(service.reload(elsewhere).await.unwrap(), ["store"]);
    logs_in_as(&roles[0], &mut sql, &portal).await;
    assert_eq!(service.reload(as_role(&roles[1], &service)).await.unwrap(), [""; 0]);
    logs_in_as(&roles[1], &mut sql, &portal).await;
    assert_eq!(present(&mut sql, &roles[0]).await, 0);
}
