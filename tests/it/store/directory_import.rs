//! Importing rows: people, relations, numbers; what is new, changed, the same, or not to be taken.

use guardian_auth::domain::directory::{Contact, Finding, Relation, RowOutcome};
use guardian_auth::domain::identifier::Email;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::error::PortError;
use guardian_auth::ports::store::{DirectoryStore, PreparedRow};

use super::on_every_database;
use super::world::{
    Delivered, World, at, child, child_relation, guardian, key, national_id, numbered, organization,
    removal_event, school,
};

/// The codes of an outcome's findings.
pub(super) fn codes(outcome: &RowOutcome) -> Vec<&'static str> {
    let (RowOutcome::Created(findings)
    | RowOutcome::Updated(findings)
    | RowOutcome::Unchanged(findings)
    | RowOutcome::Rejected(findings)) = outcome;
    findings.iter().map(|Finding { code, .. }| *code).collect()
}

const CREATED: RowOutcome = RowOutcome::Created(Vec::new());
const UPDATED: RowOutcome = RowOutcome::Updated(Vec::new());
const UNCHANGED: RowOutcome = RowOutcome::Unchanged(Vec::new());

fn rows() -> Vec<Delivered> {
    vec![school("s"), child("c", "s"), numbered(guardian("10042"), national_id(1))]
}

