//! Why staff lock an account.

/// Why. The audit log keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockReason {
    /// Somebody else may know the password.
    Compromised,
    /// The guardian asked for it.
    AskedByGuardian,
    /// The relation to the child is contested or over.
    RelationContested,
    /// The account was used against the rules.
    Misuse,
}

impl LockReason {
    /// The name in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compromised => "compromised",
            Self::AskedByGuardian => "asked_by_guardian",
            Self::RelationContested => "relation_contested",
            Self::Misuse => "misuse",
        }
    }
}
