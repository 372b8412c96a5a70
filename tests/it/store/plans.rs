//! PostgreSQL keeps the plans that it made while the tables were empty; they must do for full ones.

use guardian_auth::domain::message::Channel;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{
    CandidateKey, OutboxStore, PasswordResetStore, ResetOutcome, TryCounts, TryOutcome,
};

use super::outbox_tries::{again, settlement};
use super::reset_facts::{ADDRESS, add_token, budget, confirmed, email, leased_request, reachable, settled};
use super::world::{World, at, child, guardian, login_name, organization, school};

/// The statements of an import, with what a login asks, while the tables grow and nobody has counted them.
#[tokio::test]
async fn no_statement_reads_more_rows_than_it_asks_for() {
    const BATCHES: i64 = 8;
    const GUARDIANS_PER_BATCH: i64 = 250;
    let world = World::on_postgres().await;
    world.import(vec![school("s"), child("c", "s")]).await;
    for batch in 0..BATCHES {
        let numbers = (0..GUARDIANS_PER_BATCH).map(|number| format!("{batch}{number:04}"));
        world.import(numbers.map(|number| guardian(&number).into()).collect()).await;
        let account = world.account(&format!("{batch}0000")).await;
        world.log_in(&account).await;
        world.end_all(&account).await;
    }
    // A connection tells what it read when it ends.
    world.store.close().await;
    let read = "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint \
                + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint";
    let rows_read = world.number(read).await;
    // Some 5 a guardian; with a scan of the organization for each chunk of keys 33, and more the larger it is.
    let limit = 10 * BATCHES * GUARDIANS_PER_BATCH;
    assert!(rows_read < limit, "{rows_read} rows were read for {} guardians", BATCHES * GUARDIANS_PER_BATCH);
    assert!(rows_read > BATCHES * GUARDIANS_PER_BATCH, "the count is not there: {rows_read}");
}

/// The statements of resets and of their messages, one after another, while the tables grow under their plans.
#[tokio::test]
async fn a_reset_looks_rows_up_and_never_for_them() {
    const BATCHES: i64 = 6;
    const RESETS_PER_BATCH: i64 = 10;
    let world = World::on_postgres().await;
    for batch in 0..BATCHES {
        let numbers: Vec<String> =
            (0..RESETS_PER_BATCH).map(|number| format!("{batch}{number:04}")).collect();
        let mut rows = vec![school("s"), child("c", "s")];
        rows.extend(numbers.iter().map(|number| reachable(number).into()));
        world.import(rows).await;
        for (round, number) in numbers.iter().enumerate() {
            let digest = [u8::try_from(batch).expect("few"), u8::try_from(round).expect("few")].repeat(16);
            reset(&world, number, digest.try_into().expect("32 bytes")).await;
        }
        grow(&world, batch).await;
    }
    world.store.close().await;
    let resets = BATCHES * RESETS_PER_BATCH;
    let scans = async |index: &str| {
        let scans = format!("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = '{index}'");
        world.number(&scans).await
    };
    // Once where something is looked for, and never to find a row whose key is known.
    assert_eq!(scans("guardian_by_email").await, resets, "candidates by address");
    assert_eq!(scans("reset_request_due").await, resets, "leases");
    assert_eq!(scans("message_due").await, 4 * resets, "leases, and levels of two channels");
    assert_eq!(scans("message_sent").await, resets, "tries that may count");
    let tables = "relname IN ('reset_request', 'message', 'reset_token', 'message_budget')";
    let read = format!(
        "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE {tables})::bigint \
                + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE {tables})::bigint"
    );
    let rows_read = world.number(&read).await;
    // Some 35 each, versions that are not cleaned up yet among them; a scan of a table would make it thousands.
    assert!(rows_read < 100 * resets, "{rows_read} rows were read for {resets} resets");
    assert!(rows_read > 5 * resets, "the count is not there: {rows_read}");
}

/// One reset from the request to the new password, with a message that goes at the second try.
async fn reset(world: &World, number: &str, digest: [u8; 32]) {
    let (store, sunnanvik) = (&world.store, organization("sunnanvik"));
    let leased = leased_request(world).await;
    for key in [
        CandidateKey::Email(email(ADDRESS)),
        CandidateKey::LoginName { name: login_name(number), national_id: vec![[1; 32]] },
    ] {
        store.reset_candidates(&sunnanvik, Portal::Parent, &key).await.expect("candidates");
    }
    let account = world.account(number).await;
    let budget = budget(number, 3, 20, at(100));
    store.settle_reset(&settled(&leased, Some(&account.guardian), budget)).await.expect("it is settled");
    for outcome in [again(at(100), TryCounts::IfAnotherGotThrough), TryOutcome::Sent] {
        let leased = store.lease_messages(Channel::Email, at(100), at(110), 1).await.expect("an answer");
        store.recipient(&account.guardian, Portal::Parent).await.expect("a recipient");
        store.settle_message(&settlement(&leased[0], outcome)).await.expect("it is settled");
    }
    add_token(world, &account, digest).await;
    store.reset_token(&digest).await.expect("an answer").expect("a token");
    let mut confirmed = confirmed(&account, digest);
    confirmed.notices.clear();
    let outcome = store.confirm_reset(&confirmed).await.expect("an answer");
    assert!(matches!(outcome, ResetOutcome::Reset(_)));
    store.outbox_levels().await.expect("levels");
}

/// A thousand rows more of each kind that resets leave behind.
async fn grow(world: &World, batch: i64) {
    let series = format!("generate_series({batch} * 1000 + 1, {batch} * 1000 + 1000) AS i");
    for insert in [
        "message SELECT 'm' || i, 'sunnanvik', 'parent', 'g' || i, 'email', 'reset_link', NULL, NULL, 'k' || i, \
         'sent', 0, NULL, i, i, i, i",
        "reset_request SELECT 'r' || i, 'sunnanvik', 'parent', '', 'k1', NULL, 'r', 'c', NULL, 'u', i, 9e15::bigint + i",
        "message_budget SELECT 's' || i, i",
        "reset_token SELECT sha256(i::text::bytea), 'm', 'sunnanvik', 'parent', (SELECT min(id) FROM guardian), 1, '', \
         i, i, 1, 'used'",
    ] {
        world.change(&format!("INSERT INTO {insert} FROM {series}")).await;
    }
}
