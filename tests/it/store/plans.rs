//! PostgreSQL keeps the plans that it made while the tables were empty; they must do for full ones.

use std::time::Duration;

use guardian_auth::domain::audit::Fact;
use guardian_auth::domain::bankid::HintCode;
use guardian_auth::domain::id::GuardianId;
use guardian_auth::domain::message::Channel;
use guardian_auth::domain::organization::Portal;
use guardian_auth::ports::store::{
    ActivateOutcome, CandidateKey, CredentialQuery, EidLoginStore, EidOpenOutcome, FallbackCredentialStore,
    GuardianQuery, GuardianSearchStore, LoginBankIdStore, LoginOidcStore, NewFallbackCredential, OutboxStore,
    PasswordResetStore, Progress, ResetOutcome, SearchPlace, TakenAttempt, TryCounts, TryOutcome,
};

use super::credential_facts::{act, activate, activated, hire, issue, linked, mistype, new_sheet};
use super::eid_facts::{
    begun, complete, denied, import_numbered, lease_until, new_eid_session, note, proposal, sealed, signed,
};
use super::login_oidc::attempt;
use super::outbox_tries::{again, settlement};
use super::reset_facts::{ADDRESS, add_token, budget, confirmed, email, leased_request, reachable, settled};
use super::staff_facts::{child_id, member, words};
use super::world::{World, at, child, event, guardian, login_name, organization, school};
use crate::support::eventually;

/// A connection tells what it read when it ends, and the server may be behind with that.
pub(super) async fn close(world: &World) {
    world.store.close().await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    eventually(Duration::from_secs(10), "every connection has ended", async || {
        world.number(others).await == 0
    })
    .await;
}

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
    close(&world).await;
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
    close(&world).await;
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

/// The statements of logins with an eID, while the tables grow under their plans.
#[tokio::test]
async fn a_login_with_an_eid_looks_rows_up_and_never_for_them() {
    const BATCHES: u8 = 6;
    const LOGINS_PER_BATCH: u8 = 10;
    let world = World::on_postgres().await;
    for batch in 0..BATCHES {
        for round in 0..LOGINS_PER_BATCH {
            eid_login(&world, batch * LOGINS_PER_BATCH + round).await;
        }
        grow_eid_logins(&world, i64::from(batch)).await;
    }
    close(&world).await;
    let logins = i64::from(BATCHES * LOGINS_PER_BATCH);
    let scans = async |index: &str| {
        let scans = format!("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = '{index}'");
        world.number(&scans).await
    };
    // Once where something is looked for, and never to find a row whose key is known.
    assert_eq!(scans("bankid_order_by_lease").await, logins, "leases");
    assert_eq!(scans("bankid_order_by_collector").await, logins, "renewals");
    assert_eq!(scans("bankid_order_by_end").await, logins, "sweeps");
    assert_eq!(scans("oidc_attempt_by_end").await, logins, "sweeps");
    assert_eq!(scans("eid_evidence_by_end").await, logins, "sweeps");
    let tables = "relname IN ('oidc_attempt', 'bankid_order', 'eid_evidence', 'number_proposal', 'guardian_identifier')";
    let read = format!(
        "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE {tables})::bigint \
                + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE {tables})::bigint"
    );
    let rows_read = world.number(&read).await;
    assert!(rows_read < 100 * logins, "{rows_read} rows were read for {logins} logins");
    assert!(rows_read > 5 * logins, "the count is not there: {rows_read}");
}

/// One login of each kind, from the attempt and the order to the session and the denial.
async fn eid_login(world: &World, seed: u8) {
    let (store, sunnanvik) = (&world.store, organization("sunnanvik"));
    let account = import_numbered(world, &format!("2{seed:04}"), seed).await;
    let attempt = attempt(seed);
    store.add_oidc_attempt(&attempt).await.expect("it is kept");
    let taken = store.take_oidc_attempt(&[attempt.state_digest], &[attempt.binding_digest]).await;
    assert!(matches!(taken, Ok(TakenAttempt::Taken(_))));
    let taken = store.take_oidc_attempt(&[attempt.state_digest], &[attempt.binding_digest]).await;
    assert_eq!(taken.expect("an answer"), TakenAttempt::Unknown);

    let order = begun(world).await;
    let mine = lease_until("two", at(105));
    assert_eq!(store.lease_bankid_orders(&mine, at(101), 10).await.expect("an answer").len(), 1);
    assert_eq!(store.renew_bankid_leases(&mine).await.expect("an answer").len(), 1);
    assert_eq!(store.bankid_orders(std::slice::from_ref(&order.id)).await.expect("an answer").len(), 1);
    for progress in [
        Progress::Hint(HintCode::new("userSign")),
        Progress::Restarted { sealed: sealed(), started: at(101) },
        complete(),
    ] {
        assert!(note(world, &order.id, "two", &progress).await);
    }
    assert!(store.bankid_order(&order.id).await.expect("an answer").is_some());
    let digests: Vec<[u8; 32]> = (0..40).map(|number| [seed + number; 32]).collect();
    assert_eq!(store.family_names(&sunnanvik, &digests).await.expect("an answer"), ["Ek"]);
    assert_eq!(store.eid_accounts(&sunnanvik, &[[seed; 32]]).await.expect("an answer").len(), 1);
    let new = new_eid_session(&account, seed, Some(order.id));
    assert_eq!(store.open_eid_session(&new).await.expect("an answer"), EidOpenOutcome::Opened);

    let given_up = signed(world).await;
    assert!(store.cancel_bankid_order(&given_up, &event(Fact::LoggedIn, None)).await.expect("an answer"));
    let mut denied = denied(Some(signed(world).await));
    denied.proposal = Some(proposal(&account.guardian, 255));
    assert!(store.deny_eid_login(&denied).await.expect("an answer"));
    for swept in [
        store.sweep_oidc_attempts(at(0)).await,
        store.sweep_bankid_orders(at(0)).await,
        store.sweep_evidence(at(0)).await,
    ] {
        assert_eq!(swept.expect("an answer"), 0);
    }
}

