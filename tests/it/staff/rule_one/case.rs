//! One sequence: each step through the wire and on the model, and then all logins that could succeed.

use std::sync::atomic::Ordering;

use guardian_auth::proto;
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::proto::{LinkEvidence, LockReason, Portal};
use serde_json::{Value, json};

use super::bed::Bed;
use super::model::{By, Model, Password, State};
use super::steps::Step;
use super::{SCHOOLS, organization_of_child, organization_of_guardian};
use crate::fallback_credential::code;
use crate::support::service::{Attempt, KOMMUN, OPVANG, hash, reason};
use crate::support::sql::Sql;

/// One sequence under way.
pub struct Case<'b> {
    pub bed: &'b Bed,
    pub number: usize,
    pub guardians: Vec<String>,
    pub children: Vec<String>,
    pub model: Model,
    /// User names and codes as they were handed over, with whom they were for.
    pub codes: Vec<(usize, String, String)>,
    pub passwords: usize,
    pub transcript: Vec<String>,
}

impl<'b> Case<'b> {
    pub async fn begin(bed: &'b Bed) -> Self {
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
            rows.extend(
                (0..3).filter(|it| organization_of_child(*it) == organization).map(|it| case.child_row(it)),
            );
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

    pub fn name(&self, guardian: usize) -> String {
        format!("P{}G{guardian}", self.number)
    }

    fn new_password(&mut self) -> String {
        self.passwords += 1;
        format!("lingon-cykel-{}-{}-vante", self.number, self.passwords)
    }

    /// Carries a step out. What succeeded must have been allowed; what an administrator may do must succeed.
    pub async fn take(&mut self, step: Step) -> Result<(), String> {
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
        let told = answer.map_err(reason);
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
                let request = proto::ConfirmChildLinkRequest {
                    organization,
                    guardian_id,
                    child_id,
                    evidence,
                    request_id,
                };
                calls.confirm_child_link(request).await.map(|_| ())
            }
            _ => {
                let request =
                    proto::RemoveChildLinkRequest { organization, guardian_id, child_id, request_id };
                calls.remove_child_link(request).await.map(|_| ())
            }
        };
        self.note(&format!("{step:?}"), answer.as_ref().copied());
        let own = organization_of_guardian(guardian);
        // Who belongs to another school is linked by the organization; a link that is not there is removed by anybody.
        let is_ours = actor.school.is_none_or(|school| self.model.has_link_at(guardian, school))
            || !self.model.has_links(guardian)
            || matches!(step, Step::Remove { .. });
        let may = actor.may_change(own)
            && organization_of_child(child) == own
            && actor.is_at(self.model.schools[child])
            && is_ours
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
        let mut request = crate::fallback_credential::request(
            &self.guardians[guardian],
            crate::fallback_credential::sheet(),
        );
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
    pub async fn check(&self) -> Result<(), String> {
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
