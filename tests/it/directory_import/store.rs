//! What is in the store after imports: on SQLite and on PostgreSQL alike.

use std::collections::HashSet;
use std::fmt::Write as _;

use guardian_auth::cli::import::{ImportArgs, run};
use guardian_auth::cli::sample_logins::{KOMMUN, OPVANG, SAMPLE_LOGINS};
use guardian_auth::domain::directory_row::{self, Unreadable};
use guardian_auth::domain::identifier::{LeadingZeros, LoginName, NationalId, Region, SwedishNumber};
use guardian_auth::domain::organization::Organization;
use guardian_auth::flows::directory_import::Summary;
use guardian_auth::flows::national_id;
use guardian_auth::ports::directory_file::{DeliveredLine, DirectoryRows};
use guardian_auth::ports::error::PortError;
use guardian_auth::ports::key_vault::{Purpose, Sealed};
use guardian_auth::ports::store::LoginPasswordStore;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::home::Home;
use super::samples::{KOMMUN_FILE, OPVANG_FILE};
use super::{DirectoryFile, Noted, organization};

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$RdescudvJCsgt3ub+b6dWRWJTmaaJObGRdescudvJCs";

fn kommun() -> Organization {
    organization(KOMMUN, Region::Se)
}

fn opvang() -> Organization {
    organization(OPVANG, Region::Nl)
}

fn file(rows: &[Value]) -> String {
    rows.iter().fold(String::new(), |mut file, row| {
        writeln!(file, "{row}").expect("a text takes any row");
        file
    })
}

fn school() -> Value {
    json!({"type": "school", "key": "s-1", "name": "Granskolan"})
}

fn child(key: &str) -> Value {
    json!({"type": "child", "key": key, "given_name": "Alva", "family_name": "Berg", "school": "s-1"})
}

fn guardian(key: &str, debtor_number: &str, child: &str) -> Value {
    json!({
        "type": "guardian", "key": key, "given_name": "Anna", "family_name": "Berg",
        "debtor_numbers": [{"portal": "parent", "number": debtor_number}],
        "child_links": [{"child": child, "confirmed": true}],
    })
}

#[tokio::test]
async fn a_file_imported_twice_changes_nothing_the_second_time() {
    for home in Home::both().await {
        for (organization, file, created) in [(kommun(), KOMMUN_FILE, 335), (opvang(), OPVANG_FILE, 67)] {
            let (first, first_report) = home.import(&organization, file).await;
            assert_eq!((first.created, first.updated, first.unchanged), (created, 0, 0));
            let state = home.state(&organization).await;
            let (second, second_report) = home.import(&organization, file).await;
            let expected = Summary { created: 0, unchanged: created, ..first };
            assert_eq!(second, expected);
            assert_eq!(second_report.notes(), first_report.notes());
            assert_eq!(home.state(&organization).await, state);
        }
    }
}

#[tokio::test]
async fn the_store_reports_what_depends_on_other_rows_of_the_samples() {
    for home in Home::both().await {
        let (summary, report) = home.import(&kommun(), KOMMUN_FILE).await;
        assert_eq!((summary.rejected, summary.findings), (7, 18));
        let others = ["logins", "national_id: national_id_taken", "relations", "school"];
        let of_store = |notes: Vec<String>| -> Vec<String> {
            notes
                .into_iter()
                .filter(|note| others.iter().any(|other| note.contains(&format!(" {other}"))))
                .collect()
        };
        assert_eq!(
            of_store(report.notes()),
            [
                "144? logins: login_name_taken",
                "175? logins: login_name_taken",
                "177? logins: login_name_taken",
                "179? national_id: national_id_taken",
                "207! relations: unknown_child",
                "333! school: unknown_school",
            ]
        );
        let (summary, report) = home.import(&opvang(), OPVANG_FILE).await;
        assert_eq!((summary.rejected, summary.findings), (2, 6));
        assert_eq!(
            of_store(report.notes()),
            [
                "33? logins: login_name_taken",
                "45? logins: login_name_taken",
                "46? national_id: national_id_taken"
            ]
        );
    }
}

