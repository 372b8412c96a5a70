//! The forms that values have: each reads a value, and says in words what it wants.

use std::fmt::Display;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::caller::AllOrSome;
use crate::domain::secret::Secret;

use super::fault::Origin;
use super::reader::Spot;
use super::source::{held, look_at};
use super::tree::Value;

/// How a value is read.
pub(super) trait Form {
    type Value;

    /// What is wanted, as a noun: `a duration, 1s to 1m`.
    fn describe(&self) -> String;

    /// The value, or `None` after recording why not.
    fn read(&self, spot: &Spot<'_>) -> Option<Self::Value>;
}

/// A form whose values can be shown as they are written; defaults are.
pub(super) trait Shown: Form {
    fn show(&self, value: &Self::Value) -> String;
}

fn not_a<T>(spot: &Spot<'_>, form: &impl Form) -> Option<T> {
    spot.wrong("is not accepted", format!("write {}", form.describe()))
}

fn text_of<'s>(spot: &'s Spot<'_>, form: &impl Form) -> Option<&'s str> {
    match &spot.node.value {
        Value::Text(text) => Some(text),
        Value::Integer(_)
        | Value::Flag(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Decimal(_)
        | Value::Foreign => not_a(spot, form),
    }
}

/// A whole number; its unit is in the key.
pub(super) struct Count<T>(pub(super) RangeInclusive<T>);

impl<T: Copy + PartialOrd + Display + TryFrom<i64>> Form for Count<T> {
    type Value = T;

    fn describe(&self) -> String {
        format!("a whole number, {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, spot: &Spot<'_>) -> Option<T> {
        let number = match &spot.node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if is_from_environment(spot) => text.parse().ok(),
            Value::Text(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Decimal(_)
            | Value::Foreign => None,
        };
        let number = number.and_then(|number| T::try_from(number).ok());
        number.filter(|number| self.0.contains(number)).or_else(|| not_a(spot, self))
    }
}

impl<T: Copy + PartialOrd + Display + TryFrom<i64>> Shown for Count<T> {
    fn show(&self, value: &T) -> String {
        format!("`{value}`")
    }
}

fn is_from_environment(spot: &Spot<'_>) -> bool {
    matches!(spot.node.origin, Origin::Variable(_))
}

/// A part of a whole.
pub(super) struct Share;

impl Form for Share {
    type Value = f64;

    fn describe(&self) -> String {
        "a number from 0 to 1".to_owned()
    }

    fn read(&self, spot: &Spot<'_>) -> Option<f64> {
        let share = match &spot.node.value {
            Value::Decimal(share) => Some(*share),
            Value::Integer(0) => Some(0.0),
            Value::Integer(1) => Some(1.0),
            Value::Text(text) if is_from_environment(spot) => text.parse().ok(),
            Value::Integer(_)
            | Value::Text(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Foreign => None,
        };
        share.filter(|share| (0.0..=1.0).contains(share)).or_else(|| not_a(spot, self))
    }
}

impl Shown for Share {
    fn show(&self, value: &f64) -> String {
        format!("`{value}`")
    }
}

/// `true` or `false`.
pub(super) struct Flag;

impl Form for Flag {
    type Value = bool;

    fn describe(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, spot: &Spot<'_>) -> Option<bool> {
        match &spot.node.value {
            Value::Flag(flag) => Some(*flag),
            Value::Text(text) if is_from_environment(spot) => text.parse().ok().or_else(|| not_a(spot, self)),
            Value::Text(_)
            | Value::Integer(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Decimal(_)
            | Value::Foreign => not_a(spot, self),
        }
    }
}

impl Shown for Flag {
    fn show(&self, value: &bool) -> String {
        format!("`{value}`")
    }
}

/// A duration as a number and one unit: `50ms`, `5s`, `10m`, `12h`, `30d`.
pub(super) struct Span(pub(super) RangeInclusive<Duration>);

/// Units of a duration, smallest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    fn parse(text: &str) -> Option<Duration> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(factor)?))
    }
}

/// A duration as it is written, in the largest unit that divides it.
pub(super) fn duration_text(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let fitting = UNITS.into_iter().rev().find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor));
    let (unit, factor) = fitting.unwrap_or(UNITS[0]);
    format!("{}{unit}", ms / factor)
}

impl Form for Span {
    type Value = Duration;

    fn describe(&self) -> String {
        format!("a duration, {} to {}", duration_text(*self.0.start()), duration_text(*self.0.end()))
    }

