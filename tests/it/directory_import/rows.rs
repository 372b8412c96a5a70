//! What a row may hold and what is said of a bad one; without a store.

use guardian_auth::domain::directory::{Record, Relation};
use guardian_auth::domain::directory_row;
use guardian_auth::domain::identifier::Region;
use guardian_auth::domain::passphrase::Locale;
use guardian_auth::ports::directory_file::DirectoryRows;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{DirectoryFile, checked, organization};

const SALT_AND_OUTPUT: &str = "c29tZXNhbHQxMjM0NTY3OA$RdescudvJCsgt3ub+b6dWRWJTmaaJObGRdescudvJCs";

/// A guardian of whom nothing is to be said, with some fields replaced.
fn guardian(change: &Value) -> Value {
    let mut row = json!({
        "type": "guardian",
        "key": "g-1",
        "given_name": "Anna",
        "family_name": "Berg",
        "user_names": [{"portal": "parent", "name": "anna.berg"}],
        "national_id": "19990807-2391",
        "child_links": [{"child": "c-1", "confirmed": true}],
    });
    for (name, value) in change.as_object().expect("an object") {
        row[name] = value.clone();
    }
    row
}

fn notes(row: &Value) -> Vec<String> {
    notes_of(Region::Se, row.to_string().as_bytes())
}

fn notes_of(region: Region, file: &[u8]) -> Vec<String> {
    checked(region, file).1.notes()
}

fn record(region: Region, row: &Value) -> Record {
    let text = row.to_string();
    let line = DirectoryFile::new(text.as_bytes()).next_line().expect("it reads").expect("a line");
    let on = jiff::civil::date(2026, 11, 21);
    let Ok(row) = line.row else { panic!("a row") };
    directory_row::read(row, &organization("o", region), on).record.expect("no fault")
}

fn guardian_record(region: Region, row: &Value) -> guardian_auth::domain::directory::GuardianRecord {
    match record(region, row) {
        Record::Guardian(record) => *record,
        Record::School(_) | Record::Child(_) => panic!("a guardian"),
    }
}

#[test]
fn nothing_is_said_of_a_sound_row() {
    assert_eq!(notes(&guardian(&json!({}))), [""; 0]);
    assert_eq!(notes(&json!({"type": "school", "key": "s-1", "name": "Granskolan"})), [""; 0]);
    let child =
        json!({"type": "child", "key": "c-1", "given_name": "Bo", "family_name": "Berg", "school": "s-1"});
    assert_eq!(notes(&child), [""; 0]);
}

#[test]
fn a_bad_row_is_named_by_line_and_field_and_the_rest_is_taken() {
    let good = guardian(&json!({})).to_string();
    let bad = json!({"type": "guardian", "key": "g 2", "given_name": "Bo", "locale": 5}).to_string();
    let file = format!("{good}\n\n{bad}\n{good}\n{{\"type\":\n{good}\n");
    let (summary, report) = checked(Region::Se, file.as_bytes());
    assert_eq!((summary.readable, summary.rejected), (3, 2));
    assert_eq!(
        report.notes(),
        ["3! key: bad_key", "3! family_name: missing", "3! locale: not_text", "5! row: not_json",]
    );
}

