//! What the store knows of the rows of a batch.

use std::collections::HashMap;

use crate::domain::directory::{Contact, GuardianRecord, LoginNameKind, SourceKey};
use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::identifier::LoginName;
use crate::domain::organization::Portal;

/// What the store knows, and what the rows of the batch before the present one have added.
#[derive(Default)]
pub(super) struct Known {
    pub schools: HashMap<SourceKey, KnownSchool>,
    pub children: HashMap<SourceKey, KnownChild>,
    pub guardians: HashMap<SourceKey, KnownGuardian>,
    pub login_holders: HashMap<(Portal, LoginName), GuardianId>,
    pub identifier_holders: HashMap<[u8; 32], GuardianId>,
}

pub(super) struct KnownSchool {
    pub id: SchoolId,
    pub name: String,
}

#[derive(Clone)]
pub(super) struct KnownChild {
    pub id: ChildId,
    pub given_name: String,
    pub family_name: String,
    pub school: SchoolId,
    /// The child that stands for this one since staff merged the two.
    pub merged_into: Option<ChildId>,
}

impl KnownChild {
    /// The child that relations lead to.
    pub(super) fn standing(&self) -> &ChildId {
        self.merged_into.as_ref().unwrap_or(&self.id)
    }
}

pub(super) struct KnownGuardian {
    pub id: GuardianId,
    /// Staff merged it into another account, which has everything now.
    pub is_merged: bool,
    pub profile: Profile,
    pub logins: Vec<KnownLogin>,
    /// The numbers in use: several after a merge.
    pub identifiers: Vec<KnownIdentifier>,
    pub links: Vec<KnownLink>,
    /// Children that staff removed a link to.
    pub removed_links: Vec<ChildId>,
    pub contracts: Vec<KnownContract>,
    /// Staff removed the contract.
    pub is_contract_removed: bool,
    pub credentials: Vec<KnownCredential>,
    /// The portals at which staff took the password away.
    pub revoked: Vec<Portal>,
}

impl KnownGuardian {
    pub(super) const fn new(id: GuardianId, profile: Profile) -> Self {
        Self {
            id,
            is_merged: false,
            profile,
            logins: Vec::new(),
            identifiers: Vec::new(),
            links: Vec::new(),
            removed_links: Vec::new(),
            contracts: Vec::new(),
            is_contract_removed: false,
            credentials: Vec::new(),
            revoked: Vec::new(),
        }
    }
}

/// The fields of a guardian that are compared to tell whether a row changed it.
#[derive(PartialEq, Eq)]
pub(super) struct Profile {
    pub given_name: String,
    pub family_name: String,
    pub locale: String,
    pub email: Option<(String, Option<String>)>,
    pub mobile: Option<(String, Option<String>)>,
}

impl Profile {
    pub(super) fn of(record: &GuardianRecord) -> Self {
        Self {
            given_name: record.given_name.clone(),
            family_name: record.family_name.clone(),
            locale: record.locale.as_str().to_owned(),
            email: record.email.as_ref().map(|email| texts(email, |email| email.as_str())),
            mobile: record.mobile.as_ref().map(|mobile| texts(mobile, |mobile| mobile.as_str())),
        }
    }
}

fn texts<T>(contact: &Contact<T>, text: fn(&T) -> &str) -> (String, Option<String>) {
    (contact.delivered.clone(), contact.canonical.as_ref().map(|canonical| text(canonical).to_owned()))
}

/// A number in use.
pub(super) struct KnownIdentifier {
    /// Its look-up digest, under the key that it is stored under.
    pub index: [u8; 32],
    /// Whether the import put it there; else staff did.
    pub by_import: bool,
}

pub(super) struct KnownLogin {
    pub portal: Portal,
    pub name: LoginName,
    pub kind: LoginNameKind,
    pub is_spare: bool,
}

/// Who confirmed a relation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    Nobody,
    Source,
    Staff,
}

impl Confirmed {
    pub(super) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None => Some(Self::Nobody),
            Some("source") => Some(Self::Source),
            Some("staff") => Some(Self::Staff),
            Some(_) => None,
        }
    }
}

pub(super) struct KnownLink {
    pub child: ChildId,
    pub by_import: bool,
    pub confirmed: Confirmed,
}

pub(super) struct KnownContract {
    pub by_import: bool,
    pub confirmed: Confirmed,
}

pub(super) struct KnownCredential {
    pub portal: Portal,
    /// What was imported, if nobody has set another password since.
    pub imported: Option<[u8; 32]>,
    /// Staff issued it: it rests on a relation that staff confirmed.
    pub by_staff: bool,
}
