//! The login name: what a guardian types beside the password.

use super::Rejection;
use super::debtor_number::{self, DebtorNumber, LeadingZeros};

const EMAIL_ADDRESS: Rejection = Rejection::new(
    "email_as_login_name",
    "This is an e-mail address. Log in with the user name from the school, or with the debtor number.",
);

canonical_text! {
    /// A user name or debtor number, by the rule of debtor numbers: both share one unique index per organization and portal.
    LoginName
}

impl LoginName {
    /// Reads a login name. An `@` is refused in words, because people try their e-mail address here.
    ///
    /// # Errors
    /// When it is an e-mail address, or no debtor number by [`DebtorNumber::parse`].
    pub fn parse(input: &str, leading_zeros: LeadingZeros) -> Result<Self, Rejection> {
        if input.contains('@') {
            return Err(EMAIL_ADDRESS);
        }
        debtor_number::text(input, leading_zeros).map(Self)
    }
}

impl From<DebtorNumber> for LoginName {
    /// A debtor number logs in as it is.
    fn from(number: DebtorNumber) -> Self {
        Self(number.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_email_address_of_any_length_is_refused_in_words() {
        for address in ["anna@example.se", "anna.berg.with.a.long.name@example.se", "@", "anna@"] {
            assert_eq!(LoginName::parse(address, LeadingZeros::Keep), Err(EMAIL_ADDRESS));
        }
    }

    #[test]
    fn capitals_do_not_matter() {
        let name = LoginName::parse("Anna.Berg", LeadingZeros::Keep).unwrap();
        assert_eq!(name.as_str(), "ANNA.BERG");
        assert_eq!(name, LoginName::parse(" anna.berg ", LeadingZeros::Keep).unwrap());
    }

    proptest! {
        #[test]
        fn a_login_name_is_what_the_debtor_number_is(input in "[0-9a-zA-Z/. @\u{2013}-]{0,12}|\\PC{0,40}") {
            for zeros in [LeadingZeros::Keep, LeadingZeros::Strip] {
                match (LoginName::parse(&input, zeros), DebtorNumber::parse(&input, zeros)) {
                    (Ok(name), number) => {
                        prop_assert_eq!(LoginName::parse(name.as_str(), zeros), Ok(name.clone()));
                        prop_assert_eq!(number.map(LoginName::from), Ok(name));
                    }
                    (Err(_), number) => prop_assert!(number.is_err()),
                }
            }
        }

        #[test]
        fn no_text_panics(input in any::<String>()) {
            let _ = LoginName::parse(&input, LeadingZeros::Strip);
        }
    }
}
