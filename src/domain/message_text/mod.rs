//! The texts of mails and text messages, as data, with their values filled in.

mod file;
mod fill;
mod gsm;
mod sheet;

use std::borrow::Cow;
use std::time::Duration;

use super::message::Template;
use super::organization::Portal;
use super::passphrase::Locale;
use file::{Part, Section};
use fill::{clean, escape, fill};
pub use sheet::{SheetValues, sheet};

/// Characters of one text message in the GSM 7-bit alphabet; a longer one is sent, and paid for, as several.
const SMS_LENGTH: usize = 160;

/// Characters of a text message with a link, whose token alone takes a third of one: two, joined.
const SMS_WITH_LINK: usize = 2 * 153;

/// Of the organization's name, this much stays in a text message that is too long.
const SHORT_NAME: usize = 12;

/// What a message is filled with. Nothing of it is the guardian's: no name, number, address or user name.
/// Control and format characters and line breaks of any value become spaces. The link holds a token: no Debug.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// Who writes: the organization's name for people.
    pub organization: &'a str,
    /// The portal that it is about.
    pub portal: Portal,
    /// The link to set a password with: an http(s) URL. [`Template::ResetLink`], [`Template::ActivationLink`] and
    /// [`Template::StaffInvitation`] need it.
    pub link: Option<&'a str>,
    /// Where this portal begins: an http(s) URL.
    pub home: &'a str,
    /// Where the sibling portal begins. [`Template::WrongPortal`] needs it.
    pub other_home: Option<&'a str>,
    /// How long the link works; shown in whole hours, else in whole minutes.
    pub lifetime: Duration,
    /// The code that support looks up. Its paragraph is left out without it.
    pub reference: Option<&'a str>,
    /// How to reach the organization. Empty: its paragraph is left out.
    pub contact: &'a str,
    /// When it happened, in UTC and saying so, e.g. `2026-11-20 14:32 UTC`; with [`Template::ActivationLink`] and
    /// [`Template::StaffInvitation`], until when the link works. Its paragraph is left out without it.
    pub at_text: Option<&'a str>,
}

/// A mail's texts.
pub struct Text {
    /// The subject: one line.
    pub subject: String,
    /// The text for readers without HTML: paragraphs between blank lines; each URL on a line of its own.
    pub plain: String,
    /// The same as an HTML document.
    pub html: String,
}

/// The mail of a template in a language. A paragraph with a placeholder that has no value is left out.
pub fn mail(template: Template, locale: Locale, values: &Values<'_>) -> Text {
    let texts = Texts { locale, values };
    let section = Section::of(locale, template.as_str());
    let closing = Section::of(locale, CLOSING);
    let subject = fill(section.value("subject"), |name| texts.value(name)).unwrap_or_default();
    let mut plain = String::new();
    let mut body = String::new();
    for paragraph in section.paragraphs().chain(closing.paragraphs()) {
        let Some(text) = fill(paragraph, |name| texts.value(name)) else { continue };
        if !plain.is_empty() {
            plain.push_str("\n\n");
            body.push('\n');
        }
        let is_button = url_alone(paragraph) && is_web(&text);
        body.push_str(&if is_button {
            let label = section.value("button");
            layout(Part::Button, &[("url", &text), ("label", label), ("copy", texts.word("copy"))])
        } else {
            layout(Part::Paragraph, &[("text", &text)])
        });
        plain.push_str(&text);
    }
    plain.push('\n');
    let organization = clean(values.organization);
    let html = fill(Part::Page.text(), |name| match name {
        "lang" => Some(locale.as_str().into()),
        "subject" => Some(escape(&subject).into()),
        "organization" => Some(escape(&organization).into()),
        "body" => Some(body.as_str().into()),
        _ => None,
    });
    Text { subject, plain, html: html.unwrap_or_default() }
}

/// The text message of a template in a language; `None` where it has none. It fits into one message, into two if it has a
/// link, if the addresses in it are not too long: a long name of the organization is cut, and letters outside of the GSM
/// alphabet lose their marks.
pub fn text_message(template: Template, locale: Locale, values: &Values<'_>) -> Option<String> {
    let text = Section::of(locale, template.as_str()).get("sms")?;
    let name = gsm::spelled(&clean(values.organization));
    let filled = |name: &str| {
        let values = Values { organization: name, ..*values };
        fill(text, |placeholder| Texts { locale, values: &values }.value(placeholder))
    };
    let whole = filled(&name)?;
    let excess = gsm::length(&whole).saturating_sub(most(template));
    if excess == 0 {
        return Some(whole);
    }
    // A character takes one place or more, so this many are enough.
    let kept = name.chars().count().saturating_sub(excess + 1).max(SHORT_NAME);
    let short: String = name.chars().take(kept).collect();
    filled(&format!("{}.", short.trim_end()))
}

