//! Searches of staff among a million guardians beside ten thousand.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use guardian_auth::adapters::system::{SystemClock, SystemEntropy};
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::password::HashParameters;
use guardian_auth::domain::staff::Role;
use guardian_auth::ports::clock::Clock as _;
use guardian_auth::ports::entropy::random_bytes;
use guardian_auth::proto;
use guardian_auth::proto::guardian_service_client::GuardianServiceClient;
use guardian_auth::proto::login_service_client::LoginServiceClient;
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::proto::search_guardians_request::By;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use super::bed::Bed;
use super::bulk::Loader;
use super::figures::Results;
use super::guardians;
use super::population::{Population, temporary_number};
use super::service::{Backends, Installation, ORGANIZATION, Service};
use super::windows::{Timing, alternate, percentile_ms};

/// Steps through the guardians so that neighbours in a window are no neighbours in the database. Prime.
const STRIDE: usize = 611_953;

/// Guardians of the small one.
const FEW: usize = 10_000;

/// What staff look for, and the name of it in the notes.
const KINDS: [&str; 5] = ["full name", "beginning", "number", "login name", "child"];

/// For whom: the whole organization, or a school with some 750 children.
const MEMBERS: [&str; 2] = ["organization", "school"];

/// Guardians of a page. In a small town a full name has one bearer, in a large one a hundred: with long pages the figure
/// would tell how long it takes to show more people, not to find them.
const PAGE: i32 = 10;

/// The school of the second member.
const SCHOOL: usize = 3;

/// SQLite, then PostgreSQL.
pub async fn run(bed: &Bed, timing: Timing, keys: &[&str], results: &mut Results) -> anyhow::Result<()> {
    for (key, backends) in
        [("search_scale_ratio", Backends::Embedded), ("search_scale_ratio_postgres", Backends::Shared)]
    {
        if keys.contains(&key) {
            measure(bed, timing, key, backends, results).await?;
        }
    }
    Ok(())
}

async fn measure(
    bed: &Bed,
    timing: Timing,
    key: &'static str,
    backends: Backends,
    results: &mut Results,
) -> anyhow::Result<()> {
    let many = Town::build(bed, backends, timing.many).await?;
    let few = Town::build(bed, backends, FEW).await?;
    let pairs =
        alternate(timing, async |window| many.p50_ms(window).await, async |window| few.p50_ms(window).await)
            .await?;
    eprintln!("  {key}: ms at p50 and p99, {} guardians beside {FEW}", timing.many);
    let (of_many, of_few) = (many.taken(), few.taken());
    for (place, (mut many, mut few)) in of_many.into_iter().zip(of_few).enumerate() {
        let (kind, member) = (KINDS[place / MEMBERS.len()], MEMBERS[place % MEMBERS.len()]);
        let [a, b] = [&mut many, &mut few].map(|taken| [0.50, 0.99].map(|share| percentile_ms(taken, share)));
        eprintln!(
            "    {kind:<10} {member:<12} {:7.2} {:7.2} beside {:7.2} {:7.2}, ratio at p50 {:.2}",
            a[0],
            a[1],
            b[0],
            b[1],
            a[0] / b[0]
        );
    }
    let [p99_many, p99_few] = [&many, &few].map(|town| percentile_ms(&mut town.taken().concat(), 0.99));
    let empty = many.empty.load(Ordering::Relaxed);
    let note =
        format!("{}; p99 {p99_many:.1} ÷ {p99_few:.1} ms; {empty} empty first pages", pairs.note("ms"));
    results.put(key, pairs.ratio(), note);
    Ok(())
}

/// A service with people, and two of its staff.
struct Town {
    people: Population,
    guardians: usize,
    service: Service,
    caller: MetadataValue<Ascii>,
    members: [String; 2],
    turn: AtomicUsize,
    /// Pages with nobody on them, though there are more.
    empty: AtomicUsize,
    /// By what was looked for and for whom.
    taken: Mutex<Vec<Vec<Duration>>>,
}

