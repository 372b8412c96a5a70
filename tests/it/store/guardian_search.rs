//! Searches: who is found, by whom, in which order, and that pages add up.

use std::collections::BTreeSet;

use guardian_auth::domain::directory::{GuardianRecord, SchoolRecord};
use guardian_auth::domain::name_search::{FOLD_VERSION, fold};
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{GuardianQuery, GuardianSearchStore, SearchPlace};

use super::on_every_database;
use super::staff_facts::{Member, by_name, child_id, guardian_id, member, words};
use super::world::{
    Delivered, World, child, child_relation, guardian, key, login_name, national_id, numbered, organization,
    school,
};

fn named(number: &str, given_name: &str, family_name: &str, children: &[&str]) -> GuardianRecord {
    GuardianRecord {
        given_name: given_name.to_owned(),
        family_name: family_name.to_owned(),
        relations: children.iter().map(|child| child_relation(child, true)).collect(),
        password: None,
        ..guardian(number)
    }
}

fn named_child(name: &str, given_name: &str, school: &str) -> Delivered {
    let Delivered::Child(mut record) = child(name, school) else { unreachable!("a child") };
    record.given_name = given_name.to_owned();
    Delivered::Child(record)
}

fn second_school() -> Delivered {
    Delivered::School(SchoolRecord { key: key("t"), name: "Bergskolan".to_owned() })
}

/// Two schools, with Åsa Öberg's child at the first, Aasa Berg's at the second.
async fn two_schools(world: &World) -> (Member, Member, Member) {
    world
        .import(vec![
            school("s"),
            second_school(),
            child("c", "s"),
            child("d", "t"),
            named("1", "Åsa Märta", "Öberg", &["c"]).into(),
            named("2", "Aasa", "Oberg-Lind", &["d"]).into(),
        ])
        .await;
    (member(world, &[]).await, member(world, &["s"]).await, member(world, &["t"]).await)
}

async fn a_name_is_found_by_beginnings_in_any_order_without_accents(world: World) {
    let (everywhere, ..) = two_schools(&world).await;
    let (asa, aasa) = (guardian_id(&world, "g1").await, guardian_id(&world, "g2").await);
    for (text, expected) in [
        ("asa", vec![&asa]),
        ("ÅSA", vec![&asa]),
        ("öber as", vec![&asa]),
        ("mar oberg å", vec![&asa]),
        ("oberg", vec![&asa, &aasa]),
        ("lind, OBERG", vec![&aasa]),
        ("bergo", vec![]),
        ("asa lind", vec![]),
    ] {
        let found: BTreeSet<_> = everywhere.find(&world, by_name(text)).await.into_iter().collect();
        assert_eq!(found, expected.into_iter().cloned().collect(), "{text}");
    }
}

async fn who_gets_another_name_is_found_by_that_alone(world: World) {
    let (everywhere, ..) = two_schools(&world).await;
    world.import(vec![named("1", "Siv", "Holm", &["c"]).into()]).await;
    assert!(everywhere.find(&world, by_name("asa")).await.is_empty());
    assert_eq!(everywhere.find(&world, by_name("siv")).await, [guardian_id(&world, "g1").await]);
    world.import(vec![named_child("c", "Tove", "s")]).await;
    assert_eq!(
        everywhere.find(&world, GuardianQuery::ChildName(words("tove"))).await,
        [guardian_id(&world, "g1").await]
    );
    let other = GuardianQuery::ChildName(words("alva"));
    assert_eq!(everywhere.find(&world, other).await, [guardian_id(&world, "g2").await]);
}

