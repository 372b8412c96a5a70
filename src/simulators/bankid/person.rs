//! People with a BankID, all made up: numbers for tests, and guardians of the sample municipality.

use crate::domain::bankid::Risk;

/// Somebody with a BankID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persona {
    /// Twelve digits, as BankID gives them.
    pub personal_number: String,
    /// The given name, as the bank writes it.
    pub given_name: String,
    /// The family name, as the bank writes it.
    pub surname: String,
    /// What BankID says of the risk; `None`: it cannot tell.
    pub risk: Option<Risk>,
    /// Why this person is here, for those who choose one.
    pub note: &'static str,
}

/// Number, given name, family name, risk, note. The first five are test numbers of Skatteverket (open data, CC0), which
/// nobody has; the others are guardians of `examples/directory-sample-kommun.jsonl`.
const KNOWN: [(&str, &str, &str, Option<Risk>, &str); 14] = [
    ("199908072391", "Test", "Persson", Some(Risk::Low), "in no directory"),
    ("198001011371", "ANNA KARIN", "ÅSTRÖM", Some(Risk::Low), "the bank writes names in capitals"),
    ("196802020575", "Rut", "Fara", Some(Risk::High), "high risk"),
    ("198107011481", "Mats", "Medel", Some(Risk::Moderate), "moderate risk"),
    (
        "197302889931",
        "Samira",
        "Samordning",
        Some(Risk::Low),
        "a coordination number, which BankID never gives",
    ),
    ("197001019806", "Alma", "Sjöberg", Some(Risk::Low), "guardian of the sample municipality"),
    ("197102029811", "LARS", "STRÖM", Some(Risk::Low), "guardian; the bank writes names in capitals"),
    ("197203039826", "Sara", "Hedlund", None, "guardian; the risk is not known"),
    ("197304049831", "Peter", "Öberg", Some(Risk::High), "guardian; high risk"),
    ("197506069850", "Olle", "Brand", Some(Risk::Moderate), "guardian; moderate risk"),
    ("197607079865", "Siv", "Ek", Some(Risk::Low), "guardian of the sample municipality"),
    ("197708089870", "Åsa", "Öberg", Some(Risk::Low), "guardian of the sample municipality"),
    ("198011119909", "Tove", "Lund", Some(Risk::Low), "guardian of the sample municipality"),
    ("198112129914", "Jonas", "Falk", Some(Risk::Low), "guardian of the sample municipality"),
];

impl Persona {
    /// Everybody that the simulator knows.
    pub fn known() -> Vec<Self> {
        let of =
            |&(number, given_name, surname, risk, note): &(&str, &str, &str, Option<Risk>, &'static str)| {
                Self { risk, note, ..Self::new(number, given_name, surname) }
            };
        KNOWN.iter().map(of).collect()
    }

    /// The one with this number of twelve digits.
    pub fn by_number(personal_number: &str) -> Option<Self> {
        Self::known().into_iter().find(|persona| persona.personal_number == personal_number)
    }

    /// Somebody else, of low risk.
    pub fn new(personal_number: &str, given_name: &str, surname: &str) -> Self {
        Self {
            personal_number: personal_number.to_owned(),
            given_name: given_name.to_owned(),
            surname: surname.to_owned(),
            risk: Some(Risk::Low),
            note: "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guardians_are_those_of_the_sample_directory() {
        let directory = include_str!("../../../examples/directory-sample-kommun.jsonl");
        for persona in Persona::known().iter().filter(|persona| persona.note.starts_with("guardian")) {
            let (date, serial) = persona.personal_number.split_at(8);
            let number = format!("\"national_id\":\"{date}-{serial}\"");
            let row = directory.lines().find(|row| row.contains(&number)).unwrap();
            let family_name = format!("\"family_name\":\"{}\"", persona.surname).to_lowercase();
            assert!(row.to_lowercase().contains(&family_name), "{}", persona.surname);
        }
    }

    #[test]
    fn nobody_is_there_twice() {
        let known = Persona::known();
        for persona in &known {
            assert_eq!(
                known.iter().filter(|other| other.personal_number == persona.personal_number).count(),
                1
            );
        }
    }
}
