//! Finding accounts and children that are there twice, on the store.

use guardian_auth::domain::directory::{Contact, GuardianRecord};
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::identifier::{Email, Mobile, Region};
use guardian_auth::ports::store::{ChildLookAlikes, DuplicateStore, LookAlikes};

use super::merge::hire;
use super::on_every_database;
use super::world::{
    Delivered, World, child, child_relation, guardian, national_id, numbered, organization, school,
};

fn named(debtor_number: &str, given: &str, family: &str, of_child: &str) -> GuardianRecord {
    let mut record = guardian(debtor_number);
    record.given_name = given.to_owned();
    record.family_name = family.to_owned();
    record.relations = vec![child_relation(of_child, true)];
    record
}

fn reached(mut record: GuardianRecord, email: &str, mobile: &str) -> GuardianRecord {
    let canonical = Email::parse(email).ok();
    record.email = Some(Contact { delivered: email.to_owned(), canonical });
    let canonical = Mobile::parse(mobile, Region::default()).ok();
    record.mobile = Some(Contact { delivered: mobile.to_owned(), canonical });
    record
}

/// All of a walk, some at a time.
async fn walk(world: &World, staff: &GuardianId, limit: u32) -> Vec<LookAlikes> {
    let sunnanvik = organization("sunnanvik");
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let walked = world.store.look_alikes(&sunnanvik, staff, after.as_ref(), limit).await;
        let walked = walked.expect("an answer");
        assert!(walked.found.len() <= limit as usize);
        all.extend(walked.found);
        match walked.go_on_after {
            Some(id) => after = Some(id),
            None => return all,
        }
    }
}

async fn people(world: &World) {
    let rows: Vec<Delivered> = vec![
        school("s"),
        school("t"),
        child("c", "s"),
        child("d", "t"),
        child("e", "s"),
        numbered(named("1", "Åsa", "Lind", "c"), national_id(1)),
        numbered(named("2", "asa", "LIND", "c"), national_id(2)),
        named("3", "Åsa", "Lind", "d").into(),
        reached(named("4", "Per", "Ek", "c"), "ek@example.se", "+46701740605").into(),
        reached(named("5", "Pär", "Eek", "e"), "ek@example.se", "+46701740605").into(),
        reached(named("6", "Kim", "Ek", "e"), "ek@example.se", "+46701740606").into(),
    ];
    world.import(rows).await;
}

async fn pairs_are_found_once_whatever_the_page(world: World) {
    people(&world).await;
    let staff = hire(&world, &[]).await;
    let all = walk(&world, &staff, 100).await;
    assert_eq!(all.len(), 6, "each account is passed");
    let pairs: Vec<_> = all.iter().flat_map(|one| one.others.iter().map(move |other| (one, other))).collect();
    assert_eq!(pairs.len(), 4);
    // Three of one name, each with each, and two that are reached alike.
    assert_eq!(pairs.iter().filter(|(_, other)| other.same_name).count(), 3);
    assert_eq!(pairs.iter().filter(|(_, other)| other.same_name && other.common_child).count(), 1);
    assert_eq!(pairs.iter().filter(|(_, other)| other.same_email && other.same_mobile).count(), 1);
    for (one, other) in &pairs {
        assert!(one.one.id < other.other.id);
        assert!(other.same_name || other.numbers.is_empty(), "numbers are read for equal names only");
    }
    for limit in [1, 2, 3] {
        assert_eq!(walk(&world, &staff, limit).await, all, "{limit}");
    }
}

async fn of_one_account_the_others_are_found_on_both_sides(world: World) {
    people(&world).await;
    let staff = hire(&world, &[]).await;
    let sunnanvik = organization("sunnanvik");
    for number in ["1", "2", "3"] {
        let account = world.account(number).await;
        let found = world.store.look_alikes_of(&sunnanvik, &staff, &account.guardian).await;
        assert_eq!(found.expect("an answer").expect("it is there").others.len(), 2, "{number}");
    }
}

async fn who_works_for_a_school_finds_nobody_of_another_one(world: World) {
    people(&world).await;
    let staff = hire(&world, &["s"]).await;
    let all = walk(&world, &staff, 2).await;
    assert_eq!(all.len(), 5);
    let pairs: Vec<_> = all.iter().flat_map(|one| &one.others).collect();
    assert_eq!(pairs.iter().filter(|other| other.same_name).count(), 1, "the third one is of another school");
    let elsewhere = world.account("3").await.guardian;
    let found = world.store.look_alikes_of(&organization("sunnanvik"), &staff, &elsewhere).await;
    assert_eq!(found.expect("an answer"), None);
}

async fn accounts_that_were_merged_are_not_found(world: World) {
    people(&world).await;
    let staff = hire(&world, &[]).await;
    world.change("UPDATE guardian SET state = 'merged' WHERE source_key = 'g2'").await;
    let all = walk(&world, &staff, 100).await;
    assert_eq!(all.iter().flat_map(|one| &one.others).filter(|other| other.same_name).count(), 1);
}

async fn children_of_one_name_and_guardian_are_found(world: World) {
    let mut record = guardian("1");
    record.relations = vec![child_relation("c", true), child_relation("d", true)];
    let mut other = guardian("2");
    other.relations = vec![child_relation("c", true), child_relation("d", true), child_relation("e", true)];
    let mut named = child("e", "s");
    if let Delivered::Child(record) = &mut named {
        record.given_name = "Alvar".to_owned();
    }
    // Of the same name, and nobody's in common.
    let rows = vec![
        school("s"),
        child("c", "s"),
        child("d", "s"),
        named,
        child("f", "s"),
        record.into(),
        other.into(),
    ];
    world.import(rows).await;
    let staff = hire(&world, &["s"]).await;
    let sunnanvik = organization("sunnanvik");
    let walked = world.store.child_look_alikes(&sunnanvik, &staff, None, 100).await.expect("an answer");
    assert_eq!((walked.found.len(), walked.go_on_after), (4, None));
    let pairs: Vec<&(_, u32)> =
        walked.found.iter().flat_map(|ChildLookAlikes { others, .. }| others).collect();
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].1, 2, "both guardians");
}

on_every_database! {
    pairs_are_found_once_whatever_the_page,
    of_one_account_the_others_are_found_on_both_sides,
    who_works_for_a_school_finds_nobody_of_another_one,
    accounts_that_were_merged_are_not_found,
    children_of_one_name_and_guardian_are_found,
}
