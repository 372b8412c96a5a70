//! People who log in at brokers, all made up: guardians of the sample directories, and some who are refused.

/// Somebody with an eID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// The number, as brokers write it: twelve digits, or nine of a BSN.
    pub number: &'static str,
    /// The given name.
    pub given_name: &'static str,
    /// The family name.
    pub family_name: &'static str,
    /// The country that gave the number.
    pub country: &'static str,
    /// The sector of a number of `DigiD`'s; empty elsewhere.
    pub(super) sector: &'static str,
    /// What comes of a login, for those who choose one.
    pub note: &'static str,
}

const fn swedish(
    number: &'static str,
    given_name: &'static str,
    family_name: &'static str,
    note: &'static str,
) -> Person {
    Person { number, given_name, family_name, country: "SE", sector: "", note }
}

const fn dutch(
    number: &'static str,
    given_name: &'static str,
    family_name: &'static str,
    note: &'static str,
) -> Person {
    Person { number, given_name, family_name, country: "NL", sector: "s00000000", note }
}

/// At Swedish brokers.
pub(super) const SWEDISH: [Person; 7] = [
    swedish("197001019806", "Alma", "Sjöberg", "guardian of the sample municipality"),
    swedish("197102029811", "Lars", "Ström", "guardian of the sample municipality"),
    swedish("198011119909", "Tove", "Lund", "guardian of the sample municipality"),
    swedish("198112129914", "Jonas", "Falk", "guardian of the sample municipality"),
    swedish("197302889931", "Irina", "Volkova", "guardian with a coordination number"),
    // A test number of Skatteverket's, which nobody has.
    swedish("199908072391", "Test", "Persson", "in no directory: refused"),
    Person {
        number: "01017012345",
        given_name: "Kari",
        family_name: "Nordmann",
        country: "NO",
        sector: "",
        note: "a number of another country: refused",
    },
];

/// At `DigiD`.
pub(super) const DUTCH: [Person; 6] = [
    dutch("999990007", "Sanne", "de Vries", "parent of the sample childcare"),
    dutch("010464554", "Bram", "Bakker", "parent whose BSN has eight digits in the source"),
    dutch("999990020", "Noor", "van Dijk", "parent and childminder"),
    dutch("999990032", "Ruben", "Smit", "childminder: another portal is the right one"),
    dutch("123456782", "Onbekend", "Persoon", "in no directory: refused"),
    Person {
        number: "999990007",
        given_name: "Sofie",
        family_name: "Nummer",
        country: "NL",
        sector: "s00000001",
        note: "a sofi number instead of a BSN: refused",
    },
];

impl Person {
    /// Both names.
    pub fn name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }

    /// Sixty is added to the day of a coordination number.
    pub(super) fn is_coordination_number(&self) -> bool {
        let day = self.number.get(6..8).and_then(|day| day.parse::<u8>().ok());
        self.number.len() == 12 && day.is_some_and(|day| day > 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guardians_are_those_of_the_sample_directories() {
        let directories = concat!(
            include_str!("../../../examples/directory-sample-kommun.jsonl"),
            include_str!("../../../examples/directory-voorbeeld-opvang.jsonl")
        );
        let is_sample = |person: &&Person| !person.note.contains("refused");
        for person in SWEDISH.iter().chain(&DUTCH).filter(is_sample) {
            let (date, serial) = person.number.split_at(8);
            let written =
                [person.number.to_owned(), format!("{date}-{serial}"), person.number[1..].to_owned()];
            let is_of =
                |row: &&str| written.iter().any(|it| row.contains(&format!("\"national_id\":\"{it}\"")));
            let row = directories.lines().find(is_of).unwrap();
            assert!(
                row.contains(&format!("\"family_name\":\"{}\"", person.family_name)),
                "{}",
                person.family_name
            );
        }
    }
}