#[test]
fn every_fault_of_a_row_is_named_at_once() {
    for (row, expected) in [
        (json!([]), vec!["1! row: not_an_object"]),
        (json!({}), vec!["1! type: missing"]),
        (json!({"type": 1}), vec!["1! type: not_text"]),
        (json!({"type": "parent"}), vec!["1! type: unknown_type"]),
        (json!({"type": "school"}), vec!["1! key: missing", "1! name: missing"]),
        (json!({"type": "school", "key": "s", "name": "a\nb"}), vec!["1! name: bad_name"]),
        (json!({"type": "school", "key": "s", "name": "x".repeat(101)}), vec!["1! name: bad_name"]),
        (json!({"type": "school", "key": "s", "name": " \u{a0}"}), vec!["1! name: missing"]),
        (json!({"type": "school", "key": "s", "name": "A", "city": "B"}), vec!["1! city: unknown_field"]),
        (guardian(&json!({"national_id": 199_908_072_391_i64})), vec!["1! national_id: not_text"]),
        (guardian(&json!({"email": ["a@example.se"]})), vec!["1! email: not_text"]),
        (guardian(&json!({"child_links": {"child": "c-1"}})), vec!["1! child_links: not_a_list"]),
        (guardian(&json!({"child_links": ["c-1"]})), vec!["1! child_links[0]: not_an_object"]),
        (
            guardian(&json!({"child_links": [{"child": "c-1"}, {"confirmed": "yes", "since": 1}]})),
            vec![
                "1! child_links[1].child: missing",
                "1! child_links[1].confirmed: not_a_flag",
                "1! child_links[1].since: unknown_field",
            ],
        ),
        (
            guardian(&json!({"child_links": [{"child": "c-1", "confirmed": true}, {"child": "c-1"}]})),
            vec!["1! child_links: child_given_twice"],
        ),
        (
            guardian(
                &json!({"user_names": [{"portal": "staff", "name": "a"}, {"portal": "x", "name": "b"}]}),
            ),
            vec!["1! user_names[0].portal: staff_portal", "1! user_names[1].portal: unknown_portal"],
        ),
        (
            guardian(&json!({"debtor_numbers": vec![json!({"portal": "parent"}); 5]})),
            vec!["1! debtor_numbers: not_a_list"],
        ),
        (guardian(&json!({"password": {"portal": "parent"}})), vec!["1! password.hash: missing"]),
    ] {
        let mut found = notes(&row);
        found.retain(|note| note.contains('!'));
        assert_eq!(found, expected, "{row}");
    }
}

#[test]
fn a_portal_that_the_organization_has_not_opened_is_a_fault() {
    let mut organization = organization("o", Region::Nl);
    organization.portals.retain(|portal| portal.as_str() == "parent");
    let row =
        guardian(&json!({"contract": {}, "debtor_numbers": [{"portal": "childminder", "number": "1"}]}));
    let text = row.to_string();
    let Ok(row) = DirectoryFile::new(text.as_bytes()).next_line().unwrap().unwrap().row else {
        panic!("a row")
    };
    let reading = directory_row::read(row, &organization, jiff::civil::date(2026, 11, 21));
    let faults: Vec<_> = reading.faults.iter().map(|note| (note.field.as_str(), note.code)).collect();
    assert_eq!(faults, [("debtor_numbers[0].portal", "portal_not_open"), ("contract", "portal_not_open")]);
    assert!(reading.record.is_none());
}

#[test]
fn a_field_given_twice_is_a_fault() {
    let row = br#"{"type":"school","key":"s-1","name":"A","name":"B"}"#;
    assert_eq!(notes_of(Region::Se, row), ["1! name: given_twice"]);
}

#[test]
fn a_wrong_value_of_a_person_is_a_finding_and_the_person_is_taken() {
    for (change, expected) in [
        (json!({"national_id": "19990807-2390"}), "1? national_id: check_digit"),
        (json!({"national_id": "20000101R220"}), "1? national_id: interim_number"),
        (json!({"email": "anna@example.se; bo@example.se"}), "1? email: space_or_control"),
        (json!({"email": format!("{}@example.se", "x".repeat(320))}), "1? email: not_kept"),
        (json!({"email": "a\u{0}@example.se"}), "1? email: not_kept"),
        (json!({"mobile": "070-1740605;"}), "1? mobile: character_not_allowed"),
        (
            json!({"user_names": [{"portal": "parent", "name": "a@example.se"}]}),
            "1? user_names[0].name: email_as_login_name",
        ),
        (
            json!({"debtor_numbers": [{"portal": "parent", "number": "10234;"}]}),
            "1? debtor_numbers[0].number: character_not_allowed",
        ),
        (json!({"user_names": [], "national_id": null}), "1? row: no_way_to_log_in"),
        (json!({"user_names": [], "national_id": " "}), "1? row: no_way_to_log_in"),
    ] {
        assert_eq!(notes(&guardian(&change)), [expected], "{change}");
    }
}

