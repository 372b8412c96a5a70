//! Guardians, children, schools and their relations, as a source delivers them.

use super::identifier::{Email, LoginName, Mobile, NationalId};
use super::organization::Portal;
use super::passphrase::Locale;
use super::password::PasswordHash;

/// The key of a row in its source system; what makes an import idempotent. 1–64 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey(String);

impl SourceKey {
    /// Reads a source key; `None` if it has not the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let formed = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        formed.then(|| Self(text.to_owned()))
    }

    /// The key as delivered.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A contact value as delivered, and its canonical form if it has one. Without one it never matches and never gets mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact<T> {
    /// As the source wrote it.
    pub delivered: String,
    /// What is compared and written to.
    pub canonical: Option<T>,
}

/// What a login name is to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginNameKind {
    /// Customer number at the organization.
    DebtorNumber,
    /// A name for logging in only.
    UserName,
}

/// A login name of a guardian at a portal.
#[derive(Clone, PartialEq, Eq)]
pub struct GuardianLogin {
    /// The portal.
    pub portal: Portal,
    /// What it is.
    pub kind: LoginNameKind,
    /// The name, canonical.
    pub name: LoginName,
}

/// A school, preschool or location.
#[derive(Clone, PartialEq, Eq)]
pub struct SchoolRecord {
    /// Key in the source.
    pub key: SourceKey,
    /// Its name.
    pub name: String,
}

/// A child.
#[derive(Clone, PartialEq, Eq)]
pub struct ChildRecord {
    /// Key in the source.
    pub key: SourceKey,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// The child's school, by its key in the source.
    pub school: SourceKey,
}

/// A relation that a credential can rest on.
#[derive(Clone, PartialEq, Eq)]
pub enum Relation {
    /// Guardian of a child (portal `parent`).
    Child {
        /// The child, by its key in the source.
        child: SourceKey,
        /// Whether the source says that it was confirmed.
        confirmed: bool,
    },
    /// Contract of a childminder with the organization (portal `childminder`).
    Contract {
        /// Whether the source says that it was confirmed.
        confirmed: bool,
    },
}

impl Relation {
    /// The portal for whose credentials this relation counts.
    pub const fn portal(&self) -> Portal {
        match self {
            Self::Child { .. } => Portal::Parent,
            Self::Contract { .. } => Portal::Childminder,
        }
    }

    /// Whether the source confirmed it.
    pub const fn confirmed(&self) -> bool {
        match self {
            Self::Child { confirmed, .. } | Self::Contract { confirmed } => *confirmed,
        }
    }
}

/// A password that the source hands over, for a portal.
#[derive(Clone)]
pub struct ImportedPassword {
    /// The portal that it is for.
    pub portal: Portal,
    /// Its hash, already within the allowed cost.
    pub hash: PasswordHash,
    /// Whether it must be changed at first login.
    pub must_change: bool,
}

/// A guardian with everything that the source says of it.
#[derive(Clone)]
pub struct GuardianRecord {
    /// Key in the source.
    pub key: SourceKey,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// Language for texts.
    pub locale: Locale,
    /// Login names.
    pub logins: Vec<GuardianLogin>,
    /// User names made beforehand, one for each portal of `logins`: taken where a debtor number is another guardian's.
    pub spare_user_names: Vec<(Portal, LoginName)>,
    /// Personnummer, coordination number, temporary number or BSN.
    pub national_id: Option<NationalId>,
    /// E-mail on file.
    pub email: Option<Contact<Email>>,
    /// Mobile number on file.
    pub mobile: Option<Contact<Mobile>>,
    /// Relations.
    pub relations: Vec<Relation>,
    /// Password to take over; only kept where a relation for its portal is confirmed (domain rule 1).
    pub password: Option<ImportedPassword>,
}

/// One row of a directory file.
#[derive(Clone)]
pub enum Record {
    /// A school.
    School(SchoolRecord),
    /// A child.
    Child(ChildRecord),
    /// A guardian.
    Guardian(Box<GuardianRecord>),
}

impl Record {
    /// Key in the source.
    pub const fn key(&self) -> &SourceKey {
        match self {
            Self::School(school) => &school.key,
            Self::Child(child) => &child.key,
            Self::Guardian(guardian) => &guardian.key,
        }
    }
}

/// Something in a row that staff should look at; the row itself was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field concerned.
    pub field: &'static str,
    /// A stable code.
    pub code: &'static str,
    /// For people: what is wrong and what to do. Never the value.
    pub message: String,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// New.
    Created(Vec<Finding>),
    /// Known, and something changed.
    Updated(Vec<Finding>),
    /// Known, and the same.
    Unchanged(Vec<Finding>),
    /// Not taken, with the reasons: e.g. an unknown child.
    Rejected(Vec<Finding>),
}