/// The most that the text message of a template may take.
const fn most(template: Template) -> usize {
    match template {
        Template::ActivationLink | Template::StaffInvitation => SMS_WITH_LINK,
        Template::ResetLink
        | Template::NoPassword
        | Template::ContactSchool
        | Template::WrongPortal
        | Template::SeveralAccounts
        | Template::PasswordChanged
        | Template::FailedLogins
        | Template::PasswordClosed => SMS_LENGTH,
    }
}

/// The section with what closes every mail.
const CLOSING: &str = "closing";

/// The section with words that the code chooses.
const WORDS: &str = "words";

/// What the placeholders of a text stand for.
struct Texts<'a> {
    locale: Locale,
    values: &'a Values<'a>,
}

impl<'a> Texts<'a> {
    fn word(&self, key: &str) -> &'static str {
        Section::of(self.locale, WORDS).value(key)
    }

    /// The value of a placeholder, on one line; `None` if there is no such placeholder or no value.
    fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        let values = self.values;
        let value = match name {
            "organization" => clean(values.organization),
            "portal" => portal_word(self.locale, values.portal).to_owned(),
            "other_portal" => portal_word(self.locale, values.portal.sibling()?).to_owned(),
            "link" => clean(values.link?),
            "home" => clean(values.home),
            "other_home" => clean(values.other_home?),
            "lifetime" => self.lifetime(),
            "reference" => clean(values.reference?),
            "contact" => clean(values.contact),
            "at" => clean(values.at_text?),
            _ => return None,
        };
        (!value.is_empty()).then_some(value.into())
    }

    fn lifetime(&self) -> String {
        let minutes = self.values.lifetime.as_secs() / 60;
        let (count, one, many) = if minutes >= 60 && minutes.is_multiple_of(60) {
            (minutes / 60, "hour", "hours")
        } else {
            (minutes, "minute", "minutes")
        };
        let word = self.word(if count == 1 { one } else { many });
        fill(word, |name| (name == "count").then(|| count.to_string().into())).unwrap_or_default()
    }
}

/// What people call a portal.
fn portal_word(locale: Locale, portal: Portal) -> &'static str {
    Section::of(locale, WORDS).value(match portal {
        Portal::Parent => "portal_parent",
        Portal::Childminder => "portal_childminder",
        Portal::Staff => "portal_staff",
    })
}

/// Whether a paragraph is nothing but a placeholder of a URL: then it is a button in HTML.
fn url_alone(paragraph: &str) -> bool {
    ["{link}", "{home}", "{other_home}"].contains(&paragraph)
}

/// Whether a link may lead there: `javascript:` and its kin may not be clicked.
fn is_web(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://")) && !url.contains(char::is_whitespace)
}

