//! Rule 1: no sequence of calls by any role, and of imports, yields a usable password without a confirmed relation.

mod model;

use std::sync::atomic::{AtomicUsize, Ordering};

use guardian_auth::app;
use guardian_auth::cli::import;
use guardian_auth::config::Config;
use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::proto::{LinkEvidence, LockReason, Portal};
use proptest::prelude::*;
use proptest::test_runner::{self, TestCaseError, TestRunner};
use serde_json::{Value, json};

use self::model::{By, Model, Password, State};
use crate::change_password::roomy;
use crate::fallback_credential::{activate, code};
use crate::support::full_size;
use crate::support::service::{Attempt, Calls, KOMMUN, OPVANG, Parts, Service, hash};
use crate::support::sql::Sql;
use crate::support::staff::{Staff, hire, hire_with_password};

/// Staff of both organizations, by index in [`Bed::staff`].
const STAFF: usize = 10;
/// An administrator of the Swedish organization with a strong session.
const ADMINISTRATOR: usize = 0;
/// An administrator of the school `s-1` with a strong session.
const OF_SCHOOL: usize = 1;

const SCHOOLS: [&str; 2] = ["s-1", "s-2"];

/// One step of a sequence. Numbers are indexes; those of codes and merges count from the newest.
#[derive(Clone, Copy, Debug)]
enum Step {
    Import { guardian: usize, links: [Option<bool>; 2], password: bool },
    MoveChild { child: usize, school: usize },
    Add { by: usize, guardian: usize, child: usize },
    Confirm { by: usize, guardian: usize, child: usize },
    Remove { by: usize, guardian: usize, child: usize },
    Issue { by: usize, guardian: usize },
    Activate { code: usize },
    Revoke { by: usize, guardian: usize },
    Lock { by: usize, guardian: usize },
    Unlock { by: usize, guardian: usize },
    Merge { by: usize, kept: usize, absorbed: usize },
    Undo { by: usize, merge: usize },
}

fn step() -> impl Strategy<Value = Step> {
    // Half of the calls are by somebody who may.
    let by = || prop_oneof![2 => Just(ADMINISTRATOR), 1 => Just(OF_SCHOOL), 3 => 0..STAFF];
    let guardian = || prop_oneof![8 => 0..2_usize, 2 => Just(2_usize), 1 => Just(3_usize)];
    let child = || prop_oneof![6 => Just(0_usize), 3 => Just(1_usize), 1 => Just(2_usize)];
    let of = || (by(), guardian());
    let pair = || (by(), guardian(), child());
    let link = || prop_oneof![2 => Just(None), 2 => Just(Some(false)), 1 => Just(Some(true))];
    prop_oneof![
        3 => (guardian(), link(), link(), any::<bool>()).prop_map(|(guardian, first, second, password)| {
            Step::Import { guardian, links: [first, second], password }
        }),
        1 => (0..2_usize, 0..2_usize).prop_map(|(child, school)| Step::MoveChild { child, school }),
        1 => pair().prop_map(|(by, guardian, child)| Step::Add { by, guardian, child }),
        5 => pair().prop_map(|(by, guardian, child)| Step::Confirm { by, guardian, child }),
        3 => pair().prop_map(|(by, guardian, child)| Step::Remove { by, guardian, child }),
        5 => of().prop_map(|(by, guardian)| Step::Issue { by, guardian }),
        5 => prop_oneof![4 => Just(0_usize), 1 => 0..4_usize].prop_map(|code| Step::Activate { code }),
        1 => of().prop_map(|(by, guardian)| Step::Revoke { by, guardian }),
        1 => of().prop_map(|(by, guardian)| Step::Lock { by, guardian }),
        1 => of().prop_map(|(by, guardian)| Step::Unlock { by, guardian }),
        2 => (by(), guardian(), guardian()).prop_map(|(by, kept, absorbed)| Step::Merge { by, kept, absorbed }),
        2 => (by(), 0..2_usize).prop_map(|(by, merge)| Step::Undo { by, merge }),
    ]
}

