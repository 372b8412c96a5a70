//! Relations that staff add, confirm and remove, and what rests on them.

use std::sync::Arc;

use guardian_auth::domain::audit::{Event, Fact};
use guardian_auth::domain::child_link::LinkEvidence;
use guardian_auth::domain::directory::{GuardianRecord, Relation, RowOutcome, SchoolRecord};
use guardian_auth::domain::id::{AuditEventId, ChildId, GuardianId};
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{Act, Acted, Changed, GuardianStore, Withdrawn};

use super::contents::contents;
use super::on_every_database;
use super::races::at_once;
use super::staff_facts::{Member, child_id, guardian_id, member};
use super::world::{
    Delivered, World, at, child, child_relation, event, guardian, key, organization, password, random, school,
};

const EVIDENCE: LinkEvidence = LinkEvidence::IdentityDocument;

/// Schools `s` and `t` with a child each, and the guardian `g1` of the first, with a confirmed password.
async fn two_schools(world: &World) -> (GuardianId, ChildId, ChildId) {
    let other = Delivered::School(SchoolRecord { key: key("t"), name: "Bergskolan".to_owned() });
    world.import(vec![school("s"), other, child("c", "s"), child("d", "t"), guardian("1").into()]).await;
    (guardian_id(world, "g1").await, child_id(world, "c").await, child_id(world, "d").await)
}

fn revocations(guardian: &GuardianId) -> Vec<Event> {
    let at_portal = |portal| Event {
        id: AuditEventId::new(at(120), random()),
        portal: Some(portal),
        ..event(Fact::CredentialRevoked, Some(guardian))
    };
    vec![at_portal(Portal::Parent), at_portal(Portal::Childminder)]
}

async fn add(world: &World, who: &Member, guardian: &GuardianId, child: &ChildId) -> Acted<Changed<()>> {
    let act = who.act(Fact::ChildLinkAdded, guardian);
    world.store.add_child_link(&act, guardian, child).await.expect("an answer")
}

async fn confirm(world: &World, who: &Member, guardian: &GuardianId, child: &ChildId) -> Acted<Changed<()>> {
    let act = who.act(Fact::ChildLinkConfirmed, guardian);
    world.store.confirm_child_link(&act, guardian, child, EVIDENCE).await.expect("an answer")
}

async fn remove(
    world: &World,
    who: &Member,
    guardian: &GuardianId,
    child: &ChildId,
) -> Acted<Changed<Withdrawn>> {
    let act = who.act(Fact::ChildLinkRemoved, guardian);
    let acted = world.store.remove_child_link(&act, guardian, child, &revocations(guardian)).await;
    acted.expect("an answer")
}

/// The codes of findings in the outcome of one row.
fn findings(outcomes: &[RowOutcome]) -> Vec<&'static str> {
    match outcomes {
        [
            RowOutcome::Created(found)
            | RowOutcome::Updated(found)
            | RowOutcome::Unchanged(found)
            | RowOutcome::Rejected(found),
        ] => found.iter().map(|finding| finding.code).collect(),
        [..] => panic!("one row"),
    }
}

async fn a_guardian_of_another_school_is_linked_by_the_organization_and_then_seen(world: World) {
    let (guardian, _, there) = two_schools(&world).await;
    let (who, above) = (member(&world, &["t"]).await, member(&world, &[]).await);
    assert!(world.store.guardian(&who.viewer(), &guardian).await.expect("an answer").is_none());
    // Who could link anybody to a child of the own school could issue a credential for anybody's account.
    let before = contents(&world).await;
    assert_eq!(add(&world, &who, &guardian, &there).await, Acted::Now(Changed::NoGuardian));
    assert_eq!(confirm(&world, &who, &guardian, &there).await, Acted::Now(Changed::NoGuardian));
    assert_eq!(contents(&world).await, before);
    assert_eq!(add(&world, &above, &guardian, &there).await, Acted::Now(Changed::Done(())));
    assert_eq!(add(&world, &who, &guardian, &there).await, Acted::Now(Changed::AlreadySo));
    let found = world.store.guardian(&who.viewer(), &guardian).await.expect("an answer").expect("a guardian");
    // The child at the other school is not this school's business.
    assert_eq!(found.links.iter().map(|link| &link.child).collect::<Vec<_>>(), [&there]);
    assert_eq!(found.links[0].sources, ["staff"]);
    assert_eq!(found.links[0].confirmation, None);
}

async fn a_confirmation_says_who_how_and_when_and_the_first_one_stays(world: World) {
    let (guardian, here, _) = two_schools(&world).await;
    let (first, second) = (member(&world, &["s"]).await, member(&world, &[]).await);
    assert_eq!(confirm(&world, &first, &guardian, &here).await, Acted::Now(Changed::Done(())));
    assert_eq!(confirm(&world, &second, &guardian, &here).await, Acted::Now(Changed::AlreadySo));
    let link = world.store.child_link(&second.viewer(), &guardian, &here).await.expect("an answer");
    let link = link.expect("a link");
    assert_eq!(link.sources, ["import", "staff"]);
    let confirmation = link.confirmation.expect("it is confirmed");
    assert_eq!(confirmation.staff, Some(first.id));
    assert_eq!(confirmation.at, Some(at(120)));
    assert_eq!(confirmation.evidence, Some(EVIDENCE));
}

