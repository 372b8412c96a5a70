//! B33: the master key changes while guardians log in by eID and ask for reset links by BSN, and nobody is turned away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use guardian_auth::app;
use guardian_auth::config::{Config, MasterKey};
use guardian_auth::domain::password_reset::ResetMethod;
use guardian_auth::domain::secret::Secret;
use guardian_auth::flows::reseal::{Pace, Reseal, Summary};
use guardian_auth::proto::{self, BankIdDevice};
use serde_json::json;

use super::bed::{Bed, begin_at, persona, with_number};
use crate::support::eventually;
use crate::support::service::{Calls, KOMMUN, OPVANG, Parts, Service, guardian, school_and_child};
use crate::support::sql::Sql;

const NUMBERS: [&str; 3] = ["197001019806", "197102029811", "197203039826"];
const BSNS: [&str; 2] = ["999990019", "10464554"];

/// A worker looks each second, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The keys of a replica, the active one first.
fn keys(order: &'static [&'static str]) -> impl Fn(&mut Config) {
    move |config| {
        let first = config.keys.master.remove(0);
        let made = |id: &&str| match *id {
            "k1" => MasterKey { id: "k1".to_owned(), key: Secret::new(*first.key.expose()) },
            other => MasterKey { id: other.to_owned(), key: Secret::new([0x5a; 32]) },
        };
        config.keys.master = order.iter().map(made).collect();
        for reset in config.organizations.iter_mut().filter_map(|it| it.reset.as_mut()) {
            reset.methods = ResetMethod::ALL.to_vec();
        }
    }
}

/// Guardians who come at a steady pace.
struct Visitors<'b> {
    bed: &'b Bed,
    round: usize,
    logins: usize,
    requests: i64,
}

impl Visitors<'_> {
    /// One login by eID and one request for a link, on one of the replicas. The clock goes on, so that no limit is reached.
    async fn visit(&mut self, replicas: &[&Service]) {
        self.round += 1;
        self.bed.advance(Duration::from_mins(30));
        let replica = replicas[self.round % replicas.len()];
        let portal = replica.portal(KOMMUN).await;
        log_in(self.bed, &portal, NUMBERS[self.round % NUMBERS.len()]).await.unwrap();
        self.logins += 1;
        ask(&replica.portal(OPVANG).await, self.round).await;
        self.requests += 1;
    }
}

async fn log_in(bed: &Bed, portal: &Calls, number: &str) -> Result<proto::SessionTokens, tonic::Status> {
    let browser = begin_at(portal, BankIdDevice::Other, super::bed::HERE).await.unwrap();
    let order = bed.scan(&browser.qr_text());
    bed.bankid.sign(&order, &persona(number)).unwrap();
    browser.watch_to_the_end().await;
    browser.complete("").await
}

async fn ask(portal: &Calls, round: usize) {
    let person = round % BSNS.len();
    let identification = proto::request_password_reset_request::Identification::DebtorNumberAndBsn(
        proto::DebtorNumberAndBsn { debtor_number: format!("2045{person}"), bsn: BSNS[person].to_owned() },
    );
    let request = proto::RequestPasswordResetRequest {
        organization: OPVANG.to_owned(),
        portal: proto::Portal::Parent.into(),
        client: Some(proto::ClientContext { ip: "192.0.2.9".to_owned(), ..Default::default() }),
        identification: Some(identification),
        ..Default::default()
    };
    portal.reset.clone().request_password_reset(request).await.unwrap();
}

async fn reseal(bed: &Bed, order: &'static [&'static str]) -> Summary {
    let mut config = bed.config();
    keys(order)(&mut config);
    let reseal = app::reseal(&config).await.unwrap();
    let reseal = Reseal { clock: Arc::clone(&bed.service.clock) as _, ..reseal };
    reseal.run(Pace::Full, &mut |_| {}).await.unwrap()
}

