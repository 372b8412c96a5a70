//! Swedish numbers with letters that are none of ours: which kind each looks like, so that people know what to ask for.

use super::Rejection;

/// Letters of LADOK's interim numbers (`YYMMDD-Xnnn`; personnummer specification 3.1). `T` is read as a temporary number.
const INTERIM_LETTERS: &str = "RSUWXJKLMN";
/// Letters of Västra Götaland's reserve numbers (`yyyymmddGggC`; Inera, "Lokala reservidn"): interim letters as well.
const VASTRA_GOTALAND_LETTERS: &str = "KMX";

const INTERIM: Rejection = Rejection::new(
    "interim_number",
    "This looks like an interim number of a university (LADOK). Ask for the personnummer, the coordination number \
     or the school's temporary number (TF-nummer).",
);
const INTERIM_OR_REGIONAL: Rejection = Rejection::new(
    "interim_or_regional_reserve_number",
    "This looks like a reserve number of Västra Götaland's health care, or an interim number of a university (LADOK). \
     Ask for the personnummer, the coordination number or the school's temporary number (TF-nummer).",
);
const REGIONAL: Rejection = Rejection::new(
    "regional_reserve_number",
    "This looks like a reserve number of a region's health care. Ask for the personnummer, the coordination number or \
     the school's temporary number (TF-nummer).",
);
const NATIONAL: Rejection = Rejection::new(
    "national_reserve_number",
    "This looks like a national reserve number of the health care (NRID). Ask for the personnummer, the coordination \
     number or the school's temporary number (TF-nummer).",
);
const TEMPORARY_FORM: Rejection = Rejection::new(
    "temporary_number_form",
    "A temporary number ends in TF and two digits, or in T and three digits. Check the last characters.",
);
const FORM: Rejection = Rejection::new(
    "form",
    "This has not the form of a Swedish number. Enter the birth date and the four last digits, as in YYYYMMDD-NNNN; \
     or a temporary number, as in YYYYMMDD-TFNN.",
);

/// The reason for a text that has no form of ours at all.
pub(super) const fn no_form() -> Rejection {
    FORM
}

/// The reason for digits that look like a number of another register: Region Stockholm's are `99yyyyNNNNNC`.
pub(super) fn of_digits(date: &str) -> Option<Rejection> {
    let year = date.strip_prefix("99").filter(|_| date.len() == 8)?;
    ["18", "19", "20"].iter().any(|century| year.starts_with(century)).then_some(REGIONAL)
}

/// The reason for a `tail` of four letters and digits behind the `date` digits, when the tail is none of ours.
pub(super) fn of_letters(date: &str, tail: &str) -> Rejection {
    let &[first, second, third, fourth] = tail.as_bytes() else { return FORM };
    let digits_behind = [second, third, fourth].iter().all(u8::is_ascii_digit);
    if first == b'T' {
        TEMPORARY_FORM
    } else if date.len() == 8 && date.get(..2).is_some_and(|century| century >= "21") {
        NATIONAL
    } else if digits_behind && VASTRA_GOTALAND_LETTERS.contains(char::from(first)) {
        INTERIM_OR_REGIONAL
    } else if digits_behind && INTERIM_LETTERS.contains(char::from(first)) {
        INTERIM
    } else if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() && third.is_ascii_digit() {
        // Region Värmland: `yyyymmddABNC`.
        REGIONAL
    } else {
        FORM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_other_register_is_named() {
        assert_eq!(of_letters("20000101", "R220"), INTERIM);
        assert_eq!(of_letters("000101", "N220"), INTERIM);
        assert_eq!(of_letters("19810829", "M071"), INTERIM_OR_REGIONAL);
        assert_eq!(of_letters("19810829", "SU3A"), REGIONAL);
        assert_eq!(of_letters("22810829", "12GA"), NATIONAL);
        assert_eq!(of_digits("99198100"), Some(REGIONAL));
        assert_eq!(of_digits("19990807"), None);
        assert_eq!(of_digits("99990807"), None);
        assert_eq!(of_digits("991907"), None);
    }

    #[test]
    fn a_number_that_begins_like_a_temporary_one_is_told_how_that_ends() {
        assert_eq!(of_letters("19870101", "TFA2"), TEMPORARY_FORM);
        assert_eq!(of_letters("19870101", "T12A"), TEMPORARY_FORM);
    }

    #[test]
    fn letters_of_no_register_have_no_form() {
        assert_eq!(of_letters("20000101", "E221"), FORM);
        assert_eq!(of_letters("20000101", "1A23"), FORM);
    }
}
