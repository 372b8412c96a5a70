//! Who gets which mail for a request to reset a password: the decision after the look-up.

use std::time::Duration;

use super::audit::Cause;
use super::id::GuardianId;
use super::identifier::{Bsn, Email, LeadingZeros, LoginName};
use super::login_password::AccountState;
use super::message::Template;
use super::organization::Portal;
use super::time::Timestamp;

/// Mails that one account gets at once, before the refill counts.
pub const MAILS_AT_ONCE: u32 = 3;

/// After the first ones, one mail in this time. Shorter than any link lives, so an owner whose budget a stranger spends
/// always holds a live link.
pub const MAIL_REFILL: Duration = Duration::from_mins(20);

/// Links of one account that work at the same time. A new link does not end the one before: else a stranger who keeps
/// asking would keep the owner out.
pub const LIVE_LINKS: i64 = 3;

/// What a reset link can be asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetMethod {
    /// Debtor number (or user name) and e-mail address.
    DebtorNumberAndEmail,
    /// Debtor number (or user name) and BSN; needs a legal basis.
    DebtorNumberAndBsn,
    /// The e-mail address alone.
    Email,
}

impl ResetMethod {
    /// All methods.
    pub const ALL: [Self; 3] = [Self::DebtorNumberAndEmail, Self::DebtorNumberAndBsn, Self::Email];

    /// The name in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DebtorNumberAndEmail => "debtor_number_and_email",
            Self::DebtorNumberAndBsn => "debtor_number_and_bsn",
            Self::Email => "email",
        }
    }
}

/// What a person typed, in canonical form. It identifies and proves nothing (domain rule 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identification {
    /// Debtor number or user name, and e-mail address.
    DebtorNumberAndEmail(LoginName, Email),
    /// Debtor number or user name, and BSN.
    DebtorNumberAndBsn(LoginName, Bsn),
    /// The e-mail address alone.
    Email(Email),
}

/// Parts the fields of an encoded identification; no canonical form holds it.
const PART: char = '\n';

impl Identification {
    /// By which method it was asked.
    pub const fn method(&self) -> ResetMethod {
        match self {
            Self::DebtorNumberAndEmail(..) => ResetMethod::DebtorNumberAndEmail,
            Self::DebtorNumberAndBsn(..) => ResetMethod::DebtorNumberAndBsn,
            Self::Email(_) => ResetMethod::Email,
        }
    }

    /// As bytes, to be sealed.
    pub fn encode(&self) -> String {
        let method = self.method().as_str();
        match self {
            Self::DebtorNumberAndEmail(name, email) => {
                format!("{method}{PART}{}{PART}{}", name.as_str(), email.as_str())
            }
            Self::DebtorNumberAndBsn(name, bsn) => {
                format!("{method}{PART}{}{PART}{}", name.as_str(), bsn.as_str())
            }
            Self::Email(email) => format!("{method}{PART}{}", email.as_str()),
        }
    }

    /// Reads back what [`Self::encode`] made.
    pub fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split(PART);
        let method = parts.next()?;
        let method = ResetMethod::ALL.into_iter().find(|one| one.as_str() == method)?;
        let identification = match method {
            ResetMethod::DebtorNumberAndEmail => {
                Self::DebtorNumberAndEmail(stored_name(parts.next()?)?, Email::parse(parts.next()?).ok()?)
            }
            ResetMethod::DebtorNumberAndBsn => {
                let name = stored_name(parts.next()?)?;
                Self::DebtorNumberAndBsn(name, Bsn::parse(parts.next()?.strip_prefix("nl.bsn:")?).ok()?)
            }
            ResetMethod::Email => Self::Email(Email::parse(parts.next()?).ok()?),
        };
        parts.next().is_none().then_some(identification)
    }
}

/// Leading zeros were dropped before it was sealed, where that is the organization's rule.
fn stored_name(text: &str) -> Option<LoginName> {
    LoginName::parse(text, LeadingZeros::Keep).ok()
}

/// The e-mail address of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailOnFile {
    /// None.
    Absent,
    /// What the source delivered is no address: it never matches and never gets mail.
    Unusable,
    /// In canonical form.
    Usable(Email),
}