async fn a_child_out_of_scope_and_a_guardian_elsewhere_are_not_there(world: World) {
    let (guardian, here, there) = two_schools(&world).await;
    let nordvik = organization("nordvik");
    let strange = Delivered::from(super::world::guardian("9"));
    world.import_into(&nordvik, vec![school("s"), child("c", "s"), strange]).await;
    let before = contents(&world).await;
    let who = member(&world, &["s"]).await;
    assert_eq!(add(&world, &who, &guardian, &there).await, Acted::Now(Changed::NoChild));
    assert_eq!(confirm(&world, &who, &guardian, &there).await, Acted::Now(Changed::NoChild));
    assert_eq!(remove(&world, &who, &guardian, &there).await, Acted::Now(Changed::NoChild));
    let elsewhere = "SELECT count(*) FROM guardian WHERE organization = 'nordvik'";
    assert_eq!(world.number(elsewhere).await, 1);
    let elsewhere = GuardianId::new(at(0), random());
    assert_eq!(add(&world, &who, &elsewhere, &here).await, Acted::Now(Changed::NoGuardian));
    assert_eq!(add(&world, &who, &who.id, &here).await, Acted::Now(Changed::NoGuardian));
    let after = contents(&world).await;
    assert_eq!(before["child_link"], after["child_link"]);
    assert_eq!(before["audit_event"], after["audit_event"]);
}

async fn with_the_only_confirmed_link_go_password_and_sessions(world: World) {
    let (guardian, here, _) = two_schools(&world).await;
    let who = member(&world, &["s"]).await;
    let session = world.log_in(&world.account("1").await).await;
    let Acted::Now(Changed::Done(withdrawn)) = remove(&world, &who, &guardian, &here).await else {
        panic!("it is removed")
    };
    assert_eq!(withdrawn.revoked, [Portal::Parent]);
    assert_eq!(withdrawn.ended.sessions, [session.id]);
    assert!(world.account("1").await.password.is_none());
    let events = "SELECT count(*) FROM audit_event WHERE kind = 'credential_revoked' AND portal = 'parent'";
    assert_eq!(world.number(events).await, 1);
    assert_eq!(remove(&world, &who, &guardian, &here).await, Acted::Now(Changed::AlreadySo));
}

async fn a_password_that_another_link_bears_stays(world: World) {
    let (guardian, here, there) = two_schools(&world).await;
    let who = member(&world, &[]).await;
    assert_eq!(confirm(&world, &who, &guardian, &there).await, Acted::Now(Changed::Done(())));
    let epoch = world.account("1").await.credential_epoch;
    let Acted::Now(Changed::Done(withdrawn)) = remove(&world, &who, &guardian, &here).await else {
        panic!("it is removed")
    };
    assert!(withdrawn.revoked.is_empty() && withdrawn.ended.sessions.is_empty());
    let account = world.account("1").await;
    assert!(account.password.is_some());
    assert_eq!(account.credential_epoch, epoch);
}

async fn no_import_brings_back_what_staff_removed(world: World) {
    let (guardian, here, _) = two_schools(&world).await;
    let who = member(&world, &[]).await;
    remove(&world, &who, &guardian, &here).await;
    let delivered = || vec![super::world::guardian("1").into()];
    for _ in 0..2 {
        let found = findings(&world.import(delivered()).await);
        assert!(found.contains(&"link_removed_by_staff"), "{found:?}");
        assert_eq!(world.number("SELECT count(*) FROM child_link").await, 0);
        assert!(world.account("1").await.password.is_none());
    }
    assert_eq!(add(&world, &who, &guardian, &here).await, Acted::Now(Changed::Done(())));
    assert_eq!(world.number("SELECT count(*) FROM removed_child_link").await, 0);
    assert!(findings(&world.import(delivered()).await).is_empty());
    assert_eq!(world.number("SELECT count(*) FROM child_link WHERE source = 'import'").await, 1);
}

async fn what_staff_confirmed_stands_when_the_source_drops_it(world: World) {
    let (guardian, here, _) = two_schools(&world).await;
    let who = member(&world, &[]).await;
    confirm(&world, &who, &guardian, &here).await;
    let without = GuardianRecord { relations: Vec::new(), password: None, ..super::world::guardian("1") };
    assert_eq!(findings(&world.import(vec![without.clone().into()]).await), ["link_of_staff_kept"]);
    assert!(findings(&world.import(vec![without.into()]).await).is_empty(), "said once");
    assert!(world.account("1").await.password.is_some());
    // The child moves to another school: the relation is between people.
    world.import(vec![child("c", "t")]).await;
    assert_eq!(world.number("SELECT count(*) FROM child_link WHERE confirmed_by = 'staff'").await, 1);
}

