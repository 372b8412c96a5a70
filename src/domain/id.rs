//! Opaque identifiers of our own rows: 26 characters of Crockford base32 (48 bit time, 80 bit randomness).

use std::fmt;

use super::time::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 26;

/// Time first, so that new rows are neighbours in an index; the random part keeps them from being guessed or counted.
/// Never a secret.
fn encode(at: Timestamp, random: [u8; 10]) -> String {
    let ms = u64::try_from(at.as_millis()).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
    let mut value = u128::from(ms) << 80;
    for (index, byte) in random.iter().enumerate() {
        value |= u128::from(*byte) << (72 - 8 * index);
    }
    let mut out = [0_u8; LENGTH];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(value & 31) as usize];
        value >>= 5;
    }
    out.iter().map(|byte| char::from(*byte)).collect()
}

/// The first ten characters are the time.
fn time_of(id: &str) -> Timestamp {
    let digit = |byte: u8| ALPHABET.iter().position(|known| *known == byte).unwrap_or(0);
    let ms = id.bytes().take(10).fold(0_usize, |ms, byte| ms << 5 | digit(byte));
    Timestamp::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn is_well_formed(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte)) && text.as_bytes()[0] <= b'7'
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// A new id from the time of its making and ten random bytes.
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                Self(encode(at, random))
            }

            /// Reads an id from the wire or a store; `None` if it has not the form of one.
            pub fn parse(text: &str) -> Option<Self> {
                is_well_formed(text).then(|| Self(text.to_owned()))
            }

            /// When it was made.
            pub fn made(&self) -> Timestamp {
                time_of(&self.0)
            }

            /// The 26 characters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque_id! {
    /// An account: that of a guardian (a parent or other carer), or of a staff member. Identifiers of the person are facts
    /// about it, never this key (domain rule 6).
    GuardianId
}
opaque_id! {
    /// A session: one login on one device, with its family of refresh tokens.
    SessionId
}
opaque_id! {
    /// A row of the audit log.
    AuditEventId
}
opaque_id! {
    /// A device that logged in successfully before.
    DeviceId
}
opaque_id! {
    /// A child of a guardian.
    ChildId
}
opaque_id! {
    /// A defect that a call met: shown to the caller, and the word to look for in the log.
    IncidentId
}
opaque_id! {
    /// A request for a reset link, as long as nobody has looked at it.
    ResetRequestId
}
opaque_id! {
    /// A message to a guardian.
    MessageId
}
opaque_id! {
    /// A BankID order; not BankID's own reference.
    BankIdLoginId
}
opaque_id! {
    /// A signature that is kept as evidence of a login.
    EvidenceId
}
opaque_id! {
    /// A proposal to put a person's new number on the account of the number before.
    ProposalId
}
opaque_id! {
    /// The right to choose a password, once.
    ActivationId
}
opaque_id! {
    /// A merge of two accounts or children.
    MergeId
}
opaque_id! {
    /// A school, preschool or location of an organization.
    SchoolId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_read_back() {
        let early = GuardianId::new(Timestamp::from_millis(1), [255; 10]);
        let late = GuardianId::new(Timestamp::from_millis(2), [0; 10]);
        assert!(early < late);
        assert_eq!(GuardianId::parse(late.as_str()), Some(late));
        for ms in [0, 1, 1_795_262_400_000, 0xFFFF_FFFF_FFFF] {
            let at = Timestamp::from_millis(ms);
            assert_eq!(AuditEventId::new(at, [255; 10]).made(), at);
        }
    }

    #[test]
    fn text_of_another_form_is_no_id() {
        for text in [
            "",
            "0",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "0000000000000000000000000u",
            "01234567890123456789012345é",
        ] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }
}
