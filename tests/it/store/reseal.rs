//! Sealing anew: every value ends under the new key, and nobody is missed on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guardian_auth::adapters::key_vault::{DerivedKeyVault, MasterKey};
use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::domain::id::{EvidenceId, GuardianId, ProposalId};
use guardian_auth::domain::secret::Secret;
use guardian_auth::domain::staff::Realm;
use guardian_auth::flows::reseal::{Pace, Reseal, Summary};
use guardian_auth::flows::{eid_login, national_id, signing_keys};
use guardian_auth::ports::key_vault::{KeyVault, Purpose};
use guardian_auth::ports::store::{
    CandidateKey, DeniedEidLogin, EidLoginStore, EidOpenOutcome, NewEidSession, NewEvidence, NumberProposal,
    PasswordResetStore, SealedKind, SealedNationalId, SealedSigningKey, SigningKeyStore,
};

use super::eid_facts::{denied, new_eid_session};
use super::on_every_database;
use super::world::{
    Delivered, World, at, child, guardian, login_name, numbered, organization, random, school,
};
use crate::support::full_size;
use crate::support::service::TestClock;
use guardian_auth::domain::organization::Portal;

/// A vault over the keys of these names, the first one active; a name is a key.
fn vault(ids: &[&str]) -> Arc<DerivedKeyVault> {
    let key = |id: &&str| {
        let byte = id.as_bytes()[1];
        MasterKey { id: (*id).to_owned(), key: Secret::new([byte; 32]) }
    };
    let masters: Vec<MasterKey> = ids.iter().map(key).collect();
    Arc::new(DerivedKeyVault::new(&masters).expect("a vault"))
}

async fn reseal(world: &World, ids: &[&str]) -> Summary {
    let reseal = Reseal {
        store: Arc::clone(&world.store) as _,
        vault: vault(ids),
        clock: TestClock::at(at(200)),
        entropy: Arc::new(SystemEntropy),
    };
    reseal.run(Pace::Full, &mut |_| {}).await.expect("it runs")
}

fn canonical(number: &str) -> String {
    format!("se.pnr:{number}")
}

fn sealed_for(ids: &[&str], guardian: &GuardianId, number: &str) -> SealedNationalId {
    let canonical = canonical(number);
    let (vault, of) = (vault(ids), organization("sunnanvik"));
    national_id::seal_for(vault.as_ref(), &of, Realm::Guardians, guardian, ("se.pnr", &canonical))
}

fn digests(ids: &[&str], number: &str) -> Vec<[u8; 32]> {
    let (of, canonical) = (organization("sunnanvik"), canonical(number));
    let parts = national_id::index_parts(&of, Realm::Guardians, &canonical);
    vault(ids).digests(Purpose::NationalIdIndex, &parts)
}

/// Guardians whose numbers are sealed with `k1`.
async fn world_of(world: &World, numbers: &[String]) -> Vec<GuardianId> {
    world.import(vec![school("s"), child("c", "s")]).await;
    let rows: Vec<Delivered> = numbers.iter().map(|number| guardian(number).into()).collect();
    for chunk in rows.chunks(200) {
        world.import(chunk.to_vec()).await;
    }
    let mut ids = Vec::new();
    for number in numbers {
        ids.push(world.account(number).await.guardian);
    }
    let with_numbers: Vec<Delivered> = numbers
        .iter()
        .zip(&ids)
        .map(|(number, id)| numbered(guardian(number), sealed_for(&["k1"], id, number)))
        .collect();
    for chunk in with_numbers.chunks(200) {
        world.import(chunk.to_vec()).await;
    }
    ids
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:05}")).collect()
}

async fn found(world: &World, ids: &[&str], number: &str) -> Vec<GuardianId> {
    let accounts = world.store.eid_accounts(&organization("sunnanvik"), &digests(ids, number)).await;
    accounts.expect("an answer").into_iter().map(|account| account.guardian).collect()
}

async fn left_under(world: &World, key: &str) -> i64 {
    let mut left = 0;
    for kind in SealedKind::ALL {
        let count = format!("SELECT COUNT(*) FROM {} WHERE key_id = '{key}'", kind.table());
        left += world.number(&count).await;
    }
    left
}