async fn a_repeated_request_is_known(world: World) {
    let (guardian, _, there) = two_schools(&world).await;
    let who = member(&world, &[]).await;
    let act = who.repeatable(Fact::ChildLinkAdded, &guardian, 1);
    let add = async |act: Act| world.store.add_child_link(&act, &guardian, &there).await.expect("an answer");
    assert_eq!(add(act.clone()).await, Acted::Now(Changed::Done(())));
    let after = contents(&world).await;
    assert_eq!(add(act.clone()).await, Acted::Before(None));
    assert_eq!(add(who.repeatable(Fact::ChildLinkAdded, &guardian, 2)).await, Acted::OtherRequest);
    world.change("UPDATE staff_member SET revision = 2").await;
    assert_eq!(add(who.act(Fact::ChildLinkAdded, &guardian)).await, Acted::OffDuty);
    assert_eq!(contents(&world).await, after);
}

async fn of_many_who_confirm_at_once_one_does(world: World) {
    let (guardian, here, _) = two_schools(&world).await;
    let who = member(&world, &[]).await;
    let outcomes =
        at_once(
            (0..20).map(|_| {
                let (store, guardian, child) = (Arc::clone(&world.store), guardian.clone(), here.clone());
                let mut act = who.act(Fact::ChildLinkConfirmed, &guardian);
                act.events[0].id = AuditEventId::new(at(120), random());
                async move {
                    store.confirm_child_link(&act, &guardian, &child, EVIDENCE).await.expect("an answer")
                }
            }),
        )
        .await;
    let done = outcomes.iter().filter(|outcome| **outcome == Acted::Now(Changed::Done(()))).count();
    assert_eq!(done, 1);
    let events = "SELECT count(*) FROM audit_event WHERE kind = 'child_link_confirmed'";
    assert_eq!(world.number(events).await, 1);
}

async fn with_a_contract_goes_the_password_of_the_childminder(world: World) {
    let minder = GuardianRecord {
        logins: vec![super::world::debtor_login(Portal::Childminder, "1")],
        relations: vec![Relation::Contract { confirmed: true }, child_relation("c", true)],
        password: Some(password(Portal::Childminder, 1)),
        ..guardian("1")
    };
    world.import(vec![school("s"), child("c", "s"), minder.clone().into()]).await;
    let (guardian, who) = (guardian_id(&world, "g1").await, member(&world, &[]).await);
    let act = who.act(Fact::ContractConfirmed, &guardian);
    let confirmed = world.store.confirm_contract(&act, &guardian, EVIDENCE).await.expect("an answer");
    assert_eq!(confirmed, Acted::Now(Changed::Done(())));
    let act = who.act(Fact::ContractRemoved, &guardian);
    let removed = world.store.remove_contract(&act, &guardian, &revocations(&guardian)).await;
    let Ok(Acted::Now(Changed::Done(withdrawn))) = removed else { panic!("it is removed") };
    assert_eq!(withdrawn.revoked, [Portal::Childminder]);
    assert_eq!(world.number("SELECT count(*) FROM credential").await, 0);
    let again = world.store.remove_contract(&act, &guardian, &revocations(&guardian)).await;
    assert_eq!(again.expect("an answer"), Acted::Now(Changed::AlreadySo));

    // The source goes on delivering it.
    for _ in 0..2 {
        let found = findings(&world.import(vec![minder.clone().into()]).await);
        assert!(found.contains(&"contract_removed_by_staff"), "{found:?}");
        assert_eq!(world.number("SELECT count(*) FROM contract").await, 0);
        assert_eq!(world.number("SELECT count(*) FROM credential").await, 0);
    }
    let mut act = who.act(Fact::ContractConfirmed, &guardian);
    act.events[0].id = AuditEventId::new(at(121), random());
    let confirmed = world.store.confirm_contract(&act, &guardian, EVIDENCE).await.expect("an answer");
    assert_eq!(confirmed, Acted::Now(Changed::Done(())));
    assert!(findings(&world.import(vec![minder.into()]).await).is_empty());
    assert_eq!(world.number("SELECT count(*) FROM contract").await, 2);
}

on_every_database! {
    a_guardian_of_another_school_is_linked_by_the_organization_and_then_seen,
    a_confirmation_says_who_how_and_when_and_the_first_one_stays,
    a_child_out_of_scope_and_a_guardian_elsewhere_are_not_there,
    with_the_only_confirmed_link_go_password_and_sessions,
    a_password_that_another_link_bears_stays,
    no_import_brings_back_what_staff_removed,
    what_staff_confirmed_stands_when_the_source_drops_it,
    a_repeated_request_is_known,
    of_many_who_confirm_at_once_one_does,
    with_a_contract_goes_the_password_of_the_childminder,
}