#[test]
fn messy_values_become_canonical() {
    for (region, written, canonical) in [
        (Region::Se, "990807-2391", "se.pnr:199908072391"),
        (Region::Se, "'19990807\u{a0}\u{2013}2391", "se.pnr:199908072391"),
        (Region::Se, "19990807 2391", "se.pnr:199908072391"),
        (Region::Se, "730288-9931", "se.snr:197302889931"),
        (Region::Se, "870101-tf26", "se.tf:19870101TF26"),
        (Region::Se, "19900315T123", "se.tf:19900315T123"),
        (Region::Nl, "10464554", "nl.bsn:010464554"),
        (Region::Nl, "9999.90.019", "nl.bsn:999990019"),
        (Region::Nl, "123 456 782", "nl.bsn:123456782"),
    ] {
        let record = guardian_record(region, &guardian(&json!({"national_id": written})));
        assert_eq!(record.national_id.unwrap().canonical(), canonical, "{written}");
    }
    for written in ["anna@example.se;", " mailto:Anna@Example.SE", "<anna@example.se> ", "anna@example.se ; "]
    {
        let email = guardian_record(Region::Se, &guardian(&json!({"email": written}))).email.unwrap();
        assert_eq!(email.canonical.unwrap().as_str(), "anna@example.se");
        assert_eq!(email.delivered, written);
    }
    let row = guardian(&json!({"mobile": "070\u{2013}174 06 35", "given_name": " A\u{30a}sa "}));
    let record = guardian_record(Region::Se, &row);
    assert_eq!(record.mobile.unwrap().canonical.unwrap().as_str(), "+46701740635");
    assert_eq!(record.given_name, "Åsa");
}

#[test]
fn what_is_empty_or_null_is_not_there() {
    let row =
        guardian(&json!({"email": "", "mobile": null, "locale": "", "contract": null, "password": null}));
    assert_eq!(notes(&row), [""; 0]);
    let record = guardian_record(Region::Se, &row);
    assert!(record.email.is_none() && record.mobile.is_none() && record.password.is_none());
    assert_eq!(record.locale, Locale::Sv);
    assert_eq!(guardian_record(Region::Nl, &row).locale, Locale::Nl);
    assert_eq!(guardian_record(Region::Nl, &guardian(&json!({"locale": "sv-SE"}))).locale, Locale::Sv);
}

#[test]
fn one_name_given_as_debtor_number_and_user_name_is_one_login() {
    let row = guardian(&json!({
        "debtor_numbers": [{"portal": "parent", "number": "ab-1"}, {"portal": "childminder", "number": "ab-1"}],
        "user_names": [{"portal": "parent", "name": "AB-1"}],
    }));
    let logins = guardian_record(Region::Se, &row).logins;
    let logins: Vec<_> = logins.iter().map(|login| (login.portal.as_str(), login.name.as_str())).collect();
    assert_eq!(logins, [("parent", "AB-1"), ("childminder", "AB-1")]);
}

#[test]
fn a_password_is_kept_only_where_the_source_confirmed_a_relation_for_its_portal() {
    let hash = format!("$argon2id$v=19$m=64,t=1,p=1${SALT_AND_OUTPUT}");
    let confirmed = [false, true];
    for (linked, contracted, portal) in confirmed.into_iter().flat_map(|linked| {
        confirmed.into_iter().flat_map(move |contracted| {
            ["parent", "childminder"].map(move |portal| (linked, contracted, portal))
        })
    }) {
        let row = guardian(&json!({
            "child_links": [{"child": "c-1"}, {"child": "c-2", "confirmed": linked}],
            "contract": {"confirmed": contracted},
            "password": {"portal": portal, "hash": hash},
        }));
        let record = guardian_record(Region::Se, &row);
        let expected = if portal == "parent" { linked } else { contracted };
        assert_eq!(record.password.is_some(), expected, "{row}");
        let expected = if expected { vec![] } else { vec!["1? password: relation_not_confirmed".to_owned()] };
        assert_eq!(notes(&row), expected);
        let contract = record.relations.iter().find(|relation| matches!(relation, Relation::Contract { .. }));
        assert_eq!(contract.map(Relation::confirmed), Some(contracted));
    }
}

