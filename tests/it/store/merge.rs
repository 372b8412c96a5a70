//! Merges of accounts and their undoing, on the store: what moves, what stays, who waits.

use guardian_auth::domain::audit::Fact;
use guardian_auth::domain::id::{GuardianId, MergeId};
use guardian_auth::domain::merge::MergeConflict;
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::key_vault::Sealed;
use guardian_auth::ports::store::{
    Act, Acted, EidLoginStore, GuardianMerge, GuardianStore, MergeCounts, MergeOutcome, MergeSeals,
    MergeStore, RequestKey, SealedNationalId, SessionStore, UndoMerge, UndoOutcome,
};

use super::contents::{Contents, contents};
use super::on_every_database;
use super::world::{
    World, at, child, child_relation, event, guardian, national_id, numbered, organization, password, random,
    school,
};

/// A staff member of these schools (source keys; none: the whole organization).
pub(super) async fn hire(world: &World, schools: &[&str]) -> GuardianId {
    let staff = GuardianId::new(at(0), random());
    let scope = if schools.is_empty() { "organization" } else { "schools" };
    world
        .change(&format!(
            "INSERT INTO guardian (id, organization, source_key, given_name, family_name, locale, state, credential_epoch, \
             created_ms, updated_ms, kind, names_folded) \
             VALUES ('{staff}', 'sunnanvik', 'staff {staff}', '', '', 'sv', 'active', 1, 0, 0, 'staff', 1)"
        ))
        .await;
    world
        .change(&format!(
            "INSERT INTO staff_member (id, organization, role, scope, state, revision, invited_ms) \
             VALUES ('{staff}', 'sunnanvik', 'school_administrator', '{scope}', 'active', 1, 0)"
        ))
        .await;
    for school in schools {
        world
            .change(&format!(
                "INSERT INTO staff_school (staff_id, school_id) SELECT '{staff}', id FROM school \
                 WHERE source_key = '{school}'"
            ))
            .await;
    }
    staff
}

/// An act of minute 200.
pub(super) fn act(staff: &GuardianId, minute: i64, request: Option<RequestKey>) -> Act {
    let mut done = event(Fact::GuardiansMerged, None);
    done.staff = Some(staff.clone());
    Act {
        organization: organization("sunnanvik"),
        staff: staff.clone(),
        revision: 1,
        request,
        at: at(minute),
        events: vec![done],
    }
}

/// Keys that show in the clear for which guardian a number was sealed; a number that was not sealed by them was for
/// whoever asks.
pub(super) struct ClearSeals;

impl MergeSeals for ClearSeals {
    fn reseal(&self, number: &Sealed, from: &GuardianId, to: &GuardianId) -> Option<SealedNationalId> {
        let text = String::from_utf8(number.bytes.clone()).expect("sealed by the test");
        let (owner, seed) = text.split_once(' ').expect("an owner and a seed");
        assert_eq!(owner, from.as_str(), "it was sealed for another row");
        let seed: u8 = seed.parse().expect("a seed");
        Some(SealedNationalId { sealed: format!("{to} {seed}").into_bytes(), ..national_id(seed) })
    }

    fn seal(&self, merge: &MergeId, journal: &[u8]) -> Sealed {
        let bytes = [merge.as_str().as_bytes(), journal].concat();
        Sealed { bytes, key_id: "k1".to_owned() }
    }

    fn open(&self, merge: &MergeId, journal: &Sealed) -> Option<Secret<Vec<u8>>> {
        journal.bytes.strip_prefix(merge.as_str().as_bytes()).map(|bytes| Secret::new(bytes.to_vec()))
    }
}

/// Seals every number for the guardian of its row, as [`ClearSeals`] does.
pub(super) async fn seal_numbers(world: &World, seeds: impl IntoIterator<Item = u8>) {
    for seed in seeds {
        let hex: String = [seed; 32].iter().map(|byte| format!("{byte:02x}")).collect();
        let (index, sealed) = if world.folder() == "postgres" {
            (format!("'\\x{hex}'::bytea"), format!("convert_to(guardian_id || ' {seed}', 'UTF8')"))
        } else {
            (format!("x'{hex}'"), format!("CAST(guardian_id || ' {seed}' AS BLOB)"))
        };
        for table in ["guardian_identifier", "number_proposal"] {
            world.change(&format!("UPDATE {table} SET sealed = {sealed} WHERE blind_index = {index}")).await;
        }
    }
}

