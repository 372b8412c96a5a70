//! Who logs in with an eID: from the identity that was asserted to one account, or to why there is none.

use super::audit::Cause;
use super::id::GuardianId;
use super::identifier::NationalId;
use super::login_password::AccountState;
use super::organization::Portal;
use super::staff::Role;

/// Who the identity provider says the person is, in canonical form. Never an e-mail address: anybody can have one
/// written into an eID.
#[derive(Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The identifier that an account is looked up by.
    pub id: AssertedId,
    /// The number that the person had before (a coordination number that became a personnummer), if it was told.
    pub previous: Option<NationalId>,
    /// The family name as asserted, for diagnosis only: some banks write it in capitals.
    pub family_name: Option<String>,
    /// The roles that the provider says a staff member has; `None` if it is not asked for any.
    pub roles: Option<Vec<Role>>,
}

impl std::fmt::Debug for Assertion {
    /// Hides the values: they are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assertion")
            .field("id", &self.id)
            .field("previous", &self.previous)
            .finish_non_exhaustive()
    }
}

/// By what an account is looked up.
#[derive(Clone, PartialEq, Eq)]
pub enum AssertedId {
    /// A number that an authority gave.
    National(NationalId),
    /// The provider's own name for the person, which means nothing elsewhere: `oidc:<issuer>:<subject>`.
    Opaque(String),
}

impl AssertedId {
    /// The provider's own name for a person; `None` if it is empty, over 255 characters, or holds other than visible
    /// ASCII (`OpenID` Connect Core §2 on `sub`).
    pub fn opaque(issuer: &str, subject: &str) -> Option<Self> {
        let formed =
            (1..=255).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_graphic());
        formed.then(|| Self::Opaque(format!("oidc:{issuer}:{subject}")))
    }

    /// The canonical form: what is digested for look-up.
    pub fn canonical(&self) -> &str {
        match self {
            Self::National(id) => id.canonical(),
            Self::Opaque(id) => id,
        }
    }
}

impl std::fmt::Debug for AssertedId {
    /// Hides the value: it is personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::National(_) => "National(…)",
            Self::Opaque(_) => "Opaque(…)",
        })
    }
}

/// An account that an asserted number belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EidAccount {
    /// The guardian.
    pub guardian: GuardianId,
    /// What the account may do.
    pub state: AccountState,
    /// The epoch that a session begun now carries.
    pub credential_epoch: i64,
    /// The portals where the guardian has something to do: `parent` with a child link or a login name there,
    /// `childminder` with a contract or a login name there, `staff` with a login name there.
    pub portals: Vec<Portal>,
}

/// What comes of an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Begin a session.
    LogIn(EidAccount),
    /// The account is at the other guardian portal: the one hint that a proven identity earns.
    WrongPortal(EidAccount, Portal),
    /// No session. The cause goes to the audit log and has no way into an answer.
    Denied(Cause, Option<GuardianId>),
}

/// Decides over the accounts that have the asserted identifier in use. `None`: there is none, and the caller finds out
/// why (see [`explain_absence`]).
pub fn decide(accounts: Vec<EidAccount>, portal: Portal) -> Option<Decision> {
    let mut accounts = accounts.into_iter();
    let account = accounts.next()?;
    if accounts.any(|other| other.guardian != account.guardian) {
        return Some(Decision::Denied(Cause::SeveralAccounts, None));
    }
    let denied = |cause| Some(Decision::Denied(cause, Some(account.guardian.clone())));
    match account.state {
        AccountState::Locked => return denied(Cause::AccountLocked),
        AccountState::Merged => return denied(Cause::AccountMerged),
        AccountState::Erased => return denied(Cause::AccountErased),
        AccountState::Active => {}
    }
    if account.portals.contains(&portal) {
        return Some(Decision::LogIn(account));
    }
    match portal.sibling().filter(|sibling| account.portals.contains(sibling)) {
        Some(sibling) => Some(Decision::WrongPortal(account, sibling)),
        None => denied(Cause::NoRelation),
    }
}

/// Why no account has the asserted identifier: what staff should look at first.
///
/// `by_previous` are the accounts that have the person's previous number, `namesakes` the family names of accounts
/// with a temporary number of the person's day of birth.
pub fn explain_absence(
    assertion: &Assertion,
    by_previous: &[EidAccount],
    namesakes: &[String],
) -> (Cause, Option<GuardianId>) {
    if let [account, rest @ ..] = by_previous {
        let one = rest.iter().all(|other| other.guardian == account.guardian);
        return (Cause::PreviousCoordinationNumber, one.then(|| account.guardian.clone()));
    }
    let same_name = |name: &String| {
        assertion.family_name.as_ref().is_some_and(|asserted| asserted.to_lowercase() == name.to_lowercase())
    };
    if namesakes.iter().any(same_name) {
        return (Cause::TemporaryNumberOnAccount, None);
    }
    (Cause::UnknownNationalId, None)
}

/// Temporary numbers of one day that organizations issue: `TF00` to `TF99`, `T000` to `T999`.
const TEMPORARY_ENDINGS: u16 = 1100;

