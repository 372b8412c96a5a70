//! B23: which new passwords are taken, and that none of this touches the ones on file.

use std::time::{Duration, Instant};

use guardian_auth::domain::passphrase::{Locale, suggest};
use guardian_auth::domain::password::{
    Blocklist, ClaimedPassword, PasswordHash, PasswordPolicy, Refusal, Unusable,
};
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::password_hasher::Verdict;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::hashing_pool::{cheap, start};

/// The list that new passwords are held against.
const COMMON_PASSWORDS: &str = include_str!("../../src/domain/data/common_passwords.txt");

fn refusals(min_length: u16, password: &str) -> Vec<Refusal> {
    let policy = PasswordPolicy { min_length, blocked_words: Vec::new() };
    policy.accept(Secret::new(password.to_owned()), &Blocklist::embedded(), &[]).err().unwrap_or_default()
}

/// `count` letters of `alphabet` in an order that is on no list.
fn letters(alphabet: &str, count: usize) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    (0..count).map(|i| alphabet[(i * i + 3 * i + i / 5) % alphabet.len()]).collect()
}

const ALPHABETS: [&str; 4] =
    ["abcdefghjkm npq", "åäöéüëøñçßþæïãő", "日本語学校先生保護者学級会", "🦊🐻🐼🐨🐯🦁🐮🐷🐸🐵🐔🐧🐦"];

#[test]
fn b23_length_counts_code_points_at_each_boundary() {
    for alphabet in ALPHABETS {
        for (min_length, length, refused) in [
            (8, 7, Some(Refusal::TooShort { min_length: 8 })),
            (8, 8, None),
            (15, 8, Some(Refusal::TooShort { min_length: 15 })),
            (15, 14, Some(Refusal::TooShort { min_length: 15 })),
            (15, 15, None),
            (15, 64, None),
            (64, 63, Some(Refusal::TooShort { min_length: 64 })),
            (64, 64, None),
            (15, 256, None),
            (15, 257, Some(Refusal::TooLong)),
        ] {
            let password = letters(alphabet, length);
            assert_eq!(password.chars().count(), length);
            assert_eq!(refusals(min_length, &password), Vec::from_iter(refused), "{length} of {alphabet}");
        }
    }
}

#[test]
fn b23_decomposed_letters_count_as_one() {
    let fourteen = letters("abcdefghjkmnpq", 13) + "a\u{30a}";
    assert_eq!(refusals(15, &fourteen), [Refusal::TooShort { min_length: 15 }]);
    assert!(refusals(15, &(fourteen + "z")).is_empty());
}

#[test]
fn b23_the_first_3000_long_common_passwords_are_refused_with_the_reason() {
    let long: Vec<&str> =
        COMMON_PASSWORDS.lines().filter(|entry| entry.chars().count() >= 15).take(3000).collect();
    assert_eq!(long.len(), 3000);
    for entry in long {
        assert_eq!(refusals(15, entry), [Refusal::Common], "{entry}");
        assert_eq!(refusals(15, &entry.to_uppercase().replace("SS", "ss")), [Refusal::Common], "{entry}");
    }
}

#[test]
fn b23_a_look_up_takes_less_than_5_ms() {
    let passwords: Vec<&str> = COMMON_PASSWORDS.lines().step_by(30).collect();
    let begun = Instant::now();
    for password in &passwords {
        refusals(8, password);
    }
    assert!(begun.elapsed() < Duration::from_millis(5) * u32::try_from(passwords.len()).unwrap());
}

#[test]
fn b23_no_composition_rule_a_thousand_lower_case_passphrases_are_taken() {
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[23; 32]);
    for number in 0..1000 {
        let locale = Locale::ALL[number % 3];
        let policy = PasswordPolicy::default();
        let passphrase = suggest(locale, &policy, |buffer| random.fill_bytes(buffer));
        let plain = passphrase.expose().replace('-', "");
        let padded = if plain.len() < 15 { plain.repeat(2) } else { plain };
        assert!(padded.bytes().all(|byte| byte.is_ascii_lowercase()));
        assert!(refusals(15, &padded).is_empty(), "{padded}");
        assert!(refusals(15, passphrase.expose()).is_empty());
    }
}

