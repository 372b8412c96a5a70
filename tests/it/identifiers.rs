//! The exact-match contract: the vectors, the consistency of short and long forms, and the command that checks lists.

#![expect(clippy::unwrap_used, reason = "a fault in a test's own helper is a fault of the test")]

use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use guardian_auth::cli::canonicalize;
use guardian_auth::domain::identifier::{
    Bsn, DebtorNumber, Email, Kind, LeadingZeros, Mobile, Region, SwedishNumber,
};
use jiff::civil::{Date, date};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The date of the vectors.
const ON: Date = date(2026, 11, 21);

fn vectors(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

fn rows(file: &str) -> Vec<Value> {
    let Value::Array(rows) = vectors(file) else { panic!("{file} is a list") };
    assert!(rows.len() > 10, "{file} holds cases");
    rows
}

/// Compares `out` exactly; of `reject` only that it is rejected.
fn check(file: &str, parse: impl Fn(&str, &Value) -> Option<String>) {
    for row in rows(file) {
        assert!(row.get("out").is_some() != row.get("reject").is_some(), "{file}: {row}");
        let canonical = parse(row["in"].as_str().unwrap(), &row);
        assert_eq!(canonical.as_deref(), row.get("out").map(|out| out.as_str().unwrap()), "{file}: {row}");
    }
}

fn swedish(input: &str) -> Option<String> {
    SwedishNumber::parse(input, ON).ok().map(|number| number.as_str().to_owned())
}

fn region(row: &Value) -> Region {
    match row["region"].as_str() {
        Some("SE") => Region::Se,
        Some("NL") => Region::Nl,
        other => panic!("{other:?} is no region"),
    }
}

#[test]
fn the_swedish_vectors_hold() {
    check("swedish.json", |input, _| swedish(input));
}

#[test]
fn the_bsn_vectors_hold() {
    check("bsn.json", |input, _| Bsn::parse(input).ok().map(|bsn| bsn.as_str().to_owned()));
}

#[test]
fn the_debtor_number_vectors_hold() {
    check("debtor_number.json", |input, _| {
        DebtorNumber::parse(input, LeadingZeros::Keep).ok().map(|number| number.as_str().to_owned())
    });
}

#[test]
fn the_email_vectors_hold() {
    check("email.json", |input, _| Email::parse(input).ok().map(|email| email.as_str().to_owned()));
}

#[test]
fn the_mobile_vectors_hold() {
    check("mobile.json", |input, row| {
        Mobile::parse(input, region(row)).ok().map(|mobile| mobile.as_str().to_owned())
    });
}

#[test]
fn the_personnummer_specification_holds_but_for_spaces() {
    let file = vectors("personnummer-meta/structured.json");
    for (kind, tag) in [("ssn", "se.pnr:"), ("con", "se.snr:")] {
        let strings = |list: &str| -> Vec<String> {
            file[kind]["string"][list]
                .as_array()
                .unwrap()
                .iter()
                .map(|s| s.as_str().unwrap().to_owned())
                .collect()
        };
        for valid in strings("valid") {
            assert!(swedish(&valid).is_some_and(|canonical| canonical.starts_with(tag)), "{valid}");
        }
        for invalid in strings("invalid") {
            // The first difference of the README: spaces are dropped. The second: there are no integers here.
            let without_spaces = invalid.replace(' ', "");
            assert_eq!(swedish(&invalid), swedish(&without_spaces), "{invalid}");
            assert_eq!(swedish(&invalid).is_some(), invalid.contains(' '), "{invalid}");
        }
    }
}

#[test]
fn the_ways_of_writing_one_number_of_the_specification_are_one_number() {
    let file = vectors("personnummer-meta/structured.json");
    for (kind, expected) in [("ssn", 6), ("con", 2)] {
        let mut canonical: Vec<String> = file[kind]["string"]["valid"]
            .as_array()
            .unwrap()
            .iter()
            .map(|valid| swedish(valid.as_str().unwrap()).unwrap())
            .collect();
        canonical.sort();
        canonical.dedup();
        // `0901219931` and `0905271474` are written without a separator too, and then mean people under 100.
        let mut long: Vec<String> = file[kind]["integer"]["valid"]
            .as_array()
            .unwrap()
            .iter()
            .map(|valid| swedish(&valid.to_string()).unwrap())
            .collect();
        long.sort();
        assert_eq!(long.len(), expected);
        assert!(long.iter().all(|number| canonical.contains(number)));
        let others: Vec<_> = canonical.iter().filter(|number| !long.contains(number)).collect();
        assert!(others.iter().all(|number| number.starts_with("se.pnr:2009")), "{others:?}");
    }
}

#[test]
fn organization_numbers_are_no_personnummer() {
    let Value::Array(rows) = vectors("personnummer-meta/orgnumber.json") else { panic!("a list") };
    assert!(!rows.is_empty());
    for row in rows {
        for form in ["short_format", "separated_format"] {
            assert_eq!(swedish(row[form].as_str().unwrap()), None, "{row}");
        }
    }
}

/// The number with the check digit that fits, `separator` before the last four.
fn written(date_digits: &str, separator: &str, serial: u16) -> String {
    (0..=9)
        .map(|check| format!("{date_digits}{separator}{serial:03}{check}"))
        .find(|number| SwedishNumber::parse(number, date(2099, 12, 31)).is_ok())
        .unwrap()
}

proptest! {
    /// Who may have been born on a day of the last 199 years is the same person in every form, on every day.
    #[test]
    fn ten_and_twelve_digits_give_one_form(days_of_age in 0_i32..199 * 365, serial in 1_u16..=999, later in 0_i32..30_000) {
        let on = ON.checked_add(jiff::Span::new().days(later)).unwrap();
        let born = on.checked_sub(jiff::Span::new().days(days_of_age)).unwrap();
        prop_assume!((1800..=2099).contains(&born.year()) && on.year() - born.year() < 199 && on.year() <= 2099);
        let long_date = born.strftime("%Y%m%d").to_string();
        let long = written(&long_date, "", serial);
        let canonical = format!("se.pnr:{long}");
        let sign = if on.year() - born.year() >= 100 { "+" } else { "-" };
        let short = format!("{}{sign}{}", &long[2..8], &long[8..]);
        for form in [long.clone(), format!("{}-{}", &long[..8], &long[8..]), short] {
            let number = SwedishNumber::parse(&form, on);
            prop_assert_eq!(number.as_ref().map(SwedishNumber::as_str), Ok(canonical.as_str()));
        }
        if sign == "-" {
            let number = SwedishNumber::parse(&long[2..], on);
            prop_assert_eq!(number.as_ref().map(SwedishNumber::as_str), Ok(canonical.as_str()));
        }
        let temporary = SwedishNumber::parse(&format!("{}{sign}TF12", &long[2..8]), on);
        let expected = format!("se.tf:{long_date}TF12");
        prop_assert_eq!(temporary.as_ref().map(SwedishNumber::as_str), Ok(expected.as_str()));
    }
}

fn answers(kind: Kind, region: Region, input: &[u8]) -> Vec<Value> {
    let mut output = Vec::new();
    // A small buffer, so that lines cross its end.
    canonicalize::run(kind, ON, region, BufReader::with_capacity(7, input), &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    assert!(output.is_empty() || output.ends_with('\n'));
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_command_answers_the_vectors_line_by_line() {
    for (kind, file) in [
        (Kind::Swedish, "swedish.json"),
        (Kind::Bsn, "bsn.json"),
        (Kind::DebtorNumber, "debtor_number.json"),
        (Kind::Email, "email.json"),
    ] {
        let rows = rows(file);
        let input = rows.iter().map(|row| row["in"].to_string()).collect::<Vec<_>>().join("\n");
        let answers = answers(kind, Region::Se, input.as_bytes());
        assert_eq!(answers.len(), rows.len());
        for (row, answer) in rows.iter().zip(answers) {
            assert_eq!(answer.get("out"), row.get("out"), "{row}");
            assert_eq!(answer["reject"].is_string(), row.get("reject").is_some(), "{row}");
            assert_eq!(answer.as_object().unwrap().len(), 1);
        }
    }
}

#[test]
fn the_command_reads_mobile_numbers_in_the_region_asked_for() {
    let input = br#""06-12345678""#;
    assert_eq!(answers(Kind::Mobile, Region::Nl, input), [json!({"out": "+31612345678"})]);
    assert!(answers(Kind::Mobile, Region::Se, input)[0]["reject"].is_string());
}

#[test]
fn a_line_that_is_no_json_string_is_rejected_in_words_and_the_next_one_read() {
    let mut input =
        b"\xEF\xBB\xBF\"10464554\"\r\n\n12345672\nnull\n[\"10464554\"]\n10464554\"\n\"10464554\n".to_vec();
    input.extend_from_slice(b"\"\xFF\xFE\"\n\"\\ud800\"\n \t\r\n\"1\" \"2\"\n\xEF\xBB\xBF\"10464554\"\n");
    input.extend_from_slice(format!("\"{}\"\n", "1".repeat(100_000)).as_bytes());
    input.extend_from_slice(format!("{}\n", "1".repeat(16 * 1024)).as_bytes());
    input.extend_from_slice(b"  \"\\u0031\\u0030464554\"  ");
    let answers = answers(Kind::Bsn, Region::Se, &input);
    let out = json!({"out": "nl.bsn:010464554"});
    assert_eq!(answers.len(), 15);
    assert_eq!((&answers[0], &answers[14]), (&out, &out));
    for (position, answer) in answers.iter().enumerate().take(14).skip(1) {
        let reason = answer["reject"].as_str().unwrap();
        assert!(reason.contains("JSON string"), "line {}: {reason}", position + 1);
    }
}

#[test]
fn a_rejection_never_repeats_the_value() {
    for kind in Kind::ALL {
        for answer in answers(kind, Region::Se, b"\"qqzz@qqzz\"\n\"qqzz;\"\n\"qqzzqqzz1234\"\nqqzz\n") {
            assert!(!answer.to_string().to_lowercase().contains("qqzz") || answer.get("out").is_some());
        }
    }
}

#[test]
fn no_input_has_no_answers() {
    assert_eq!(answers(Kind::Email, Region::Se, b""), Vec::<Value>::new());
    assert_eq!(answers(Kind::Email, Region::Se, b"\n").len(), 1);
}

/// Lets `left` bytes through and then is closed.
struct ClosedPipe {
    left: usize,
    fault: io::ErrorKind,
}

impl Write for ClosedPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(self.fault.into());
        }
        let taken = bytes.len().min(self.left);
        self.left -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly_and_other_faults_do_not() {
    let input = "\"123456782\"\n".repeat(5_000);
    let run = |fault| {
        canonicalize::run(Kind::Bsn, ON, Region::Se, input.as_bytes(), ClosedPipe { left: 30, fault })
    };
    assert!(run(io::ErrorKind::BrokenPipe).is_ok());
    assert_eq!(run(io::ErrorKind::StorageFull).unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn each_answer_is_there_before_the_next_value_is_waited_for() {
    let (mut ask, asked) = io::pipe().map(|(reader, writer)| (writer, reader)).unwrap();
    let (answered, answer) = io::pipe().unwrap();
    let command = std::thread::spawn(move || {
        canonicalize::run(Kind::Bsn, ON, Region::Se, BufReader::new(asked), answer)
    });
    let mut answers = BufReader::new(answered).bytes();
    for _ in 0..3 {
        ask.write_all(b"\"123456782\"\n").unwrap();
        let line: Vec<u8> = answers.by_ref().map(Result::unwrap).take_while(|byte| *byte != b'\n').collect();
        assert_eq!(line, br#"{"out":"nl.bsn:123456782"}"#);
    }
    drop(ask);
    command.join().unwrap().unwrap();
}

#[test]
fn the_arguments_are_read_with_their_defaults() {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: canonicalize::CanonicalizeArgs,
    }
    let parse = |args: &[&str]| <Command as clap::Parser>::try_parse_from([&["it"], args].concat());
    let args = parse(&["debtor_number"]).map(|command| command.args).unwrap();
    assert_eq!((args.kind, args.on, args.region), (Kind::DebtorNumber, None, Region::Se));
    let args =
        parse(&["mobile", "--region", "nl", "--on", "2026-11-21"]).map(|command| command.args).unwrap();
    assert_eq!((args.kind, args.on, args.region), (Kind::Mobile, Some(ON), Region::Nl));
    for wrong in [&[][..], &["Mobile"], &["mobile", "--region", "DK"], &["swedish", "--on", "2026-02-30"]] {
        assert!(parse(wrong).is_err());
    }
}