struct Actor {
    staff: Staff,
    role: Role,
    /// The one school, or the whole organization.
    school: Option<usize>,
    is_strong: bool,
}

impl Actor {
    /// Whether the role and the session allow a change in this organization at all.
    fn may_change(&self, organization: &str) -> bool {
        let role = match self.role {
            Role::OrganizationAdministrator | Role::SchoolAdministrator => true,
            Role::PlatformOperator | Role::SupportPerson => false,
        };
        role && self.is_strong && self.staff.organization == organization
    }

    fn is_at(&self, school: usize) -> bool {
        self.school.is_none_or(|own| own == school)
    }
}

fn organization_of_guardian(guardian: usize) -> &'static str {
    if guardian < 3 { KOMMUN } else { OPVANG }
}

fn organization_of_child(child: usize) -> &'static str {
    if child < 2 { KOMMUN } else { OPVANG }
}

/// A service with staff, for many cases: each has guardians and children of its own.
struct Bed {
    service: Service,
    staff: Vec<Actor>,
    portals: [Calls; 2],
    cases: AtomicUsize,
    /// Logins that succeeded.
    logins: AtomicUsize,
}

fn unlimited(config: &mut Config) {
    roomy(config);
    for organization in &mut config.organizations {
        organization.staff.issues_per_hour = 100_000;
    }
}

impl Bed {
    async fn start(parts: Parts) -> Self {
        let service = Service::start_with(parts, unlimited).await;
        for organization in [KOMMUN, OPVANG] {
            let school = |key: &&str| json!({"type": "school", "key": key, "name": format!("School {key}")});
            service.import(organization, &SCHOOLS.iter().map(school).collect::<Vec<_>>()).await;
        }
        let everybody: [(&str, Role, Option<usize>, bool); STAFF] = [
            (KOMMUN, Role::OrganizationAdministrator, None, true),
            (KOMMUN, Role::SchoolAdministrator, Some(0), true),
            (KOMMUN, Role::SchoolAdministrator, Some(1), true),
            (KOMMUN, Role::OrganizationAdministrator, None, false),
            (KOMMUN, Role::SchoolAdministrator, Some(0), false),
            (KOMMUN, Role::SupportPerson, Some(0), true),
            (KOMMUN, Role::SupportPerson, None, true),
            (KOMMUN, Role::PlatformOperator, None, true),
            (OPVANG, Role::OrganizationAdministrator, None, true),
            (OPVANG, Role::SchoolAdministrator, Some(0), true),
        ];
        let mut staff = Vec::new();
        for (organization, role, school, is_strong) in everybody {
            let schools: Vec<&str> = school.iter().map(|school| SCHOOLS[*school]).collect();
            let member = if is_strong {
                hire(&service, organization, role, &schools).await
            } else {
                hire_with_password(&service, organization, role, &schools).await
            };
            staff.push(Actor { staff: member, role, school, is_strong });
        }
        let portals = [service.portal(KOMMUN).await, service.portal(OPVANG).await];
        Self { service, staff, portals, cases: AtomicUsize::new(0), logins: AtomicUsize::new(0) }
    }

    /// Rows of a source, taken or not.
    async fn import(&self, organization: &str, rows: &[Value]) {
        let text = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
        let config = self.service.config();
        let flow = app::directory_import(&config).await.unwrap();
        let organization = app::organization(&config, organization).unwrap();
        let mut rows = app::directory_rows(std::io::Cursor::new(text.into_bytes()));
        import::quietly(&flow, organization, rows.as_mut()).await.unwrap();
    }

    async fn run(&self, steps: &[Step]) -> Result<(), TestCaseError> {
        let mut case = Case::begin(self).await;
        for (number, step) in steps.iter().enumerate() {
            let checked = match case.take(*step).await {
                Ok(()) => case.check().await,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = checked {
                let transcript = case.transcript.join("\n  ");
                return Err(TestCaseError::fail(format!("after step {number}: {fault}\n  {transcript}")));
            }
        }
        Ok(())
    }
}

/// One sequence under way.
struct Case<'b> {
    bed: &'b Bed,
    number: usize,
    guardians: Vec<String>,
    children: Vec<String>,
    model: Model,
    /// User names and codes as they were handed over, with whom they were for.
    codes: Vec<(usize, String, String)>,
    passwords: usize,
    transcript: Vec<String>,
}

