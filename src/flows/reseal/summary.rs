//! What came of sealing everything anew, and which keys are needed no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::id::GuardianId;
use crate::domain::organization::OrganizationId;
use crate::ports::store::SealedKind;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The table that is being gone through.
    pub kind: SealedKind,
    /// Rows of it that were sealed anew so far.
    pub resealed: u64,
}

/// What was done and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    resealed: BTreeMap<SealedKind, u64>,
    /// Rows that are still sealed with a key: they do not open, or another row has their number.
    left: BTreeMap<(String, SealedKind), u64>,
    /// Accounts whose number another account has under the active key.
    pub repeated: BTreeSet<GuardianId>,
    /// Heads of audit chains that were signed anew.
    pub heads: u64,
    /// Chains whose heads are not what the service signed, or nobody can say, with the key that is to have signed them.
    pub heads_left: Vec<(OrganizationId, String)>,
    /// What is under way and goes by itself, by key.
    pub passing: BTreeMap<String, u64>,
    /// The configured keys, the active one first.
    pub configured: Vec<String>,
}

impl Summary {
    /// Rows of a table that were sealed anew.
    pub fn resealed_of(&self, kind: SealedKind) -> u64 {
        self.resealed.get(&kind).copied().unwrap_or(0)
    }

    /// Rows of all tables that were sealed anew.
    pub fn resealed_in_all(&self) -> u64 {
        self.resealed.values().sum()
    }

    /// The configured keys that nothing needs any more.
    pub fn removable(&self) -> Vec<&str> {
        self.configured.iter().skip(1).map(String::as_str).filter(|key| !self.needs(key)).collect()
    }

    /// Whether every value is sealed with the active key.
    pub fn is_complete(&self) -> bool {
        self.left.is_empty() && self.passing.is_empty() && self.heads_left.is_empty()
    }

    fn needs(&self, key: &str) -> bool {
        self.passing.contains_key(key)
            || self.left.keys().any(|(left, _)| left == key)
            || self.heads_left.iter().any(|(_, left)| left == key)
    }

    pub(super) fn add(&mut self, kind: SealedKind, rows: u64) {
        *self.resealed.entry(kind).or_default() += rows;
    }

    pub(super) fn leave(&mut self, kind: SealedKind, key_id: &str, rows: u64) {
        *self.left.entry((key_id.to_owned(), kind)).or_default() += rows;
    }

    /// A new pass counts it anew.
    pub(super) fn forget_what_is_left(&mut self) {
        self.left.clear();
        self.repeated.clear();
    }
}

/// For people.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in SealedKind::ALL {
            writeln!(f, "{}: {} sealed anew", kind.table(), self.resealed_of(kind))?;
        }
        writeln!(f, "audit_head: {} signed anew", self.heads)?;
        for ((key, kind), rows) in &self.left {
            let why = if self.configured.contains(key) { "" } else { ", which is not configured" };
            writeln!(f, "{}: {rows} left under {key}{why}", kind.table())?;
        }
        for account in &self.repeated {
            writeln!(f, "account {account}: another account has its number; correct one of them")?;
        }
        for (organization, _) in &self.heads_left {
            writeln!(f, "audit_head of {}: not signed anew; run `audit verify`", organization.as_str())?;
        }
        for (key, rows) in &self.passing {
            writeln!(
                f,
                "{rows} logins or requests under way need {key} for an hour at most: run this again"
            )?;
        }
        let removable = self.removable();
        for key in self.configured.iter().skip(1) {
            if removable.contains(&key.as_str()) {
                writeln!(f, "{key} may be removed from keys.master: nothing stored is sealed with it")?;
            } else {
                writeln!(f, "{key} is still needed: do not remove it")?;
            }
        }
        if self.configured.len() == 1 {
            writeln!(f, "only one master key is configured")?;
        }
        Ok(())
    }
}