/// Every temporary number that the organization can have issued to a person of this day of birth, in canonical form:
/// whether an account has one is told by look-up, for digests keep no days.
pub fn temporary_numbers(id: &AssertedId) -> Vec<String> {
    let AssertedId::National(NationalId::Pnr(number)) = id else { return Vec::new() };
    let Some(day) = number.as_str().rsplit(':').next().and_then(|digits| digits.get(..8)) else {
        return Vec::new();
    };
    (0..TEMPORARY_ENDINGS)
        .map(|ending| match ending.checked_sub(1000) {
            Some(tf) => format!("se.tf:{day}TF{tf:02}"),
            None => format!("se.tf:{day}T{ending:03}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::identifier::SwedishNumber;
    use crate::domain::time::Timestamp;

    fn account(number: u8, state: AccountState, portals: &[Portal]) -> EidAccount {
        let guardian = GuardianId::new(Timestamp::from_millis(1), [number; 10]);
        EidAccount { guardian, state, credential_epoch: 1, portals: portals.to_vec() }
    }

    fn assertion(family_name: Option<&str>) -> Assertion {
        let number = SwedishNumber::parse("199908072391", date(2026, 11, 22)).unwrap();
        Assertion {
            id: AssertedId::National(number.into()),
            previous: None,
            family_name: family_name.map(str::to_owned),
            roles: None,
        }
    }

    #[test]
    fn one_active_account_of_this_portal_logs_in() {
        let one = account(1, AccountState::Active, &[Portal::Parent]);
        assert_eq!(decide(vec![one.clone()], Portal::Parent), Some(Decision::LogIn(one.clone())));
        // The same account found under two keys is one account.
        assert_eq!(decide(vec![one.clone(), one.clone()], Portal::Parent), Some(Decision::LogIn(one)));
    }

    #[test]
    fn what_is_not_one_active_account_of_this_portal_does_not() {
        let here = |state| account(1, state, &[Portal::Parent]);
        let cause = |accounts, portal| match decide(accounts, portal) {
            Some(Decision::Denied(cause, _)) => cause,
            other => panic!("{other:?}"),
        };
        assert_eq!(cause(vec![here(AccountState::Locked)], Portal::Parent), Cause::AccountLocked);
        assert_eq!(cause(vec![here(AccountState::Merged)], Portal::Parent), Cause::AccountMerged);
        assert_eq!(cause(vec![account(1, AccountState::Active, &[])], Portal::Parent), Cause::NoRelation);
        let two = vec![here(AccountState::Active), account(2, AccountState::Active, &[Portal::Parent])];
        assert_eq!(cause(two, Portal::Parent), Cause::SeveralAccounts);
        assert_eq!(decide(Vec::new(), Portal::Parent), None);
    }

    #[test]
    fn the_other_guardian_portal_is_told_and_staff_is_nobodys_sibling() {
        let one = account(1, AccountState::Active, &[Portal::Childminder]);
        assert_eq!(
            decide(vec![one.clone()], Portal::Parent),
            Some(Decision::WrongPortal(one.clone(), Portal::Childminder))
        );
        let denied = decide(vec![one], Portal::Staff);
        assert!(matches!(denied, Some(Decision::Denied(Cause::NoRelation, _))), "{denied:?}");
    }

    #[test]
    fn a_missing_account_is_explained_by_what_staff_can_mend() {
        let before = [account(3, AccountState::Active, &[Portal::Parent])];
        let guardian = Some(before[0].guardian.clone());
        assert_eq!(
            explain_absence(&assertion(None), &before, &[]),
            (Cause::PreviousCoordinationNumber, guardian)
        );
        let names = ["Sjöberg".to_owned()];
        let explained = explain_absence(&assertion(Some("SJÖBERG")), &[], &names);
        assert_eq!(explained.0, Cause::TemporaryNumberOnAccount);
        assert_eq!(explain_absence(&assertion(Some("Berg")), &[], &names).0, Cause::UnknownNationalId);
        assert_eq!(explain_absence(&assertion(None), &[], &names).0, Cause::UnknownNationalId);
    }

    #[test]
    fn an_opaque_subject_is_visible_ascii_of_its_issuer() {
        let id = AssertedId::opaque("https://op.example", "{a-b}").unwrap();
        assert_eq!(id.canonical(), "oidc:https://op.example:{a-b}");
        for wrong in ["", "a b", "å", &"x".repeat(256)] {
            assert_eq!(AssertedId::opaque("https://op.example", wrong), None);
        }
        assert_eq!(format!("{id:?}"), "Opaque(…)");
    }

    #[test]
    fn what_was_asserted_of_a_person_is_not_debugged() {
        let written = format!("{:?}", assertion(Some("Sjöberg")));
        assert!(!written.contains("Sjö") && !written.contains("19990807"), "{written}");
    }

    #[test]
    fn all_temporary_numbers_of_a_day_are_canonical() {
        let number = SwedishNumber::parse("199908072391", date(2026, 11, 22)).unwrap();
        let all = temporary_numbers(&AssertedId::National(number.into()));
        assert_eq!(all.len(), 1100);
        for canonical in &all {
            assert!(NationalId::from_canonical(canonical).is_ok(), "{canonical}");
        }
    }
}
