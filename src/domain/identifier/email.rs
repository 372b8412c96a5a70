//! The e-mail address: what is stripped around it, and which local parts there are.

use super::screen::SPACES;
use super::{Rejection, email_domain};

/// 64 for the local part, `@`, 255 for the domain (RFC 5321 §4.5.3.1): nothing longer is looked at.
const LONGEST_INPUT_BYTES: usize = 320;
/// What fits into `<…>` of a path of 256 (RFC 5321 §4.5.3.1.3, RFC 3696 erratum 1690).
const LONGEST_ADDRESS_BYTES: usize = 254;
/// RFC 5321 §4.5.3.1.1.
const LONGEST_LOCAL_PART_BYTES: usize = 64;
/// The marks of `atext` (RFC 5321 §4.1.2, RFC 5322 §3.2.3), beside letters and digits.
const ATEXT_MARKS: &str = "!#$%&'*+-/=?^_`{|}~";

const TOO_LONG: Rejection =
    Rejection::new("too_long", "This is too long for an e-mail address. Enter one address.");
const ONE_AT: Rejection = Rejection::new(
    "one_at_needed",
    "An e-mail address has exactly one @. Enter one address, as in name@example.org.",
);
const SPACE_INSIDE: Rejection = Rejection::new(
    "space_or_control",
    "There is a space or a line break inside the address. Remove it, and enter one address only.",
);
const QUOTED: Rejection = Rejection::new(
    "quoted_local_part",
    "The part before the @ is in quotes. Enter the address without quotes.",
);
const ADDRESS_LITERAL: Rejection = Rejection::new(
    "address_literal",
    "There is a network address after the @. Enter an address with a domain name.",
);
const LOCAL_PART: Rejection = Rejection::new(
    "local_part",
    "The part before the @ is not right: plain letters, digits and signs, with single dots between them, at most 64. \
     Letters such as å or ı and invisible characters are not possible there. Type it again.",
);

canonical_text! {
    /// An e-mail address: lower-case local part, `@`, domain as lower-case A-labels.
    ///
    /// Dots and `+tag` stay: what they mean is the provider's rule and not ours.
    Email
}

impl Email {
    /// Reads one address as people, spreadsheets and mail programs write it.
    ///
    /// Stripped, in this order and once each: outer spaces; `;` and `,` behind; `mailto:` in front; `<…>` around.
    /// Source: RFC 5321 dot-atoms of ASCII; UTS-46 for the domain. Letters are never folded to ASCII: that let
    /// strangers take over accounts elsewhere (CVE-2019-19844).
    ///
    /// # Errors
    /// When it is no single address with an ASCII local part and a domain of two labels or more, or too long.
    pub fn parse(input: &str) -> Result<Self, Rejection> {
        if input.len() > LONGEST_INPUT_BYTES {
            return Err(TOO_LONG);
        }
        let address = unwrapped(input);
        if address.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err(SPACE_INSIDE);
        }
        let (local_part, domain) = address.split_once('@').ok_or(ONE_AT)?;
        if domain.contains('@') {
            return Err(ONE_AT);
        }
        if local_part.starts_with('"') {
            return Err(QUOTED);
        }
        if !is_dot_atom(local_part) {
            return Err(LOCAL_PART);
        }
        if domain.starts_with('[') {
            return Err(ADDRESS_LITERAL);
        }
        let domain = email_domain::to_a_labels(domain)?;
        let address = format!("{}@{domain}", local_part.to_ascii_lowercase());
        if address.len() > LONGEST_ADDRESS_BYTES { Err(TOO_LONG) } else { Ok(Self(address)) }
    }
}

fn unwrapped(input: &str) -> &str {
    const SCHEME: &str = "mailto:";
    let text = input.trim_matches(SPACES);
    let text =
        text.trim_end_matches(|character| SPACES.contains(&character) || matches!(character, ';' | ','));
    let text = match text.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest.trim_matches(SPACES),
        Some(_) | None => text,
    };
    match text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        Some(rest) => rest.trim_matches(SPACES),
        None => text,
    }
}

