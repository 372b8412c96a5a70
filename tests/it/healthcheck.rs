//! The command `healthcheck`, against the ops port of a running service.

use guardian_auth::cli::healthcheck::{HealthcheckArgs, run};

use crate::support::ports::free_port;
use crate::support::service::{Parts, Service};

fn ask(address: impl ToString, service: &str) -> HealthcheckArgs {
    HealthcheckArgs { address: address.to_string(), service: service.to_owned() }
}

#[tokio::test]
async fn a_healthcheck_passes_while_the_service_is_ready_and_fails_when_it_stopped() {
    let mut service = Service::start(Parts::Embedded).await;
    let address = service.ops();
    run(ask(address, "readiness")).await.unwrap();
    run(ask(address, "liveness")).await.unwrap();
    service.stop().await;
    let refused = run(ask(address, "readiness")).await.unwrap_err();
    assert!(refused.to_string().ends_with("cannot be reached"), "{refused:#}");
}

#[tokio::test]
async fn a_healthcheck_of_what_nobody_knows_says_so() {
    let service = Service::start(Parts::Embedded).await;
    let refused = run(ask(service.ops(), "logins")).await.unwrap_err();
    assert!(refused.to_string().contains("NotFound"), "{refused:#}");
}

#[tokio::test]
async fn a_healthcheck_of_nobody_fails() {
    let address = format!("127.0.0.1:{}", free_port());
    assert!(run(ask(address, "readiness")).await.is_err());
    assert!(run(ask("no address", "readiness")).await.is_err());
}