impl<'b> Case<'b> {
    async fn begin(bed: &'b Bed) -> Self {
        let number = bed.cases.fetch_add(1, Ordering::Relaxed);
        let mut case = Self {
            bed,
            number,
            guardians: Vec::new(),
            children: Vec::new(),
            model: Model::new(),
            codes: Vec::new(),
            passwords: 0,
            transcript: Vec::new(),
        };
        for organization in [KOMMUN, OPVANG] {
            let mut rows = Vec::new();
            rows.extend((0..3).filter(|it| organization_of_child(*it) == organization).map(|it| case.child_row(it)));
            rows.extend(
                (0..4)
                    .filter(|it| organization_of_guardian(*it) == organization)
                    .map(|it| case.guardian_row(it, &[], None)),
            );
            bed.import(organization, &rows).await;
        }
        let mut sql = Sql::open(&bed.service).await;
        for (table, key, count) in [("guardian", 'g', 4), ("child", 'c', 3)] {
            for it in 0..count {
                let query = format!("SELECT id FROM {table} WHERE source_key = 'p{number}-{key}{it}'");
                let id = sql.texts(&query).await.remove(0);
                if key == 'g' { case.guardians.push(id) } else { case.children.push(id) }
            }
        }
        case
    }

    fn child_row(&self, child: usize) -> Value {
        json!({
            "type": "child", "key": format!("p{}-c{child}", self.number), "given_name": "Maja", "family_name": "Ek",
            "school": SCHOOLS[self.model.schools[child]],
        })
    }

    fn guardian_row(&self, guardian: usize, links: &[(usize, bool)], hash: Option<&str>) -> Value {
        let link = |(child, confirmed): &(usize, bool)| json!({"child": format!("p{}-c{child}", self.number), "confirmed": confirmed});
        let mut row = json!({
            "type": "guardian",
            "key": format!("p{}-g{guardian}", self.number),
            "given_name": "Kim",
            "family_name": "Ek",
            "user_names": [{"portal": "parent", "name": self.name(guardian)}],
            "child_links": links.iter().map(link).collect::<Vec<_>>(),
        });
        if let Some(hash) = hash {
            row["password"] = json!({"portal": "parent", "hash": hash, "must_change": false});
        }
        row
    }

    fn name(&self, guardian: usize) -> String {
        format!("P{}G{guardian}", self.number)
    }

    fn new_password(&mut self) -> String {
        self.passwords += 1;
        format!("lingon-cykel-{}-{}-vante", self.number, self.passwords)
    }