pub(super) fn a_merge(kept: &GuardianId, absorbed: &GuardianId) -> GuardianMerge {
    GuardianMerge {
        id: MergeId::new(at(200), random()),
        kept: kept.clone(),
        absorbed: absorbed.clone(),
        validate_only: false,
        revocation: event(Fact::CredentialRevoked, None),
    }
}

pub(super) async fn merged(world: &World, staff: &GuardianId, merge: &GuardianMerge) -> MergeOutcome {
    let acted = world.store.merge_guardians(&act(staff, 200, None), merge, &ClearSeals).await;
    let Acted::Now(outcome) = acted.expect("an answer") else { panic!("it was not looked at") };
    outcome
}

pub(super) async fn undone(world: &World, staff: &GuardianId, id: &MergeId, minute: i64) -> UndoOutcome {
    let undo = UndoMerge { id: id.clone(), revocation: event(Fact::CredentialRevoked, None) };
    let acted = world.store.undo_merge(&act(staff, minute, None), &undo, &ClearSeals).await;
    let Acted::Now(outcome) = acted.expect("an answer") else { panic!("it was not looked at") };
    outcome
}

/// Two accounts of one person, with a child each and one together, numbers and passwords.
pub(super) async fn two_accounts(world: &World) -> (GuardianId, GuardianId) {
    let mut one = guardian("10001");
    one.relations = vec![child_relation("c", true), child_relation("d", false)];
    let mut other = guardian("10002");
    other.relations = vec![child_relation("c", true), child_relation("e", true)];
    other.password = Some(password(Portal::Parent, 2));
    let rows = vec![
        school("s"),
        school("t"),
        child("c", "s"),
        child("d", "s"),
        child("e", "t"),
        numbered(one, national_id(1)),
        numbered(other, national_id(2)),
    ];
    world.import(rows).await;
    seal_numbers(world, [1, 2]).await;
    (world.account("10001").await.guardian, world.account("10002").await.guardian)
}

/// A number that a personnummer follows: a school may make the account one with that of the personnummer.
async fn coordination_number(world: &World, of: &GuardianId) {
    world
        .change(&format!("UPDATE guardian_identifier SET scheme = 'se.snr' WHERE guardian_id = '{of}'"))
        .await;
}

/// What a merge and its undoing leave as it was: all but epochs, times of change, sessions, links, codes and the log.
pub(super) async fn lasting(world: &World) -> Contents {
    world.change("UPDATE guardian SET credential_epoch = 1, updated_ms = 0").await;
    let mut rows = contents(world).await;
    rows.retain(|table, _| {
        [
            "school",
            "child",
            "guardian",
            "guardian_login",
            "guardian_identifier",
            "child_link",
            "contract",
            "credential",
            "number_proposal",
            "removed_child_link",
            "name_part",
        ]
        .contains(table)
    });
    rows
}

async fn everything_of_the_absorbed_account_is_the_kept_ones(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    let outcome = merged(&world, &staff, &a_merge(&kept, &absorbed)).await;
    let MergeOutcome::Merged { counts, .. } = outcome else { panic!("{outcome:?}") };
    let expected = MergeCounts {
        national_ids: 1,
        login_names: 1,
        // Both have the link to c.
        child_links: 1,
        colliding_portals: vec![Portal::Parent],
        ended_sessions: 0,
    };
    assert_eq!(counts, expected);
    let (one, two) = (world.account("10001").await, world.account("10002").await);
    assert_eq!((&one.guardian, &two.guardian), (&kept, &kept));
    let found = world.store.eid_accounts(&organization("sunnanvik"), &[[2; 32]]).await.expect("an answer");
    assert_eq!(found[0].guardian, kept);
    for table in ["guardian_login", "guardian_identifier", "child_link", "credential"] {
        let left = format!("SELECT count(*) FROM {table} WHERE guardian_id = '{absorbed}'");
        assert_eq!(world.number(&left).await, 0, "{table}");
    }
    let state = format!(
        "SELECT count(*) FROM guardian WHERE id = '{absorbed}' AND state = 'merged' AND merged_into = '{kept}'"
    );
    assert_eq!(world.number(&state).await, 1);
}

