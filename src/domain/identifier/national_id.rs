//! The national id: the numbers by which a state, or a school in its place, knows a person.

use jiff::civil::Date;

use super::{Bsn, CoordinationNumber, PersonalNumber, Region, Rejection, SwedishNumber, TemporaryNumber};

const NOT_CANONICAL: Rejection = Rejection::new(
    "not_canonical",
    "This is not the stored form of a national id. Import the number again, as it was written.",
);

/// A national id or temporary number in canonical form.
///
/// [`NationalId::canonical`] is what is encrypted and digested. A temporary number is unique only inside its
/// organization, so every look-up key includes the organization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NationalId {
    /// A personnummer.
    Pnr(PersonalNumber),
    /// A coordination number.
    Snr(CoordinationNumber),
    /// A temporary number.
    Tf(TemporaryNumber),
    /// A Dutch citizen service number.
    Bsn(Bsn),
}

impl NationalId {
    /// Reads a number as people type it, by the rules of a region; `today` is what short forms of Swedish numbers need.
    ///
    /// # Errors
    /// When it is no number of the region.
    pub fn parse(typed: &str, region: Region, today: Date) -> Result<Self, Rejection> {
        match region {
            Region::Se => SwedishNumber::parse(typed, today).map(Self::from),
            Region::Nl => Bsn::parse(typed).map(Self::from),
        }
    }

    /// Reads back what [`NationalId::canonical`] gave, and nothing else: for values that come from our own store.
    ///
    /// The date was checked against the day on which the number came in, and is not again.
    ///
    /// # Errors
    /// When the text is not exactly a canonical form.
    pub fn from_canonical(canonical: &str) -> Result<Self, Rejection> {
        let (scheme, number) = canonical.split_once(':').ok_or(NOT_CANONICAL)?;
        let id = if scheme == "nl.bsn" {
            Self::Bsn(Bsn::parse(number)?)
        } else {
            Self::from(SwedishNumber::parse(number, Date::MAX)?)
        };
        if id.canonical() == canonical { Ok(id) } else { Err(NOT_CANONICAL) }
    }

    /// The canonical form with its tag: what is stored and compared, byte for byte.
    pub fn canonical(&self) -> &str {
        match self {
            Self::Pnr(number) => number.as_str(),
            Self::Snr(number) => number.as_str(),
            Self::Tf(number) => number.as_str(),
            Self::Bsn(number) => number.as_str(),
        }
    }

    /// The tag in front of the colon, which says who issues such numbers: `se.pnr`, `se.snr`, `se.tf` or `nl.bsn`.
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Pnr(_) => "se.pnr",
            Self::Snr(_) => "se.snr",
            Self::Tf(_) => "se.tf",
            Self::Bsn(_) => "nl.bsn",
        }
    }

    /// Whether an organization issued it, until a national number comes.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Tf(_) => true,
            Self::Pnr(_) | Self::Snr(_) | Self::Bsn(_) => false,
        }
    }
}

impl From<SwedishNumber> for NationalId {
    fn from(number: SwedishNumber) -> Self {
        match number {
            SwedishNumber::Personal(number) => Self::Pnr(number),
            SwedishNumber::Coordination(number) => Self::Snr(number),
            SwedishNumber::Temporary(number) => Self::Tf(number),
        }
    }
}

impl From<Bsn> for NationalId {
    fn from(number: Bsn) -> Self {
        Self::Bsn(number)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn swedish(input: &str) -> NationalId {
        SwedishNumber::parse(input, date(2026, 11, 21)).unwrap().into()
    }

    #[test]
    fn the_scheme_is_the_tag_of_the_canonical_form() {
        for id in [
            swedish("990807-2391"),
            swedish("730288-9931"),
            swedish("870101-TF12"),
            swedish("870101-T123"),
            Bsn::parse("10464554").unwrap().into(),
        ] {
            assert_eq!(id.canonical().split_once(':').unwrap().0, id.scheme());
            assert_eq!(id.is_temporary(), id.scheme() == "se.tf");
            assert_eq!(NationalId::from_canonical(id.canonical()), Ok(id));
        }
    }

    #[test]
    fn only_the_canonical_form_itself_is_read_back() {
        for wrong in [
            "",
            "199908072391",
            "se.pnr:9908072391",
            "se.pnr:19990807-2391",
            "se.snr:199908072391",
            "se.pnr:197302889931",
            "se.tf:19870101tf12",
            "SE.PNR:199908072391",
            "nl.bsn:10464554",
            "nl.pnr:199908072391",
            "se.pnr:199908072390",
            " se.pnr:199908072391",
        ] {
            assert!(NationalId::from_canonical(wrong).is_err(), "{wrong}");
        }
    }
}