#[tokio::test]
async fn a_second_carer_with_the_same_debtor_number_gets_a_user_name_and_keeps_it() {
    for home in Home::both().await {
        let organization = kommun();
        let rows = [school(), child("c-1"), guardian("g-1", "10234", "c-1"), guardian("g-2", "10234", "c-1")];
        let spare = "SELECT login_name FROM guardian_login JOIN guardian ON guardian.id = guardian_id \
                     WHERE source_key = 'g-2'";
        let (_, report) = home.import(&organization, &file(&rows)).await;
        assert_eq!(report.notes(), ["4? logins: login_name_taken"]);
        let names = home.texts(spare).await;
        let [name] = &names[..] else { panic!("{names:?}") };
        assert_eq!(name.len(), 10);
        let (summary, _) = home.import(&organization, &file(&rows)).await;
        assert_eq!(summary.unchanged, 4);
        assert_eq!(home.texts(spare).await, names);
        // The first carer keeps the number, also when the file comes in another order.
        let rows = [school(), child("c-1"), guardian("g-2", "10234", "c-1"), guardian("g-1", "10234", "c-1")];
        let (summary, report) = home.import(&organization, &file(&rows)).await;
        assert_eq!((summary.unchanged, report.notes()), (4, vec!["3? logins: login_name_taken".to_owned()]));
    }
}

#[tokio::test]
async fn every_sample_login_finds_its_guardian_and_hash() {
    for home in Home::both().await {
        home.import(&kommun(), KOMMUN_FILE).await;
        home.import(&opvang(), OPVANG_FILE).await;
        for login in SAMPLE_LOGINS {
            let organization = if login.organization == KOMMUN { kommun() } else { opvang() };
            let name = LoginName::parse(login.login_name, LeadingZeros::Keep).unwrap();
            let candidates =
                home.store.login_candidates(&organization.id, login.portal, &name).await.unwrap();
            let password = candidates.here.and_then(|account| account.password);
            assert_eq!(password.map(|password| password.must_change), Some(login.must_change), "{login:?}");
        }
        // Nobody else has a password: not the one whose link nobody confirmed, nor those with refused hashes.
        assert_eq!(home.texts("SELECT guardian_id FROM credential").await.len(), SAMPLE_LOGINS.len());
    }
}

#[tokio::test]
async fn rows_may_stand_in_any_batch_after_what_they_name() {
    for home in Home::both().await {
        let mut rows = vec![school()];
        // Over three batches: families, the children of most in the same batch, of some in the one before.
        for family in 0..600 {
            rows.push(child(&format!("c-{family}")));
            rows.push(guardian(&format!("g-{family}"), &format!("{family}"), &format!("c-{family}")));
        }
        rows.extend(
            (0..600).map(|family| {
                guardian(&format!("h-{family}"), &format!("h{family}"), &format!("c-{family}"))
            }),
        );
        let (summary, report) = home.import(&kommun(), &file(&rows)).await;
        assert_eq!((summary.created, report.notes()), (1801, vec![]));
        assert_eq!(home.texts("SELECT guardian_id FROM child_link").await.len(), 1200);
    }
}

#[tokio::test]
async fn a_key_given_twice_is_an_update_wherever_the_batch_ends() {
    for home in Home::both().await {
        let mut renamed = guardian("g-1", "2", "c-1");
        renamed["given_name"] = json!("Karin");
        let rows = [school(), child("c-1"), guardian("g-1", "1", "c-1"), renamed];
        let (summary, _) = home.import(&kommun(), &file(&rows)).await;
        assert_eq!((summary.created, summary.updated), (3, 1));
        assert_eq!(home.texts("SELECT given_name FROM guardian").await, ["Karin"]);
        assert_eq!(home.texts("SELECT login_name FROM guardian_login").await, ["2"]);
        // A child may have the key of a school.
        let mut twin = child("s-1");
        twin["family_name"] = json!("Ek");
        assert_eq!(home.import(&kommun(), &file(&[school(), twin])).await.0.created, 1);
    }
}

/// A file that cannot be read on after some lines.
struct TornFile<'f> {
    file: DirectoryFile<&'f [u8]>,
    lines_left: usize,
}

