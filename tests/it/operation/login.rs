//! User and password of the database are replaced while the service runs.

use guardian_auth::config::{Config, StoreBackend};
use guardian_auth::domain::secret::Secret;

use crate::support::service::{Attempt, KOMMUN, Parts, Service, guardian, hash, school_and_child};
use crate::support::sql::Sql;
use crate::support::unique_name;

const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";

/// The same database, entered as somebody else.
fn as_role(role: &str, service: &Service) -> impl FnOnce(&mut Config) {
    let url = service.store_location().replacen("//guardian@", &format!("//{role}@"), 1);
    assert!(url.contains(role));
    move |config| config.store.backend = StoreBackend::Postgres { url: Secret::new(url), max_connections: 10 }
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
    // The old ones end, as they do by their age.
    let others = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                  WHERE datname = current_database() AND usename = 'guardian' AND pid <> pg_backend_pid()";
    assert!(!sql.texts(others).await.is_empty());
    crate::support::eventually(crate::support::START_DEADLINE, "logins go on", async || {
        portal.log_in(Attempt::new("user-0", PASSWORD)).await.is_ok()
    })
    .await;
    let present = |who: &str| {
        format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND usename = '{who}' AND pid <> pg_backend_pid()"
        )
    };
    assert!(sql.number(&present(&role)).await > 0);
    assert_eq!(sql.number(&present("guardian")).await, 0);

    let elsewhere = |config: &mut Config| {
        let url = "postgres://guardian@db.example/other".to_owned();
        config.store.backend = StoreBackend::Postgres { url: Secret::new(url), max_connections: 10 };
    };
    assert_eq!(service.reload(elsewhere).await.unwrap(), ["store"], "another database needs a restart");
    portal.session(Attempt::new("user-0", PASSWORD)).await;
}