fn is_dot_atom(local_part: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|b| b.is_ascii_alphanumeric() || ATEXT_MARKS.contains(char::from(b)))
    };
    local_part.len() <= LONGEST_LOCAL_PART_BYTES && local_part.split('.').all(is_atom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical_of(input: &str) -> String {
        Email::parse(input).unwrap().as_str().to_owned()
    }

    #[test]
    fn each_wrapping_is_stripped_once_and_in_order() {
        for written in [
            "\u{A0}anna@example.se\u{202F}\t",
            "anna@example.se ; , ;,",
            "<anna@example.se>;",
            " < anna@example.se > , ",
            "mailto:anna@example.se;",
            "mailto: anna@example.se",
            "MailTo:<anna@example.se>",
            "mailto:\u{A0}< Anna@Example.SE >;",
        ] {
            assert_eq!(canonical_of(written), "anna@example.se");
        }
        for wrong in [
            "mailto:mailto:anna@example.se",
            "<<anna@example.se>>",
            "<mailto:anna@example.se>",
            "<anna@example.se;>",
            "<anna@example.se",
            "anna@example.se>",
            ";anna@example.se",
            "mailto:anna@example.se?subject=x",
            "Anna Berg <anna@example.se>",
            "anna@example.se;bo@example.se",
            "anna@example.se,bo",
            "<",
            "<>",
            "mailto:",
            ";",
            "@",
            "\n",
        ] {
            assert!(Email::parse(wrong).is_err());
        }
    }

    #[test]
    fn dots_tags_and_marks_tell_addresses_apart() {
        let addresses = [
            "anna@x.se",
            "an.na@x.se",
            "anna+a@x.se",
            "'anna@x.se",
            "anna_@x.se",
            "anna-@x.se",
            "{anna}@x.se",
        ];
        for (position, address) in addresses.iter().enumerate() {
            assert_eq!(canonical_of(address), *address);
            assert!(addresses.iter().skip(position + 1).all(|other| canonical_of(other) != *address));
        }
    }

    #[test]
    fn letters_that_look_or_fold_like_ascii_never_become_it() {
        for character in [
            '\u{131}', '\u{130}', '\u{212A}', '\u{17F}', '\u{FB01}', '\u{FF41}', '\u{E5}', '\u{430}',
            '\u{200D}',
        ] {
            assert_eq!(Email::parse(&format!("m{character}ke@example.org")), Err(LOCAL_PART));
        }
    }

    #[test]
    fn quotes_literals_and_comments_are_refused_by_name() {
        assert_eq!(Email::parse("\"anna\"@x.se"), Err(QUOTED));
        assert_eq!(Email::parse("\"a@b\"@x.se"), Err(ONE_AT));
        assert_eq!(Email::parse("a@[1.2.3.4]"), Err(ADDRESS_LITERAL));
        for wrong in
            ["an(x)na@x.se", "a\\b@x.se", "a:b@x.se", "a,b@x.se", ".a@x.se", "a.@x.se", "a..b@x.se", "@x.se"]
        {
            assert_eq!(Email::parse(wrong), Err(LOCAL_PART));
        }
    }

    #[test]
    fn an_inner_space_of_any_script_is_refused() {
        for space in [
            ' ', '\t', '\n', '\r', '\0', '\u{7F}', '\u{85}', '\u{A0}', '\u{1680}', '\u{2003}', '\u{2028}',
            '\u{3000}',
        ] {
            assert_eq!(Email::parse(&format!("anna@exa{space}mple.se")), Err(SPACE_INSIDE));
            assert_eq!(Email::parse(&format!("an{space}na@example.se")), Err(SPACE_INSIDE));
        }
        assert_eq!(Email::parse("anna@example.se\n"), Err(SPACE_INSIDE));
    }

    #[test]
    fn the_three_lengths_are_limits_and_not_more() {
        let local_part = "a".repeat(64);
        assert!(Email::parse(&format!("{local_part}@x.se")).is_ok());
        assert_eq!(Email::parse(&format!("{local_part}a@x.se")), Err(LOCAL_PART));

        let label = "b".repeat(60);
        let longest = format!("{local_part}@{label}.{label}.{label}.cc.se");
        assert_eq!(longest.len(), 253);
        assert!(Email::parse(&format!("{longest}e")).is_ok());
        assert_eq!(Email::parse(&format!("{longest}ee")), Err(TOO_LONG));

        let padded = |bytes: usize| format!("{}anna@x.se", " ".repeat(bytes - 9));
        assert!(Email::parse(&padded(320)).is_ok());
        assert_eq!(Email::parse(&padded(321)), Err(TOO_LONG));
    }

    #[test]
    fn a_domain_may_grow_when_it_becomes_a_labels_and_still_has_to_fit() {
        let label = "å".repeat(30);
        let address = format!("{}@{label}.{label}.{label}.{label}.se", "a".repeat(64));
        assert!(address.len() <= LONGEST_INPUT_BYTES);
        assert!(Email::parse(&address).is_ok_and(|email| email.as_str().len() <= LONGEST_ADDRESS_BYTES));
    }

    fn near_addresses() -> impl Strategy<Value = String> {
        let local_part = "[a-zA-Z0-9.+_'-]{1,8}|\\PC{1,4}";
        let domain = "[a-zåäöß0-9-]{1,6}\\.[a-zA-Z]{2,3}\\.?|\\PC{1,4}\\.se|xn--[a-z0-9]{1,6}\\.se|\\p{L}{1,5}\\.\\p{L}{2}";
        (" ?<?|mailto:", local_part, domain, ">?[ ;,]{0,2}").prop_map(|(a, l, d, z)| format!("{a}{l}@{d}{z}"))
    }

    proptest! {
        #[test]
        fn a_canonical_form_gives_itself(input in near_addresses()) {
            if let Ok(email) = Email::parse(&input) {
                let text = email.as_str().to_owned();
                prop_assert!(text.len() <= LONGEST_ADDRESS_BYTES);
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
                prop_assert_eq!(text.matches('@').count(), 1);
                prop_assert_eq!(Email::parse(&text), Ok(email));
            }
        }

        #[test]
        fn no_text_panics(input in any::<String>(), domain in any::<String>()) {
            let _ = Email::parse(&input);
            let _ = Email::parse(&format!("a@{domain}.se"));
        }
    }
}