async fn a_member_finds_guardians_of_the_own_schools_only(world: World) {
    let (everywhere, here, there) = two_schools(&world).await;
    let (asa, aasa) = (guardian_id(&world, "g1").await, guardian_id(&world, "g2").await);
    let child = child_id(&world, "c").await;
    let queries = [GuardianQuery::LoginName(login_name("1")), GuardianQuery::Child(child), by_name("märta")];
    for query in queries {
        assert_eq!(everywhere.find(&world, query.clone()).await, std::slice::from_ref(&asa));
        assert_eq!(here.find(&world, query.clone()).await, std::slice::from_ref(&asa));
        assert!(there.find(&world, query).await.is_empty());
    }
    assert_eq!(here.find(&world, by_name("oberg")).await, std::slice::from_ref(&asa));
    assert_eq!(there.find(&world, by_name("oberg")).await, std::slice::from_ref(&aasa));
    assert_eq!(there.find(&world, GuardianQuery::ChildName(words("alva"))).await, [aasa]);
}

async fn a_number_is_found_under_any_of_its_digests(world: World) {
    let (everywhere, here, there) = two_schools(&world).await;
    world.import(vec![numbered(named("1", "Åsa", "Öberg", &["c"]), national_id(7))]).await;
    let asa = guardian_id(&world, "g1").await;
    let query = GuardianQuery::NationalId(vec![[8; 32], [7; 32]]);
    assert_eq!(everywhere.find(&world, query.clone()).await, std::slice::from_ref(&asa));
    assert_eq!(here.find(&world, query.clone()).await, [asa]);
    assert!(there.find(&world, query).await.is_empty());
}

async fn staff_and_those_who_are_gone_are_never_found(world: World) {
    let (everywhere, ..) = two_schools(&world).await;
    // The member's own name is Anna Ek.
    assert!(everywhere.find(&world, by_name("anna")).await.is_empty());
    world.store.fold_names().await.expect("they are folded");
    assert!(everywhere.find(&world, by_name("anna")).await.is_empty());
    assert_eq!(world.number("SELECT count(*) FROM guardian WHERE names_folded = 0").await, 0);
    for state in ["merged", "erased"] {
        world.change(&format!("UPDATE guardian SET state = '{state}' WHERE source_key = 'g1'")).await;
        assert!(everywhere.find(&world, by_name("märta")).await.is_empty());
        assert!(everywhere.find(&world, GuardianQuery::LoginName(login_name("1"))).await.is_empty());
        let child = child_id(&world, "c").await;
        assert!(everywhere.find(&world, GuardianQuery::Child(child)).await.is_empty());
    }
    world.change("UPDATE guardian SET state = 'locked' WHERE source_key = 'g1'").await;
    assert_eq!(everywhere.find(&world, by_name("märta")).await.len(), 1);
}

async fn names_of_before_are_folded_once(world: World) {
    let (everywhere, ..) = two_schools(&world).await;
    world.change("DELETE FROM name_part").await;
    world.change("UPDATE guardian SET names_folded = 0").await;
    world.change("UPDATE child SET names_folded = 0").await;
    assert!(everywhere.find(&world, by_name("märta")).await.is_empty());
    // Three staff members, two guardians, two children.
    assert_eq!(world.store.fold_names().await.expect("they are folded"), 7);
    assert_eq!(world.store.fold_names().await.expect("they are folded"), 0);
    assert_eq!(everywhere.find(&world, by_name("märta")).await.len(), 1);
    assert_eq!(everywhere.find(&world, GuardianQuery::ChildName(words("alva"))).await.len(), 2);
    let folded = format!("SELECT count(*) FROM guardian WHERE names_folded = {FOLD_VERSION}");
    assert_eq!(world.number(&folded).await, 5);
}

/// All pages of a search, one after another.
async fn all_pages(world: &World, who: &Member, query: &GuardianQuery, size: u16) -> Vec<String> {
    let mut place = SearchPlace::default();
    let mut all = Vec::new();
    loop {
        let found = world.store.search_guardians(&who.viewer(), query, &place, size).await.expect("a page");
        assert!(found.rows.len() <= usize::from(size));
        all.extend(found.rows.into_iter().map(|row| row.id.as_str().to_owned()));
        let Some(next) = found.next else { return all };
        assert_ne!(next, place, "a page goes on where it began");
        place = next;
    }
}

