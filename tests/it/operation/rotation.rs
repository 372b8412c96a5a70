//! B33: the certificate and the master key are replaced on two replicas that serve, and callers notice nothing.

use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_util::sync::CancellationToken;

use super::{Door, Kind, Load, PASSWORD, Portals, furnished};
use crate::support::installation::{Installation, Replica, Settings};
use crate::support::process::Process;
use crate::support::service::{Attempt, Calls, reason};
use crate::support::sql::Sql;
use crate::support::{START_DEADLINE, eventually, full_size};

const RELOADS: &str = "guardian_auth_configuration_reloads_total";
const CERTIFICATES: &str = "guardian_auth_certificate_reloads_total";
/// Certificates are looked at every 5 s.
const NOTICED: Duration = Duration::from_secs(30);

/// Certificates of the replicas.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, installation: &Installation) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["guardian.example".to_owned()]).unwrap();
        installation.write("tls.crt", &params.signed_by(&key, &self.0).unwrap().pem());
        installation.write("tls.key", &key.serialize_pem());
    }
}

/// Gives both replicas these master keys, and waits until they use them.
async fn use_keys(installation: &Installation, replicas: &[(Replica, Process); 2], keys: &[&str], log: &str) {
    for (replica, process) in replicas {
        let before = process.metric(RELOADS, "\"taken\"").await;
        configure(installation, replica, keys, log);
        process.hang_up();
        eventually(START_DEADLINE, "the configuration is read again", async || {
            process.metric(RELOADS, "\"taken\"").await > before
        })
        .await;
        assert!(process.metric("guardian_auth_configuration_refused", "").await < 0.5);
    }
}

fn configure(installation: &Installation, replica: &Replica, master_keys: &[&str], log: &str) {
    let tls = Some(("tls.crt", "tls.key"));
    installation.configure(replica, &Settings { tls, master_keys, log, ..Settings::default() });
}

/// Everything that is stored, sealed with the first key, while the replicas serve.
fn reseal(replica: &Replica) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardian-auth"));
    command.arg("--config").arg(replica.file()).args(["keys", "rotate", "--data", "--full-speed"]);
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("dev"), "{told}");
}

/// Connects anew again and again, each time with what the replica shows then.
fn visitors(
    doors: &[Door],
    token: &str,
    access_token: &str,
) -> (CancellationToken, tokio::task::JoinHandle<u64>) {
    let stop = CancellationToken::new();
    let (doors, token, access, stopped) =
        (doors.to_vec(), token.to_owned(), access_token.to_owned(), stop.clone());
    let visits = async move {
        let mut visits = 0;
        while !stopped.is_cancelled() {
            let door = &doors[usize::try_from(visits).unwrap() % doors.len()];
            let channel = door.endpoint().connect().await.expect("every handshake goes well");
            let calls = Calls::new(channel, &token);
            let portal = guardian_auth::proto::Portal::Parent;
            calls.verify(&access, crate::support::service::KOMMUN, portal).await.expect("and every call");
            visits += 1;
        }
        visits
    };
    (stop, tokio::spawn(visits))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b33_certificate_and_master_key_change_on_two_replicas_and_no_call_fails() {
    let rate = if full_size() { 100 } else { 50 };
    let (installation, staff) = furnished().await;
    // The renewed certificate is another authority's; portals trust both.
    let (authority, renewal) = (Authority::new(), Authority::new());
    authority.issue(&installation);
    let replicas = ["one", "two"].map(|name| {
        let replica = installation.replica(name);
        configure(&installation, &replica, &["dev"], "info");
        let process = replica.start();
        (replica, process)
    });
    let both = [&authority, &renewal].map(|authority| authority.0.pem()).concat();
    let doors = replicas
        .each_ref()
        .map(|(replica, _)| Door { address: replica.grpc, authority_pem: Some(both.clone()) });
    let load = Load::start(Portals::new(&installation, &staff, &doors).await, rate);
    let calls = load.portals.calls(0);
    // Never exchanged: it ends with the key that it was made with.
    let unused = calls.session(Attempt::new("user-15", PASSWORD)).await;
    let (stop, visits) = visitors(&doors, &load.portals.portal_token, &unused.access_token);
    let more = async |what: &str| {
        let before = load.report.answered();
        eventually(START_DEADLINE, what, async || load.report.answered() >= before + 30).await;
    };

    more("calls before").await;
    renewal.issue(&installation);
    for (_, process) in &replicas {
        eventually(NOTICED, "the renewed certificate is shown", async || {
            process.metric(CERTIFICATES, "\"taken\"").await > 0.5
        })
        .await;
        process.hang_up();
    }
    more("calls with the new certificate").await;
    for ((_, process), door) in replicas.iter().zip(&doors) {
        let door = Door { authority_pem: Some(renewal.0.pem()), ..door.clone() };
        door.endpoint().connect().await.expect("the renewed certificate is shown");
        assert!(process.metric(RELOADS, "").await < 0.5, "a renewal makes nothing else anew");
    }

    installation.make_master_key("new");
    use_keys(&installation, &replicas, &["dev", "new"], "info").await;
    more("calls while both can read what the new key seals").await;
    use_keys(&installation, &replicas, &["new", "dev"], "info").await;
    more("calls while the new key seals").await;
    reseal(&replicas[0].0);
    more("calls after everything was sealed anew").await;
    // Who came before the change has come back since.
    for session in &load.portals.sessions {
        let mut session = session.lock().await;
        *session = calls.refresh(&session.refresh_token).await.unwrap();
    }
    load.portals.renew_staff().await;
    use_keys(&installation, &replicas, &["new"], "info").await;
    more("calls without the old key").await;

    stop.cancel();
    let visits = visits.await.unwrap();
    let report = load.finish().await;
    report.assert_nobody_noticed();
    assert!(report.answered.lock().unwrap()[&Kind::Search] > 0, "numbers were looked up");
    println!("{} calls and {visits} handshakes", report.answered());

    let refused = calls.refresh(&unused.refresh_token).await.unwrap_err();
    assert_eq!(reason(&refused), "SESSION_INVALID", "the old key opens nothing any more");
    let mut sql = Sql::open(&installation.service).await;
    for table in ["guardian_identifier", "signing_key"] {
        let left = format!("SELECT count(*) FROM {table} WHERE key_id = 'dev'");
        assert_eq!(sql.number(&left).await, 0, "{table}");
    }
}