/// An account that the typed values may mean.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Whose.
    pub guardian: GuardianId,
    /// At which portal.
    pub portal: Portal,
    /// What the account may do.
    pub state: AccountState,
    /// Where mail goes.
    pub email: EmailOnFile,
    /// Whether the typed national id is an active one of this guardian; false where none was typed.
    pub has_national_id: bool,
    /// The password, if there is one.
    pub password: Option<PasswordOnFile>,
}

/// What a reset has to know of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordOnFile {
    /// Not valid after this time, if it has an end.
    pub expires: Option<Timestamp>,
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whom it concerns, if one account was found.
    pub guardian: Option<GuardianId>,
    /// What is mailed to the address on file, if anything.
    pub mail: Option<Template>,
    /// Why it is not a link. For the audit log and diagnosis; it has no way into an answer.
    pub cause: Option<Cause>,
}

impl Decision {
    fn nobody(cause: Cause) -> Self {
        Self { guardian: None, mail: None, cause: Some(cause) }
    }

    fn silent(candidate: &Candidate, cause: Cause) -> Self {
        Self { guardian: Some(candidate.guardian.clone()), mail: None, cause: Some(cause) }
    }

    fn advice(candidate: &Candidate, mail: Template, cause: Cause) -> Self {
        Self { guardian: Some(candidate.guardian.clone()), mail: Some(mail), cause: Some(cause) }
    }
}

/// Decides what is mailed to whom. `candidates` are the accounts of the typed login name, or with the typed address, at
/// this portal and at its sibling.
pub fn decide(
    identification: &Identification,
    portal: Portal,
    candidates: &[Candidate],
    now: Timestamp,
) -> Decision {
    match identification {
        Identification::DebtorNumberAndEmail(_, email) => {
            by_name(portal, candidates, now, |candidate| match &candidate.email {
                EmailOnFile::Absent => Some(Cause::NoEmail),
                EmailOnFile::Unusable => Some(Cause::EmailUnusable),
                EmailOnFile::Usable(on_file) if on_file == email => None,
                EmailOnFile::Usable(_) => Some(Cause::EmailMismatch),
            })
        }
        Identification::DebtorNumberAndBsn(..) => by_name(portal, candidates, now, |candidate| {
            (!candidate.has_national_id).then_some(Cause::NationalIdMismatch)
        }),
        Identification::Email(email) => by_email(email, portal, candidates, now),
    }
}

/// One account has this name at a portal; `mismatch` says what does not fit it.
fn by_name(
    portal: Portal,
    candidates: &[Candidate],
    now: Timestamp,
    mismatch: impl Fn(&Candidate) -> Option<Cause>,
) -> Decision {
    let here = candidates.iter().find(|candidate| candidate.portal == portal);
    let sibling = candidates.iter().find(|candidate| candidate.portal != portal);
    // Two persons may have one number at two portals: the one whose second value fits is meant.
    let fitting = [here, sibling].into_iter().flatten().find(|candidate| mismatch(candidate).is_none());
    match (fitting, here.or(sibling)) {
        (Some(candidate), _) => account(candidate, portal, now),
        (None, Some(candidate)) => {
            Decision::silent(candidate, mismatch(candidate).unwrap_or(Cause::UnknownLoginName))
        }
        (None, None) => Decision::nobody(Cause::UnknownLoginName),
    }
}

/// Never one picked out of several.
fn by_email(email: &Email, portal: Portal, candidates: &[Candidate], now: Timestamp) -> Decision {
    let has_address =
        |candidate: &&Candidate| matches!(&candidate.email, EmailOnFile::Usable(it) if it == email);
    let in_use =
        |candidate: &&Candidate| !matches!(candidate.state, AccountState::Merged | AccountState::Erased);
    let found: Vec<&Candidate> = candidates.iter().filter(has_address).filter(in_use).collect();
    let here: Vec<&Candidate> =
        found.iter().filter(|candidate| candidate.portal == portal).copied().collect();
    match (here.as_slice(), found.first()) {
        ([], None) => Decision::nobody(Cause::UnknownEmail),
        ([], Some(elsewhere)) => account(elsewhere, portal, now),
        ([one], _) => account(one, portal, now),
        ([first, ..], _) => Decision::advice(first, Template::SeveralAccounts, Cause::SeveralAccounts),
    }
}

