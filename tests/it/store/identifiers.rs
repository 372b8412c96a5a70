//! Numbers that staff change: two accounts never have one in use, whatever imports and staff do.

use std::sync::Arc;

use guardian_auth::domain::audit::{Cause, EidCause, Fact};
use guardian_auth::domain::id::{AuditEventId, GuardianId};
use guardian_auth::domain::identifier_change::{IdentifierChange, IdentifierRefusal, Scheme};
use guardian_auth::domain::login_password::AccountState;
use guardian_auth::ports::store::{
    Acted, Changed, DeniedEidLogin, EidLoginStore, GuardianStore, NewNumber, NumberOutcome, SealedNationalId,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::on_every_database;
use super::races::at_once;
use super::staff_facts::{Member, guardian_id, member};
use super::world::{Delivered, World, at, child, event, guardian, national_id, numbered, random, school};
use crate::store::eid_facts::proposal;

/// A number as a vault with two keys would hand it over: `active` says which of them makes new rows.
fn number(seed: u8, active: u8) -> SealedNationalId {
    let index = |key: u8| [seed.wrapping_add(100 * key); 32];
    SealedNationalId { index: index(active), other_indexes: vec![index(1 - active)], ..national_id(seed) }
}

fn new(guardian: &GuardianId, number: SealedNationalId, change: IdentifierChange) -> NewNumber {
    NewNumber {
        guardian: guardian.clone(),
        number,
        scheme: Scheme::Personal,
        replaced: None,
        change,
        proposal: None,
    }
}

async fn change(world: &World, who: &Member, new: &NewNumber) -> NumberOutcome {
    let act = who.act(Fact::IdentifierChanged, &new.guardian);
    match world.store.change_identifier(&act, new).await.expect("an answer") {
        Acted::Now(outcome) => outcome,
        Acted::Before(_) | Acted::OtherRequest | Acted::OffDuty => panic!("it is looked at"),
    }
}

async fn three_guardians(world: &World) -> (Member, [GuardianId; 3]) {
    let mut rows = vec![school("s"), child("c", "s")];
    rows.extend(["1", "2", "3"].map(|number| Delivered::from(guardian(number))));
    world.import(rows).await;
    let mut ids = Vec::new();
    for name in ["g1", "g2", "g3"] {
        ids.push(guardian_id(world, name).await);
    }
    (member(world, &[]).await, ids.try_into().expect("three"))
}

const IN_USE: &str = "SELECT count(*) FROM guardian_identifier WHERE retired_ms IS NULL";

async fn a_temporary_number_becomes_a_personnummer_and_sessions_end(world: World) {
    let (who, [one, ..]) = three_guardians(&world).await;
    let first = NewNumber {
        scheme: Scheme::Temporary,
        ..new(&one, SealedNationalId { scheme: "se.tf", ..national_id(1) }, IdentifierChange::First)
    };
    assert!(matches!(change(&world, &who, &first).await, NumberOutcome::Changed(_)));
    let session = world.log_in(&world.account("1").await).await;
    let next = new(&one, national_id(2), IdentifierChange::Succession);
    let NumberOutcome::Changed(ended) = change(&world, &who, &NewNumber { ..next.clone() }).await else {
        panic!("it changes")
    };
    assert_eq!(ended.sessions, [session.id]);
    assert_eq!(change(&world, &who, &next).await, NumberOutcome::AlreadySo);
    assert_eq!(world.number(IN_USE).await, 1);
    let history =
        "SELECT count(*) FROM guardian_identifier WHERE scheme = 'se.tf' AND retired_ms IS NOT NULL";
    assert_eq!(world.number(history).await, 1);
    let details = "SELECT count(*) FROM audit_event WHERE detail IN ('none>se.tf', 'se.tf>se.pnr')";
    assert_eq!(world.number(details).await, 2);
    let back =
        NewNumber { scheme: Scheme::Temporary, ..new(&one, national_id(3), IdentifierChange::Succession) };
    let refused = change(&world, &who, &back).await;
    assert_eq!(refused, NumberOutcome::Refused(IdentifierRefusal::NotASuccessor));
}

async fn a_number_of_another_account_is_not_taken_under_either_key(world: World) {
    let (who, [one, two, _]) = three_guardians(&world).await;
    let here = member(&world, &["s"]).await;
    for active in [0, 1] {
        let given = new(&one, number(5, active), IdentifierChange::First);
        change(&world, &who, &given).await;
        for by in [&who, &here] {
            let taken = change(&world, by, &new(&two, number(5, 1 - active), IdentifierChange::First)).await;
            assert_eq!(taken, NumberOutcome::Taken(Some(one.clone())));
        }
        // An import sees it too.
        let delivered = numbered(guardian("2"), number(5, 1 - active));
        world.import(vec![delivered]).await;
        assert_eq!(world.number(IN_USE).await, 1);
        world.change("DELETE FROM guardian_identifier").await;
    }
}

async fn a_holder_out_of_scope_is_not_named(world: World) {
    let (who, [one, two, _]) = three_guardians(&world).await;
    change(&world, &who, &new(&one, national_id(5), IdentifierChange::First)).await;
    world.change(&format!("DELETE FROM child_link WHERE guardian_id = '{one}'")).await;
    let here = member(&world, &["s"]).await;
    let taken = change(&world, &here, &new(&two, national_id(5), IdentifierChange::First)).await;
    assert_eq!(taken, NumberOutcome::Taken(None));
    let unseen = change(&world, &here, &new(&one, national_id(6), IdentifierChange::Correction)).await;
    assert_eq!(unseen, NumberOutcome::NoGuardian);
}

async fn of_many_accounts_that_get_one_number_at_once_one_does(world: World) {
    let mut rows = vec![school("s"), child("c", "s")];
    rows.extend((0..12).map(|number| Delivered::from(guardian(&number.to_string()))));
    world.import(rows).await;
    let who = member(&world, &[]).await;
    let mut news = Vec::new();
    for index in 0..12_u8 {
        let id = guardian_id(&world, &format!("g{index}")).await;
        news.push(new(&id, number(9, index % 2), IdentifierChange::First));
    }
    let outcomes = at_once(news.into_iter().map(|new| {
        let store = Arc::clone(&world.store);
        let mut act = who.act(Fact::IdentifierChanged, &new.guardian);
        act.events[0].id = AuditEventId::new(at(120), random());
        async move { store.change_identifier(&act, &new).await.expect("an answer") }
    }))
    .await;
    let changed = |outcome: &&Acted<NumberOutcome>| matches!(outcome, Acted::Now(NumberOutcome::Changed(_)));
    assert_eq!(outcomes.iter().filter(changed).count(), 1);
    assert_eq!(world.number(IN_USE).await, 1);
}

async fn a_correction_outranks_the_source_until_it_delivers_the_same(world: World) {
    let (who, [one, ..]) = three_guardians(&world).await;
    let deliver = async |seed| world.import(vec![numbered(guardian("1"), national_id(seed))]).await;
    let in_use = async |source: &str, seed: u8| {
        let digest = format!("{seed:02X}").repeat(32);
        let bytes =
            if world.folder() == "sqlite" { format!("x'{digest}'") } else { format!("'\\x{digest}'") };
        let question =
            format!("{IN_USE} AND source = '{source}' AND blind_index = {bytes} AND guardian_id = '{one}'");
        assert_eq!(world.number(&question).await, 1, "{source} {seed}");
        assert_eq!(world.number(IN_USE).await, 1);
    };
    deliver(1).await;
    change(&world, &who, &new(&one, national_id(2), IdentifierChange::Correction)).await;
    for _ in 0..2 {
        let outcomes = deliver(1).await;
        assert!(format!("{outcomes:?}").contains("number_of_staff_kept"), "{outcomes:?}");
        in_use("staff", 2).await;
    }
    // None at all undoes it as little.
    world.import(vec![guardian("1").into()]).await;
    in_use("staff", 2).await;
    deliver(2).await;
    in_use("import", 2).await;
    deliver(3).await;
    in_use("import", 3).await;
}

async fn a_proposal_is_settled_with_its_number_or_without(world: World) {
    let (who, [one, two, _]) = three_guardians(&world).await;
    let propose = async |guardian: &GuardianId, seed| {
        let proposal = proposal(guardian, seed);
        let denied = DeniedEidLogin {
            order: None,
            events: vec![event(Fact::EidLoginDenied(EidCause::Account(Cause::UnknownNationalId)), None)],
            proposal: Some(proposal.clone()),
        };
        assert!(world.store.deny_eid_login(&denied).await.expect("an answer"));
        proposal.id
    };
    let (first, second) = (propose(&one, 1).await, propose(&one, 2).await);
    let act = who.act(Fact::NumberProposalRejected, &one);
    let reject =
        async |guardian, id| world.store.reject_number_proposal(&act, guardian, id).await.expect("an answer");
    assert_eq!(reject(&two, &first).await, Acted::Now(None));
    assert_eq!(reject(&one, &first).await, Acted::Now(Some(Changed::Done(()))));
    assert_eq!(reject(&one, &first).await, Acted::Now(Some(Changed::AlreadySo)));
    let from =
        |id, seed| NewNumber { proposal: Some(id), ..new(&one, national_id(seed), IdentifierChange::First) };
    assert_eq!(change(&world, &who, &from(first, 1)).await, NumberOutcome::ProposalSettled);
    assert!(matches!(change(&world, &who, &from(second, 2)).await, NumberOutcome::Changed(_)));
    let open = "SELECT count(*) FROM number_proposal WHERE settled_ms IS NULL";
    assert_eq!(world.number(open).await, 0);
}

async fn a_locked_account_can_be_put_right_and_a_gone_one_not(world: World) {
    let (who, [one, ..]) = three_guardians(&world).await;
    let act = who.act(Fact::GuardianLocked, &one);
    let session = world.log_in(&world.account("1").await).await;
    let locked = world.store.lock_guardian(&act, &one).await.expect("an answer");
    let Acted::Now(Changed::Done(ended)) = locked else { panic!("it is locked") };
    assert_eq!(ended.sessions, [session.id]);
    assert_eq!(world.account("1").await.state, AccountState::Locked);
    let again = world.store.lock_guardian(&act, &one).await.expect("an answer");
    assert_eq!(again, Acted::Now(Changed::AlreadySo));
    let first = new(&one, national_id(1), IdentifierChange::First);
    assert!(matches!(change(&world, &who, &first).await, NumberOutcome::Changed(_)));
    let unlock = async || world.store.unlock_guardian(&who.act(Fact::GuardianUnlocked, &one), &one).await;
    assert_eq!(unlock().await.expect("an answer"), Acted::Now(Changed::Done(())));
    assert_eq!(unlock().await.expect("an answer"), Acted::Now(Changed::AlreadySo));
    world.change(&format!("UPDATE guardian SET state = 'merged' WHERE id = '{one}'")).await;
    assert_eq!(unlock().await.expect("an answer"), Acted::Now(Changed::Gone(AccountState::Merged)));
    let gone = new(&one, national_id(2), IdentifierChange::Correction);
    assert_eq!(change(&world, &who, &gone).await, NumberOutcome::Gone(AccountState::Merged));
}

/// What staff or a source do to one of three accounts.
#[derive(Clone, Copy, Debug)]
enum Step {
    Change { guardian: usize, number: u8, active: u8, change: IdentifierChange },
    Import { guardian: usize, number: Option<u8>, active: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let change = proptest::sample::select(vec![
        IdentifierChange::First,
        IdentifierChange::Correction,
        IdentifierChange::Correction,
    ]);
    prop_oneof![
        (0..3_usize, 1..4_u8, 0..2_u8, change).prop_map(|(guardian, number, active, change)| Step::Change {
            guardian,
            number,
            active,
            change
        }),
        (0..3_usize, proptest::option::of(1..4_u8), 0..2_u8)
            .prop_map(|(guardian, number, active)| Step::Import { guardian, number, active }),
    ]
}

/// Numbers of which more than one row is in use, under whichever key, in one account or in several.
const DOUBLE: &str = "SELECT count(*) FROM guardian_identifier a JOIN guardian_identifier b \
    ON a.position < b.position AND a.organization = b.organization \
    WHERE a.retired_ms IS NULL AND b.retired_ms IS NULL AND (a.blind_index = b.blind_index OR a.key_id = b.key_id)";

async fn two_accounts_never_own_one_active_number(world: World) {
    let (who, guardians) = three_guardians(&world).await;
    let (steps, handle) = (12, tokio::runtime::Handle::current());
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let strategy = proptest::collection::vec(step(), steps);
    tokio::task::block_in_place(|| {
        runner.run(&strategy, |steps| {
            handle.block_on(async {
                world.change("DELETE FROM guardian_identifier").await;
                for step in steps {
                    take(&world, &who, &guardians, step).await;
                    prop_assert_eq!(world.number(DOUBLE).await, 0, "after {:?}", step);
                }
                Ok(())
            })
        })
    })
    .expect("no account shares a number");
}

/// A number under a key, with its name as id of the key: two rows of one number have it in common.
fn marked(seed: u8, active: u8) -> SealedNationalId {
    SealedNationalId { key_id: format!("n{seed}"), ..number(seed, active) }
}

async fn take(world: &World, who: &Member, guardians: &[GuardianId; 3], step: Step) {
    match step {
        Step::Change { guardian, number, active, change: why } => {
            let mut new = new(&guardians[guardian], marked(number, active), why);
            new.scheme = Scheme::Personal;
            let mut act = who.act(Fact::IdentifierChanged, &new.guardian);
            act.events[0].id = AuditEventId::new(at(120), random());
            world.store.change_identifier(&act, &new).await.expect("an answer");
        }
        Step::Import { guardian: index, number, active } => {
            let record = guardian(&(index + 1).to_string());
            let row = match number {
                Some(number) => numbered(record, marked(number, active)),
                None => record.into(),
            };
            world.import(vec![row]).await;
        }
    }
}

on_every_database! {
    a_temporary_number_becomes_a_personnummer_and_sessions_end,
    a_number_of_another_account_is_not_taken_under_either_key,
    a_holder_out_of_scope_is_not_named,
    of_many_accounts_that_get_one_number_at_once_one_does,
    a_correction_outranks_the_source_until_it_delivers_the_same,
    a_proposal_is_settled_with_its_number_or_without,
    a_locked_account_can_be_put_right_and_a_gone_one_not,
    two_accounts_never_own_one_active_number,
}
