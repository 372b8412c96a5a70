//! The sheet that staff hand over: a user name, a code, and what to do with them.

use std::borrow::Cow;

use super::file::Section;
use super::fill::{clean, fill};
use crate::domain::organization::Portal;
use crate::domain::passphrase::Locale;
use crate::domain::secret::Secret;

/// The section with the sheet.
pub(super) const SHEET: &str = "activation_sheet";

/// What a sheet is filled with. It holds a code: no Debug.
#[derive(Clone, Copy)]
pub struct SheetValues<'a> {
    /// Who hands it over: the organization's name for people.
    pub organization: &'a str,
    /// The portal that it is for.
    pub portal: Portal,
    /// The name to log in with.
    pub user_name: &'a str,
    /// The code.
    pub code: &'a str,
    /// Where both are typed; empty: the portal is named.
    pub page: &'a str,
    /// Until when the code works, in UTC and saying so.
    pub until: &'a str,
    /// How to reach the organization. Empty: its paragraph is left out.
    pub contact: &'a str,
}

/// The sheet in a language: plain text in paragraphs, ready to print.
pub fn sheet(locale: Locale, values: &SheetValues<'_>) -> Secret<String> {
    let value = |name: &str| -> Option<Cow<'_, str>> {
        let value = match name {
            "organization" => clean(values.organization),
            "portal" => super::portal_word(locale, values.portal).to_owned(),
            "user_name" => clean(values.user_name),
            "code" => clean(values.code),
            // Without an address, the portal by its name: the guardian knows it.
            "page" if values.page.is_empty() => super::portal_word(locale, values.portal).to_owned(),
            "page" => clean(values.page),
            "until" => clean(values.until),
            "contact" => clean(values.contact),
            _ => return None,
        };
        (!value.is_empty()).then_some(value.into())
    };
    let section = Section::of(locale, SHEET);
    let paragraphs: Vec<String> =
        section.paragraphs().filter_map(|paragraph| fill(paragraph, value)).collect();
    Secret::new(format!("{}\n", paragraphs.join("\n\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: SheetValues<'static> = SheetValues {
        organization: "Sample kommun",
        portal: Portal::Parent,
        user_name: "HKT4739RWX",
        code: "7K3MX-A4CQZ",
        page: "https://portal.example.se/activate",
        until: "2026-12-06 14:32 UTC",
        contact: "0123-45 67 89",
    };

    #[test]
    fn a_sheet_says_name_code_until_when_where_and_that_nobody_asks_for_the_password() {
        for (locale, never) in
            [(Locale::Sv, "frågar aldrig"), (Locale::Nl, "vragen nooit"), (Locale::En, "never ask")]
        {
            let text = sheet(locale, &VALUES);
            for part in [
                "Sample kommun",
                "HKT4739RWX",
                "7K3MX-A4CQZ",
                "https://portal.example.se/activate",
                "2026-12-06 14:32 UTC",
                "0123-45 67 89",
                never,
            ] {
                assert!(text.expose().contains(part), "{part} in\n{}", text.expose());
            }
            assert!(!text.expose().contains(['{', '}']));
            assert!(text.expose().lines().count() < 40, "it fits on a page");
        }
    }

    #[test]
    fn without_a_contact_its_paragraph_is_left_out() {
        for locale in Locale::ALL {
            let (with, without) =
                (sheet(locale, &VALUES), sheet(locale, &SheetValues { contact: " ", ..VALUES }));
            let paragraphs = |text: &str| text.split("\n\n").count();
            assert_eq!(paragraphs(without.expose()) + 1, paragraphs(with.expose()));
        }
    }

    #[test]
    fn a_hostile_name_makes_no_line_of_its_own() {
        let hostile = sheet(Locale::Sv, &SheetValues { organization: "A\nKod: 00000-00000", ..VALUES });
        let tame = sheet(Locale::Sv, &VALUES);
        assert_eq!(hostile.expose().lines().count(), tame.expose().lines().count());
    }
}