/// The account is known, and what was typed fits it.
fn account(candidate: &Candidate, portal: Portal, now: Timestamp) -> Decision {
    match &candidate.email {
        EmailOnFile::Absent => return Decision::silent(candidate, Cause::NoEmail),
        EmailOnFile::Unusable => return Decision::silent(candidate, Cause::EmailUnusable),
        EmailOnFile::Usable(_) => {}
    }
    match candidate.state {
        // The account that it was merged into has an address of its own.
        AccountState::Merged => return Decision::silent(candidate, Cause::AccountMerged),
        AccountState::Erased => return Decision::silent(candidate, Cause::AccountErased),
        AccountState::Locked => {
            return Decision::advice(candidate, Template::ContactSchool, Cause::AccountLocked);
        }
        AccountState::Active => {}
    }
    if candidate.portal != portal {
        return Decision::advice(candidate, Template::WrongPortal, Cause::WrongPortal);
    }
    match candidate.password {
        None => Decision::advice(candidate, Template::NoPassword, Cause::NoPassword),
        // A password that the school gave and that nobody used in time is not brought to life by mail.
        Some(PasswordOnFile { expires: Some(end) }) if end <= now => {
            Decision::advice(candidate, Template::ContactSchool, Cause::CredentialExpired)
        }
        Some(_) => Decision {
            guardian: Some(candidate.guardian.clone()),
            mail: Some(Template::ResetLink),
            cause: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_262_400_000);

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    fn name(text: &str) -> LoginName {
        LoginName::parse(text, LeadingZeros::Keep).unwrap()
    }

    fn candidate(random: u8, portal: Portal) -> Candidate {
        Candidate {
            guardian: GuardianId::new(NOW, [random; 10]),
            portal,
            state: AccountState::Active,
            email: EmailOnFile::Usable(email("kim@example.se")),
            has_national_id: true,
            password: Some(PasswordOnFile { expires: None }),
        }
    }

    fn ask_by_name(candidates: &[Candidate]) -> (Option<Template>, Option<Cause>) {
        let typed = Identification::DebtorNumberAndEmail(name("10234"), email("kim@example.se"));
        let decision = decide(&typed, Portal::Parent, candidates, NOW);
        (decision.mail, decision.cause)
    }

    fn ask_by_email(candidates: &[Candidate]) -> (Option<Template>, Option<Cause>) {
        let decision =
            decide(&Identification::Email(email("kim@example.se")), Portal::Parent, candidates, NOW);
        (decision.mail, decision.cause)
    }

    #[test]
    fn an_identification_is_read_back_from_its_sealed_form() {
        for typed in [
            Identification::DebtorNumberAndEmail(name("10 234"), email(" Kim@Example.se;")),
            Identification::DebtorNumberAndBsn(name("ab-1029"), Bsn::parse("10464554").unwrap()),
            Identification::Email(email("kim+school@exämple.se")),
        ] {
            assert_eq!(Identification::decode(&typed.encode()), Some(typed));
        }
        for broken in [
            "",
            "email",
            "email\n",
            "email\na@b.se\nmore",
            "carrier pigeon\na@b.se",
            "debtor_number_and_bsn\n1\n2",
        ] {
            assert_eq!(Identification::decode(broken), None, "{broken:?}");
        }
    }

    proptest! {
        /// One that does not would be leased for ever.
        #[test]
        fn whatever_is_taken_in_is_read_back(
            typed in "[0-9a-zA-Z/. \u{2013}-]{0,14}|\\PC{0,32}",
            address in " {0,2}(mailto:)?<?[!-~]{0,8}@([a-zA-ZåäößıſK。.-]{1,8}\\.){0,3}[a-zA-Zåäö]{0,6}>?;?|\\PC{0,40}",
            digits in "[0-9]{7,9}",
        ) {
            for zeros in [LeadingZeros::Keep, LeadingZeros::Strip] {
                let Ok(name) = LoginName::parse(&typed, zeros) else { continue };
                if let Ok(address) = Email::parse(&address) {
                    let taken = Identification::DebtorNumberAndEmail(name.clone(), address);
                    prop_assert_eq!(Identification::decode(&taken.encode()), Some(taken));
                }
                if let Ok(number) = Bsn::parse(&digits) {
                    let taken = Identification::DebtorNumberAndBsn(name, number);
                    prop_assert_eq!(Identification::decode(&taken.encode()), Some(taken));
                }
            }
            if let Ok(address) = Email::parse(&address) {
                let taken = Identification::Email(address);
                prop_assert_eq!(Identification::decode(&taken.encode()), Some(taken));
            }
        }
    }

    #[test]
    fn what_fits_gets_a_link() {
        assert_eq!(ask_by_name(&[candidate(1, Portal::Parent)]), (Some(Template::ResetLink), None));
        assert_eq!(ask_by_email(&[candidate(1, Portal::Parent)]), (Some(Template::ResetLink), None));
    }

    #[test]
    fn what_does_not_fit_gets_nothing_and_leaves_its_cause() {
        assert_eq!(ask_by_name(&[]), (None, Some(Cause::UnknownLoginName)));
        assert_eq!(ask_by_email(&[]), (None, Some(Cause::UnknownEmail)));
        let other =
            Candidate { email: EmailOnFile::Usable(email("kim@example.nl")), ..candidate(1, Portal::Parent) };
        assert_eq!(ask_by_name(&[other]), (None, Some(Cause::EmailMismatch)));
        let none = Candidate { email: EmailOnFile::Absent, ..candidate(1, Portal::Parent) };
        assert_eq!(ask_by_name(std::slice::from_ref(&none)), (None, Some(Cause::NoEmail)));
        let bad = Candidate { email: EmailOnFile::Unusable, ..candidate(1, Portal::Parent) };
        assert_eq!(ask_by_name(&[bad]), (None, Some(Cause::EmailUnusable)));
        let typed = Identification::DebtorNumberAndBsn(name("10234"), Bsn::parse("999990019").unwrap());
        let decision = decide(&typed, Portal::Parent, &[none], NOW);
        assert_eq!((decision.mail, decision.cause), (None, Some(Cause::NoEmail)), "the number fits");
        let wrong = Candidate { has_national_id: false, ..candidate(1, Portal::Parent) };
        let decision = decide(&typed, Portal::Parent, &[wrong], NOW);
        assert_eq!((decision.mail, decision.cause), (None, Some(Cause::NationalIdMismatch)));
    }

    #[test]
    fn of_several_accounts_none_is_picked() {
        let two = [candidate(1, Portal::Parent), candidate(2, Portal::Parent)];
        assert_eq!(ask_by_email(&two), (Some(Template::SeveralAccounts), Some(Cause::SeveralAccounts)));
        let merged = [
            Candidate { state: AccountState::Merged, ..candidate(1, Portal::Parent) },
            candidate(2, Portal::Parent),
        ];
        assert_eq!(
            ask_by_email(&merged),
            (Some(Template::ResetLink), None),
            "a merged account is no second one"
        );
    }

    #[test]
    fn who_asks_at_the_wrong_portal_is_told_by_mail() {
        let there = [candidate(1, Portal::Childminder)];
        assert_eq!(ask_by_name(&there), (Some(Template::WrongPortal), Some(Cause::WrongPortal)));
        assert_eq!(ask_by_email(&there), (Some(Template::WrongPortal), Some(Cause::WrongPortal)));
        let stranger =
            Candidate { email: EmailOnFile::Usable(email("eva@example.se")), ..candidate(2, Portal::Parent) };
        let both = [stranger, candidate(1, Portal::Childminder)];
        assert_eq!(ask_by_name(&both), (Some(Template::WrongPortal), Some(Cause::WrongPortal)));
    }

    #[test]
    fn authentik_and_decidim_2023_48220_an_expired_invitation_is_not_brought_to_life() {
        let expired = Candidate {
            password: Some(PasswordOnFile { expires: Some(NOW) }),
            ..candidate(1, Portal::Parent)
        };
        assert_eq!(ask_by_name(&[expired]), (Some(Template::ContactSchool), Some(Cause::CredentialExpired)));
    }

    #[test]
    fn who_cannot_reset_is_told_what_to_do_instead() {
        let without = Candidate { password: None, ..candidate(1, Portal::Parent) };
        assert_eq!(ask_by_name(&[without]), (Some(Template::NoPassword), Some(Cause::NoPassword)));
        let locked = Candidate { state: AccountState::Locked, ..candidate(1, Portal::Parent) };
        assert_eq!(ask_by_name(&[locked]), (Some(Template::ContactSchool), Some(Cause::AccountLocked)));
        let merged = Candidate { state: AccountState::Merged, ..candidate(1, Portal::Parent) };
        assert_eq!(ask_by_name(&[merged]), (None, Some(Cause::AccountMerged)));
    }
}