#[test]
fn b23_there_is_no_rule_on_parts() {
    let policy = PasswordPolicy { min_length: 15, blocked_words: vec!["unikum".into(), "förskola".into()] };
    for taken in ["unikum-är-där-jag-bor", "password är inte mitt", "min förskola på berget"] {
        assert!(
            policy.accept(Secret::new(taken.into()), &Blocklist::embedded(), &["unikum"]).is_ok(),
            "{taken}"
        );
    }
}

/// B23: escapes, not literals, so that no editor composes them.
#[tokio::test]
async fn b23_composed_and_decomposed_spellings_verify_crosswise() {
    let pool = start(cheap(), 1, 16);
    let composed = "\u{e5}ngstr\u{f6}m \u{e9}t\u{e9} \u{1e69} \u{ac00}";
    let decomposed = "a\u{30a}ngstro\u{308}m e\u{301}te\u{301} s\u{307}\u{323} \u{1100}\u{1161}";
    let compatible = "\u{212b}ngstr\u{f6}m".to_owned();
    for (set, claimed) in
        [(composed, decomposed), (decomposed, composed), (composed, composed), (decomposed, decomposed)]
    {
        let hash = pool.hash(set).await;
        assert_eq!(pool.verify(claimed, Some(&hash), &[]).await, Verdict::Match { outdated: false });
    }
    // NFC, not NFKC: a ligature is not its letters.
    let hash = pool.hash("\u{fb01}nland i v\u{e5}r").await;
    assert_eq!(pool.verify("finland i v\u{e5}r", Some(&hash), &[]).await, Verdict::Mismatch);
    // The ångström sign is canonically Å: capital, so not the same as the small letter.
    let hash = pool.hash(&compatible).await;
    assert_eq!(pool.verify("\u{c5}ngstr\u{f6}m", Some(&hash), &[]).await, Verdict::Match { outdated: false });
    assert_eq!(pool.verify("\u{e5}ngstr\u{f6}m", Some(&hash), &[]).await, Verdict::Mismatch);
}

/// Mattermost CVE-2026-24458: a very long password must cost nothing.
#[tokio::test]
async fn b23_an_over_long_or_empty_password_costs_no_run() {
    let pool = start(cheap(), 1, 16);
    let hash = pool.hash("zebra kabel moln").await;
    for claimed in [String::new(), "x".repeat(257), "🦊".repeat(257), "x".repeat(65_536)] {
        assert!(ClaimedPassword::parse(Secret::new(claimed.clone())).is_err());
        assert_eq!(pool.verify(&claimed, Some(&hash), &[]).await, Verdict::Mismatch);
        assert_eq!(pool.verify(&claimed, None, &[]).await, Verdict::Mismatch);
    }
    assert_eq!(pool.metrics.runs(cheap(), guardian_auth::adapters::argon2::Purpose::Verify), 0);
    let over_long = ClaimedPassword::parse(Secret::new("x".repeat(257)));
    assert_eq!(over_long.err(), Some(Unusable::TooLong));
}

/// B23: the policy is never applied on verify. The hash is the reference implementation's, of "password".
#[tokio::test]
async fn b23_an_imported_password_that_breaks_the_policy_still_works() {
    let pool = start(cheap(), 1, 16);
    let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let imported = PasswordHash::parse(hash).unwrap();
    assert_eq!(refusals(15, "password"), [Refusal::TooShort { min_length: 15 }, Refusal::Common]);
    let claimed = ClaimedPassword::parse(Secret::new("password".to_owned())).unwrap().into_secret();
    let foreign = [imported.parameters()];
    let verdict = pool.verify(claimed.expose(), Some(&imported), &foreign).await;
    assert_eq!(verdict, Verdict::Match { outdated: true });
}

proptest! {
    #[test]
    fn b23_any_lower_case_password_long_enough_is_taken(password in "[a-z]{30,64}") {
        prop_assume!(!COMMON_PASSWORDS.lines().any(|entry| entry == password));
        prop_assert!(refusals(15, &password).is_empty());
    }
}
