//! Merge and undo are the identity on a snapshot: for random accounts, with whatever two of them can have.

use guardian_auth::domain::id::GuardianId;
use guardian_auth::ports::store::{MergeOutcome, UndoOutcome};

use super::merge::{a_merge, hire, lasting, merged, undone};
use super::on_every_database;
use super::world::{World, at, child, random, school};

/// Rounds on each database; each has accounts of its own.
const ROUNDS: u8 = 12;

/// A choice that a seed makes: `SplitMix64`, so that a failure can be run again by its seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn half(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.next()).expect("64 bits") % choices.len();
        choices[index]
    }
}

/// The literal of a digest or another blob, and the expression of a number sealed for a guardian.
struct Sql {
    postgres: bool,
}

impl Sql {
    fn blob(&self, seed: u64) -> String {
        let hex: String = (0..32).map(|_| format!("{:02x}", seed % 256)).collect();
        if self.postgres { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") }
    }

    fn sealed(&self, guardian: &GuardianId, seed: u64) -> String {
        let text = format!("'{guardian} {seed}'");
        if self.postgres { format!("convert_to({text}, 'UTF8')") } else { format!("CAST({text} AS BLOB)") }
    }
}

/// A random account. Each password has what it rests on.
async fn account(world: &World, chance: &mut Chance, sql: &Sql, seeds: &mut u64) -> GuardianId {
    let id = GuardianId::new(at(0), random());
    let state = chance.of(&["active", "active", "locked"]);
    world
        .change(&format!(
            "INSERT INTO guardian (id, organization, source_key, given_name, family_name, locale, state, credential_epoch, \
             created_ms, updated_ms, kind, names_folded) \
             VALUES ('{id}', 'sunnanvik', '{id}', 'Maja', 'Ek', 'sv', '{state}', 1, 0, 0, 'guardian', 1)"
        ))
        .await;
    for (kind, part) in [("guardian", "maja"), ("guardian", "ek"), ("guardian_pair", "ek maja")] {
        world
            .change(&format!("INSERT INTO name_part VALUES ('sunnanvik', '{kind}', '{part}', '{id}')"))
            .await;
    }
    for retired in ["NULL", "5", "NULL"] {
        if chance.half() {
            *seeds += 1;
            let (index, sealed) = (sql.blob(*seeds), sql.sealed(&id, *seeds));
            let source = chance.of(&["import", "staff", "merged"]);
            world
                .change(&format!(
                    "INSERT INTO guardian_identifier (organization, guardian_id, scheme, blind_index, sealed, key_id, source, \
                     added_ms, retired_ms) \
                     VALUES ('sunnanvik', '{id}', 'se.pnr', {index}, {sealed}, 'k1', '{source}', 1, {retired})"
                ))
                .await;
        }
    }
    for settled in ["NULL", "NULL", "6"] {
        if chance.half() {
            // Few numbers, so that both are proposed the same one now and then.
            let seed = 200 + chance.next() % 3;
            let (index, sealed) = (sql.blob(seed), sql.sealed(&id, seed));
            let proposal = GuardianId::new(at(0), random());
            world
                .change(&format!(
                    "INSERT INTO number_proposal (id, organization, guardian_id, scheme, blind_index, sealed, key_id, at_ms, \
                     settled_ms) VALUES ('{proposal}', 'sunnanvik', '{id}', 'se.pnr', {index}, {sealed}, 'k1', 1, {settled}) \
                     ON CONFLICT DO NOTHING"
                ))
                .await;
        }
    }
    relations(world, chance, &id).await;
    for portal in ["parent", "childminder"] {
        if chance.half() {
            let name = format!("N{}", &id.as_str()[16..]);
            let spare = u8::from(chance.half());
            world
                .change(&format!(
                    "INSERT INTO guardian_login (organization, portal, login_name, guardian_id, kind, is_spare) \
                     VALUES ('sunnanvik', '{portal}', '{name}', '{id}', 'user_name', {spare})"
                ))
                .await;
        }
        password(world, chance, sql, &id, portal).await;
    }
    id
}

/// Who confirmed a relation of this source, and when.
fn confirmation(chance: &mut Chance, source: &str) -> &'static str {
    let by = if source == "staff" { "'staff', 3" } else { "'source', 4" };
    chance.of(&["NULL, NULL", by])
}