    /// Carries a step out. What succeeded must have been allowed; what an administrator may do must succeed.
    async fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Import { guardian, links, password } => {
                self.imports(guardian, links, password).await;
                Ok(())
            }
            Step::MoveChild { child, school } => {
                self.model.schools[child] = school;
                self.bed.import(organization_of_child(child), &[self.child_row(child)]).await;
                self.transcript.push(format!("{step:?}"));
                Ok(())
            }
            Step::Add { by, guardian, child }
            | Step::Confirm { by, guardian, child }
            | Step::Remove { by, guardian, child } => self.links(step, by, guardian, child).await,
            Step::Issue { by, guardian } => self.issues(by, guardian).await,
            Step::Activate { code } => self.activates(code).await,
            Step::Revoke { by, guardian } | Step::Lock { by, guardian } | Step::Unlock { by, guardian } => {
                self.account(step, by, guardian).await
            }
            Step::Merge { by, kept, absorbed } => self.merges(by, kept, absorbed).await,
            Step::Undo { by, merge } => self.undoes(by, merge).await,
        }
    }

    fn note(&mut self, step: &str, answer: Result<(), &tonic::Status>) {
        let told = answer.map_err(|status| crate::support::service::reason(status));
        self.transcript.push(format!("{step}: {told:?}"));
    }

    async fn imports(&mut self, guardian: usize, links: [Option<bool>; 2], password: bool) {
        let children: &[usize] = if guardian < 3 { &[0, 1] } else { &[2] };
        let delivered: Vec<(usize, bool)> =
            children.iter().zip(links).filter_map(|(child, link)| Some((*child, link?))).collect();
        let mut hashed = None;
        if password {
            let text = self.new_password();
            hashed = Some(hash(&text).await);
            self.model.passwords.push(Password { guardian, text, rests_on: By::Source });
        }
        let row = self.guardian_row(guardian, &delivered, hashed.as_deref());
        self.bed.import(organization_of_guardian(guardian), &[row]).await;
        self.model.imported(guardian, &delivered);
        self.transcript.push(format!("import of {guardian}: links {delivered:?}, password {password}"));
    }

    async fn links(&mut self, step: Step, by: usize, guardian: usize, child: usize) -> Result<(), String> {
        let actor = &self.bed.staff[by];
        let mut calls = actor.staff.guardians.clone();
        let (organization, request_id) = (actor.staff.organization.clone(), String::new());
        let (guardian_id, child_id) = (self.guardians[guardian].clone(), self.children[child].clone());
        let answer = match step {
            Step::Add { .. } => {
                let request = proto::AddChildLinkRequest { organization, guardian_id, child_id, request_id };
                calls.add_child_link(request).await.map(|_| ())
            }
            Step::Confirm { .. } => {
                let evidence = LinkEvidence::PopulationRegister.into();
                let request =
                    proto::ConfirmChildLinkRequest { organization, guardian_id, child_id, evidence, request_id };
                calls.confirm_child_link(request).await.map(|_| ())
            }
            _ => {
                let request = proto::RemoveChildLinkRequest { organization, guardian_id, child_id, request_id };
                calls.remove_child_link(request).await.map(|_| ())
            }
        };
        self.note(&format!("{step:?}"), answer.as_ref().copied());
        let own = organization_of_guardian(guardian);
        let may = actor.may_change(own)
            && organization_of_child(child) == own
            && actor.is_at(self.model.schools[child])
            && self.model.states[guardian] != State::Merged;
        if answer.is_ok() != may {
            return Err(format!("{step:?}: allowed {may}, answered {answer:?}"));
        }
        if may {
            match step {
                Step::Add { .. } => self.model.added(guardian, child),
                Step::Confirm { .. } => self.model.confirmed_by_staff(guardian, child),
                _ => self.model.removed(guardian, child),
            }
        }
        Ok(())
    }

    async fn issues(&mut self, by: usize, guardian: usize) -> Result<(), String> {
        let actor = &self.bed.staff[by];
        let mut request =
            crate::fallback_credential::request(&self.guardians[guardian], crate::fallback_credential::sheet());
        request.organization = actor.staff.organization.clone();
        let answer = actor.staff.credentials.clone().issue_fallback_credential(request).await;
        self.note(&format!("issue for {guardian} by {by}"), answer.as_ref().map(|_| ()));
        let in_scope = actor.school.is_none_or(|school| self.model.has_link_at(guardian, school));
        let may = actor.may_change(organization_of_guardian(guardian))
            && in_scope
            && self.model.states[guardian] == State::Active
            && self.model.confirmed(guardian) == By::Staff;
        match answer {
            Ok(issued) if may => {
                let issued = issued.into_inner();
                self.codes.push((guardian, issued.user_name, issued.activation_code));
                Ok(())
            }
            Ok(_) => Err(format!("a credential for {guardian} was issued by {by}")),
            // After a merge the bound is looser than what the service allows.
            Err(status) if may && !self.model.was_ever_merged(guardian) => {
                Err(format!("{by} could not issue for {guardian}: {status:?}"))
            }
            Err(_) => Ok(()),
        }
    }

    async fn activates(&mut self, from_newest: usize) -> Result<(), String> {
        let Some(at) = self.codes.len().checked_sub(from_newest + 1) else { return Ok(()) };
        let (guardian, user_name, typed) = self.codes[at].clone();
        let text = self.new_password();
        let portal = &self.bed.portals[usize::from(guardian == 3)];
        let mut attempt = crate::fallback_credential::attempt(code(&user_name, &typed), &text);
        attempt.organization = organization_of_guardian(guardian).to_owned();
        let answer = portal.login.clone().activate_credential(attempt).await;
        self.note(&format!("code {at} of {guardian} activated"), answer.as_ref().map(|_| ()));
        // Also one that was refused: it must not work.
        self.model.passwords.push(Password { guardian, text: text.clone(), rests_on: By::Staff });
        if answer.is_ok() {
            let attempt = Attempt {
                organization: organization_of_guardian(guardian),
                ..Attempt::new(&user_name, &text)
            };
            if let Err(status) = portal.log_in(attempt).await {
                return Err(format!("a password just chosen does not work: {status:?}"));
            }
        }
        Ok(())
    }

    async fn account(&mut self, step: Step, by: usize, guardian: usize) -> Result<(), String> {
        let actor = &self.bed.staff[by];
        let (organization, request_id) = (actor.staff.organization.clone(), String::new());
        let guardian_id = self.guardians[guardian].clone();
        let mut calls = actor.staff.guardians.clone();
        let answer = match step {
            Step::Lock { .. } => {
                let reason = LockReason::Compromised.into();
                let request = proto::LockGuardianRequest { organization, guardian_id, reason, request_id };
                calls.lock_guardian(request).await.map(|_| ())
            }
            Step::Unlock { .. } => {
                let request = proto::UnlockGuardianRequest { organization, guardian_id, request_id };
                calls.unlock_guardian(request).await.map(|_| ())
            }
            _ => {
                let portal = Portal::Parent.into();
                let request =
                    proto::RevokeFallbackCredentialRequest { organization, portal, guardian_id, request_id };
                actor.staff.credentials.clone().revoke_fallback_credential(request).await.map(|_| ())
            }
        };
        self.note(&format!("{step:?}"), answer.as_ref().copied());
        let in_scope = actor.school.is_none_or(|school| self.model.has_link_at(guardian, school));
        let may = actor.may_change(organization_of_guardian(guardian)) && in_scope;
        if answer.is_ok() && !may {
            return Err(format!("{step:?} was allowed"));
        }
        if answer.is_ok() {
            match step {
                Step::Lock { .. } => self.model.states[guardian] = State::Locked,
                Step::Unlock { .. } => self.model.states[guardian] = State::Active,
                // What it took away stays away: every password of before must not work.
                _ => self.revoked(guardian),
            }
        }
        Ok(())
    }

    /// Marks the account's passwords as resting on nothing that can be there.
    fn revoked(&mut self, guardian: usize) {
        if self.model.was_ever_merged(guardian) {
            return;
        }
        for password in self.model.passwords.iter_mut().filter(|it| it.guardian == guardian) {
            password.rests_on = By::Nobody;
        }
    }

    async fn merges(&mut self, by: usize, kept: usize, absorbed: usize) -> Result<(), String> {
        let actor = &self.bed.staff[by];
        let request = proto::MergeGuardiansRequest {
            organization: actor.staff.organization.clone(),
            kept_guardian_id: self.guardians[kept].clone(),
            absorbed_guardian_id: self.guardians[absorbed].clone(),
            ..Default::default()
        };
        let answer = actor.staff.guardians.clone().merge_guardians(request).await;
        self.note(&format!("{absorbed} merged into {kept} by {by}"), answer.as_ref().map(|_| ()));
        let Ok(merged) = answer else { return Ok(()) };
        let in_scope = |guardian| actor.school.is_none_or(|school| self.model.has_link_at(guardian, school));
        let may = [kept, absorbed].into_iter().all(|guardian| {
            actor.may_change(organization_of_guardian(guardian))
                && in_scope(guardian)
                && self.model.states[guardian] != State::Merged
        });
        if !may || kept == absorbed {
            return Err(format!("{by} merged {absorbed} into {kept}"));
        }
        self.model.merged(merged.into_inner().merge_id, kept, absorbed);
        Ok(())
    }

    async fn undoes(&mut self, by: usize, from_newest: usize) -> Result<(), String> {
        let Some(at) = self.model.merges.len().checked_sub(from_newest + 1) else { return Ok(()) };
        let actor = &self.bed.staff[by];
        let merge = self.model.merges[at].clone();
        let request = proto::UndoMergeRequest {
            organization: actor.staff.organization.clone(),
            merge_id: merge.id,
            request_id: String::new(),
        };
        let answer = actor.staff.guardians.clone().undo_merge(request).await;
        self.note(&format!("merge {at} undone by {by}"), answer.as_ref().map(|_| ()));
        if answer.is_err() {
            return Ok(());
        }
        if !actor.may_change(organization_of_guardian(merge.kept)) {
            return Err(format!("{by} undid a merge"));
        }
        self.model.undone(at);
        Ok(())
    }

    /// Tries every password at every name that it could ever belong to.
    async fn check(&self) -> Result<(), String> {
        for password in &self.model.passwords {
            for name in (0..4).filter(|it| self.model.is_related(password.guardian, *it)) {
                let organization = organization_of_guardian(name);
                let portal = &self.bed.portals[usize::from(name == 3)];
                let login_name = self.name(name);
                let attempt = Attempt { organization, ..Attempt::new(&login_name, &password.text) };
                let Ok(answer) = portal.log_in(attempt).await else { continue };
                let Some(Outcome::Session(tokens)) = answer.outcome else {
                    return Err("no change was asked for".to_owned());
                };
                self.bed.logins.fetch_add(1, Ordering::Relaxed);
                let seen = portal.verify(&tokens.access_token, organization, Portal::Parent).await;
                let seen = seen.map_err(|status| format!("a new session is refused: {status:?}"))?;
                let Some(at) = self.guardians.iter().position(|id| *id == seen.guardian_id) else {
                    return Err(format!("{login_name} led to somebody else"));
                };
                let bears = self.model.confirmed(at);
                if self.model.states[at] != State::Active
                    || password.rests_on == By::Nobody
                    || bears < password.rests_on
                {
                    return Err(format!(
                        "{login_name} logs in to {at}, which is {:?} and confirmed by {bears:?}, with {password:?}",
                        self.model.states[at]
                    ));
                }
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sequence_of_calls_and_imports_yields_a_usable_credential_without_a_confirmed_link() {
    let (cases, steps) = if full_size() { (150, 40) } else { (6, 24) };
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let handle = tokio::runtime::Handle::current();
        let config = test_runner::Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 300,
            ..test_runner::Config::default()
        };
        let sequences = proptest::collection::vec(step(), steps);
        let done = tokio::task::block_in_place(|| {
            TestRunner::new(config).run(&sequences, |steps| handle.block_on(bed.run(&steps)))
        });
        if let Err(fault) = done {
            panic!("{parts:?}: {fault}");
        }
    }
}

/// Positive control, and sequences that were thought of rather than found.
#[tokio::test]
async fn sequences_around_merges_and_removals_keep_rule_one() {
    let (by, child) = (ADMINISTRATOR, 0);
    let confirm = |guardian| Step::Confirm { by, guardian, child };
    let remove = |guardian| Step::Remove { by, guardian, child };
    let add = |guardian| Step::Add { by, guardian, child };
    let issue = |guardian| Step::Issue { by, guardian };
    let activate = Step::Activate { code: 0 };
    let merge = Step::Merge { by, kept: 0, absorbed: 1 };
    let undo = Step::Undo { by, merge: 0 };
    let password = |links| Step::Import { guardian: 1, links, password: true };
    let sequences: [&[Step]; 9] = [
        &[confirm(1), issue(1), activate, remove(1), add(1), activate],
        &[confirm(1), issue(1), remove(1), confirm(1), activate],
        &[confirm(1), issue(1), activate, merge, remove(0), undo],
        // The kept account had the link as well: nothing moved, and what staff removed since does not come back.
        &[confirm(0), confirm(1), merge, remove(0), add(0), undo, issue(1)],
        &[confirm(0), issue(0), activate, confirm(1), issue(1), activate, merge, remove(0), add(0), undo],
        &[confirm(0), issue(0), activate, confirm(1), issue(1), activate, merge, remove(0), undo],
        &[confirm(1), issue(1), merge, activate, undo, activate],
        &[password([Some(true), None]), merge, remove(0), undo, password([Some(true), None])],
        &[password([Some(true), None]), password([None, None]), password([Some(false), None])],
    ];
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        for (number, steps) in sequences.iter().enumerate() {
            if let Err(fault) = bed.run(steps).await {
                panic!("{parts:?}, sequence {number}: {fault}");
            }
        }
        assert!(bed.logins.load(Ordering::Relaxed) >= 10, "passwords that are borne work");
    }
}