impl DirectoryRows for TornFile<'_> {
    fn next_line(&mut self) -> Result<Option<DeliveredLine>, PortError> {
        if self.lines_left == 0 {
            return Err(PortError::Unavailable { dependency: "directory file", detail: "torn".to_owned() });
        }
        self.lines_left -= 1;
        self.file.next_line()
    }
}

/// 1130 rows, in which everything depends on something.
fn three_batches() -> String {
    let mut rows = vec![school()];
    rows.extend((0..377).map(|family| child(&format!("c-{family}"))));
    for carer in 0..752 {
        let mut row = guardian(&format!("g-{carer}"), &format!("{}", carer / 3), &format!("c-{}", carer / 2));
        row["password"] = json!({"portal": "parent", "hash": HASH});
        row["email"] = json!(format!("carer{carer}@example.se;"));
        rows.push(row);
    }
    file(&rows)
}

#[tokio::test]
async fn an_import_that_stopped_anywhere_and_is_run_again_ends_in_the_same_state() {
    let file = three_batches();
    for home in Home::both().await {
        let whole = organization("whole", Region::Se);
        home.import(&whole, &file).await;
        let expected = home.state(&whole).await;
        assert!(expected.len() > 3000, "{}", expected.len());
        for (stop, lines) in [0, 1, 499, 500, 501, 777, 1000, 1129].into_iter().enumerate() {
            let torn = organization(&format!("torn-{stop}"), Region::Se);
            let mut rows = TornFile { file: DirectoryFile::new(file.as_bytes()), lines_left: lines };
            let stopped = home.import.run(&torn, &mut rows, &mut Noted::default()).await.unwrap_err();
            // Whole batches of 500 are in, and nothing of the one that was being gathered.
            let written = if lines == 0 { 0 } else { (lines - 1) / 500 * 500 };
            assert_eq!(stopped.line, written as u64 + 1);
            let (summary, _) = home.import(&torn, &file).await;
            assert_eq!(summary.unchanged, written as u64);
            assert_eq!(summary.updated, 0);
            assert_eq!(home.state(&torn).await, expected, "stopped after {lines} lines");
        }
    }
}