    fn read(&self, spot: &Spot<'_>) -> Option<Duration> {
        let span = Self::parse(text_of(spot, self)?);
        span.filter(|span| self.0.contains(span)).or_else(|| not_a(spot, self))
    }
}

impl Shown for Span {
    fn show(&self, value: &Duration) -> String {
        format!("`{}`", duration_text(*value))
    }
}

/// Text without control characters; its length in characters.
pub(super) struct Text(pub(super) RangeInclusive<usize>);

impl Form for Text {
    type Value = String;

    fn describe(&self) -> String {
        format!("a text of {} to {} characters", self.0.start(), self.0.end())
    }

    fn read(&self, spot: &Spot<'_>) -> Option<String> {
        let text = text_of(spot, self)?;
        if text.chars().any(char::is_control) {
            return spot.wrong("holds a control character", "remove it");
        }
        let fits = self.0.contains(&text.chars().count());
        fits.then(|| text.to_owned()).or_else(|| not_a(spot, self))
    }
}

/// One of some names.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy> Form for Choice<T> {
    type Value = T;

    fn describe(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        names.join(" or ")
    }

    fn read(&self, spot: &Spot<'_>) -> Option<T> {
        let text = text_of(spot, self)?;
        let chosen = self.0.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, choice)| *choice).or_else(|| not_a(spot, self))
    }
}

impl<T: Copy + PartialEq> Shown for Choice<T> {
    fn show(&self, value: &T) -> String {
        self.0
            .iter()
            .find(|(_, choice)| choice == value)
            .map_or(String::new(), |(name, _)| format!("`\"{name}\"`"))
    }
}

/// Text that a parser turns into something.
pub(super) struct Parsed<T> {
    /// What is wanted, as a noun.
    pub(super) form: &'static str,
    /// The parser.
    pub(super) parse: fn(&str) -> Option<T>,
}

impl<T> Form for Parsed<T> {
    type Value = T;

    fn describe(&self) -> String {
        self.form.to_owned()
    }

    fn read(&self, spot: &Spot<'_>) -> Option<T> {
        (self.parse)(text_of(spot, self)?).or_else(|| not_a(spot, self))
    }
}

impl<T: Display> Shown for Parsed<T> {
    fn show(&self, value: &T) -> String {
        format!("`\"{value}\"`")
    }
}

/// A list without repetitions; from the environment, text parted by commas.
pub(super) struct Each<F>(pub(super) F);

impl<F: Form<Value: PartialEq>> Form for Each<F> {
    type Value = Vec<F::Value>;

    fn describe(&self) -> String {
        format!("a list, each {}", self.0.describe())
    }

    fn read(&self, spot: &Spot<'_>) -> Option<Vec<F::Value>> {
        let parted: Vec<_>;
        let items = match &spot.node.value {
            Value::List(items) => items,
            Value::Text(text) if is_from_environment(spot) => {
                parted = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| super::tree::Node {
                        origin: spot.node.origin.clone(),
                        value: Value::Text(item.to_owned()),
                    })
                    .collect();
                &parted
            }
            Value::Text(_)
            | Value::Integer(_)
            | Value::Flag(_)
            | Value::Table(_)
            | Value::Decimal(_)
            | Value::Foreign => {
                return not_a(spot, self);
            }
        };
        let mut values = Vec::new();
        let mut sound = true;
        for (index, node) in items.iter().enumerate() {
            let item = Spot { journal: spot.journal, path: format!("{}[{index}]", spot.path), node };
            match self.0.read(&item) {
                Some(value) if values.contains(&value) => {
                    item.wrong::<()>("stands in the list already", "remove one of the two");
                    sound = false;
                }
                Some(value) => values.push(value),
                None => sound = false,
            }
        }
        sound.then_some(values)
    }
}

impl<F: Form<Value: PartialEq>> Shown for Each<F> {
    /// The only default a list has is to be empty.
    fn show(&self, _: &Vec<F::Value>) -> String {
        "`[]`".to_owned()
    }
}

/// `"*"`, or a list.
pub(super) struct AllOr<F>(pub(super) F);

impl<F: Form<Value: PartialEq>> Form for AllOr<Each<F>> {
    type Value = AllOrSome<F::Value>;

    fn describe(&self) -> String {
        format!("\"*\" or {}", self.0.describe())
    }