async fn relations(world: &World, chance: &mut Chance, id: &GuardianId) {
    for child in ["c", "d", "e"] {
        let mut is_linked = false;
        for source in ["import", "staff", "merged"] {
            if chance.half() {
                is_linked = true;
                let by = confirmation(chance, source);
                world
                    .change(&format!(
                        "INSERT INTO child_link (guardian_id, child_id, source, confirmed_by, confirmed_ms, confirmed_how) \
                         SELECT '{id}', id, '{source}', {by}, NULL FROM child WHERE source_key = '{child}'"
                    ))
                    .await;
            }
        }
        if !is_linked && chance.half() {
            world
                .change(&format!(
                    "INSERT INTO removed_child_link (guardian_id, child_id, staff_id, at_ms) \
                     SELECT '{id}', id, 'somebody', 4 FROM child WHERE source_key = '{child}'"
                ))
                .await;
        }
    }
    for source in ["import", "staff"] {
        if chance.half() {
            let by = confirmation(chance, source);
            world
                .change(&format!(
                    "INSERT INTO contract (guardian_id, source, confirmed_by, confirmed_ms) \
                     VALUES ('{id}', '{source}', {by})"
                ))
                .await;
        }
    }
}

async fn password(world: &World, chance: &mut Chance, sql: &Sql, id: &GuardianId, portal: &str) {
    let table = if portal == "parent" { "child_link" } else { "contract" };
    let confirmed = format!("SELECT count(*) FROM {table} WHERE guardian_id = '{id}' AND confirmed_by");
    let rests_on = if world.number(&format!("{confirmed} = 'staff'")).await > 0 {
        chance.of(&["staff", "source", ""])
    } else if world.number(&format!("{confirmed} = 'source'")).await > 0 {
        chance.of(&["source", ""])
    } else {
        ""
    };
    if rests_on.is_empty() {
        return;
    }
    let (fingerprint, set) = (sql.blob(9), chance.next() % 1000);
    world
        .change(&format!(
            "INSERT INTO credential (guardian_id, portal, organization, hash, hash_parameters, origin, import_fingerprint, \
             must_change, failures_unknown, failures_known, set_ms, rests_on) \
             VALUES ('{id}', '{portal}', 'sunnanvik', 'hash of {id}', 'p', 'import', {fingerprint}, 1, 2, 3, {set}, '{rests_on}')"
        ))
        .await;
}

async fn merge_then_undo_is_the_identity(world: World) {
    world.import(vec![school("s"), child("c", "s"), child("d", "s"), child("e", "s")]).await;
    let staff = hire(&world, &[]).await;
    let sql = Sql { postgres: world.folder() == "postgres" };
    let seed = u64::from_le_bytes(random());
    let (mut chance, mut seeds) = (Chance(seed), 0);
    for round in 0..ROUNDS {
        let kept = account(&world, &mut chance, &sql, &mut seeds).await;
        let absorbed = account(&world, &mut chance, &sql, &mut seeds).await;
        let before = lasting(&world).await;
        let merge = a_merge(&kept, &absorbed);
        let outcome = merged(&world, &staff, &merge).await;
        assert!(matches!(outcome, MergeOutcome::Merged { .. }), "seed {seed}, round {round}: {outcome:?}");
        let left = format!(
            "SELECT (SELECT count(*) FROM child_link WHERE guardian_id = '{absorbed}') \
                  + (SELECT count(*) FROM guardian_login WHERE guardian_id = '{absorbed}') \
                  + (SELECT count(*) FROM guardian_identifier WHERE guardian_id = '{absorbed}') \
                  + (SELECT count(*) FROM credential WHERE guardian_id = '{absorbed}') \
                  + (SELECT count(*) FROM contract WHERE guardian_id = '{absorbed}')"
        );
        assert_eq!(world.number(&left).await, 0, "seed {seed}, round {round}");
        let outcome = undone(&world, &staff, &merge.id, 300).await;
        assert!(matches!(outcome, UndoOutcome::Undone(_)), "seed {seed}, round {round}: {outcome:?}");
        assert_eq!(lasting(&world).await, before, "seed {seed}, round {round}");
    }
}

on_every_database! {
    merge_then_undo_is_the_identity,
}