#[tokio::test]
async fn an_import_that_is_dropped_anywhere_and_is_run_again_ends_in_the_same_state() {
    let file = three_batches();
    let home = Home::on_sqlite().await;
    let whole = organization("whole", Region::Se);
    home.import(&whole, &file).await;
    let expected = home.state(&whole).await;
    for polls in [1, 2, 5, 10, 20, 50] {
        let torn = organization(&format!("dropped-{polls}"), Region::Se);
        let (mut rows, mut report) = (DirectoryFile::new(file.as_bytes()), Noted::default());
        {
            let mut import = std::pin::pin!(home.import.run(&torn, &mut rows, &mut report));
            let mut left = polls;
            std::future::poll_fn(|context| {
                left -= 1;
                let ready = import.as_mut().poll(context).is_ready();
                if left == 0 || ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
        home.import(&torn, &file).await;
        assert_eq!(home.state(&torn).await, expected, "dropped after {polls} polls");
    }
}

#[tokio::test]
async fn two_imports_of_one_file_at_once_take_every_row_once() {
    let file = three_batches();
    for home in Home::both().await {
        let organization = kommun();
        let (one, other) = tokio::join!(home.import(&organization, &file), home.import(&organization, &file));
        assert_eq!(one.0.created + other.0.created, 1130);
        assert_eq!(one.0.unchanged + other.0.unchanged, 1130);
        assert_eq!(home.import(&organization, &file).await.0.unchanged, 1130);
    }
}

#[tokio::test]
async fn no_national_id_stands_in_the_database_in_clear() {
    let home = Home::on_sqlite().await;
    home.import(&kommun(), KOMMUN_FILE).await;
    home.import(&opvang(), OPVANG_FILE).await;
    home.store.close().await;
    let mut searched = Vec::new();
    for entry in std::fs::read_dir(home.directory().unwrap()).unwrap() {
        searched.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |text: &str| memchr_like(&searched, text.as_bytes());
    // The search finds what is there.
    assert!(holds("alma.sjoberg0@example.se") && holds("g-001"));
    let mut numbers = HashSet::new();
    for (organization, file) in [(kommun(), KOMMUN_FILE), (opvang(), OPVANG_FILE)] {
        for line in file.lines() {
            let Ok(row) = serde_json::from_str::<Value>(line) else { continue };
            if let Some(number) = row["national_id"].as_str() {
                numbers.insert(number.to_owned());
            }
            let Ok(row) = DirectoryFile::new(line.as_bytes()).next_line().unwrap().unwrap().row else {
                continue;
            };
            let reading = directory_row::read(row, &organization, jiff::civil::date(2026, 11, 21));
            if let Some(guardian_auth::domain::directory::Record::Guardian(guardian)) = reading.record
                && let Some(number) = guardian.national_id
            {
                let digits = number.canonical().split_once(':').unwrap().1.to_owned();
                // Without the century, as it may have been written.
                numbers.insert(digits.chars().skip(usize::from(digits.len() == 12) * 2).collect());
                numbers.insert(digits);
            }
        }
    }
    assert!(numbers.len() > 500, "{}", numbers.len());
    for number in numbers {
        assert!(!holds(&number), "{number}");
    }
}

fn memchr_like(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| byte == first) {
        from += at + 1;
        if haystack[from..].starts_with(rest) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_sealed_number_opens_in_its_own_row_only() {
    let home = Home::on_sqlite().await;
    let vault = home.import.vault.as_ref();
    let random = |byte| {
        guardian_auth::domain::id::GuardianId::new(
            guardian_auth::domain::time::Timestamp::from_millis(1),
            [byte; 10],
        )
    };
    let number: NationalId =
        SwedishNumber::parse("870101-TF12", jiff::civil::date(2026, 11, 21)).unwrap().into();
    let (here, there) = (kommun().id, opvang().id);
    let sealed = national_id::seal(vault, &here, &random(1), &number);
    let open = |organization, byte| {
        let guardian = random(byte);
        let context = national_id::seal_context(organization, &guardian, &sealed.key_id);
        let bytes = Sealed { bytes: sealed.sealed.clone(), key_id: sealed.key_id.clone() };
        vault.open(Purpose::NationalIdSeal, &context, &bytes)
    };
    assert_eq!(open(&here, 1).unwrap().expose(), b"se.tf:19870101TF12");
    assert!(open(&here, 2).is_none() && open(&there, 1).is_none());
    // A temporary number is another one in another organization, and so is every digest.
    let elsewhere = national_id::seal(vault, &there, &random(1), &number);
    assert_ne!(sealed.index, elsewhere.index);
    assert_eq!(sealed.index, national_id::seal(vault, &here, &random(2), &number).index);
}

#[tokio::test]
async fn the_same_temporary_number_in_two_organizations_is_no_finding() {
    for home in Home::both().await {
        for id in ["one", "two"] {
            let row = json!({
                "type": "guardian", "key": "g-1", "given_name": "Yusuf", "family_name": "Demir",
                "national_id": "870101-TF12",
            });
            let (_, report) = home.import(&organization(id, Region::Se), &file(&[row])).await;
            assert_eq!(report.notes(), [""; 0]);
        }
        assert_eq!(home.texts("SELECT scheme FROM guardian_identifier").await, ["se.tf"; 2]);
    }
}

#[tokio::test]
async fn a_corrected_number_replaces_the_wrong_one() {
    for home in Home::both().await {
        let with = |number: &str| {
            file(&[json!({
                "type": "guardian", "key": "g-1", "given_name": "Anna", "family_name": "Berg", "national_id": number,
                "user_names": [{"portal": "parent", "name": "anna.berg"}],
            })])
        };
        let (_, report) = home.import(&kommun(), &with("19990807-2390")).await;
        assert_eq!(report.notes(), ["1? national_id: check_digit"]);
        let active = "SELECT scheme FROM guardian_identifier WHERE retired_ms IS NULL";
        assert_eq!(home.texts(active).await, [""; 0]);
        assert_eq!(home.import(&kommun(), &with("19870101-TF12")).await.0.updated, 1);
        assert_eq!(home.import(&kommun(), &with("19990807-2391")).await.0.updated, 1);
        assert_eq!(home.texts(active).await, ["se.pnr"]);
        assert_eq!(home.import(&kommun(), &with("990807-2391")).await.0.unchanged, 1);
    }
}

#[tokio::test]
async fn a_fourth_foreign_cost_is_refused_across_imports() {
    let with = |key: &str, memory_kib: u32| {
        let mut row = guardian(key, key, "c-1");
        row["password"] =
            json!({"portal": "parent", "hash": HASH.replace("m=19456", &format!("m={memory_kib}"))});
        row
    };
    for home in Home::both().await {
        let first = [school(), child("c-1"), with("g-1", 8), with("g-2", 16), with("g-3", 19_456)];
        assert_eq!(home.import(&kommun(), &file(&first)).await.1.notes(), [""; 0]);
        // Another organization has room of its own.
        let elsewhere = [school(), child("c-1"), with("g-1", 40), with("g-2", 48), with("g-3", 56)];
        assert_eq!(home.import(&opvang(), &file(&elsewhere)).await.1.notes(), [""; 0]);
        let second = [with("g-4", 24), with("g-5", 32), with("g-6", 8)];
        let (summary, report) = home.import(&kommun(), &file(&second)).await;
        assert_eq!(
            (summary.created, report.notes()),
            (3, vec!["2? password.hash: too_many_parameter_sets".to_owned()])
        );
        let in_use = home.store.hash_parameters_in_use().await.unwrap();
        let sets = in_use.iter().filter(|row| row.organization == kommun().id).count();
        assert_eq!(sets, 4);
    }
}

#[tokio::test]
async fn an_import_is_in_the_audit_log_once_and_a_file_without_rows_is_not() {
    for home in Home::both().await {
        let imports = "SELECT caller FROM audit_event WHERE kind = 'directory_imported'";
        home.import(&kommun(), "\n{\n").await;
        assert_eq!(home.texts(imports).await, [""; 0]);
        home.import(&kommun(), &three_batches()).await;
        assert_eq!(home.texts(imports).await, ["import"]);
    }
}

#[tokio::test]
async fn the_reports_hold_no_value_of_a_person() {
    let home = Home::on_sqlite().await;
    let reports = tempfile::tempdir().unwrap();
    for (organization, file) in [(kommun(), KOMMUN_FILE), (opvang(), OPVANG_FILE)] {
        let path = reports.path().join(organization.id.as_str());
        let args = ImportArgs {
            organization: organization.id.as_str().to_owned(),
            file: "-".into(),
            report: Some(path.clone()),
            dry_run: false,
        };
        let mut out = Vec::new();
        let report = args.open_report(&mut out).unwrap();
        let mut rows = DirectoryFile::new(file.as_bytes());
        let summary = run(&home.import, &organization, &mut rows, report).await.unwrap();
        let (people, programs) = (String::from_utf8(out).unwrap(), std::fs::read_to_string(path).unwrap());
        assert!(people.ends_with(&format!("{summary}.\n")), "{people}");
        let lines: Vec<Value> = programs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), people.lines().count());
        assert_eq!(lines.last().unwrap()["summary"]["rejected"], summary.rejected);
        for value in file
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .flat_map(|row| personal(&row))
        {
            assert!(!people.contains(&value) && !programs.contains(&value), "{value}");
        }
    }
}

/// The texts of a row that are somebody's: those long enough not to be in our own words by chance.
fn personal(row: &Value) -> Vec<String> {
    let mut texts = Vec::new();
    let fields = ["given_name", "family_name", "national_id", "email", "mobile"];
    texts.extend(fields.iter().filter_map(|field| row[*field].as_str()).map(str::to_owned));
    for (list, field) in [("debtor_numbers", "number"), ("user_names", "name")] {
        let entries = row[list].as_array().into_iter().flatten();
        texts.extend(entries.filter_map(|entry| entry[field].as_str()).map(str::to_owned));
    }
    texts.extend(row["password"]["hash"].as_str().map(str::to_owned));
    texts.retain(|text| text.trim().chars().count() >= 4);
    texts
}

/// What the source says of one guardian in one import.
#[derive(Clone, Debug)]
struct Said {
    /// Confirmed or not, or not related.
    links: [Option<bool>; 2],
    contract: Option<bool>,
    /// Portal and which hash.
    password: Option<(bool, u8)>,
}

fn said() -> impl Strategy<Value = Said> {
    let relation = prop::option::of(any::<bool>());
    (([relation.clone(), relation.clone()]), relation, prop::option::of((any::<bool>(), 0..3_u8)))
        .prop_map(|(links, contract, password)| Said { links, contract, password })
}

fn said_row(said: &Said) -> Value {
    let links = said.links.iter().enumerate();
    let links: Vec<Value> = links
        .filter_map(|(child, link)| {
            link.map(|confirmed| json!({"child": format!("c-{child}"), "confirmed": confirmed}))
        })
        .collect();
    json!({
        "type": "guardian", "key": "g-1", "given_name": "Anna", "family_name": "Berg", "child_links": links,
        "debtor_numbers": [{"portal": "parent", "number": "1"}, {"portal": "childminder", "number": "1"}],
        "contract": said.contract.map(|confirmed| json!({"confirmed": confirmed})),
        "password": said.password.map(|(parent, which)| json!({
            "portal": if parent { "parent" } else { "childminder" },
            "hash": HASH.replace("m=19456", ["m=19456", "m=8", "m=16"][usize::from(which)]),
        })),
    })
}

/// Domain rule 1 by any order of imports.
async fn no_password_without_a_confirmed_relation(home: &Home, organization: &Organization, story: &[Said]) {
    let id = organization.id.as_str();
    home.import(organization, &file(&[school(), child("c-0"), child("c-1")])).await;
    let mut expected: HashSet<String> = HashSet::new();
    for said in story {
        home.import(organization, &file(&[said_row(said)])).await;
        let parent = said.links.contains(&Some(true));
        let childminder = said.contract == Some(true);
        // A password stays for as long as each import in between said that a relation for it is confirmed.
        expected.retain(|portal| if portal == "parent" { parent } else { childminder });
        match said.password {
            Some((true, _)) if parent => drop(expected.insert("parent".to_owned())),
            Some((false, _)) if childminder => drop(expected.insert("childminder".to_owned())),
            Some(_) | None => {}
        }
        let kept = home.texts(&format!("SELECT portal FROM credential WHERE organization = '{id}'")).await;
        assert_eq!(kept.into_iter().collect::<HashSet<_>>(), expected, "{story:?}");
    }
}

fn rule_1_holds_on(home: impl Future<Output = Home>, cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let home = runtime.block_on(home);
    let count = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    });
    let outcome = runner.run(&prop::collection::vec(said(), 1..6), |story| {
        count.set(count.get() + 1);
        let organization = organization(&format!("case-{}", count.get()), Region::Se);
        runtime.block_on(no_password_without_a_confirmed_relation(&home, &organization, &story));
        Ok(())
    });
    outcome.expect("no order breaks the rule");
}

#[test]
fn no_order_of_imports_leaves_a_password_without_a_confirmed_relation_on_sqlite() {
    rule_1_holds_on(Home::on_sqlite(), 64);
}

#[test]
fn no_order_of_imports_leaves_a_password_without_a_confirmed_relation_on_postgres() {
    rule_1_holds_on(Home::on_postgres(), 32);
}

/// Lines that hold no row cost no store call and are numbered like all others.
#[tokio::test]
async fn a_file_of_nothing_but_bad_lines_is_reported_line_by_line() {
    let home = Home::on_sqlite().await;
    let (summary, report) = home.import(&kommun(), &"{\n".repeat(1200)).await;
    assert_eq!((summary.rejected, summary.findings), (1200, 0));
    assert_eq!(summary.to_string(), "0 rows can be read, 1200 cannot; 0 findings. Nothing was written");
    let lines: Vec<u64> = report.0.iter().map(|row| row.line).collect();
    assert_eq!(lines, (1..=1200).collect::<Vec<_>>());
    let expected = guardian_auth::domain::directory_row::Note::from(Unreadable::NotJson { column: 1 });
    assert_eq!(report.0[0].faults, [expected]);
}
