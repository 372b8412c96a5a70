//! The conformance suite of the store: every case runs on SQLite and on PostgreSQL, without exceptions.

mod activate_credential;
mod audit;
mod audit_chain;
mod audit_events;
mod audit_plans;
mod change_password;
mod child_links;
mod confirm_reset;
mod contents;
mod credential_facts;
mod data_subject;
mod directory_import;
mod directory_import_logins;
mod directory_import_passwords;
mod duplicates;
mod eid_facts;
mod eid_login;
mod eid_sessions;
mod expanding;
mod facts;
mod fallback_credential;
mod guardian_search;
mod identifiers;
mod login_bankid;
mod login_bankid_leases;
mod login_failures;
mod login_oidc;
mod login_password;
mod merge;
mod merge_children;
mod merge_identity;
mod message_budget;
mod migrations;
mod outage;
mod outbox;
mod outbox_tries;
mod password_reset;
mod plans;
mod races;
mod reseal;
mod reset_candidates;
mod reset_facts;
mod reset_races;
mod reset_tokens;
mod session;
mod signing_keys;
mod staff_facts;
mod world;

/// Makes two tests of each case: `on_sqlite::…` and `on_postgres::…`. A case takes a [`world::World`] of its own.
macro_rules! on_every_database {
    ($($case:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(crate::store::world::World::on_sqlite().await).await;
                }
            )+
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(crate::store::world::World::on_postgres().await).await;
                }
            )+
        }
    };
}
use on_every_database;