async fn pages_show_everybody_once(world: World) {
    world.import(vec![school("s"), second_school(), child("c", "s"), child("d", "t")]).await;
    world.import(vec![named_child("e", "Alvar", "s"), named_child("f", "Tove", "s")]).await;
    let children = [["c", "e"], ["d", "f"], ["e", "f"]];
    let given = ["Anna Anneli", "Annika", "Anna"];
    let rows = (0..60_usize).map(|number| {
        let name = given[number % 3];
        named(&format!("{number}"), name, "Ek", &children[number / 3 % 3]).into()
    });
    world.import(rows.collect()).await;
    let (everywhere, here) = (member(&world, &[]).await, member(&world, &["s"]).await);
    for (query, expected) in [
        (by_name("ann"), 60),
        (by_name("ek anna"), 40),
        // At the first child, each second third of them has none of that name.
        (GuardianQuery::ChildName(words("alv ek")), 60),
        (GuardianQuery::Child(child_id(&world, "f").await), 39),
    ] {
        for who in [&everywhere, &here] {
            let whole = all_pages(&world, who, &query, 200).await;
            let mut distinct: Vec<_> = whole.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), whole.len(), "somebody is shown twice");
            for size in [1, 7, 50] {
                assert_eq!(all_pages(&world, who, &query, size).await, whole, "pages of {size}");
            }
            if who.scope == everywhere.scope {
                assert_eq!(whole.len(), expected);
            }
        }
    }
}

/// With more children than a search begins at, it goes over the names, and finds the same.
async fn large_and_small_schools_are_searched_alike(world: World) {
    world.import(vec![school("s"), second_school(), child("c", "s"), child("d", "t")]).await;
    let rows = (0..40_usize).map(|number| {
        named(&format!("{number}"), "Anna", "Ek", if number % 4 == 0 { &["d"] } else { &["c"] }).into()
    });
    world.import(rows.collect()).await;
    let there = member(&world, &["t"]).await;
    let small = all_pages(&world, &there, &by_name("anna"), 3).await;
    assert_eq!(small.len(), 10);
    for batch in 0..5 {
        let more = (0..420).map(|number| child(&format!("x{batch}-{number}"), "t"));
        world.import(more.collect()).await;
    }
    assert_eq!(all_pages(&world, &there, &by_name("anna"), 3).await, small);
    let runs = world.metrics.runs_of("search_guardians_by_name");
    assert_eq!(all_pages(&world, &there, &by_name("anna ek"), 50).await, small);
    assert!(world.metrics.runs_of("search_guardians_by_name") > runs, "it began at the names");
}

/// Names of few letters, so that each word is the beginning of many of them, against the rule itself.
async fn any_words_find_exactly_those_whom_they_fit(world: World) {
    const LETTERS: [&str; 3] = ["a", "b", "c"];
    let name = |seed: usize| -> String {
        (0..=(seed % 3)).map(|place| LETTERS[(seed >> (2 * place)) % 3]).collect::<Vec<_>>().concat()
    };
    let names: Vec<(String, String)> = (0..300_usize)
        .map(|seed| {
            let (one, other, third) = (name(seed), name(seed * 7 + 3), name(seed * 13 + 5));
            (if seed % 4 == 0 { format!("{one} {third}") } else { one }, other)
        })
        .collect();
    world.import(vec![school("s"), child("c", "s")]).await;
    let rows = names
        .iter()
        .enumerate()
        .map(|(number, (given, family))| named(&format!("{number}"), given, family, &["c"]).into());
    world.import(rows.collect()).await;
    let mut ids = Vec::new();
    for number in 0..names.len() {
        ids.push(guardian_id(&world, &format!("g{number}")).await.as_str().to_owned());
    }
    let (everywhere, here) = (member(&world, &[]).await, member(&world, &["s"]).await);
    for typed in ["a b", "c a", "ab c", "ba bb", "b", "a b c", "ab bc ca", "abc a", "cb ac b"] {
        let fits = |(given, family): &(String, String)| {
            let parts = fold(&format!("{given} {family}"));
            typed.split(' ').all(|word| parts.iter().any(|part| part.starts_with(word)))
        };
        let expected: BTreeSet<String> =
            ids.iter().zip(&names).filter(|(_, name)| fits(name)).map(|(id, _)| id.clone()).collect();
        for who in [&everywhere, &here] {
            let found = all_pages(&world, who, &by_name(typed), 7).await;
            assert_eq!(found.len(), expected.len(), "{typed}: somebody is missing or shown twice");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{typed}");
        }
    }
}