/// A part of the layout with texts put in, escaped; their line breaks stay line breaks.
fn layout(part: Part, texts: &[(&str, &str)]) -> String {
    let text = |name: &str| texts.iter().find_map(|(key, text)| (*key == name).then_some(*text));
    fill(part.text(), |name| text(name).map(|text| escape(text).replace('\n', "<br>\n").into()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::file::{file, sections};
    use super::fill::placeholder;
    use super::*;

    const HOSTILE: &str = "Förskolan <Ängen> & \"Co\"\r\nBcc: x@y.se";

    const PLACEHOLDERS: [&str; 10] = [
        "organization",
        "portal",
        "other_portal",
        "link",
        "home",
        "other_home",
        "lifetime",
        "reference",
        "contact",
        "at",
    ];

    const WORD_KEYS: [(&str, &[&str]); 8] = [
        ("portal_parent", &[]),
        ("portal_childminder", &[]),
        ("portal_staff", &[]),
        ("minute", &["count"]),
        ("minutes", &["count"]),
        ("hour", &["count"]),
        ("hours", &["count"]),
        ("copy", &[]),
    ];

    const SENT_AS_TEXT: [Template; 3] =
        [Template::PasswordChanged, Template::ActivationLink, Template::StaffInvitation];

    fn values() -> Values<'static> {
        Values {
            organization: "Sample kommun",
            portal: Portal::Parent,
            link: Some("https://portal.example.se/new-password#token=abc"),
            home: "https://portal.example.se/",
            other_home: Some("https://gast.example.se/"),
            lifetime: Duration::from_hours(1),
            reference: Some("7K3MXA4C"),
            contact: "0123-45 67 89",
            at_text: Some("2026-11-20 14:32 UTC"),
        }
    }

    /// What a template cannot do without.
    fn required(template: Template) -> &'static [&'static str] {
        match template {
            Template::ResetLink => &["organization", "portal", "link", "lifetime", "reference", "contact"],
            Template::NoPassword | Template::SeveralAccounts => {
                &["organization", "portal", "home", "reference", "contact"]
            }
            Template::ContactSchool => &["organization", "portal", "reference", "contact"],
            Template::WrongPortal => {
                &["organization", "portal", "other_portal", "other_home", "reference", "contact"]
            }
            Template::PasswordChanged | Template::FailedLogins | Template::PasswordClosed => {
                &["organization", "portal", "home", "contact", "at"]
            }
            Template::ActivationLink | Template::StaffInvitation => {
                &["organization", "portal", "link", "contact", "at"]
            }
        }
    }

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).map(|rest| placeholder(rest).expect(text).0).collect()
    }

    fn all() -> impl Iterator<Item = (Template, Locale)> {
        Template::ALL.into_iter().flat_map(|template| Locale::ALL.map(|locale| (template, locale)))
    }

    #[test]
    fn every_file_has_every_part_of_every_template_and_nothing_else() {
        let mut expected: BTreeSet<&str> = Template::ALL.map(Template::as_str).into();
        expected.extend([CLOSING, WORDS, sheet::SHEET]);
        for locale in Locale::ALL {
            let names: Vec<&str> = sections(file(locale)).map(|(name, _)| name).collect();
            assert_eq!(names.len(), expected.len(), "{locale:?}: a section is there twice");
            assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected, "{locale:?}");
            for (name, section) in sections(file(locale)) {
                for line in section.head.lines() {
                    assert!(line.contains(" = "), "{locale:?} {name}: {line}");
                }
            }
        }
        for (template, locale) in all() {
            let section = Section::of(locale, template.as_str());
            let keys: BTreeSet<&str> = section.entries().map(|(key, _)| key).collect();
            let mut expected = BTreeSet::from(["subject"]);
            if section.paragraphs().any(url_alone) {
                expected.insert("button");
            }
            if SENT_AS_TEXT.contains(&template) {
                expected.insert("sms");
            }
            assert_eq!(keys, expected, "{template:?} {locale:?}");
            assert!(section.paragraphs().count() >= 4, "{template:?} {locale:?}");
        }
    }

    #[test]
    fn every_placeholder_is_known_and_every_required_one_is_used() {
        for (template, locale) in all() {
            let section = Section::of(locale, template.as_str());
            let mut used = BTreeSet::new();
            for paragraph in section.paragraphs().chain(Section::of(locale, CLOSING).paragraphs()) {
                let here = placeholders(paragraph);
                let urls = here.iter().any(|name| ["link", "home", "other_home"].contains(name));
                assert_eq!(urls, url_alone(paragraph), "a URL stands alone: {paragraph}");
                used.extend(here);
            }
            let known = BTreeSet::from(PLACEHOLDERS);
            assert!(used.is_subset(&known), "{template:?} {locale:?}: {used:?}");
            for name in required(template) {
                assert!(used.contains(name), "{template:?} {locale:?} does not use {name}");
            }
            assert_eq!(placeholders(section.value("subject")), BTreeSet::from(["organization"]));
            assert!(placeholders(section.value("button")).is_empty());
            let sms = placeholders(section.value("sms"));
            let linked = sms == BTreeSet::from(["organization", "link", "at"]);
            assert_eq!(linked, most(template) == SMS_WITH_LINK, "{template:?} {locale:?}");
            assert!(sms.is_empty() || linked || sms == BTreeSet::from(["organization", "home"]));
        }
        for locale in Locale::ALL {
            let words = Section::of(locale, WORDS);
            assert_eq!(words.entries().count(), WORD_KEYS.len());
            for (key, expected) in WORD_KEYS {
                assert!(!words.value(key).is_empty(), "{locale:?} {key}");
                assert_eq!(placeholders(words.value(key)), expected.iter().copied().collect(), "{key}");
            }
        }
        for (part, expected) in [
            (Part::Page, &["body", "lang", "organization", "subject"][..]),
            (Part::Paragraph, &["text"]),
            (Part::Button, &["copy", "label", "url"]),
        ] {
            let found: BTreeSet<&str> =
                part.text().split('{').skip(1).filter_map(placeholder).map(|(name, _)| name).collect();
            assert_eq!(found, expected.iter().copied().collect());
        }
    }

    #[test]
    fn a_mail_says_who_writes_what_to_do_and_how_long_it_works() {
        let text = mail(Template::ResetLink, Locale::Sv, &values());
        assert_eq!(text.subject, "Välj ett nytt lösenord – Sample kommun");
        for part in [
            "portalen för vårdnadshavare hos Sample kommun",
            "\n\nhttps://portal.example.se/new-password#token=abc\n\n",
            "fungerar i 1 timme",
            "Referenskod: 7K3MXA4C\n",
            "Kontakt: 0123-45 67 89\n",
            "Var det inte du?",
        ] {
            assert!(text.plain.contains(part), "{part} in\n{}", text.plain);
        }
        assert!(text.html.starts_with("<!doctype html>\n<html lang=\"sv\""));
        assert!(
            text.html
                .contains("<a class=\"action\" href=\"https://portal.example.se/new-password#token=abc\"")
        );
        assert!(text.html.contains("Referenskod: 7K3MXA4C<br>\n"));
        let gast = Values {
            portal: Portal::Childminder,
            other_home: Some("https://ouders.example.nl/"),
            ..values()
        };
        let text = mail(Template::WrongPortal, Locale::Nl, &gast);
        assert!(text.plain.contains("Uw account hoort bij het portaal voor ouders."));
        assert!(text.plain.contains("\n\nhttps://ouders.example.nl/\n\n"));
    }

    #[test]
    fn a_lifetime_is_told_in_hours_or_minutes_one_or_many() {
        for (minutes, locale, told) in [
            (60, Locale::Sv, "1 timme"),
            (120, Locale::Sv, "2 timmar"),
            (30, Locale::Sv, "30 minuter"),
            (1, Locale::Sv, "1 minut"),
            (60, Locale::Nl, "1 uur"),
            (1440, Locale::Nl, "24 uur"),
            (45, Locale::Nl, "45 minuten"),
            (1, Locale::Nl, "1 minuut"),
            (60, Locale::En, "1 hour"),
            (90, Locale::En, "90 minutes"),
            (0, Locale::En, "0 minutes"),
        ] {
            let values = Values { lifetime: Duration::from_mins(minutes), ..values() };
            assert_eq!(Texts { locale, values: &values }.lifetime(), told);
        }
    }

    #[test]
    fn every_mail_is_the_same_in_both_forms_and_leaves_no_placeholder() {
        for (template, locale) in all() {
            let text = mail(template, locale, &values());
            assert!(!text.plain.contains(['{', '}']) && !text.subject.contains(['{', '}']));
            for paragraph in text.plain.trim_end().split("\n\n") {
                let html = escape(paragraph).replace('\n', "<br>\n");
                assert!(text.html.contains(&html), "{template:?} {locale:?}: {paragraph}");
            }
            let lower = text.html.to_lowercase();
            for remote in ["<img", "<script", "<link", "url(", "@import", "src="] {
                assert!(!lower.contains(remote), "{remote}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let values = Values { reference: None, contact: " \n", at_text: None, ..values() };
        for (template, locale) in all() {
            let text = mail(template, locale, &values);
            let words = ["Kontakt:", "Contact:", "kod:", "code:", "Tidpunkt", "Tijdstip", "Time:"];
            assert!(!words.iter().any(|word| text.plain.contains(word)), "{}", text.plain);
            assert!(text.plain.ends_with("Sample kommun\n"));
        }
    }

    #[test]
    fn a_hostile_name_makes_no_markup_and_no_line_in_a_subject() {
        for (template, locale) in all() {
            let text = mail(template, locale, &Values { organization: HOSTILE, ..values() });
            assert!(text.subject.ends_with("Förskolan <Ängen> & \"Co\" Bcc: x@y.se"), "{}", text.subject);
            assert!(!text.html.contains("<Ängen>"));
            assert!(text.html.contains("Förskolan &lt;Ängen&gt; &amp; &quot;Co&quot; Bcc: x@y.se"));
            assert!(!text.plain.contains("\nBcc"));
        }
    }

    #[test]
    fn an_address_that_is_none_of_the_web_is_no_link() {
        for link in ["javascript:alert(1)", "data:text/html,x", "https://a.se/ b", ""] {
            let text = mail(Template::ResetLink, Locale::En, &Values { link: Some(link), ..values() });
            assert!(!text.html.contains("href="), "{link}");
        }
    }

    #[test]
    fn links_of_staff_and_a_changed_password_are_told_by_text_message_and_it_fits() {
        let link = format!("https://ouders.noordrand-kinderopvang.nl/activeren#token=gak_{}", "x".repeat(43));
        let values = || Values { link: Some(&link), ..values() };
        for (template, locale) in all() {
            let gsm_fits = |text: &str| gsm::length(text) <= most(template);
            let Some(text) = text_message(template, locale, &values()) else {
                assert!(!SENT_AS_TEXT.contains(&template));
                continue;
            };
            assert!(SENT_AS_TEXT.contains(&template));
            assert!(text.chars().all(|each| gsm::places(each).is_some()), "{text}");
            assert!(gsm_fits(&text), "{text}");
            let address = if most(template) == SMS_WITH_LINK { &link } else { "https://portal.example.se/" };
            assert!(text.contains("Sample kommun: ") && text.contains(address), "{text}");
            let usual = Values {
                organization: "Stichting Kinderopvang Noordrand",
                home: "https://ouders.noordrand-kinderopvang.nl/",
                ..values()
            };
            let in_use = text_message(template, locale, &usual).unwrap();
            assert!(gsm_fits(&in_use) && in_use.starts_with("Stichting Kinderopvang"), "{in_use}");
            let long = Values { organization: &"Stichting Zoë’s Kinderopvang ".repeat(5), ..values() };
            let text = text_message(template, locale, &long).unwrap();
            assert!(text.starts_with("Stichting Zo"), "{text}");
            assert!(gsm_fits(&text), "{text}");
            assert!(text.contains(address), "{text}");
        }
    }

    /// Tags of a document; values cannot add one, as none of them holds `<` as such.
    fn markup(html: &str) -> (usize, usize, usize) {
        let count = |each: char| html.matches(each).count();
        (count('<'), count('>'), count('"'))
    }

    proptest! {
        #[test]
        fn no_value_brings_a_tag_or_a_line_break(
            organization in "\\PC*[\\r\\n\u{2028}\u{85}\u{202e}<>\"'&{}]*\\PC+", contact in "[\\PC\\s<>&\"{}]*",
            reference in ".*", link in "[!-~]*", template in 0..Template::ALL.len(), locale in 0_usize..3,
        ) {
            let (template, locale) = (Template::ALL[template], Locale::ALL[locale]);
            let link = format!("https://{link}");
            let wild = Values {
                organization: &organization, contact: &format!("{contact}x"), reference: Some(&format!("{reference}x")),
                link: Some(&link), home: &link, other_home: Some(&link), ..values()
            };
            prop_assume!(!clean(&organization).is_empty());
            let (tame, wild_text) = (mail(template, locale, &values()), mail(template, locale, &wild));
            prop_assert_eq!(markup(&wild_text.html), markup(&tame.html));
            prop_assert_eq!(wild_text.plain.lines().count(), tame.plain.lines().count());
            let breaks = |text: &str| text.contains(['\r', '\u{85}', '\u{2028}', '\u{2029}', '\u{b}', '\u{c}']);
            prop_assert!(!wild_text.subject.contains(char::is_control) && !breaks(&wild_text.subject));
            prop_assert!(!breaks(&wild_text.plain) && !breaks(&wild_text.html));
            if let Some(text) = text_message(template, locale, &wild) {
                prop_assert!(!text.contains(char::is_control) && !breaks(&text));
            }
        }

        #[test]
        fn a_url_of_any_kind_brings_no_markup(link in ".*", locale in 0_usize..3) {
            let locale = Locale::ALL[locale];
            let text = mail(Template::ResetLink, locale, &Values { link: Some(&link), ..values() });
            for href in text.html.split("href=\"").skip(1) {
                prop_assert!(href.starts_with("https://") || href.starts_with("http://"));
            }
            prop_assert!(text.html.matches("<a ").count() == 0 || is_web(&clean(&link)));
        }
    }
}
