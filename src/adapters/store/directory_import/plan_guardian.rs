//! Decides what a guardian's row changes.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context, SHA256};

use crate::domain::directory::{Finding, ImportedPassword, LoginNameKind, Relation, RowOutcome};
use crate::domain::id::{ChildId, GuardianId};
use crate::domain::identifier::LoginName;
use crate::domain::organization::Portal;
use crate::ports::error::PortError;
use crate::ports::store::PreparedGuardian;

use super::known::{Confirmed, Known, KnownGuardian, Profile};
use super::plan::{Change, Plan, TakenLogin, finding, known_meanwhile};
use crate::adapters::store::name_parts::Named;

/// A row that is being decided on.
struct Row<'p, 'r> {
    plan: &'p mut Plan<'r>,
    known: &'p mut Known,
    /// The guardian as it was before this row; empty if it is new.
    before: KnownGuardian,
    delivered: &'r PreparedGuardian,
    findings: Vec<Finding>,
    changed: bool,
}

pub(super) fn plan<'r>(
    plan: &mut Plan<'r>,
    known: &mut Known,
    row: &'r PreparedGuardian,
) -> Result<RowOutcome, PortError> {
    if known.guardians.get(&row.record.key).is_some_and(|before| before.is_merged) {
        let message = "Staff merged this guardian's account into another one. The row changes nothing.";
        return Ok(Change::Unchanged.with(vec![finding("key", "account_merged", message)]));
    }
    let Some(links) = child_links(known, row) else {
        let message = "No child has this key. Deliver the child first.";
        return Ok(RowOutcome::Rejected(vec![finding("relations", "unknown_child", message)]));
    };
    let profile = Profile::of(&row.record);
    // Each key is decided on once, so nobody needs it afterwards.
    let before = known.guardians.remove(&row.record.key);
    let is_new = before.is_none();
    let before = match before {
        Some(before) if before.id != row.id => return Err(known_meanwhile()),
        Some(before) => before,
        None => KnownGuardian::new(row.id.clone(), Profile::of(&row.record)),
    };
    let changed = before.profile != profile;
    if is_new || changed {
        plan.guardians.push(row);
        let mut named = Named::guardian(&row.id, &row.record.given_name, &row.record.family_name);
        named.renamed = !is_new;
        plan.names.push(named);
    }
    let mut row = Row { plan, known, before, delivered: row, findings: Vec::new(), changed };
    row.plan_logins();
    row.plan_identifier();
    let confirmed = row.plan_relations(links);
    row.plan_credentials(&confirmed);
    let change = match (is_new, row.changed) {
        (true, _) => Change::Created,
        (false, true) => Change::Updated,
        (false, false) => Change::Unchanged,
    };
    Ok(change.with(row.findings))
}

/// The children of the row by id, with whether the source confirmed one of its relations to them; `None` if there is
/// an unknown one.
fn child_links(known: &Known, row: &PreparedGuardian) -> Option<HashMap<ChildId, bool>> {
    let mut links = HashMap::new();
    for relation in &row.record.relations {
        match relation {
            Relation::Child { child, confirmed } => {
                *links.entry(known.children.get(child)?.standing().clone()).or_insert(false) |= confirmed;
            }
            Relation::Contract { .. } => {}
        }
    }
    Some(links)
}

/// What stands for an imported password when it comes again: its hash may have been renewed since, with the same
/// password and other parameters.
fn fingerprint(password: &ImportedPassword) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(password.hash.as_str().as_bytes());
    context.update(&[0, u8::from(password.must_change)]);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