/// Of more different names than one page looks at, the last one is the one.
async fn a_page_that_looked_at_much_goes_on_where_it_ended(world: World) {
    world.import(vec![school("s"), child("c", "s")]).await;
    for batch in 0..10_usize {
        let rows = (0..450).map(|number| {
            let number = batch * 450 + number;
            named(&format!("{number}"), &format!("Axel{number:05}"), "Berg", &["c"]).into()
        });
        world.import(rows.collect()).await;
    }
    world.import(vec![named("last", "Axelina", "Qvist", &["c"]).into()]).await;
    let everywhere = member(&world, &[]).await;
    let last = guardian_id(&world, "glast").await.as_str().to_owned();
    assert_eq!(all_pages(&world, &everywhere, &by_name("axel qvi"), 50).await, [last]);
    let start = SearchPlace::default();
    let first = world.store.search_guardians(&everywhere.viewer(), &by_name("axel qvi"), &start, 50).await;
    let first = first.expect("a page");
    assert!(first.rows.is_empty() && first.next.is_some(), "it looked at everything");
    assert_eq!(all_pages(&world, &everywhere, &by_name("axel berg"), 200).await.len(), 4_500);
}

async fn children_are_found_in_the_own_schools(world: World) {
    world.import(vec![school("s"), second_school(), child("c", "s"), named_child("d", "Alvar", "t")]).await;
    for (schools, expected) in [(&[][..], 2), (&["s"], 1), (&["t"], 1)] {
        let viewer = member(&world, schools).await.viewer();
        let start = SearchPlace::default();
        let found = world.store.search_children(&viewer, &words("alv ek"), &start, 50).await;
        assert_eq!(found.expect("a page").rows.len(), expected);
    }
}

async fn nobody_is_found_in_another_organization(world: World) {
    let nordvik = organization("nordvik");
    world
        .import_into(&nordvik, vec![school("s"), child("c", "s"), named("1", "Åsa", "Ek", &["c"]).into()])
        .await;
    let (everywhere, ..) = two_schools(&world).await;
    assert_eq!(everywhere.find(&world, by_name("åsa")).await, [guardian_id(&world, "g1").await]);
    let by_login = GuardianQuery::LoginName(login_name("1"));
    assert_eq!(everywhere.find(&world, by_login).await, [guardian_id(&world, "g1").await]);
    assert_eq!(world.candidates(Portal::Parent, "1").await.here.map(|_| ()), Some(()));
}

on_every_database! {
    a_name_is_found_by_beginnings_in_any_order_without_accents,
    who_gets_another_name_is_found_by_that_alone,
    a_member_finds_guardians_of_the_own_schools_only,
    a_number_is_found_under_any_of_its_digests,
    staff_and_those_who_are_gone_are_never_found,
    names_of_before_are_folded_once,
    pages_show_everybody_once,
    large_and_small_schools_are_searched_alike,
    any_words_find_exactly_those_whom_they_fit,
    a_page_that_looked_at_much_goes_on_where_it_ended,
    children_are_found_in_the_own_schools,
    nobody_is_found_in_another_organization,
}
