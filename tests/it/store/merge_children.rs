//! Merges of children and their undoing, on the store.

use std::sync::Arc;

use guardian_auth::domain::audit::Fact;
use guardian_auth::domain::id::{ChildId, GuardianId, MergeId};
use guardian_auth::domain::merge::MergeConflict;
use guardian_auth::ports::store::{
    Acted, ChildMerge, ChildMergeOutcome, DirectoryStore, GuardianStore, MergeStore, UndoMerge, UndoOutcome,
};

use super::contents::contents;
use super::merge::{ClearSeals, act, hire, lasting};
use super::on_every_database;
use super::staff_facts::guardian_id;
use super::world::{World, at, child, child_relation, event, guardian, key, organization, random, school};

async fn id_of_child(world: &World, name: &str) -> ChildId {
    let known = world.store.known_rows(&organization("sunnanvik"), &[key(name)]).await;
    known.expect("known rows").children.remove(&key(name)).expect("a child")
}

fn a_merge(kept: &ChildId, absorbed: &ChildId) -> ChildMerge {
    ChildMerge {
        id: MergeId::new(at(200), random()),
        kept: kept.clone(),
        absorbed: absorbed.clone(),
        validate_only: false,
        revocation: event(Fact::CredentialRevoked, None),
    }
}

async fn merged(world: &World, staff: &GuardianId, merge: &ChildMerge) -> ChildMergeOutcome {
    let acted = world.store.merge_children(&act(staff, 200, None), merge, &ClearSeals).await;
    let Acted::Now(outcome) = acted.expect("an answer") else { panic!("it was not looked at") };
    outcome
}

async fn undone(world: &World, staff: &GuardianId, id: &MergeId) -> UndoOutcome {
    let undo = UndoMerge { id: id.clone(), revocation: event(Fact::CredentialRevoked, None) };
    let acted = world.store.undo_child_merge(&act(staff, 300, None), &undo, &ClearSeals).await;
    let Acted::Now(outcome) = acted.expect("an answer") else { panic!("it was not looked at") };
    outcome
}

/// The child `c` of one guardian and `d` of another one and of both; `d` goes to this school.
async fn two_children(world: &World, other_school: &str) -> (ChildId, ChildId) {
    let mut one = guardian("10001");
    one.relations = vec![child_relation("c", true), child_relation("d", true)];
    let mut other = guardian("10002");
    other.relations = vec![child_relation("d", true)];
    let rows =
        vec![school("s"), school("t"), child("c", "s"), child("d", other_school), one.into(), other.into()];
    world.import(rows).await;
    (id_of_child(world, "c").await, id_of_child(world, "d").await)
}

/// Staff of the child's school confirm the link of 10002 to `d`, and the password rests on that.
async fn confirmed_by_staff(world: &World) {
    world
        .change(
            "INSERT INTO child_link (guardian_id, child_id, source, confirmed_by, confirmed_ms) \
             SELECT g.id, c.id, 'staff', 'staff', 1 FROM guardian g, child c \
             WHERE g.source_key = 'g10002' AND c.source_key = 'd'",
        )
        .await;
    let rests = "UPDATE credential SET rests_on = 'staff' WHERE guardian_id IN (SELECT id FROM guardian WHERE source_key = 'g10002')";
    world.change(rests).await;
}

async fn guardians_of_both_are_the_kept_childs(world: World) {
    let (kept, absorbed) = two_children(&world, "s").await;
    confirmed_by_staff(&world).await;
    let staff = hire(&world, &["s"]).await;
    let before = lasting(&world).await;
    let merge = a_merge(&kept, &absorbed);
    let outcome = merged(&world, &staff, &merge).await;
    assert!(matches!(outcome, ChildMergeOutcome::Merged { child_links: 2, .. }), "{outcome:?}");
    let links = format!("SELECT count(DISTINCT guardian_id) FROM child_link WHERE child_id = '{kept}'");
    assert_eq!(world.number(&links).await, 2);
    let left = format!("SELECT count(*) FROM child_link WHERE child_id = '{absorbed}'");
    assert_eq!(world.number(&left).await, 0);
    assert!(world.account("10002").await.password.is_some(), "one school: the confirmation holds");
    assert!(matches!(undone(&world, &staff, &merge.id).await, UndoOutcome::Undone(_)));
    assert_eq!(lasting(&world).await, before);
    assert!(matches!(undone(&world, &staff, &merge.id).await, UndoOutcome::Undone(_)));
}