impl<'r> Row<'_, 'r> {
    fn guardian(&self) -> &'r GuardianId {
        &self.delivered.id
    }

    fn is_free(&self, portal: Portal, name: &LoginName) -> bool {
        self.known.login_holders.get(&(portal, name.clone())).is_none_or(|holder| holder == self.guardian())
    }

    fn plan_logins(&mut self) {
        let row = self.delivered;
        let mut keep: Vec<(Portal, &LoginName)> = Vec::new();
        let mut spares_for: Vec<Portal> = Vec::new();
        for login in &row.record.logins {
            if keep.contains(&(login.portal, &login.name)) {
                continue;
            }
            if !self.is_free(login.portal, &login.name) {
                let message =
                    "Another guardian has this login name at the portal. The guardian gets a user name.";
                self.findings.push(finding("logins", "login_name_taken", message));
                spares_for.push(login.portal);
                continue;
            }
            keep.push((login.portal, &login.name));
        }
        // Released before taken: a name may change its kind.
        let wanted = |portal, name: &LoginName, kind| {
            row.record
                .logins
                .iter()
                .any(|login| login.portal == portal && login.name == *name && login.kind == kind)
        };
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.before.logins)
            .into_iter()
            .partition(|known| known.is_spare || wanted(known.portal, &known.name, known.kind));
        for known in go {
            self.changed = true;
            self.known.login_holders.remove(&(known.portal, known.name.clone()));
            self.plan.released_logins.push((self.guardian(), known.portal, known.name));
        }
        for login in &row.record.logins {
            let stays = stay.iter().any(|known| known.portal == login.portal && known.name == login.name);
            if !stays && keep.contains(&(login.portal, &login.name)) {
                let (portal, name, kind) = (login.portal, &login.name, login.kind);
                // Once, should the row name it twice.
                keep.retain(|kept| *kept != (portal, name));
                self.take(TakenLogin { guardian: self.guardian(), portal, name, kind, is_spare: false });
            }
        }
        spares_for.dedup();
        for portal in spares_for {
            if !stay.iter().any(|known| known.is_spare && known.portal == portal) {
                self.take_spare(portal);
            }
        }
    }

    fn take(&mut self, login: TakenLogin<'r>) {
        self.changed = true;
        self.known.login_holders.insert((login.portal, login.name.clone()), login.guardian.clone());
        self.plan.taken_logins.push(login);
    }

    fn take_spare(&mut self, portal: Portal) {
        let mut spares = self.delivered.record.spare_user_names.iter().filter(|(of, _)| *of == portal);
        let Some((_, name)) = spares.find(|(_, name)| self.is_free(portal, name)) else {
            let message = "No user name was free either. Import again.";
            self.findings.push(finding("logins", "no_user_name_free", message));
            return;
        };
        self.take(TakenLogin {
            guardian: self.guardian(),
            portal,
            name,
            kind: LoginNameKind::UserName,
            is_spare: true,
        });
    }

    /// A number that staff put there outranks the source's, until the source delivers the same.
    fn plan_identifier(&mut self) {
        let wanted = self.delivered.national_id.as_ref();
        let in_use = std::mem::take(&mut self.before.identifiers);
        if let Some(wanted) = wanted
            && let Some(same) =
                in_use.iter().find(|known| wanted.indexes().any(|index| *index == known.index))
        {
            if !same.by_import {
                self.changed = true;
                self.plan.adopted_identifiers.push((self.guardian(), same.index));
            }
            return;
        }
        if in_use.iter().any(|known| !known.by_import) {
            if wanted.is_some() {
                let message =
                    "Staff have put another number on the account. That one is kept: correct the source.";
                self.findings.push(finding("national_id", "number_of_staff_kept", message));
            }
            return;
        }
        let before = match in_use.as_slice() {
            [] => None,
            [one] => Some(one.index),
            [..] => {
                let message = "The account has several numbers, of accounts that were merged. They are kept: staff can \
                               change one of them.";
                self.findings.push(finding("national_id", "several_numbers_kept", message));
                return;
            }
        };
        if let Some(index) = before {
            self.changed = true;
            self.plan.retired_identifiers.push(self.guardian());
            self.known.identifier_holders.remove(&index);
        }
        let Some(wanted) = wanted else { return };
        let holders = &self.known.identifier_holders;
        match wanted.indexes().find_map(|index| holders.get(index)) {
            Some(holder) if holder == self.guardian() => {}
            Some(_) => {
                let message = "Another guardian of the organization has this number. One of the two is wrong, or both \
                               are one person.";
                self.findings.push(finding("national_id", "national_id_taken", message));
            }
            None => {
                self.changed = true;
                self.known.identifier_holders.insert(wanted.index, self.guardian().clone());
                self.plan.added_identifiers.push((self.guardian(), wanted));
            }
        }
    }

    /// The portals with a confirmed relation, after this row, with who confirmed it.
    fn plan_relations(&mut self, mut links: HashMap<ChildId, bool>) -> Vec<(Portal, Confirmed)> {
        let mut confirmed = Vec::new();
        self.plan_removed_links(&mut links);
        let before = std::mem::take(&mut self.before.links);
        let by_staff: Vec<ChildId> = before
            .iter()
            .filter(|known| !known.by_import && known.confirmed == Confirmed::Staff)
            .map(|known| known.child.clone())
            .collect();
        for known in before {
            // Another source's relations, and what staff confirmed, are not the source's to change.
            let wanted = if known.by_import { links.remove(&known.child) } else { None };
            let now = match (known.by_import, wanted) {
                (false, _) => known.confirmed,
                (true, None) => {
                    self.changed = true;
                    if by_staff.contains(&known.child) {
                        let message = "Staff have confirmed a relation that is not delivered any more. It is kept: staff \
                                       can remove it.";
                        self.findings.push(finding("relations", "link_of_staff_kept", message));
                    }
                    self.plan.dropped_links.push((self.guardian(), known.child));
                    Confirmed::Nobody
                }
                (true, Some(by_source)) => {
                    let now = confirmed_after(known.confirmed, by_source);
                    if now != known.confirmed {
                        self.changed = true;
                        self.plan.links.push((self.guardian(), known.child, by_source));
                    }
                    now
                }
            };
            if now != Confirmed::Nobody {
                confirmed.push((Portal::Parent, now));
            }
        }
        for (child, by_source) in links {
            self.changed = true;
            self.plan.links.push((self.guardian(), child, by_source));
            if by_source {
                confirmed.push((Portal::Parent, Confirmed::Source));
            }
        }
        confirmed.extend(self.plan_contract().into_iter().map(|by| (Portal::Childminder, by)));
        confirmed
    }

    /// What staff removed is not put back.
    fn plan_removed_links(&mut self, links: &mut HashMap<ChildId, bool>) {
        for child in &self.before.removed_links {
            if links.remove(child).is_some() {
                let message = "Staff have removed this relation. It is not put back: correct the source, or add the link.";
                self.findings.push(finding("relations", "link_removed_by_staff", message));
            }
        }
    }

    /// Who has confirmed contracts after this row.
    fn plan_contract(&mut self) -> Vec<Confirmed> {
        let contracts = self.delivered.record.relations.iter().filter_map(|relation| match relation {
            Relation::Contract { confirmed } => Some(*confirmed),
            Relation::Child { .. } => None,
        });
        let mut wanted = contracts.reduce(|one, other| one || other);
        if wanted.is_some() && self.before.is_contract_removed {
            let message = "Staff have removed this contract. It is not put back: correct the source, or confirm the contract.";
            self.findings.push(finding("relations", "contract_removed_by_staff", message));
            wanted = None;
        }
        let (ours, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.before.contracts).into_iter().partition(|contract| contract.by_import);
        let before = ours.first().map(|contract| contract.confirmed);
        let now = wanted.map(|by_source| confirmed_after(before.unwrap_or(Confirmed::Nobody), by_source));
        if now != before {
            self.changed = true;
            match wanted {
                Some(by_source) => self.plan.contracts.push((self.guardian(), by_source)),
                None => self.plan.dropped_contracts.push(self.guardian()),
            }
        }
        let by_others = others.iter().map(|contract| contract.confirmed);
        by_others.chain(now).filter(|by| *by != Confirmed::Nobody).collect()
    }

    /// Domain rule 1: no credential without a confirmed relation, by any sequence of imports. A password that the
    /// owner has set meanwhile rests on the same relation and goes with it; one that staff issued rests on what staff
    /// confirmed, whatever the source says, and on nothing else.
    fn plan_credentials(&mut self, confirmed: &[(Portal, Confirmed)]) {
        let mut account_changed = false;
        for known in &self.before.credentials {
            let bears = |(portal, by): &(Portal, Confirmed)| {
                *portal == known.portal && (!known.by_staff || *by == Confirmed::Staff)
            };
            if known.portal != Portal::Staff && !confirmed.iter().any(bears) {
                account_changed = true;
                self.plan.removed_credentials.push((&self.delivered.id, known.portal));
                let message =
                    "The relation that the password rests on is not confirmed any more. It was removed.";
                self.findings.push(finding("relations", "credential_removed", message));
            }
        }
        if let Some(password) = &self.delivered.record.password {
            if self.before.revoked.contains(&password.portal) {
                let message = "Staff took the password at this portal away. The password was not taken.";
                self.findings.push(finding("password", "password_revoked", message));
            } else if confirmed.iter().any(|(portal, _)| *portal == password.portal) {
                account_changed |= self.plan_password(password);
            } else {
                let message = "No relation for this portal is confirmed. The password was not taken.";
                self.findings.push(finding("password", "no_confirmed_relation", message));
            }
        }
        if account_changed {
            self.changed = true;
            self.plan.changed_accounts.push(self.guardian());
        }
    }

    /// Whether another password stood there.
    fn plan_password(&mut self, password: &'r ImportedPassword) -> bool {
        let fingerprint = fingerprint(password);
        let before = self.before.credentials.iter().find(|known| known.portal == password.portal);
        let replaced = match before.map(|known| known.imported) {
            // The owner's.
            Some(None) => return false,
            Some(Some(imported)) if imported == fingerprint => return false,
            Some(Some(_)) => true,
            None => false,
        };
        self.changed = true;
        self.plan.passwords.push((self.guardian(), password, fingerprint));
        replaced
    }
}

/// What staff confirmed stays so, whatever the source says.
const fn confirmed_after(before: Confirmed, by_source: bool) -> Confirmed {
    match (before, by_source) {
        (Confirmed::Staff, _) => Confirmed::Staff,
        (Confirmed::Source | Confirmed::Nobody, true) => Confirmed::Source,
        (Confirmed::Source | Confirmed::Nobody, false) => Confirmed::Nobody,
    }
}
