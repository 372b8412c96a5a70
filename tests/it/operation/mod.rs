//! Operation without a break: files are read again, replicas are replaced, keys are changed, and callers notice nothing.

mod files;
mod goes_on;
mod login;
mod reload;
mod restarts;
mod retries;
mod rotation;
mod stopping;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guardian_auth::domain::staff::Role;
use guardian_auth::proto::guardian_service_client::GuardianServiceClient;
use guardian_auth::proto::search_guardians_request::By;
use guardian_auth::proto::{self, Portal, SearchGuardiansRequest, SessionTokens};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use self::retries::Policies;
use crate::support::installation::{Installation, weakest_hash_of};
use crate::support::previous_program;
use crate::support::service::{Attempt, Calls, KOMMUN, school_and_child};
use crate::support::sql::Sql;
use crate::support::staff::{PASSWORD as STAFF_PASSWORD, StaffTokens, hire_only};

/// The password of every guardian here.
const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";
/// So many that the logins of a busy machine, which are slow, stay within the limits of each.
const GUARDIANS: usize = 60;
/// Sessions that are verified and refreshed.
const SESSIONS: usize = 8;
/// Connections of the portals.
const CONNECTIONS: usize = 6;
/// Calls without an answer, at most: a busy machine gets fewer calls instead of slower ones.
const IN_FLIGHT: usize = 48;

/// What the calls of a mixed load are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Login,
    Verify,
    Refresh,
    /// Staff look a guardian up by national number.
    Search,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Login, Self::Verify, Self::Refresh, Self::Search];

    /// One login and two look-ups among ten calls.
    const fn of(number: usize) -> Self {
        match number % 10 {
            0 => Self::Login,
            1..=5 => Self::Verify,
            6 | 7 => Self::Refresh,
            _ => Self::Search,
        }
    }

    const fn method(self) -> &'static str {
        match self {
            Self::Login => "guardian.auth.v1.LoginService/LoginWithPassword",
            Self::Verify => "guardian.auth.v1.SessionService/VerifySession",
            Self::Refresh => "guardian.auth.v1.SessionService/RefreshSession",
            Self::Search => "guardian.auth.v1.GuardianService/SearchGuardians",
        }
    }
}

/// A number that nobody has: month 13 does not exist, so it comes from the series for tests.
fn number_of(guardian: usize) -> &'static str {
    const NUMBERS: [&str; 3] = ["197001019806", "197102029811", "197203039826"];
    NUMBERS[guardian % NUMBERS.len()]
}

/// An installation with guardians of whom the first have national numbers, and a member of staff.
async fn furnished() -> (Installation, String) {
    let installation = Installation::new().await;
    let hash = weakest_hash_of(PASSWORD).await;
    let mut rows = school_and_child();
    rows.extend((0..GUARDIANS).map(|number| {
        let (key, name) = (format!("g-{number}"), format!("user-{number}"));
        let mut row = crate::support::service::guardian(&key, &name, Some(&hash));
        if number < 3 {
            row["national_id"] = number_of(number).into();
        }
        row
    }));
    installation.import(&rows).await;
    let (_, staff) = hire_only(&installation.service, KOMMUN, Role::OrganizationAdministrator, &[]).await;
    (installation, staff)
}

/// Where portals call, and whom they trust there.
#[derive(Clone)]
struct Door {
    address: SocketAddr,
    authority_pem: Option<String>,
}

impl Door {
    fn endpoint(&self) -> Endpoint {
        let scheme = if self.authority_pem.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address)).unwrap();
        match &self.authority_pem {
            None => endpoint,
            Some(pem) => {
                let tls = ClientTlsConfig::new()
                    .ca_certificate(Certificate::from_pem(pem))
                    .domain_name("guardian.example");
                endpoint.tls_config(tls).unwrap()
            }
        }
    }
}

