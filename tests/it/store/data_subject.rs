//! What persons may ask for, on the store: everything that is kept of them, and that nothing is kept.

use guardian_auth::domain::directory::Contact;
use guardian_auth::domain::id::{ActivationId, GuardianId};
use guardian_auth::domain::identifier::{Email, Mobile, Region};
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{
    Acted, DataSubjectStore, EidLoginStore, EraseOutcome, Held, HeldSection, MergeOutcome, SessionStore,
};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::eid_facts::{new_eid_session, proposal};
use super::merge::{a_merge, act, hire, merged, seal_numbers, undone};
use super::on_every_database;
use super::world::{
    World, at, child, child_relation, event, guardian, national_id, numbered, random, school,
};

const EMAIL: &str = "planted.parent@example.se";
const MOBILE: &str = "+46701740605";
const NAMES: [&str; 2] = ["Plantagena", "Förnamnsson"];
const DEBTOR: &str = "7770042";
const AGENT: &str = "Planted-Agent/7";

/// An account with something in every table that can have something of it.
async fn planted(world: &World, debtor_number: &str, seed: u8) -> GuardianId {
    let mut record = guardian(debtor_number);
    record.given_name = NAMES[0].to_owned();
    record.family_name = NAMES[1].to_owned();
    let email = Email::parse(EMAIL).expect("an address");
    record.email = Some(Contact { delivered: EMAIL.to_owned(), canonical: Some(email) });
    let mobile = Mobile::parse(MOBILE, Region::default()).expect("a number");
    record.mobile = Some(Contact { delivered: MOBILE.to_owned(), canonical: Some(mobile) });
    record.relations = vec![child_relation("c", true)];
    world.import(vec![school("s"), child("c", "s"), numbered(record, national_id(seed))]).await;
    seal_numbers(world, [seed]).await;
    let account = world.account(debtor_number).await;
    let id = account.guardian.clone();
    let mut session = new_eid_session(&account, seed, None);
    session.session.user_agent = AGENT.to_owned();
    world.store.open_eid_session(&session).await.expect("an answer");
    let mut denied = super::eid_facts::denied(None);
    denied.proposal = Some(proposal(&id, seed + 100));
    world.store.deny_eid_login(&denied).await.expect("an answer");
    seal_numbers(world, [seed + 100]).await;
    let activation = ActivationId::new(at(0), random());
    let number = world.number("SELECT count(*) FROM message").await;
    for statement in [
        format!(
            "INSERT INTO activation (id, organization, portal, guardian_id, rests_on, delivery, credential_epoch, failures, \
             issued_ms, expires_ms) VALUES ('{activation}', 'sunnanvik', 'parent', '{id}', 'staff', 'sheet', 1, 0, 1, 2)"
        ),
        format!(
            "INSERT INTO contract (guardian_id, source, confirmed_by) VALUES ('{id}', 'import', 'source')"
        ),
        format!(
            "INSERT INTO message (id, organization, portal, guardian_id, channel, template, idempotency_key, state, attempts, \
             created_ms, due_ms, tried_ms) \
             VALUES ('m{seed} {number}', 'sunnanvik', 'parent', '{id}', 'email', 'reset_link', 'k{seed} {number}', 'queued', 0, 1, 1, 1)"
        ),
    ] {
        world.change(&statement).await;
    }
    id
}

/// Every row of every table as text, blobs too; under the table's name.
async fn dump(world: &World) -> Vec<(String, String)> {
    let mut connection = AnyConnection::connect(&world.url()).await.expect("a connection");
    let tables = if world.folder() == "postgres" {
        "SELECT CAST(tablename AS text) FROM pg_tables WHERE schemaname = current_schema()"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    };
    let tables = sqlx::query(tables).fetch_all(&mut connection).await.expect("tables");
    let mut rows = Vec::new();
    for table in tables.iter().map(|row| row.get::<String, _>(0)) {
        if table.contains("migration") {
            continue;
        }
        let question = AssertSqlSafe(format!("SELECT * FROM {table}"));
        for row in sqlx::query(question).fetch_all(&mut connection).await.expect("rows") {
            let column = |index| {
                let text = row.try_get::<Option<String>, _>(index).ok().flatten();
                let blob = || row.try_get::<Option<Vec<u8>>, _>(index).ok().flatten();
                text.or_else(|| blob().map(|blob| String::from_utf8_lossy(&blob).into_owned()))
            };
            let text: Vec<String> = (0..row.len()).filter_map(column).collect();
            rows.push((table.clone(), text.join(" ")));
        }
    }
    connection.close().await.expect("it closes");
    rows
}

async fn erase(world: &World, staff: &GuardianId, guardian: &GuardianId) -> EraseOutcome {
    let merged = event(guardian_auth::domain::audit::Fact::GuardianErased, Some(guardian));
    let acted = world.store.erase_guardian(&act(staff, 110, None), guardian, &merged).await;
    let Acted::Now(outcome) = acted.expect("an answer") else { panic!("it was not looked at") };
    outcome
}