/// A thousand rows more of each kind; of the orders half are pending, in the hands of another collector.
async fn grow_eid_logins(world: &World, batch: i64) {
    let series = format!("generate_series({batch} * 1000 + 1, {batch} * 1000 + 1000) AS i");
    for insert in [
        "oidc_attempt SELECT sha256(i::text::bytea), '', 'sunnanvik', 'parent', 'p', '', 'k1', i, 9e15::bigint + i",
        "bankid_order SELECT 'o' || i, 'sunnanvik', 'parent', 'other', '', NULL, '', 'k1', \
         CASE i % 2 WHEN 0 THEN 'pending' ELSE 'used' END, NULL, NULL, NULL, NULL, NULL, 'u', i, i, 0, 9e15::bigint + i, \
         CASE i % 2 WHEN 0 THEN 'three' END, CASE i % 2 WHEN 0 THEN 9e15::bigint + i END",
        "eid_evidence SELECT 'e' || i, 'sunnanvik', 'g', 's', '', 'k1', i, 9e15::bigint + i",
        "number_proposal SELECT 'n' || i, 'sunnanvik', (SELECT min(id) FROM guardian), 'se.pnr', sha256(i::text::bytea), \
         '', 'k1', i, NULL",
        "guardian_identifier (organization, guardian_id, scheme, blind_index, sealed, key_id, source, added_ms) \
         SELECT 'sunnanvik', (SELECT min(id) FROM guardian), 'se.pnr', sha256(i::text::bytea), '', 'k1', 'test', i",
    ] {
        world.change(&format!("INSERT INTO {insert} FROM {series}")).await;
    }
}

/// Searches by staff of the organization and of a small school, planned while the tables are empty, among 40,000 people.
#[tokio::test]
async fn a_search_reads_no_more_names_in_a_large_organization() {
    const SEARCHES: i64 = 10;
    let world = World::on_postgres().await;
    let mut rare = guardian("10043");
    rare.family_name = "Qvist Ek".to_owned();
    world.import(vec![school("s"), child("c", "s"), guardian("10042").into(), rare.into()]).await;
    let (everywhere, here) = (member(&world, &[]).await, member(&world, &["s"]).await);
    let child = child_id(&world, "c").await;
    let search = async || {
        for who in [&everywhere, &here] {
            for query in [
                GuardianQuery::Name(words("maj")),
                GuardianQuery::Name(words("maja ek")),
                // One of 40,000 of the first name, and of as many of the family name.
                GuardianQuery::Name(words("maja q")),
                GuardianQuery::ChildName(words("alva")),
                GuardianQuery::Child(child.clone()),
            ] {
                let start = SearchPlace::default();
                let found = world.store.search_guardians(&who.viewer(), &query, &start, 50).await;
                assert!(!found.expect("a page").rows.is_empty());
            }
        }
    };
    for _ in 0..SEARCHES {
        search().await;
    }
    grow_people(&world).await;
    for _ in 0..SEARCHES {
        search().await;
    }
    close(&world).await;
    let read = "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'name_part')::bigint \
                + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname = 'name_part')::bigint";
    let rows_read = world.number(read).await;
    // Ten searches a round; some 600 names for one that looks at each, a handful for one that begins at the school.
    assert!(rows_read < SEARCHES * 10 * 700, "{rows_read} names were read");
    assert!(rows_read > SEARCHES * 50, "the count is not there: {rows_read}");
}