/// What the callers of a load hold.
struct Portals {
    policies: Policies,
    channels: Vec<Channel>,
    portal_token: String,
    admin_token: String,
    sessions: Vec<tokio::sync::Mutex<SessionTokens>>,
    staff: tokio::sync::Mutex<SessionTokens>,
}

impl Portals {
    async fn new(installation: &Installation, staff: &str, doors: &[Door]) -> Self {
        let token = |suffix: &str| installation.service.token(&format!("{KOMMUN}-{suffix}"));
        let channels: Vec<Channel> =
            (0..CONNECTIONS).map(|number| doors[number % doors.len()].endpoint().connect_lazy()).collect();
        let (portal_token, admin_token) = (token("portal"), token("admin"));
        let portal = Calls::new(channels[0].clone(), &portal_token);
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            let name = format!("user-{number}");
            sessions.push(tokio::sync::Mutex::new(portal.session(Attempt::new(&name, PASSWORD)).await));
        }
        let admin = Calls::new(channels[0].clone(), &admin_token);
        let attempt = Attempt { portal: Portal::Staff, ip: "", ..Attempt::new(staff, STAFF_PASSWORD) };
        let weak = admin.session(attempt).await;
        // As strong as a login by eID: the next access token says it.
        let strong = format!("UPDATE session SET method = 'eid' WHERE guardian_id = '{}'", weak.guardian_id);
        assert_eq!(Sql::open(&installation.service).await.run(&strong).await, 1);
        let staff = tokio::sync::Mutex::new(admin.refresh(&weak.refresh_token).await.unwrap());
        Self { policies: Policies::documented(), channels, portal_token, admin_token, sessions, staff }
    }

    fn calls(&self, number: usize) -> Calls {
        Calls::new(self.channels[number % self.channels.len()].clone(), &self.portal_token)
    }

    /// A fresh access token for the member of staff: they live 5 minutes.
    async fn renew_staff(&self) {
        let mut staff = self.staff.lock().await;
        let admin = Calls::new(self.channels[0].clone(), &self.admin_token);
        let mut tries = self.policies.tries(Kind::Refresh.method());
        loop {
            match admin.refresh(&staff.refresh_token).await {
                Ok(renewed) => {
                    *staff = renewed;
                    return;
                }
                Err(status) => assert!(tries.again(&status).await, "{status:?}"),
            }
        }
    }

    async fn once(&self, kind: Kind, number: usize, calls: &Calls) -> Result<(), Status> {
        let session = &self.sessions[number % self.sessions.len()];
        match kind {
            Kind::Login => {
                let name = format!("user-{}", number / 10 % GUARDIANS);
                let mut request = Request::new(Attempt::new(&name, PASSWORD).request());
                // Hashing is done at low priority: a busy machine must not look like an outage.
                request.set_timeout(Duration::from_secs(30));
                calls.login.clone().login_with_password(request).await.map(drop)
            }
            Kind::Verify => {
                let token = session.lock().await.access_token.clone();
                calls.verify(&token, KOMMUN, Portal::Parent).await.map(drop)
            }
            Kind::Refresh => {
                let mut session = session.lock().await;
                *session = calls.refresh(&session.refresh_token).await?;
                Ok(())
            }
            Kind::Search => {
                let token = self.staff.lock().await.access_token.clone();
                let channel = self.channels[number % self.channels.len()].clone();
                let tokens = StaffTokens::new(&self.admin_token, Some(&token));
                let mut staff = GuardianServiceClient::new(InterceptedService::new(channel, tokens));
                let wanted = number_of(number);
                let by = By::NationalId(wanted.to_owned());
                let request = SearchGuardiansRequest {
                    organization: KOMMUN.to_owned(),
                    by: Some(by),
                    ..SearchGuardiansRequest::default()
                };
                let found = match staff.search_guardians(request).await {
                    // Rpcs of this version are to be called when every replica has it.
                    Err(status) if status.code() == Code::Unimplemented && previous_program().is_some() => {
                        return Ok(());
                    }
                    answer => answer?.into_inner().guardians,
                };
                if found.len() == 1 {
                    Ok(())
                } else {
                    Err(Status::not_found(format!("{} guardians have the number", found.len())))
                }
            }
        }
    }
}