async fn nothing_of_an_erased_guardian_is_found_in_any_table(world: World) {
    let kept = planted(&world, DEBTOR, 1).await;
    let absorbed = planted(&world, "7770043", 2).await;
    let staff = hire(&world, &[]).await;
    let merge = a_merge(&kept, &absorbed);
    assert!(matches!(merged(&world, &staff, &merge).await, MergeOutcome::Merged { .. }));
    let numbers =
        [format!("{kept} 1"), format!("{kept} 2"), format!("{kept} 101"), format!("{absorbed} 102")];
    let planted_texts: Vec<&str> = [EMAIL, MOBILE, DEBTOR, "7770043", AGENT, "plantagena", "fornamnsson"]
        .into_iter()
        .chain(NAMES)
        .chain(numbers.iter().map(String::as_str))
        .collect();
    let before = dump(&world).await;
    for text in [EMAIL, MOBILE, DEBTOR, "7770043", AGENT, NAMES[0], NAMES[1], numbers[0].as_str()] {
        assert!(before.iter().any(|(_, row)| row.contains(text)), "{text} was not planted");
    }
    let EraseOutcome::Erased(erased) = erase(&world, &staff, &kept).await else { panic!("it is there") };
    assert_eq!(erased.accounts, [kept.clone(), absorbed.clone()]);
    for (table, row) in dump(&world).await {
        // Rows of the log are never changed. They hold ids, and the agent and address of each attempt.
        if table == "audit_event" {
            continue;
        }
        for text in &planted_texts {
            assert!(!row.contains(text), "{table} still holds {text}: {row}");
        }
        // The opaque id leads from the log to an empty account, and is on sessions until they are swept.
        let may_name = ["guardian", "session", "audit_link"].contains(&table.as_str());
        assert!(may_name || !row.contains(kept.as_str()), "{table} still names the account: {row}");
    }
    let erased = "SELECT count(*) FROM guardian WHERE state = 'erased' AND given_name = ''";
    assert_eq!(world.number(erased).await, 2);
    let events = "SELECT count(*) FROM audit_event WHERE kind = 'guardian_erased'";
    assert_eq!(world.number(events).await, 1, "the absorbed one's; the other is the caller's");
    assert_eq!(
        undone(&world, &staff, &merge.id, 300).await,
        guardian_auth::ports::store::UndoOutcome::Unknown
    );
}

async fn sessions_end_with_an_erasure_and_once_more_succeeds(world: World) {
    let id = planted(&world, DEBTOR, 1).await;
    let staff = hire(&world, &[]).await;
    let session = world.log_in(&world.account(DEBTOR).await).await;
    let EraseOutcome::Erased(erased) = erase(&world, &staff, &id).await else { panic!("it is there") };
    assert_eq!(erased.ended.sessions.len(), 2);
    let session = world.store.session(&session.id).await.expect("an answer").expect("a session");
    assert!(session.ended.is_some());
    let EraseOutcome::Erased(again) = erase(&world, &staff, &id).await else { panic!("it is there") };
    assert!(again.accounts.is_empty() && again.ended.sessions.is_empty());
    assert_eq!(erase(&world, &staff, &GuardianId::new(at(0), random())).await, EraseOutcome::Unknown);
    assert!(world.candidates(Portal::Parent, DEBTOR).await.here.is_none());
}

async fn a_source_that_delivers_an_erased_person_makes_a_new_account(world: World) {
    let id = planted(&world, DEBTOR, 1).await;
    let staff = hire(&world, &[]).await;
    erase(&world, &staff, &id).await;
    let again = planted(&world, DEBTOR, 1).await;
    assert_ne!(again, id);
}

async fn held(world: &World, staff: &GuardianId, guardian: &GuardianId) -> Option<Vec<HeldSection>> {
    let acted = world.store.held_of_guardian(&act(staff, 110, None), guardian).await;
    let Acted::Now(sections) = acted.expect("an answer") else { panic!("it was not looked at") };
    sections
}

async fn everything_that_is_kept_is_handed_out_without_secrets(world: World) {
    let id = planted(&world, DEBTOR, 1).await;
    let staff = hire(&world, &[]).await;
    world.log_in(&world.account(DEBTOR).await).await;
    let events = world.number("SELECT count(*) FROM audit_event").await;
    let sections = held(&world, &staff, &id).await.expect("a guardian");
    assert_eq!(world.number("SELECT count(*) FROM audit_event").await, events + 1, "it is in the log");
    let texts: Vec<&str> = sections
        .iter()
        .flat_map(|section| section.rows.iter().flatten())
        .filter_map(|(_, held)| match held {
            Held::Text(text) => Some(text.as_str()),
            Held::Nothing | Held::Time(_) | Held::Flag(_) | Held::NationalId(..) => None,
        })
        .collect();
    for text in [EMAIL, MOBILE, DEBTOR, NAMES[0], NAMES[1], AGENT, "Alva", "Sjöskolan"] {
        assert!(texts.contains(&text), "{text} is missing");
    }
    assert!(!texts.iter().any(|text| text.contains("$argon2")), "no hash");
    let empty: Vec<&str> =
        sections.iter().filter(|section| section.rows.is_empty()).map(|section| section.name).collect();
    assert_eq!(empty, ["removed_child_links", "removed_contracts", "reset_links", "merges"]);
    let columns: Vec<&str> =
        sections.iter().flat_map(|section| section.rows.iter().flatten().map(|(name, _)| *name)).collect();
    for secret in ["hash", "digest", "code_hash", "token_digest", "blind_index", "import_fingerprint"] {
        assert!(!columns.contains(&secret), "{secret}");
    }
    assert_eq!(held(&world, &staff, &GuardianId::new(at(0), random())).await, None);
}

on_every_database! {
    nothing_of_an_erased_guardian_is_found_in_any_table,
    sessions_end_with_an_erasure_and_once_more_succeeds,
    a_source_that_delivers_an_erased_person_makes_a_new_account,
    everything_that_is_kept_is_handed_out_without_secrets,
}