async fn sessions_of_both_end_with_a_merge(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    let sessions = [
        world.log_in(&world.account("10001").await).await,
        world.log_in(&world.account("10002").await).await,
    ];
    let mut merge = a_merge(&kept, &absorbed);
    let acted = world.store.merge_guardians(&act(&staff, 110, None), &merge, &ClearSeals).await;
    let Ok(Acted::Now(MergeOutcome::Merged { counts, ended })) = acted else { panic!("{acted:?}") };
    assert_eq!((counts.ended_sessions, ended.sessions.len()), (2, 2));
    for session in sessions {
        let now = world.store.session(&session.id).await.expect("an answer").expect("a session");
        assert!(now.ended.is_some() && now.account_epoch > now.credential_epoch);
    }
    merge.id = MergeId::new(at(200), random());
    assert_eq!(merged(&world, &staff, &merge).await, MergeOutcome::Conflict(MergeConflict::AccountMerged));
}

async fn what_is_only_validated_changes_nothing_and_says_the_same(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    let before = contents(&world).await;
    let mut merge = a_merge(&kept, &absorbed);
    merge.validate_only = true;
    let would = merged(&world, &staff, &merge).await;
    assert_eq!(contents(&world).await, before);
    merge.validate_only = false;
    assert_eq!(merged(&world, &staff, &merge).await, would);
}

async fn a_merge_that_is_undone_leaves_everything_as_it_was(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    let before = lasting(&world).await;
    let merge = a_merge(&kept, &absorbed);
    merged(&world, &staff, &merge).await;
    assert_ne!(lasting(&world).await, before);
    assert!(matches!(undone(&world, &staff, &merge.id, 300).await, UndoOutcome::Undone(_)));
    assert_eq!(lasting(&world).await, before);
    // Once more succeeds and does nothing.
    assert!(matches!(undone(&world, &staff, &merge.id, 301).await, UndoOutcome::Undone(_)));
    assert_eq!(lasting(&world).await, before);
}

async fn the_same_request_is_carried_out_once(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    let key = RequestKey { id: "0191d9a0-5b1c-7cc2-9a77-8a5c6f2f9b10".to_owned(), digest: [1; 32] };
    let merge = a_merge(&kept, &absorbed);
    let first = act(&staff, 200, Some(key.clone()));
    let acted = world.store.merge_guardians(&first, &merge, &ClearSeals).await.expect("an answer");
    let Acted::Now(MergeOutcome::Merged { counts, .. }) = acted else { panic!("{acted:?}") };
    let again = a_merge(&kept, &absorbed);
    let mut second = act(&staff, 201, Some(key));
    second.events[0].id = guardian_auth::domain::id::AuditEventId::new(at(201), random());
    let acted = world.store.merge_guardians(&second, &again, &ClearSeals).await.expect("an answer");
    assert_eq!(acted, Acted::Before(Some(merge.id.as_str().to_owned())));
    let made = world.store.made_merge(&organization("sunnanvik"), &merge.id, &ClearSeals).await;
    let made = made.expect("an answer").expect("a merge");
    assert_eq!((made.kept, made.absorbed, made.counts), (kept, absorbed, counts));
}

async fn an_import_raises_no_account_that_was_merged(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    merged(&world, &staff, &a_merge(&kept, &absorbed)).await;
    let before = lasting(&world).await;
    let mut one = guardian("10001");
    one.relations = vec![child_relation("c", true), child_relation("d", false)];
    let mut other = guardian("10002");
    other.family_name = "Lind".to_owned();
    other.relations = vec![child_relation("nobody", true)];
    other.password = Some(password(Portal::Parent, 3));
    let outcomes = world.import(vec![numbered(one, national_id(1)), numbered(other, national_id(2))]).await;
    assert_eq!(super::directory_import::codes(&outcomes[1]), ["account_merged"]);
    assert_eq!(lasting(&world).await, before, "neither row changes anything");
}