async fn everything_ends_under_the_new_key_and_is_what_it_was(world: World) {
    let (old, of) = (vault(&["k1"]), organization("sunnanvik"));
    let numbers = numbers(1200);
    let ids = world_of(&world, &numbers).await;
    // One that was replaced.
    let newer = sealed_for(&["k1"], &ids[0], "99999");
    world.import(vec![numbered(guardian(&numbers[0]), newer)]).await;
    // One of staff.
    world.change(&format!("UPDATE guardian SET kind = 'staff' WHERE id = '{}'", ids[1])).await;
    // A proposal, a signing key, evidence.
    let proposed = NumberProposal {
        id: ProposalId::new(at(100), random()),
        organization: of.clone(),
        guardian: ids[2].clone(),
        number: sealed_for(&["k1"], &ids[2], "88888"),
        at: at(100),
    };
    let denial = DeniedEidLogin { proposal: Some(proposed), ..denied(None) };
    assert!(world.store.deny_eid_login(&denial).await.expect("it is written"));
    let private = old.seal(Purpose::SigningKeySeal, &signing_keys::context("kid-1"), b"private");
    let key = SealedSigningKey {
        kid: "kid-1".to_owned(),
        public: [7; 32],
        sealed_private: private.bytes,
        key_id: private.key_id,
        created: at(0),
        signs_from: at(0),
        published_until: None,
    };
    world.store.add_signing_key(&key, at(0), false).await.expect("it is written");
    let evidence = EvidenceId::new(at(100), random());
    let context = eid_login::evidence_context(&of, evidence.as_str());
    let sealed = old.seal(Purpose::EvidenceSeal, &context, b"signature");
    let account = world.account(&numbers[3]).await;
    let new = NewEidSession {
        identifier: digests(&["k1"], &numbers[3]),
        evidence: Some(NewEvidence { id: evidence.clone(), sealed, expires: at(500) }),
        ..new_eid_session(&account, 0, None)
    };
    assert_eq!(world.store.open_eid_session(&new).await.expect("an answer"), EidOpenOutcome::Opened);

    let summary = reseal(&world, &["k2", "k1"]).await;
    let resealed: Vec<u64> = SealedKind::ALL.iter().map(|kind| summary.resealed_of(*kind)).collect();
    // The staff member's number had a guardian's digest: what the digest was does not count.
    assert_eq!(resealed, [1, 1201, 1, 1, 0], "{summary}");
    assert!(summary.is_complete(), "{summary}");
    assert_eq!(summary.removable(), ["k1"]);
    assert_eq!(left_under(&world, "k1").await, 0);
    for number in [0, 2, 3, 599, 1199] {
        let wanted = if number == 0 { "99999" } else { &numbers[number] };
        assert_eq!(found(&world, &["k2"], wanted).await, [ids[number].clone()], "{number}");
    }
    assert_eq!(found(&world, &["k2"], &numbers[1]).await, [], "not by a guardian's login");
    let (new, staff) = (vault(&["k2"]), canonical(&numbers[1]));
    let parts = national_id::index_parts(&of, Realm::Staff, &staff);
    let by_staff = new.digests(Purpose::NationalIdIndex, &parts);
    assert_eq!(world.store.eid_accounts(&of, &by_staff).await.expect("an answer").len(), 1);
    let keys = world.store.signing_keys(at(0)).await.expect("keys");
    let sealed = guardian_auth::ports::key_vault::Sealed {
        bytes: keys[0].sealed_private.clone(),
        key_id: keys[0].key_id.clone(),
    };
    let opened =
        new.open(Purpose::SigningKeySeal, &signing_keys::context("kid-1"), &sealed).expect("it opens");
    assert_eq!(opened.expose().as_slice(), b"private");
    let told = "SELECT COUNT(*) FROM audit_event WHERE kind = 'data_resealed' AND detail = 'k2'";
    assert_eq!(world.number(told).await, 1, "once an organization");

    let again = reseal(&world, &["k2", "k1"]).await;
    assert_eq!((again.resealed_in_all(), again.is_complete()), (0, true), "there is nothing left to do");
}

