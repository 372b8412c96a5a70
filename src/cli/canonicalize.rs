//! `guardian-auth canonicalize`: the canonical form, or the reason against it, of each value in a list.
//!
//! Schools run a million rows of their register through it before an import, so it streams: one JSON string a line
//! in, one JSON object a line out, in the same order. Nothing of a value is kept or logged.

use std::io::{self, BufRead, BufWriter, Write};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use jiff::civil::Date;
use serde::Serialize;

use crate::domain::identifier::{
    Bsn, DebtorNumber, Email, Kind, LeadingZeros, LoginName, Mobile, Region, Rejection, SwedishNumber,
};

/// The longest identifier has 320 bytes, in JSON six times as many if all are escaped: the rest is room for spaces.
/// A longer line is answered without being kept.
const LONGEST_LINE_BYTES: usize = 16 * 1024;
/// Some programs begin a file with it, and it is no part of the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

const NOT_JSON: &str = "This line is not a JSON string. Write one value a line, in double quotes.";
const BLANK: &str = "This line is blank. Write one JSON string a line, in double quotes.";
const LINE_TOO_LONG: &str =
    "This line is longer than 16384 bytes. Write one JSON string a line, in double quotes.";

/// Arguments of `guardian-auth canonicalize`.
#[derive(Debug, Clone, Args)]
pub struct CanonicalizeArgs {
    /// What the values are
    #[arg(value_name = "KIND", value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::name))
        .try_map(|name| Kind::from_name(&name).ok_or("no such kind")))]
    pub kind: Kind,

    /// The day on which the values are read, as YYYY-MM-DD: it decides the century of short Swedish numbers [default: today]
    #[arg(long, value_name = "DATE")]
    pub on: Option<Date>,

    /// The country of mobile numbers without country code
    #[arg(long, value_name = "REGION", default_value = "SE", ignore_case = true,
        value_parser = PossibleValuesParser::new(["SE", "NL"])
        .map(|name| if name.eq_ignore_ascii_case("NL") { Region::Nl } else { Region::Se }))]
    pub region: Region,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer<'a> {
    Out(&'a str),
    Reject(&'static str),
}

enum Line<'a> {
    Whole(&'a [u8]),
    TooLong,
    End,
}

/// Answers each line of `input` with a line on `output`: `{"out": …}` or `{"reject": …}`.
///
/// A line that is no JSON string is rejected like a value, and the next one is read. What is answered is flushed
/// whenever the input has nothing more in its buffer, so that a program may wait for each answer. A reader of
/// `output` that goes away ends the run without an error.
///
/// # Errors
/// When `input` cannot be read or `output` cannot be written.
pub fn run(kind: Kind, on: Date, region: Region, input: impl BufRead, output: impl Write) -> io::Result<()> {
    match answer_all(kind, on, region, input, BufWriter::new(output)) {
        Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

fn answer_all(
    kind: Kind,
    on: Date,
    region: Region,
    input: impl BufRead,
    mut output: impl Write,
) -> io::Result<()> {
    let mut lines = Lines { input, line: Vec::new(), is_drained: true };
    let mut is_first = true;
    loop {
        let text = match lines.next(&mut output)? {
            Line::End => return output.flush(),
            Line::TooLong => Err(LINE_TOO_LONG),
            Line::Whole(line) => {
                value(line.strip_prefix(BYTE_ORDER_MARK).filter(|_| is_first).unwrap_or(line))
            }
        };
        is_first = false;
        let canonical =
            text.and_then(|text| canonical(kind, on, region, &text).map_err(|rejection| rejection.reason()));
        let answer = match &canonical {
            Ok(canonical) => Answer::Out(canonical),
            Err(reason) => Answer::Reject(reason),
        };
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
    }
}

fn value(line: &[u8]) -> Result<String, &'static str> {
    if line.trim_ascii().is_empty() { Err(BLANK) } else { serde_json::from_slice(line).map_err(|_| NOT_JSON) }
}

fn canonical(kind: Kind, on: Date, region: Region, text: &str) -> Result<String, Rejection> {
    match kind {
        Kind::Swedish => SwedishNumber::parse(text, on).map(|number| number.as_str().to_owned()),
        Kind::Bsn => Bsn::parse(text).map(|number| number.as_str().to_owned()),
        Kind::DebtorNumber => {
            DebtorNumber::parse(text, LeadingZeros::Keep).map(|number| number.as_str().to_owned())
        }
        Kind::LoginName => LoginName::parse(text, LeadingZeros::Keep).map(|name| name.as_str().to_owned()),
        Kind::Email => Email::parse(text).map(|email| email.as_str().to_owned()),
        Kind::Mobile => Mobile::parse(text, region).map(|mobile| mobile.as_str().to_owned()),
    }
}

/// The lines of an input, one after the other in the same memory.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// Nothing read is left, so the next look at the input may wait.
    is_drained: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads up to the next line break, without it. Of a line that is too long only a beginning is kept.
    ///
    /// `BufRead::read_until` would keep it all, and would wait for more input with answers still unflushed.
    fn next(&mut self, output: &mut impl Write) -> io::Result<Line<'_>> {
        self.line.clear();
        let mut is_begun = false;
        let mut is_too_long = false;
        loop {
            if self.is_drained {
                output.flush()?;
            }
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
                Err(fault) => return Err(fault),
            };
            let is_end_of_input = buffer.is_empty();
            if is_end_of_input && !is_begun {
                return Ok(Line::End);
            }
            is_begun = true;
            let line_break = buffer.iter().position(|byte| *byte == b'\n');
            let part = buffer.get(..line_break.unwrap_or(buffer.len())).unwrap_or_default();
            is_too_long = is_too_long || self.line.len() + part.len() > LONGEST_LINE_BYTES;
            if !is_too_long {
                self.line.extend_from_slice(part);
            }
            let consumed = part.len() + usize::from(line_break.is_some());
            self.is_drained = consumed == buffer.len();
            self.input.consume(consumed);
            if line_break.is_some() || is_end_of_input {
                return Ok(if is_too_long { Line::TooLong } else { Line::Whole(&self.line) });
            }
        }
    }
}