async fn the_same_file_again_changes_nothing(world: World) {
    assert_eq!(world.import(rows()).await, [CREATED, CREATED, CREATED]);
    let account = world.account("10042").await;
    assert_eq!(world.import(rows()).await, [UNCHANGED, UNCHANGED, UNCHANGED]);
    let again = world.account("10042").await;
    assert_eq!((again.guardian, again.credential_epoch), (account.guardian, account.credential_epoch));
    for table in
        ["guardian", "guardian_login", "guardian_identifier", "child_link", "credential", "child", "school"]
    {
        assert_eq!(world.number(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
    }
}

async fn what_the_source_changed_is_changed(world: World) {
    let mut rows = rows();
    if let Delivered::Guardian(record, _) = &mut rows[2] {
        let canonical = Some(Email::parse("maja@example.se").expect("an address"));
        record.email = Some(Contact { delivered: " Maja@example.se".to_owned(), canonical });
    }
    world.import(rows.clone()).await;
    if let Delivered::School(record) = &mut rows[0] {
        record.name = "Östra skolan".into();
    }
    if let Delivered::Child(record) = &mut rows[1] {
        record.given_name = "Alvar".into();
    }
    if let Delivered::Guardian(record, _) = &mut rows[2] {
        record.family_name = "Lind".into();
        record.email = None;
    }
    assert_eq!(world.import(rows.clone()).await, [UPDATED, UPDATED, UPDATED]);
    assert_eq!(world.import(rows).await, [UNCHANGED, UNCHANGED, UNCHANGED]);
    let now = "SELECT count(*) FROM guardian WHERE family_name = 'Lind' AND email_delivered IS NULL";
    assert_eq!(world.number(now).await, 1);
    assert_eq!(world.number("SELECT count(*) FROM child WHERE given_name = 'Alvar'").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM school WHERE name = 'Östra skolan'").await, 1);
}

async fn a_row_that_names_an_unknown_row_is_rejected_alone(world: World) {
    let mut orphan = guardian("10043");
    orphan.relations = vec![child_relation("nobody", true)];
    let rows =
        vec![school("s"), child("c", "s"), child("d", "nowhere"), orphan.into(), guardian("10042").into()];
    let outcomes = world.import(rows).await;
    assert_eq!((&outcomes[0], &outcomes[1], &outcomes[4]), (&CREATED, &CREATED, &CREATED));
    assert!(matches!(outcomes[2], RowOutcome::Rejected(_)) && codes(&outcomes[2]) == ["unknown_school"]);
    assert!(matches!(outcomes[3], RowOutcome::Rejected(_)) && codes(&outcomes[3]) == ["unknown_child"]);
    assert_eq!(world.number("SELECT count(*) FROM guardian").await, 1);
    assert!(world.candidates(Portal::Parent, "10043").await.here.is_none());
}

async fn a_rejected_row_leaves_what_was_known_of_the_guardian(world: World) {
    let account = world.guardian("10042").await;
    let mut orphan = guardian("10042");
    orphan.family_name = "Lind".into();
    orphan.relations = vec![child_relation("nobody", true)];
    assert_eq!(codes(&world.import(vec![orphan.into()]).await[0]), ["unknown_child"]);
    assert_eq!(world.number("SELECT count(*) FROM guardian WHERE family_name = 'Ek'").await, 1);
    assert!(world.account("10042").await.password.is_some());
    assert_eq!(world.account("10042").await.credential_epoch, account.credential_epoch);
}

async fn a_key_that_stands_twice_in_a_batch_is_taken_once(world: World) {
    let mut second = guardian("10042");
    second.family_name = "Lind".into();
    let outcomes =
        world.import(vec![school("s"), child("c", "s"), guardian("10042").into(), second.into()]).await;
    assert_eq!(codes(&outcomes[3]), ["repeated_key"]);
    assert_eq!(world.number("SELECT count(*) FROM guardian WHERE family_name = 'Ek'").await, 1);
}

async fn one_key_of_three_kinds_is_three_rows(world: World) {
    let mut record = guardian("10042");
    record.key = key("1");
    record.relations = vec![child_relation("1", true)];
    let rows = vec![school("1"), child("1", "1"), record.into()];
    assert_eq!(world.import(rows).await, [CREATED, CREATED, CREATED]);
    let known =
        world.store.known_rows(&organization("sunnanvik"), &[key("1"), key("2")]).await.expect("known rows");
    assert_eq!((known.schools.len(), known.children.len(), known.guardians.len()), (1, 1, 1));
}

async fn keys_are_known_in_their_organization_only(world: World) {
    world.import(rows()).await;
    let known =
        world.store.known_rows(&organization("nordanvik"), &[key("s"), key("c"), key("g10042")]).await;
    let known = known.expect("known rows");
    assert!(known.schools.is_empty() && known.children.is_empty() && known.guardians.is_empty());
    // A child of one organization is unknown in the other.
    let outcomes = world.import_into(&organization("nordanvik"), vec![guardian("10042").into()]).await;
    assert_eq!(codes(&outcomes[0]), ["unknown_child"]);
}

async fn a_key_that_became_known_meanwhile_is_a_conflict_and_nothing_is_written(world: World) {
    let sunnanvik = organization("sunnanvik");
    let prepared = world.prepare(&sunnanvik, rows()).await;
    world.import(vec![school("s")]).await;
    let conflict = world.store.import_rows(&sunnanvik, &prepared, at(50), &removal_event()).await;
    assert!(matches!(conflict, Err(PortError::Conflict(_))), "{conflict:?}");
    assert_eq!(world.number("SELECT count(*) FROM guardian").await, 0);
    assert_eq!(world.import(rows()).await, [UNCHANGED, CREATED, CREATED]);
}

async fn an_id_of_another_organization_is_a_conflict_and_changes_nothing(world: World) {
    world.import(rows()).await;
    let prepared = world.prepare(&organization("sunnanvik"), rows()).await;
    let conflict =
        world.store.import_rows(&organization("nordanvik"), &prepared, at(50), &removal_event()).await;
    assert!(matches!(conflict, Err(PortError::Conflict(_))), "{conflict:?}");
    assert_eq!(world.number("SELECT count(*) FROM guardian WHERE organization = 'sunnanvik'").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM guardian WHERE organization = 'nordanvik'").await, 0);
}

async fn a_number_that_another_guardian_has_is_a_finding(world: World) {
    world.import(rows()).await;
    let twin = numbered(guardian("10043"), national_id(1));
    let outcome = world.import(vec![twin.clone()]).await;
    assert_eq!(codes(&outcome[0]), ["national_id_taken"]);
    assert!(matches!(outcome[0], RowOutcome::Created(_)));
    assert!(matches!(world.import(vec![twin.clone()]).await[0], RowOutcome::Unchanged(_)));
    assert_eq!(world.number("SELECT count(*) FROM guardian_identifier").await, 1);
    // In another organization it is nobody's business.
    let elsewhere = vec![school("s"), child("c", "s"), twin];
    assert_eq!(world.import_into(&organization("nordanvik"), elsewhere).await[2], CREATED);
}

async fn a_number_that_was_corrected_keeps_its_history(world: World) {
    world.import(rows()).await;
    let corrected = numbered(guardian("10042"), national_id(2));
    assert_eq!(world.import(vec![corrected.clone()]).await, [UPDATED]);
    assert_eq!(world.import(vec![corrected]).await, [UNCHANGED]);
    assert_eq!(world.number("SELECT count(*) FROM guardian_identifier WHERE retired_ms IS NULL").await, 1);
    assert_eq!(
        world.number("SELECT count(*) FROM guardian_identifier WHERE retired_ms IS NOT NULL").await,
        1
    );
    // The old number is free for whose it is, in the same batch or later.
    let owner = numbered(guardian("10043"), national_id(1));
    assert_eq!(world.import(vec![owner]).await, [CREATED]);
    assert_eq!(world.import(vec![guardian("10043").into()]).await, [UPDATED]);
    assert_eq!(world.number("SELECT count(*) FROM guardian_identifier WHERE retired_ms IS NULL").await, 1);
}

async fn relations_are_those_of_the_last_delivery(world: World) {
    let mut record = guardian("10042");
    record.password = None;
    record.relations =
        vec![child_relation("c", false), child_relation("d", true), child_relation("d", false)];
    let links = |condition: &str| format!("SELECT count(*) FROM child_link WHERE confirmed_by {condition}");
    world.import(vec![school("s"), child("c", "s"), child("d", "s"), record.clone().into()]).await;
    assert_eq!(world.number(&links("IS NULL")).await, 1);
    assert_eq!(world.number(&links("= 'source'")).await, 1);
    record.relations = vec![child_relation("c", true), Relation::Contract { confirmed: false }];
    assert_eq!(world.import(vec![record.clone().into()]).await, [UPDATED]);
    assert_eq!(world.number(&links("= 'source'")).await, 1);
    assert_eq!(world.number("SELECT count(*) FROM child_link").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM contract WHERE confirmed_by IS NULL").await, 1);
    record.relations = vec![];
    assert_eq!(world.import(vec![record.clone().into()]).await, [UPDATED]);
    assert_eq!(world.import(vec![record.into()]).await, [UNCHANGED]);
    assert_eq!(world.number("SELECT count(*) FROM child_link").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM contract").await, 0);
}

async fn what_staff_confirmed_or_linked_is_not_the_sources_to_take_back(world: World) {
    world.guardian("10042").await;
    world.change("UPDATE child_link SET confirmed_by = 'staff'").await;
    let mut record = guardian("10042");
    record.relations = vec![child_relation("c", false)];
    assert_eq!(world.import(vec![record.clone().into()]).await, [UNCHANGED]);
    assert!(world.account("10042").await.password.is_some());
    // A link that staff made beside the source's.
    world.change("UPDATE child_link SET source = 'staff'").await;
    record.relations = vec![];
    assert_eq!(world.import(vec![record.into()]).await, [UNCHANGED]);
    assert_eq!(world.number("SELECT count(*) FROM child_link").await, 1);
    assert!(world.account("10042").await.password.is_some());
}

async fn a_batch_of_a_thousand_rows_is_written_and_read_back(world: World) {
    let mut rows = vec![school("s"), child("c", "s")];
    rows.extend((0..1000_u16).map(|number| {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&number.to_be_bytes());
        let sealed = guardian_auth::ports::store::SealedNationalId { index: digest, ..national_id(0) };
        numbered(guardian(&format!("2{number:04}")), sealed)
    }));
    assert!(world.import(rows.clone()).await.iter().all(|outcome| *outcome == CREATED));
    assert!(world.import(rows).await.iter().all(|outcome| *outcome == UNCHANGED));
    assert!(world.account("20999").await.password.is_some());
}

async fn an_empty_batch_is_no_fault(world: World) {
    let nothing: &[PreparedRow] = &[];
    let outcomes =
        world.store.import_rows(&organization("sunnanvik"), nothing, at(50), &removal_event()).await;
    assert!(outcomes.expect("an answer").is_empty());
}

on_every_database! {
    the_same_file_again_changes_nothing,
    what_the_source_changed_is_changed,
    a_row_that_names_an_unknown_row_is_rejected_alone,
    a_rejected_row_leaves_what_was_known_of_the_guardian,
    a_key_that_stands_twice_in_a_batch_is_taken_once,
    one_key_of_three_kinds_is_three_rows,
    keys_are_known_in_their_organization_only,
    a_key_that_became_known_meanwhile_is_a_conflict_and_nothing_is_written,
    an_id_of_another_organization_is_a_conflict_and_changes_nothing,
    a_number_that_another_guardian_has_is_a_finding,
    a_number_that_was_corrected_keeps_its_history,
    relations_are_those_of_the_last_delivery,
    what_staff_confirmed_or_linked_is_not_the_sources_to_take_back,
    a_batch_of_a_thousand_rows_is_written_and_read_back,
    an_empty_batch_is_no_fault,
}