async fn what_staff_changed_since_a_merge_stays(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    let merge = a_merge(&kept, &absorbed);
    merged(&world, &staff, &merge).await;
    // Staff removed the link to e, and put another number in place of the absorbed one's.
    let (child, number) = ("SELECT id FROM child WHERE source_key = 'e'", "source = 'merged'");
    world.change(&format!("DELETE FROM child_link WHERE child_id = ({child})")).await;
    world
        .change(&format!(
            "INSERT INTO removed_child_link (guardian_id, child_id, staff_id, at_ms) \
             SELECT '{kept}', id, '{staff}', 5 FROM child WHERE source_key = 'e'"
        ))
        .await;
    world.change(&format!("UPDATE guardian_identifier SET retired_ms = 7 WHERE {number}")).await;
    assert!(matches!(undone(&world, &staff, &merge.id, 300).await, UndoOutcome::Undone(_)));
    let links = format!("SELECT count(*) FROM child_link WHERE child_id = ({child})");
    assert_eq!(world.number(&links).await, 0, "a link that staff removed does not come back");
    let marks = format!("SELECT count(*) FROM removed_child_link WHERE child_id = ({child})");
    assert_eq!(world.number(&marks).await, 2, "nor by an import of either account");
    let retired =
        format!("SELECT count(*) FROM guardian_identifier WHERE retired_ms = 7 AND guardian_id = '{kept}'");
    assert_eq!(world.number(&retired).await, 1);
}

