//! B16: one code, many hands, two replicas, and no limit in the way.

use guardian_auth::config::Config;
use tokio::task::JoinSet;

use super::{NEW, activate, code, confirm, id_of, issue, sheet, with_guardians_and};
use crate::change_password::roomy;
use crate::session::number;
use crate::support::full_size;
use crate::support::service::{Attempt, KOMMUN, Parts, reason};

fn unlimited(config: &mut Config) {
    roomy(config);
    for organization in &mut config.organizations {
        organization.staff.issues_per_hour = 100_000;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b16_of_many_on_two_replicas_that_redeem_one_code_one_does_each_time() {
    let (rounds, hands) = if full_size() { (1000, 100) } else { (8, 30) };
    for parts in Parts::ALL {
        let (service, staff) = with_guardians_and(parts, unlimited).await;
        let other = service.replica_with(unlimited).await;
        let portals = [service.portal(KOMMUN).await, other.portal(KOMMUN).await];
        confirm(&service, "alma").await;
        let alma = id_of(&service, "alma").await;
        for round in 0..rounds {
            let issued = issue(&staff, &alma, sheet()).await.unwrap();
            let mut attempts = JoinSet::new();
            for hand in 0..hands {
                let (portal, typed) = (portals[hand % 2].clone(), issued.activation_code.clone());
                attempts.spawn(async move {
                    let chosen = format!("{NEW}-{hand}");
                    match activate(&portal, code("alma", &typed), &chosen).await {
                        Ok(_) => Some(chosen),
                        Err(status) => {
                            assert_eq!(reason(&status), "INVALID_CREDENTIALS", "{status:?}");
                            None
                        }
                    }
                });
            }
            let won: Vec<String> = attempts.join_all().await.into_iter().flatten().collect();
            assert_eq!(won.len(), 1, "{parts:?}, round {round}");
            portals[1].session(Attempt::new("alma", &won[0])).await;
        }
        let events = "SELECT count(*) FROM audit_event WHERE kind = 'credential_activated'";
        assert_eq!(number(&service, events).await, i64::from(rounds), "{parts:?}");
    }
}
