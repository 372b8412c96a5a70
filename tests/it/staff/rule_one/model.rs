//! What staff and sources have said of relations, written down beside the service: an upper bound of who may log in.

use std::collections::{BTreeMap, BTreeSet};

/// Guardians of a case: the first three are of the Swedish organization, the last one is of the Dutch one.
pub const GUARDIANS: usize = 4;
/// Children of a case: the first two are of the Swedish organization, the last one is of the Dutch one.
pub const CHILDREN: usize = 3;

/// Who confirmed a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    Nobody,
    Source,
    Staff,
}

/// Whose row of a relation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    Import,
    Merged,
    Staff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Active,
    Locked,
    Merged,
}

/// A password that somebody has chosen for an account, and what it rests on.
#[derive(Clone, Debug)]
pub struct Password {
    pub guardian: usize,
    pub text: String,
    pub rests_on: By,
}

#[derive(Clone, Debug)]
struct Change {
    child: usize,
    from: (Row, By),
    to: Row,
    before: Option<By>,
    /// `None`: the row of the kept side stayed as it was.
    after: Option<By>,
}

#[derive(Clone, Debug)]
pub struct Merge {
    pub id: String,
    pub kept: usize,
    pub absorbed: usize,
    absorbed_was: State,
    changes: Vec<Change>,
    /// Children that staff removed from the kept account since.
    removed_since: BTreeSet<usize>,
    pub is_undone: bool,
}

/// The relations and accounts of a case.
#[derive(Clone, Debug)]
pub struct Model {
    /// The schools of the children.
    pub schools: [usize; CHILDREN],
    pub states: [State; GUARDIANS],
    links: BTreeMap<(usize, usize, Row), By>,
    removed: BTreeSet<(usize, usize)>,
    /// Merges that were made; all accounts that one ever touched share their names.
    pub merges: Vec<Merge>,
    pub passwords: Vec<Password>,
}

impl Model {
    pub const fn new() -> Self {
        Self {
            schools: [0, 1, 0],
            states: [State::Active; GUARDIANS],
            links: BTreeMap::new(),
            removed: BTreeSet::new(),
            merges: Vec::new(),
            passwords: Vec::new(),
        }
    }

    /// The best that stands for an account.
    pub fn confirmed(&self, guardian: usize) -> By {
        let of = self.links.iter().filter(|((owner, ..), _)| *owner == guardian);
        of.map(|(_, by)| *by).max().unwrap_or(By::Nobody)
    }

    pub fn has_links(&self, guardian: usize) -> bool {
        self.links.keys().any(|(owner, ..)| *owner == guardian)
    }

    pub fn has_link_at(&self, guardian: usize, school: usize) -> bool {
        self.links.keys().any(|(owner, child, _)| *owner == guardian && self.schools[*child] == school)
    }

    /// Whether an account has to do with this one by merges, now or before.
    pub fn is_related(&self, one: usize, other: usize) -> bool {
        let mut cluster = BTreeSet::from([one]);
        for _ in 0..GUARDIANS {
            for merge in &self.merges {
                if cluster.contains(&merge.kept) || cluster.contains(&merge.absorbed) {
                    cluster.extend([merge.kept, merge.absorbed]);
                }
            }
        }
        cluster.contains(&other)
    }

    pub fn was_ever_merged(&self, guardian: usize) -> bool {
        self.merges.iter().any(|merge| [merge.kept, merge.absorbed].contains(&guardian))
    }

    /// A source delivered a guardian with these links, by child with whether it confirms them.
    pub fn imported(&mut self, guardian: usize, delivered: &[(usize, bool)]) {
        if self.states[guardian] == State::Merged {
            return;
        }
        self.links.retain(|(owner, _, row), _| *owner != guardian || *row != Row::Import);
        for (child, confirmed) in delivered {
            // Marks of removed links follow merges: there the bound is looser.
            if self.removed.contains(&(guardian, *child)) && !self.was_ever_merged(guardian) {
                continue;
            }
            let by = if *confirmed { By::Source } else { By::Nobody };
            self.links.insert((guardian, *child, Row::Import), by);
        }
    }

    pub fn added(&mut self, guardian: usize, child: usize) {
        let is_there = self.links.keys().any(|(owner, of, _)| (*owner, *of) == (guardian, child));
        if !is_there {
            self.links.insert((guardian, child, Row::Staff), By::Nobody);
        }
        self.removed.remove(&(guardian, child));
    }

    pub fn confirmed_by_staff(&mut self, guardian: usize, child: usize) {
        self.links.insert((guardian, child, Row::Staff), By::Staff);
        self.removed.remove(&(guardian, child));
    }

    /// Staff removed a link. One that was not there leaves no mark, and the source may still deliver it.
    pub fn removed(&mut self, guardian: usize, child: usize) {
        if !self.links.keys().any(|(owner, of, _)| (*owner, *of) == (guardian, child)) {
            return;
        }
        self.links.retain(|(owner, of, _), _| (*owner, *of) != (guardian, child));
        self.removed.insert((guardian, child));
        for merge in self.merges.iter_mut().filter(|merge| !merge.is_undone && merge.kept == guardian) {
            merge.removed_since.insert(child);
        }
    }

    pub fn merged(&mut self, id: String, kept: usize, absorbed: usize) {
        let rows: Vec<(usize, Row, By)> = self
            .links
            .iter()
            .filter(|((owner, ..), _)| *owner == absorbed)
            .map(|((_, child, row), by)| (*child, *row, *by))
            .collect();
        let mut changes = Vec::new();
        for (child, row, by) in rows {
            self.links.remove(&(absorbed, child, row));
            let to = if row == Row::Staff { Row::Staff } else { Row::Merged };
            let before = self.links.get(&(kept, child, to)).copied();
            let after = (before < Some(by)).then_some(by);
            if let Some(by) = after {
                self.links.insert((kept, child, to), by);
            }
            changes.push(Change { child, from: (row, by), to, before, after });
        }
        let absorbed_was = std::mem::replace(&mut self.states[absorbed], State::Merged);
        let removed_since = BTreeSet::new();
        let merge = Merge { id, kept, absorbed, absorbed_was, changes, removed_since, is_undone: false };
        self.merges.push(merge);
    }

    pub fn undone(&mut self, merge: usize) {
        if std::mem::replace(&mut self.merges[merge].is_undone, true) {
            return;
        }
        let merge = self.merges[merge].clone();
        self.states[merge.absorbed] = merge.absorbed_was;
        for change in merge.changes.iter().rev() {
            let at = (merge.kept, change.child, change.to);
            let standing = self.links.get(&at).copied();
            let may_return = match change.after {
                Some(_) => standing == change.after && !merge.removed_since.contains(&change.child),
                // What stood for it stands still. A source's row is the source's to give again, but for marked ones.
                None if change.from.1 == By::Staff => standing == change.before,
                None => !self.removed.contains(&(merge.kept, change.child)),
            };
            if !may_return {
                continue;
            }
            match (change.after, change.before) {
                (None, _) => {}
                (Some(_), Some(before)) => {
                    self.links.insert(at, before);
                }
                (Some(_), None) => {
                    self.links.remove(&at);
                }
            }
            self.links.insert((merge.absorbed, change.child, change.from.0), change.from.1);
        }
    }
}
