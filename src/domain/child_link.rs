//! What staff write down about a relation that they have checked.

/// By what staff were convinced that a guardian belongs to a child, or a childminder to the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkEvidence {
    /// An identity document was shown, and the child's register entry names the person.
    IdentityDocument,
    /// The population register was asked.
    PopulationRegister,
    /// A decision of a court or an authority was shown.
    AuthorityDecision,
    /// The person is known at the school.
    KnownPerson,
}

impl LinkEvidence {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::IdentityDocument, Self::PopulationRegister, Self::AuthorityDecision, Self::KnownPerson];

    /// The name in the store and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdentityDocument => "identity_document",
            Self::PopulationRegister => "population_register",
            Self::AuthorityDecision => "authority_decision",
            Self::KnownPerson => "known_person",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|evidence| evidence.as_str() == text)
    }
}