#[test]
fn hashes_that_cost_too_much_are_refused() {
    for parameters in ["m=4194304,t=1,p=1", "m=65536,t=10,p=1", "m=8,t=4294967295,p=1", "m=19456,t=2,p=255"] {
        let hash = format!("$argon2id$v=19${parameters}${SALT_AND_OUTPUT}");
        let row = guardian(&json!({"password": {"portal": "parent", "hash": hash}}));
        assert_eq!(notes(&row), ["1? password.hash: hash_refused"], "{parameters}");
    }
}

#[test]
fn a_fourth_foreign_cost_is_refused() {
    let row = |memory_kib: u32| {
        let hash = format!("$argon2id$v=19$m={memory_kib},t=2,p=1${SALT_AND_OUTPUT}");
        guardian(&json!({"password": {"portal": "parent", "hash": hash}})).to_string()
    };
    let file = [19_456, 8, 16, 8, 24, 32, 16, 19_456].map(row).join("\n");
    assert_eq!(notes_of(Region::Se, file.as_bytes()), ["6? password.hash: too_many_parameter_sets"]);
}

#[test]
fn a_field_name_that_may_be_a_value_is_not_shown() {
    for name in ["199908072391", "anna@example.se", "", "å", &"x".repeat(41)] {
        let row = guardian(&json!({name: "x"}));
        assert_eq!(notes(&row), ["1! (a field with an unusual name): unknown_field"], "{name}");
    }
}

#[test]
fn a_hostile_row_cannot_make_a_report_of_its_own_size() {
    let fields = ",\"x\":1,\"xx\":1".repeat(2500);
    let row = format!("{{\"type\":\"school\"{fields}}}");
    let (_, report) = checked(Region::Se, row.as_bytes());
    assert_eq!(report.0[0].faults.len(), 20);
}

/// The page's example has every field, so a field that is renamed here and not there fails.
#[test]
fn the_example_of_the_page_is_sound_and_its_table_has_every_field() {
    let page = include_str!("../../../docs/directory-file.md");
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let (summary, report) = checked(Region::Se, example.as_bytes());
    assert_eq!((summary.readable, report.notes()), (3, vec![]));
    let guardian: Value = serde_json::from_str(example.lines().last().unwrap()).unwrap();
    let record = guardian_record(Region::Se, &guardian);
    assert_eq!((record.logins.len(), record.relations.len()), (2, 2));
    assert!(record.national_id.is_some() && record.password.is_some());
    assert!(record.email.is_some() && record.mobile.is_some());
    for row in example.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        for field in row.as_object().unwrap().keys() {
            assert!(
                page.contains(&format!("| `{field}`")) || page.contains(&format!(", `{field}` |")),
                "{field}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No note quotes the row: the values here are markers that no text of ours contains.
    #[test]
    fn no_note_holds_a_value(
        marker in "[QXZ]{6}[0-9]{4}",
        field in prop::sample::select(vec![
            "type", "key", "given_name", "family_name", "locale", "national_id", "email", "mobile", "contract",
            "password", "debtor_numbers", "user_names", "child_links", "other",
        ]),
        shape in 0_usize..6,
    ) {
        let value = match shape {
            0 => json!(marker),
            1 => json!([marker]),
            2 => json!({ &marker: marker }),
            3 => json!([{"portal": marker, "name": marker, "number": marker, "child": format!("{marker} "), &marker: marker}]),
            4 => json!({"portal": "parent", "hash": marker, "confirmed": marker, "must_change": marker}),
            _ => json!([{"portal": "parent", "name": format!("{marker}@"), "number": format!("{marker}_")}]),
        };
        let row = guardian(&json!({ field: value })).to_string();
        for text in [row.clone(), row.replace('}', ""), format!("{marker}{row}")] {
            let (_, report) = checked(Region::Se, text.as_bytes());
            let shown = format!("{:?}", report.0);
            prop_assert!(!shown.contains(&marker), "{}", shown);
        }
    }

    #[test]
    fn no_file_makes_it_panic(file in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = checked(Region::Nl, &file);
    }
}