/// Calls at a steady pace, until it is finished.
struct Load {
    portals: Arc<Portals>,
    stop: watch::Sender<bool>,
    pacing: JoinHandle<()>,
    report: Arc<Report>,
}

/// What came of the calls.
#[derive(Default)]
struct Report {
    answered: Mutex<HashMap<Kind, u64>>,
    /// Calls that were answered after a retry.
    retried: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Report {
    fn answered(&self) -> u64 {
        self.answered.lock().unwrap().values().sum()
    }

    /// No call failed, and there were calls of every kind.
    #[track_caller]
    fn assert_nobody_noticed(&self) {
        let answered = self.answered.lock().unwrap();
        let failed = self.failed.lock().unwrap();
        let mut kinds: HashMap<&str, usize> = HashMap::new();
        failed.iter().for_each(|text| *kinds.entry(text).or_default() += 1);
        assert!(kinds.is_empty(), "calls failed beside {answered:?}: {kinds:#?}");
        for kind in Kind::ALL {
            assert!(answered.get(&kind).is_some_and(|count| *count > 5), "{answered:?}");
        }
    }
}

impl Load {
    fn start(portals: Portals, calls_per_second: u64) -> Self {
        let (portals, report) = (Arc::new(portals), Arc::new(Report::default()));
        let stop = watch::Sender::new(false);
        let (of, into, mut stopped) = (Arc::clone(&portals), Arc::clone(&report), stop.subscribe());
        let pacing = tokio::spawn(async move {
            let room = Arc::new(Semaphore::new(IN_FLIGHT));
            let tasks = TaskTracker::new();
            // The pace of the callers is what is tested.
            let mut pace =
                tokio::time::interval(Duration::from_secs(1) / u32::try_from(calls_per_second).unwrap());
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            for number in 0.. {
                tokio::select! {
                    _ = stopped.changed() => break,
                    _ = pace.tick() => {}
                }
                let place = Arc::clone(&room).acquire_owned().await.unwrap();
                let (portals, report) = (Arc::clone(&of), Arc::clone(&into));
                tasks.spawn(async move {
                    one_call(&portals, &report, number).await;
                    drop(place);
                });
            }
            tasks.close();
            tasks.wait().await;
        });
        Self { portals, stop, pacing, report }
    }

    /// Ends when the last call is answered.
    async fn finish(self) -> Arc<Report> {
        self.stop.send_replace(true);
        self.pacing.await.unwrap();
        self.report
    }
}

async fn one_call(portals: &Portals, report: &Report, number: usize) {
    let kind = Kind::of(number);
    let mut tries = portals.policies.tries(kind.method());
    loop {
        // As a client library does: the next try takes another connection, if there is one.
        let calls = portals.calls(number + usize::try_from(tries.made).unwrap());
        match portals.once(kind, number, &calls).await {
            Ok(()) => {
                *report.answered.lock().unwrap().entry(kind).or_default() += 1;
                report.retried.fetch_add(u64::from(tries.made > 0), Ordering::Relaxed);
                return;
            }
            Err(status) => {
                if !tries.again(&status).await {
                    let text = format!("{kind:?}: {:?} {}", status.code(), status.message());
                    report.failed.lock().unwrap().push(text);
                    return;
                }
            }
        }
    }
}

/// Whether the configuration knows the caller.
async fn is_known(calls: &Calls) -> bool {
    let request = proto::ListLoginMethodsRequest {
        organization: KOMMUN.to_owned(),
        portal: Portal::Parent.into(),
        locale: String::new(),
    };
    calls.login.clone().list_login_methods(request).await.is_ok()
}