async fn a_key_that_is_needed_may_not_be_removed(world: World) {
    let numbers = numbers(3);
    let ids = world_of(&world, &numbers).await;
    // Another account got the number of the first one while keys changed.
    let twice = sealed_for(&["k2"], &ids[1], &numbers[0]);
    world.import(vec![numbered(guardian(&numbers[1]), twice)]).await;
    // And one does not open: nobody has its key any more.
    world
        .change(&format!("UPDATE guardian_identifier SET key_id = 'k0' WHERE guardian_id = '{}'", ids[2]))
        .await;
    let summary = reseal(&world, &["k2", "k1"]).await;
    assert_eq!(summary.repeated.iter().cloned().collect::<Vec<_>>(), [ids[0].clone()]);
    assert_eq!(summary.removable(), [""; 0], "{summary}");
    assert!(!summary.is_complete());
    let text = summary.to_string();
    assert!(text.contains("k1 is still needed"), "{text}");
    assert!(text.contains("guardian_identifier: 1 left under k0, which is not configured"), "{text}");
    assert_eq!(found(&world, &["k2", "k1"], &numbers[0]).await.len(), 2, "both are still found");

    world.change(&format!("DELETE FROM guardian_identifier WHERE guardian_id = '{}'", ids[1])).await;
    let summary = reseal(&world, &["k2", "k1"]).await;
    assert_eq!(summary.removable(), ["k1"], "{summary}");
    assert!(!summary.is_complete(), "the other one is still unreadable");
}

/// A proposal that was made anew under the new key: staff see one.
async fn a_repeated_proposal_becomes_one(world: World) {
    let ids = world_of(&world, &numbers(1)).await;
    for key in ["k1", "k2"] {
        let proposed = NumberProposal {
            id: ProposalId::new(at(100), random()),
            organization: organization("sunnanvik"),
            guardian: ids[0].clone(),
            number: sealed_for(&[key], &ids[0], "88888"),
            at: at(100),
        };
        let denial = DeniedEidLogin { proposal: Some(proposed), ..denied(None) };
        assert!(world.store.deny_eid_login(&denial).await.expect("it is written"));
    }
    assert_eq!(reseal(&world, &["k2", "k1"]).await.removable(), ["k1"]);
    assert_eq!(world.number("SELECT COUNT(*) FROM number_proposal WHERE settled_ms IS NULL").await, 1);
    assert_eq!(left_under(&world, "k1").await, 0);
}

/// Logins by eID and requests for links ask for one digest after another, and numbers move in between.
async fn nobody_is_missed_while_numbers_move(world: World) {
    let rounds = if full_size() { 40 } else { 6 };
    let numbers = numbers(300);
    let ids = world_of(&world, &numbers).await;
    let (of, asked) = (organization("sunnanvik"), AtomicU64::new(0));
    for round in 0..rounds {
        let (active, before) = if round % 2 == 0 { ("k2", "k1") } else { ("k1", "k2") };
        let keys = [active, before];
        let over = AtomicBool::new(false);
        let moving = async {
            let summary = reseal(&world, &keys).await;
            over.store(true, Ordering::SeqCst);
            assert!(summary.is_complete(), "{summary}");
        };
        let asking = |offset: usize| {
            let (over, asked, ids, numbers, world, of) = (&over, &asked, &ids, &numbers, &world, &of);
            async move {
                let mut place = offset;
                while !over.load(Ordering::SeqCst) {
                    place = (place + 37) % numbers.len();
                    let digests = digests(&keys, &numbers[place]);
                    let accounts = world.store.eid_accounts(of, &digests).await.expect("an answer");
                    assert_eq!(accounts.len(), 1, "a login by eID misses {place} in round {round}");
                    assert_eq!(accounts[0].guardian, ids[place]);
                    let name = login_name(&numbers[place]);
                    let key = CandidateKey::LoginName { name, national_id: digests };
                    let candidates = world.store.reset_candidates(of, Portal::Parent, &key).await;
                    let candidates = candidates.expect("an answer");
                    assert!(candidates[0].has_national_id, "a reset misses {place} in round {round}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        tokio::join!(moving, asking(0), asking(100), asking(200));
    }
    assert!(asked.load(Ordering::Relaxed) > 0);
}

on_every_database! {
    everything_ends_under_the_new_key_and_is_what_it_was,
    a_key_that_is_needed_may_not_be_removed,
    a_repeated_proposal_becomes_one,
    nobody_is_missed_while_numbers_move,
}