async fn a_contract_that_staff_removed_since_a_merge_does_not_come_back(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    for account in [&kept, &absorbed] {
        let contract = format!("'{account}', 'staff', 'staff'");
        world
            .change(&format!("INSERT INTO contract (guardian_id, source, confirmed_by) VALUES ({contract})"))
            .await;
    }
    let merge = a_merge(&kept, &absorbed);
    merged(&world, &staff, &merge).await;
    world.store.remove_contract(&act(&staff, 250, None), &kept, &[]).await.expect("an answer");
    assert!(matches!(undone(&world, &staff, &merge.id, 300).await, UndoOutcome::Undone(_)));
    assert_eq!(world.number("SELECT count(*) FROM contract").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM removed_contract").await, 2, "nor by an import of either");
}

async fn of_two_merges_the_later_one_is_undone_first(world: World) {
    let (middle, last) = two_accounts(&world).await;
    let first = world.guardian("10003").await.guardian;
    let staff = hire(&world, &[]).await;
    let before = lasting(&world).await;
    let (one, two) = (a_merge(&middle, &last), a_merge(&first, &middle));
    merged(&world, &staff, &one).await;
    merged(&world, &staff, &two).await;
    assert_eq!(world.account("10002").await.guardian, first);
    let refused = UndoOutcome::Conflict(MergeConflict::MergedAgain);
    assert_eq!(undone(&world, &staff, &one.id, 300).await, refused);
    assert!(matches!(undone(&world, &staff, &two.id, 300).await, UndoOutcome::Undone(_)));
    assert!(matches!(undone(&world, &staff, &one.id, 300).await, UndoOutcome::Undone(_)));
    assert_eq!(lasting(&world).await, before);
}

async fn a_merge_is_undone_within_thirty_days(world: World) {
    const DAY: i64 = 24 * 60;
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    let merge = a_merge(&kept, &absorbed);
    merged(&world, &staff, &merge).await;
    let late = undone(&world, &staff, &merge.id, 201 + 30 * DAY).await;
    assert_eq!(late, UndoOutcome::Conflict(MergeConflict::UndoExpired));
    assert_eq!(world.store.sweep_merges(at(200 + 30 * DAY)).await.expect("an answer"), 0);
    assert_eq!(world.store.sweep_merges(at(201 + 30 * DAY)).await.expect("an answer"), 1);
    assert_eq!(undone(&world, &staff, &merge.id, 202 + 30 * DAY).await, UndoOutcome::Unknown);
}

async fn a_lock_outlives_a_merge(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    let staff = hire(&world, &[]).await;
    world.change(&format!("UPDATE guardian SET state = 'locked' WHERE id = '{absorbed}'")).await;
    let merge = a_merge(&kept, &absorbed);
    merged(&world, &staff, &merge).await;
    let locked = "SELECT count(*) FROM guardian WHERE state = 'locked' AND kind = 'guardian'";
    assert_eq!(world.number(&format!("{locked} AND id = '{kept}'")).await, 1);
    undone(&world, &staff, &merge.id, 300).await;
    assert_eq!(world.number(&format!("{locked} AND id = '{absorbed}'")).await, 1);
    assert_eq!(world.number(locked).await, 1);
}

async fn who_works_for_a_school_merges_its_guardians_only(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    coordination_number(&world, &absorbed).await;
    // Only the second account has a child there.
    let staff = hire(&world, &["t"]).await;
    let before = contents(&world).await;
    assert_eq!(merged(&world, &staff, &a_merge(&kept, &absorbed)).await, MergeOutcome::KeptUnknown);
    assert_eq!(merged(&world, &staff, &a_merge(&absorbed, &kept)).await, MergeOutcome::AbsorbedUnknown);
    assert_eq!(contents(&world).await, before);
    let here = hire(&world, &["s"]).await;
    let merge = a_merge(&kept, &absorbed);
    merged(&world, &here, &merge).await;
    // The link to the school came along with the merge.
    assert!(matches!(undone(&world, &staff, &merge.id, 300).await, UndoOutcome::Undone(_)));
}

/// Rule 1: staff of one school assert nothing for another one.
async fn a_confirmation_of_another_school_is_not_carried_to_another_account(world: World) {
    let (kept, absorbed) = two_accounts(&world).await;
    coordination_number(&world, &absorbed).await;
    let staff = hire(&world, &["s"]).await;
    world
        .change(&format!(
            "INSERT INTO child_link (guardian_id, child_id, source, confirmed_by, confirmed_ms) \
             SELECT '{absorbed}', id, 'staff', 'staff', 1 FROM child"
        ))
        .await;
    merged(&world, &staff, &a_merge(&kept, &absorbed)).await;
    let confirmed = "SELECT count(*) FROM child_link k JOIN child c ON c.id = k.child_id \
                     WHERE k.confirmed_by = 'staff' AND c.source_key";
    assert_eq!(world.number(&format!("{confirmed} IN ('c', 'd')")).await, 2);
    assert_eq!(world.number(&format!("{confirmed} = 'e'")).await, 0);
}

async fn two_merges_of_the_same_two_do_not_wait_forever(world: World) {
    for round in 0..10 {
        let (one, two) = (format!("2{round:02}01"), format!("2{round:02}02"));
        let (one, two) = (world.guardian(&one).await.guardian, world.guardian(&two).await.guardian);
        let staff = hire(&world, &[]).await;
        let (there, back) = (a_merge(&one, &two), a_merge(&two, &one));
        let (mut first, mut second) = (act(&staff, 200, None), act(&staff, 200, None));
        first.events.clear();
        second.events.clear();
        let (there, back) = tokio::join!(
            world.store.merge_guardians(&first, &there, &ClearSeals),
            world.store.merge_guardians(&second, &back, &ClearSeals),
        );
        let outcomes = [there.expect("an answer"), back.expect("an answer")];
        let done = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Acted::Now(MergeOutcome::Merged { .. })))
            .count();
        assert_eq!(done, 1, "{outcomes:?}");
    }
}

on_every_database! {
    everything_of_the_absorbed_account_is_the_kept_ones,
    sessions_of_both_end_with_a_merge,
    what_is_only_validated_changes_nothing_and_says_the_same,
    a_merge_that_is_undone_leaves_everything_as_it_was,
    the_same_request_is_carried_out_once,
    an_import_raises_no_account_that_was_merged,
    what_staff_changed_since_a_merge_stays,
    a_contract_that_staff_removed_since_a_merge_does_not_come_back,
    of_two_merges_the_later_one_is_undone_first,
    a_merge_is_undone_within_thirty_days,
    a_lock_outlives_a_merge,
    who_works_for_a_school_merges_its_guardians_only,
    a_confirmation_of_another_school_is_not_carried_to_another_account,
    two_merges_of_the_same_two_do_not_wait_forever,
}