/// Threat: staff take the relation away while the guardian chooses the password, on another replica.
#[tokio::test]
async fn issuing_and_activating_beside_the_removal_of_the_link_leaves_no_credential() {
    let rounds = if full_size() { 500 } else { 25 };
    for parts in Parts::ALL {
        let bed = Bed::start(parts).await;
        let other = bed.service.replica_with(unlimited).await;
        let there = other.portal(KOMMUN).await;
        let case = Case::begin(&bed).await;
        let staff = &bed.staff[ADMINISTRATOR].staff;
        let mut sql = Sql::open(&bed.service).await;
        let (guardian, child) = (case.guardians[0].clone(), case.children[0].clone());
        let (mut before, mut after) = (0, 0);
        for round in 0..rounds {
            let pair = (staff.organization.clone(), guardian.clone(), child.clone());
            let confirm = proto::ConfirmChildLinkRequest {
                organization: pair.0.clone(),
                guardian_id: pair.1.clone(),
                child_id: pair.2.clone(),
                evidence: LinkEvidence::KnownPerson.into(),
                request_id: String::new(),
            };
            staff.guardians.clone().confirm_child_link(confirm).await.unwrap();
            let remove = proto::RemoveChildLinkRequest {
                organization: pair.0,
                guardian_id: pair.1,
                child_id: pair.2,
                request_id: String::new(),
            };
            let chosen = format!("lingon-cykel-{round}-fyrtorn");
            let give = async {
                let sheet = crate::fallback_credential::sheet();
                let Ok(issued) = crate::fallback_credential::issue(staff, &guardian, sheet).await else {
                    return false;
                };
                activate(&there, code(&issued.user_name, &issued.activation_code), &chosen).await.is_ok()
            };
            let take = async {
                let mut calls = staff.guardians.clone();
                // Each round some calls later, so that it meets issuing, activating and what is between them.
                for _ in 0..round % 12 {
                    let look = proto::GetGuardianRequest {
                        organization: remove.organization.clone(),
                        guardian_id: remove.guardian_id.clone(),
                    };
                    calls.get_guardian(look).await.unwrap();
                }
                calls.remove_child_link(remove).await.unwrap();
            };
            let (given, ()) = tokio::join!(give, take);
            if given { before += 1 } else { after += 1 }
            let what = format!("{parts:?}, round {round}, given {given}");
            for portal in [&bed.portals[0], &there] {
                let login = portal.log_in(Attempt::new(&case.name(0), &chosen)).await;
                assert!(login.is_err(), "{what}");
            }
            let left = format!(
                "SELECT (SELECT count(*) FROM credential WHERE guardian_id = '{guardian}') \
                 + (SELECT count(*) FROM activation WHERE guardian_id = '{guardian}' AND ended_ms IS NULL) \
                 + (SELECT count(*) FROM child_link WHERE guardian_id = '{guardian}')"
            );
            assert_eq!(sql.number(&left).await, 0, "{what}");
        }
        assert!(before > 0 && after > 0, "{parts:?}: the race went one way only: {before} and {after}");
    }
}