/// 40,000 guardians and children of a large school, each with two parts of a name.
async fn grow_people(world: &World) {
    let series = "FROM generate_series(1, 40000) AS i";
    let large = "20000000000000000000000000";
    for insert in [
        format!("INSERT INTO school VALUES ('{large}', 'sunnanvik', 't', 'Storskolan')"),
        format!(
            "INSERT INTO child (id, organization, source_key, given_name, family_name, school_id, names_folded) \
             SELECT '1' || lpad(i::text, 25, '0'), 'sunnanvik', 'c' || i, 'Alva', 'Ek', '{large}', 1 {series}"
        ),
        format!(
            "INSERT INTO guardian (id, organization, source_key, given_name, family_name, locale, state, \
             credential_epoch, created_ms, updated_ms, names_folded) \
             SELECT '0' || lpad(i::text, 25, '0'), 'sunnanvik', 'x' || i, 'Maja', 'Ek', 'sv', 'active', 1, 0, 0, 1 {series}"
        ),
        format!(
            "INSERT INTO child_link (guardian_id, child_id, source) \
             SELECT '0' || lpad(i::text, 25, '0'), '1' || lpad(i::text, 25, '0'), 'import' {series}"
        ),
        format!(
            "INSERT INTO name_part SELECT 'sunnanvik', unnest(ARRAY['guardian', 'guardian', 'guardian_pair']), \
             unnest(ARRAY['maja', 'ek', 'ek maja']), '0' || lpad(i::text, 25, '0') {series}"
        ),
        format!(
            "INSERT INTO name_part SELECT 'sunnanvik', unnest(ARRAY['child', 'child', 'child_pair']), \
             unnest(ARRAY['alva', 'ek', 'alva ek']), '1' || lpad(i::text, 25, '0') {series}"
        ),
    ] {
        world.change(&insert).await;
    }
}

/// The statements of fallback credentials, while the tables grow under their plans.
#[tokio::test]
async fn a_fallback_credential_looks_rows_up_and_never_for_them() {
    const BATCHES: i64 = 6;
    const CREDENTIALS_PER_BATCH: i64 = 10;
    let world = World::on_postgres().await;
    let staff = hire(&world, &[]).await;
    for batch in 0..BATCHES {
        for number in 0..CREDENTIALS_PER_BATCH {
            fallback_credential(&world, &staff, &format!("{batch}{number:04}"), batch * 100 + number).await;
        }
        let series = format!("generate_series({batch} * 1000 + 1, {batch} * 1000 + 1000) AS i");
        let rows = "activation SELECT lpad(i::text, 26, '0'), 'sunnanvik', 'parent', (SELECT min(id) FROM guardian), 'staff', 'sheet', \
                    NULL, sha256(i::text::bytea), 1, 0, 'other', i, 9e15::bigint + i, 1, 'used'";
        world.change(&format!("INSERT INTO {rows} FROM {series}")).await;
    }
    close(&world).await;
    let credentials = BATCHES * CREDENTIALS_PER_BATCH;
    let tables = "relname IN ('activation', 'issuing_approval', 'revoked_password', 'staff_member')";
    let read = format!(
        "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE {tables})::bigint \
                + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE {tables})::bigint"
    );
    let rows_read = world.number(&read).await;
    // A scan of a table would make it thousands each.
    assert!(rows_read < 150 * credentials, "{rows_read} rows were read for {credentials} credentials");
    assert!(rows_read > 5 * credentials, "the count is not there: {rows_read}");
}

/// One credential from the sheet, through a wrong code, to the password and its end.
async fn fallback_credential(world: &World, staff: &GuardianId, number: &str, minute: i64) {
    let (store, sunnanvik) = (&world.store, organization("sunnanvik"));
    let account = linked(world, number).await;
    let sheet = NewFallbackCredential { most: 5, ..new_sheet(staff, &account.guardian, at(minute * 60)) };
    let id = issue(world, staff, sheet).await;
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&minute.to_be_bytes());
    store.link_activation(&id, &digest, at(minute * 60)).await.expect("an answer").expect("it works");
    store.activation_of_token(&digest).await.expect("an answer").expect("it is there");
    let name = login_name(number);
    store
        .activation_of_name(&sunnanvik, Portal::Parent, &name)
        .await
        .expect("an answer")
        .expect("it is there");
    mistype(world, &id, &account.guardian).await;
    let made = activated(&account, &id, account.credential_epoch, at(minute * 60));
    assert!(matches!(activate(world, &made).await, ActivateOutcome::Activated(_)));
    for guardian in [None, Some(account.guardian.clone())] {
        let query = CredentialQuery {
            organization: sunnanvik.clone(),
            staff: staff.clone(),
            guardian,
            only_waiting: false,
            before: None,
            limit: 3,
            now: at(0),
        };
        assert!(!store.list_credentials(&query).await.expect("an answer").is_empty());
    }
    let act = act(staff, at(minute * 60), Fact::CredentialRevoked, &account.guardian);
    store.revoke_credential(&act, &account.guardian, Portal::Parent).await.expect("an answer");
    assert_eq!(store.sweep_activations(at(0)).await.expect("an answer"), 0);
}