/// What came of the requests for links: how many found the account, and how many did not.
async fn requests(bed: &Bed) -> (i64, i64) {
    let mut sql = Sql::open(&bed.service).await;
    let left = "SELECT COUNT(*) FROM reset_request";
    eventually(SOON, "all requests are looked at", async || {
        Sql::open(&bed.service).await.number(left).await == 0
    })
    .await;
    let missed = sql
        .number(
            "SELECT COUNT(*) FROM audit_event WHERE kind = 'reset_denied' AND cause = 'national_id_mismatch'",
        )
        .await;
    let all = "SELECT COUNT(*) FROM audit_event WHERE kind IN ('reset_link_queued', 'reset_denied')";
    (sql.number(all).await - missed, missed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b33_the_master_key_changes_and_nobody_is_turned_away() {
    let rows: Vec<_> = NUMBERS.iter().map(|number| with_number(number, number)).collect();
    let mut bed = Bed::start_with(Parts::Shared, &rows, keys(&["k1"])).await;
    let mut rows = school_and_child();
    for (person, bsn) in BSNS.iter().enumerate() {
        let mut row = guardian(&format!("n-{person}"), &format!("noor{person}"), None);
        row["national_id"] = json!(bsn);
        row["debtor_numbers"] = json!([{"portal": "parent", "number": format!("2045{person}")}]);
        row["email"] = json!(format!("noor{person}@voorbeeld.nl"));
        rows.push(row);
    }
    let mut config = bed.config();
    keys(&["k1"])(&mut config);
    bed.service.import_with(&config, OPVANG, &rows).await;

    // Two replicas, changed one after the other, while guardians come.
    let mut pair = [bed.replica_with(keys(&["k1"])).await, bed.replica_with(keys(&["k1"])).await];
    bed.service.stop().await;
    let mut visitors = Visitors { bed: &bed, round: 0, logins: 0, requests: 0 };
    for order in [&["k1", "k2"], &["k2", "k1"]] {
        for place in 0..pair.len() {
            let fresh = bed.replica_with(keys(order)).await;
            visitors.visit(&[&fresh, &pair[1 - place]]).await;
            let mut before = std::mem::replace(&mut pair[place], fresh);
            before.stop().await;
            visitors.visit(&[&pair[0], &pair[1]]).await;
        }
    }
    // Positive control: a replica without the old key, before everything is sealed anew, turns them away. It would not even
    // start without a signing key that it can open.
    let mut config = bed.config();
    keys(&["k2", "k1"])(&mut config);
    app::signing_keys(&config).await.unwrap().rotate(Duration::ZERO).await.unwrap();
    let hasty = bed
        .replica_with(|config| {
            keys(&["k2"])(config);
            config.workers.enabled = false;
        })
        .await;
    log_in(&bed, &hasty.portal(KOMMUN).await, NUMBERS[0]).await.unwrap_err();
    drop(hasty);

    // Requests that are under way have their own seals.
    requests(&bed).await;
    let over = AtomicBool::new(false);
    let resealing = async {
        let summary = reseal(&bed, &["k2", "k1"]).await;
        over.store(true, Ordering::SeqCst);
        summary
    };
    let coming = async {
        while !over.load(Ordering::SeqCst) {
            visitors.visit(&[&pair[0], &pair[1]]).await;
        }
    };
    let (summary, ()) = tokio::join!(resealing, coming);
    assert!(summary.is_complete(), "{summary}");
    assert_eq!(summary.removable(), ["k1"]);
    for place in 0..pair.len() {
        let fresh = bed.replica_with(keys(&["k2"])).await;
        let mut before = std::mem::replace(&mut pair[place], fresh);
        before.stop().await;
        visitors.visit(&[&pair[0], &pair[1]]).await;
    }
    for _ in 0..6 {
        visitors.visit(&[&pair[0], &pair[1]]).await;
    }
    assert!(visitors.logins > 10);
    assert_eq!(requests(&bed).await, (visitors.requests, 0), "every request found its account");
}