/// Rule 1: staff of one school confirm nothing for another one.
async fn a_confirmation_does_not_come_along_to_another_school(world: World) {
    let (kept, absorbed) = two_children(&world, "t").await;
    confirmed_by_staff(&world).await;
    let staff = hire(&world, &[]).await;
    let account = world.account("10002").await;
    world.log_in(&account).await;
    let merge = a_merge(&kept, &absorbed);
    let outcome = merged(&world, &staff, &merge).await;
    let ChildMergeOutcome::Merged { ended, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(ended.sessions.len(), 1, "the password was all that the session had");
    assert!(world.account("10002").await.password.is_none());
    assert!(world.account("10001").await.password.is_some(), "the source confirmed this one");
    let revoked = "SELECT count(*) FROM audit_event WHERE kind = 'credential_revoked'";
    assert_eq!(world.number(revoked).await, 1);
    // The confirmation comes back with the child, the password does not.
    assert!(matches!(undone(&world, &staff, &merge.id).await, UndoOutcome::Undone(_)));
    assert_eq!(world.number("SELECT count(*) FROM child_link WHERE confirmed_by = 'staff'").await, 1);
    assert!(world.account("10002").await.password.is_none());
}

async fn an_import_leads_relations_to_the_kept_child(world: World) {
    let (kept, absorbed) = two_children(&world, "s").await;
    let staff = hire(&world, &[]).await;
    merged(&world, &staff, &a_merge(&kept, &absorbed)).await;
    let before = lasting(&world).await;
    let mut other = guardian("10002");
    other.relations = vec![child_relation("d", true)];
    let outcomes = world.import(vec![child("d", "t"), other.into()]).await;
    assert_eq!(super::directory_import::codes(&outcomes[0]), ["child_merged"]);
    assert_eq!(lasting(&world).await, before);
    let mut new = guardian("10003");
    new.relations = vec![child_relation("d", true)];
    world.import(vec![new.into()]).await;
    let links = format!("SELECT count(DISTINCT guardian_id) FROM child_link WHERE child_id = '{kept}'");
    assert_eq!(world.number(&links).await, 3);
}

async fn what_is_only_validated_changes_nothing(world: World) {
    let (kept, absorbed) = two_children(&world, "t").await;
    confirmed_by_staff(&world).await;
    let staff = hire(&world, &[]).await;
    let before = contents(&world).await;
    let mut merge = a_merge(&kept, &absorbed);
    merge.validate_only = true;
    let would = merged(&world, &staff, &merge).await;
    assert_eq!(contents(&world).await, before);
    merge.validate_only = false;
    assert_eq!(merged(&world, &staff, &merge).await, would);
}

async fn a_child_is_merged_once_and_within_the_scope(world: World) {
    let (kept, absorbed) = two_children(&world, "t").await;
    let elsewhere = hire(&world, &["t"]).await;
    assert_eq!(merged(&world, &elsewhere, &a_merge(&kept, &absorbed)).await, ChildMergeOutcome::KeptUnknown);
    let refused = merged(&world, &elsewhere, &a_merge(&absorbed, &kept)).await;
    assert_eq!(refused, ChildMergeOutcome::AbsorbedUnknown);
    let staff = hire(&world, &[]).await;
    let merge = a_merge(&kept, &absorbed);
    merged(&world, &staff, &merge).await;
    let again = merged(&world, &staff, &a_merge(&kept, &absorbed)).await;
    assert_eq!(again, ChildMergeOutcome::Conflict(MergeConflict::ChildMerged));
    let guardians = super::merge::undone(&world, &staff, &merge.id, 300).await;
    assert_eq!(guardians, UndoOutcome::Unknown, "it is no merge of accounts");
}

async fn no_link_is_made_to_a_child_that_is_merged_meanwhile(world: World) {
    let staff = hire(&world, &[]).await;
    for round in 0..20 {
        let names = [format!("k{round}"), format!("a{round}")];
        let mut stranger = guardian(&format!("2{round:04}"));
        stranger.relations = Vec::new();
        stranger.password = None;
        let rows = vec![school("s"), child(&names[0], "s"), child(&names[1], "s"), stranger.into()];
        world.import(rows).await;
        let (kept, absorbed) = (id_of_child(&world, &names[0]).await, id_of_child(&world, &names[1]).await);
        let account = guardian_id(&world, &format!("g2{round:04}")).await;
        let (merging, linking) = (Arc::clone(&world.store), Arc::clone(&world.store));
        let (merge, child) = (a_merge(&kept, &absorbed), absorbed.clone());
        let (one, other) = (act(&staff, 200, None), act(&staff, 200, None));
        let (merged, linked) = tokio::join!(
            // A guardian who came in between makes a conflict of it: then nothing is merged.
            tokio::spawn(async move { merging.merge_children(&one, &merge, &ClearSeals).await.is_ok() }),
            tokio::spawn(async move { linking.add_child_link(&other, &account, &child).await }),
        );
        merged.expect("no panic");
        linked.expect("no panic").expect("an answer");
    }
    let astray =
        "SELECT count(*) FROM child_link k JOIN child c ON c.id = k.child_id WHERE c.merged_into IS NOT NULL";
    assert_eq!(world.number(astray).await, 0);
}

on_every_database! {
    no_link_is_made_to_a_child_that_is_merged_meanwhile,
    guardians_of_both_are_the_kept_childs,
    a_confirmation_does_not_come_along_to_another_school,
    an_import_leads_relations_to_the_kept_child,
    what_is_only_validated_changes_nothing,
    a_child_is_merged_once_and_within_the_scope,
}