impl Town {
    async fn build(bed: &Bed, backends: Backends, guardians: usize) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let (installation, token) = Installation::with_staff(bed, backends).await?;
        installation.migrate().await?;
        let people = Population::new(guardians);
        let mut loader = Loader::connect(&installation.location).await?;
        people.write(&mut loader, &installation.vault()?).await?;
        let administrator = hire(&mut loader, Role::OrganizationAdministrator, None).await?;
        let school = hire(&mut loader, Role::SchoolAdministrator, Some(SCHOOL)).await?;
        loader.finish().await?;
        eprintln!("  {guardians} guardians in {:.0} s", begun.elapsed().as_secs_f64());
        let service = installation.start().await?;
        Ok(Self {
            people,
            guardians,
            service,
            caller: format!("Bearer {token}").parse().context("the token is no header")?,
            members: [administrator, school],
            turn: AtomicUsize::new(0),
            empty: AtomicUsize::new(0),
            taken: Mutex::new(vec![Vec::new(); KINDS.len() * MEMBERS.len()]),
        })
    }

    /// Median time of a search when there is one at a time, of all kinds in turn.
    async fn p50_ms(&self, window: Duration) -> anyhow::Result<f64> {
        let channel = self.service.channel().await?;
        let mut tokens: Vec<MetadataValue<Ascii>> = Vec::new();
        for member in &self.members {
            tokens.push(self.log_in(&channel, member).await?.parse().context("the token is no header")?);
        }
        let mut client = GuardianServiceClient::new(channel);
        let end = Instant::now() + window;
        let mut all = Vec::new();
        while Instant::now() < end {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let (round, place) = (turn / (KINDS.len() * MEMBERS.len()), turn % (KINDS.len() * MEMBERS.len()));
            let (kind, member) = (place / MEMBERS.len(), place % MEMBERS.len());
            let guardian = match member {
                0 => round.wrapping_mul(STRIDE) % self.guardians,
                _ => self.people.guardian_at_school(SCHOOL, round.wrapping_mul(STRIDE)),
            };
            let message = proto::SearchGuardiansRequest {
                organization: ORGANIZATION.to_owned(),
                by: Some(self.by(kind, guardian, round)),
                page_size: PAGE,
                page_token: String::new(),
            };
            let mut request = Request::new(message);
            request.metadata_mut().insert("authorization", self.caller.clone());
            request.metadata_mut().insert("guardian-staff-token", tokens[member].clone());
            let begun = Instant::now();
            let found = client.search_guardians(request).await.context(KINDS[kind])?.into_inner();
            let took = begun.elapsed();
            if found.guardians.is_empty() {
                // A page looks at so many names; behind it there may be more.
                anyhow::ensure!(!found.next_page_token.is_empty(), "nobody found by {}", KINDS[kind]);
                self.empty.fetch_add(1, Ordering::Relaxed);
            }
            all.push(took);
            self.taken.lock().map_err(|_| anyhow::anyhow!("a measurement panicked"))?[place].push(took);
        }
        Ok(percentile_ms(&mut all, 0.50))
    }

    /// What staff type to find this guardian.
    fn by(&self, kind: usize, guardian: usize, round: usize) -> By {
        match kind {
            0 => By::Name(self.people.guardian(guardian).full()),
            1 => {
                let name = self.people.guardian(guardian);
                let name = if round.is_multiple_of(2) { name.family } else { name.given };
                By::Name(name.chars().take(3 + round / 2 % 2).collect())
            }
            2 => By::NationalId(temporary_number(guardian)),
            3 => By::LoginName(guardians::login_name(guardian)),
            _ => By::ChildName(self.people.child(guardian / 2, 0).full()),
        }
    }

    fn taken(&self) -> Vec<Vec<Duration>> {
        self.taken.lock().map(|taken| taken.clone()).unwrap_or_default()
    }

    async fn log_in(&self, channel: &Channel, member: &str) -> anyhow::Result<String> {
        let client = proto::ClientContext {
            ip: String::new(),
            user_agent: guardians::USER_AGENT.to_owned(),
            device_token: String::new(),
        };
        let mut request = Request::new(proto::LoginWithPasswordRequest {
            organization: ORGANIZATION.to_owned(),
            portal: proto::Portal::Staff.into(),
            login_name: member.to_owned(),
            password: guardians::PASSWORD.to_owned(),
            client: Some(client),
        });
        request.metadata_mut().insert("authorization", self.caller.clone());
        let answer =
            LoginServiceClient::new(channel.clone()).login_with_password(request).await?.into_inner();
        match answer.outcome {
            Some(Outcome::Session(session)) => Ok(session.access_token),
            _ => anyhow::bail!("a staff member has no session"),
        }
    }
}

/// An account with the password of everybody; its user name.
async fn hire(to: &mut Loader, role: Role, school: Option<usize>) -> anyhow::Result<String> {
    let now = SystemClock.now();
    let id = GuardianId::new(now, random_bytes(&SystemEntropy));
    let (id, now, role) = (id.as_str(), now.as_millis(), role.as_str());
    let user_name = format!("STAFF{}", &id[18..]);
    let (hash, parameters) = (guardians::shared_hash()?, HashParameters::default());
    let scope = if school.is_some() { "schools" } else { "organization" };
    to.run(format!(
        "INSERT INTO guardian (id, organization, source_key, given_name, family_name, locale, state, credential_epoch, \
             created_ms, updated_ms, kind, names_folded) \
         VALUES ('{id}', '{ORGANIZATION}', 'staff {id}', 'Alex', 'Exempel', 'sv', 'active', 0, {now}, {now}, \
             'staff', 1)"
    ))
    .await?;
    to.run(format!(
        "INSERT INTO guardian_login (organization, portal, login_name, guardian_id, kind, is_spare) \
         VALUES ('{ORGANIZATION}', 'staff', '{user_name}', '{id}', 'user_name', 0)"
    ))
    .await?;
    to.run(format!(
        "INSERT INTO staff_member (id, organization, role, scope, state, revision, invited_ms) \
         VALUES ('{id}', '{ORGANIZATION}', '{role}', '{scope}', 'active', 1, {now})"
    ))
    .await?;
    to.run(format!(
        "INSERT INTO credential (guardian_id, portal, organization, hash, hash_parameters, origin, must_change, \
             failures_unknown, failures_known, set_ms, rests_on) \
         VALUES ('{id}', 'staff', '{ORGANIZATION}', '{hash}', '{parameters}', 'owner', 0, 0, 0, {now}, 'invitation')"
    ))
    .await?;
    if let Some(school) = school {
        to.run(format!(
            "INSERT INTO staff_school (staff_id, school_id) SELECT '{id}', id FROM school \
             WHERE organization = '{ORGANIZATION}' AND source_key = 's-{school}'"
        ))
        .await?;
    }
    Ok(user_name)
}