    fn read(&self, spot: &Spot<'_>) -> Option<Self::Value> {
        match &spot.node.value {
            Value::Text(text) if text == "*" => Some(AllOrSome::All),
            Value::Text(_) if !is_from_environment(spot) => not_a(spot, self),
            Value::Text(_)
            | Value::List(_)
            | Value::Integer(_)
            | Value::Flag(_)
            | Value::Table(_)
            | Value::Decimal(_)
            | Value::Foreign => match self.0.read(spot)? {
                items if items.is_empty() => spot.wrong("is empty", format!("write {}", self.describe())),
                items => Some(AllOrSome::Some(items)),
            },
        }
    }
}

/// A path as written; relative ones start at the working directory.
pub(super) struct AnyPath;

impl Form for AnyPath {
    type Value = PathBuf;

    fn describe(&self) -> String {
        "a path".to_owned()
    }

    fn read(&self, spot: &Spot<'_>) -> Option<PathBuf> {
        let text = text_of(spot, self)?;
        if text.is_empty() { not_a(spot, self) } else { Some(PathBuf::from(text)) }
    }
}

/// The path of a file that can be opened now.
pub(super) struct ReadableFile;

impl Form for ReadableFile {
    type Value = PathBuf;

    fn describe(&self) -> String {
        "the path of a readable file".to_owned()
    }

    fn read(&self, spot: &Spot<'_>) -> Option<PathBuf> {
        let path = AnyPath.read(spot)?;
        content(&path, spot).map(|_| path)
    }
}

/// The path of a file that can be opened now and need not be text.
pub(super) struct BinaryFile;

impl Form for BinaryFile {
    type Value = PathBuf;

    fn describe(&self) -> String {
        "the path of a readable file".to_owned()
    }

    fn read(&self, spot: &Spot<'_>) -> Option<PathBuf> {
        let path = AnyPath.read(spot)?;
        spot.journal.names(&path, look_at(&path));
        match std::fs::File::open(&path).and_then(|file| file.metadata()) {
            Ok(found) if found.is_file() => Some(path),
            Ok(_) => spot.wrong("names no file", "name a file"),
            Err(error) => spot.wrong(
                format!("names a file that cannot be read ({})", error.kind()),
                "check that it is there and that this process may read it",
            ),
        }
    }
}

/// The path of a file that holds a secret, and from it the secret, less one line end.
pub(super) struct SecretFile;

impl Form for SecretFile {
    type Value = Secret<String>;

    fn describe(&self) -> String {
        "the path of a readable file".to_owned()
    }

    fn read(&self, spot: &Spot<'_>) -> Option<Secret<String>> {
        let path = AnyPath.read(spot)?;
        let text = content(&path, spot)?;
        let trimmed = text.expose().strip_suffix('\n').unwrap_or(text.expose());
        let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
        if trimmed.is_empty() {
            return spot.wrong("names an empty file", "write the secret into it");
        }
        Some(Secret::new(trimmed.to_owned()))
    }
}

/// Secrets, keys and certificate chains are smaller than this; a device or a wrong path may not be.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

fn content(path: &std::path::Path, spot: &Spot<'_>) -> Option<Secret<String>> {
    if !spot.journal.pass().may_open(path) {
        spot.journal.names(path, None);
        return spot.wrong("names no file, and what it names cannot be read a second time", "name a file");
    }
    let mut text = Secret::new(String::new());
    let read = std::fs::File::open(path).and_then(|file| {
        let mut content = String::new();
        let size = file.take(FILE_LIMIT_BYTES + 1).read_to_string(&mut content)?;
        text = Secret::new(content);
        Ok(size)
    });
    // Without a text it is looked at once more: a fault in the file is told of once, not whenever it is looked at.
    let is_whole = matches!(read, Ok(size) if size as u64 <= FILE_LIMIT_BYTES);
    spot.journal.names(path, if is_whole { held(text.expose().as_bytes()) } else { look_at(path) });
    match read {
        Ok(_) if is_whole => Some(text),
        Ok(_) => spot.wrong("names a file of more than 1 MiB", "name another file"),
        Err(error) => spot.wrong(
            format!("names a file that cannot be read ({})", error.kind()),
            "check that it is there, is text and that this process may read it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        for (text, ms) in
            [("50ms", 50), ("5s", 5000), ("10m", 600_000), ("12h", 43_200_000), ("30d", 2_592_000_000)]
        {
            let span = Duration::from_millis(ms);
            assert_eq!(Span::parse(text), Some(span), "{text}");
            assert_eq!(duration_text(span), text);
        }
        for text in
            ["", "s", "5", "5 s", "5S", "-5s", "1.5h", "1h30m", "99999999999999999999d", "99999999999999999d"]
        {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }
}
