//! The files of texts, and the layout: how their parts are found.

use crate::domain::passphrase::Locale;

/// The file of a language.
pub(super) const fn file(locale: Locale) -> &'static str {
    match locale {
        Locale::Sv => include_str!("../data/messages/sv.txt"),
        Locale::Nl => include_str!("../data/messages/nl.txt"),
        Locale::En => include_str!("../data/messages/en.txt"),
    }
}

/// A section of a file: `[name]`, lines `key = value`, then paragraphs, with blank lines between all of them.
#[derive(Clone, Copy)]
pub(super) struct Section {
    pub(super) head: &'static str,
    paragraphs: &'static str,
}

impl Section {
    /// The section with this name; an empty one if there is none, which a test rules out.
    pub(super) fn of(locale: Locale, name: &str) -> Self {
        sections(file(locale))
            .find_map(|(found, section)| (found == name).then_some(section))
            .unwrap_or(Self { head: "", paragraphs: "" })
    }

    /// The value of a key, if it is there.
    pub(super) fn get(self, key: &str) -> Option<&'static str> {
        self.entries().find_map(|(found, value)| (found == key).then_some(value))
    }

    /// The value of a key; empty if it is not there.
    pub(super) fn value(self, key: &str) -> &'static str {
        self.get(key).unwrap_or_default()
    }

    /// The lines before the paragraphs.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.head.lines().filter_map(|line| line.split_once(" = "))
    }

    /// The text.
    pub(super) fn paragraphs(self) -> impl Iterator<Item = &'static str> {
        self.paragraphs.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty())
    }
}

/// The sections of a file with their names; what stands before the first one is a comment.
pub(super) fn sections(file: &'static str) -> impl Iterator<Item = (&'static str, Section)> {
    file.split("\n[").skip(1).filter_map(|text| {
        let (name, text) = text.split_once("]\n")?;
        let (head, paragraphs) = match text.strip_prefix('\n') {
            Some(paragraphs) => ("", paragraphs),
            None => text.split_once("\n\n").unwrap_or((text, "")),
        };
        Some((name, Section { head, paragraphs }))
    })
}

/// The parts of the layout.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// The document.
    Page,
    /// A paragraph of text.
    Paragraph,
    /// A button with the address in full below it.
    Button,
}

impl Part {
    /// Its HTML, with placeholders.
    pub(super) fn text(self) -> &'static str {
        let file = include_str!("../data/messages/layout.html");
        let (page, rest) = file.split_once("<!-- paragraph -->\n").unwrap_or_default();
        let (paragraph, button) = rest.split_once("<!-- button -->\n").unwrap_or_default();
        match self {
            Self::Page => page,
            Self::Paragraph => paragraph.trim_end(),
            Self::Button => button.trim_end(),
        }
    }
}
