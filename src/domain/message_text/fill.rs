//! Values in place of placeholders: once, on one line, and escaped in HTML.

use std::borrow::Cow;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Puts values in place of `{name}`, once: a value's braces are nobody's placeholder. `None` if one has no value.
pub(super) fn fill<'v>(text: &str, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> Option<String> {
    let mut filled = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        rest = after;
        if let Some((name, after)) = placeholder(after) {
            filled.push_str(&value(name)?);
            rest = after;
        } else {
            // The brace of a style.
            filled.push('{');
        }
    }
    filled.push_str(rest);
    Some(filled)
}

/// The name before the next `}`, and what follows it, if only letters and `_` are between.
pub(super) fn placeholder(after_brace: &str) -> Option<(&str, &str)> {
    let (name, rest) = after_brace.split_once('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name.then_some((name, rest))
}

/// A value on one line: control characters, format characters (which turn the direction of text) and every line break
/// become spaces; spaces do not pile up.
pub(super) fn clean(value: &str) -> String {
    let shown = value.replace(
        |each: char| {
            matches!(
                each.general_category(),
                GeneralCategory::Control
                    | GeneralCategory::Format
                    | GeneralCategory::LineSeparator
                    | GeneralCategory::ParagraphSeparator
            )
        },
        " ",
    );
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text that is nothing but text between tags and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for each in text.chars() {
        match each {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
