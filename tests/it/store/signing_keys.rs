//! Keeping the keys that sign access tokens.

use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::store::{SealedSigningKey, SigningKeyStore};

use super::on_every_database;
use super::world::{World, at};

fn signing_key(seed: u8, created: Timestamp) -> SealedSigningKey {
    SealedSigningKey {
        kid: format!("key-{seed}"),
        public: [seed; 32],
        sealed_private: vec![seed; 80],
        key_id: "k1".to_owned(),
        created,
        signs_from: created,
        published_until: None,
    }
}

async fn a_new_key_ends_the_publication_of_the_others(world: World) {
    let (first, second) = (signing_key(2, at(1)), signing_key(1, at(5)));
    assert!(world.store.add_signing_key(&first, at(100), true).await.expect("an answer"));
    assert!(world.store.add_signing_key(&second, at(20), false).await.expect("an answer"));
    assert!(world.store.add_signing_key(&signing_key(3, at(6)), at(30), false).await.expect("an answer"));

    let first = SealedSigningKey { published_until: Some(at(20)), ..first };
    let second = SealedSigningKey { published_until: Some(at(30)), ..second };
    let third = signing_key(3, at(6));
    assert_eq!(world.store.signing_keys(at(10)).await.expect("keys"), [first, second.clone(), third.clone()]);
    assert_eq!(world.store.signing_keys(at(20)).await.expect("keys"), [second, third.clone()]);
    assert_eq!(world.store.signing_keys(at(30)).await.expect("keys"), [third]);
}

async fn a_key_only_if_none_leaves_the_one_that_is_there(world: World) {
    assert!(world.store.add_signing_key(&signing_key(1, at(1)), at(9), true).await.expect("an answer"));
    assert!(!world.store.add_signing_key(&signing_key(2, at(2)), at(9), true).await.expect("an answer"));
    assert_eq!(world.store.signing_keys(at(3)).await.expect("keys"), [signing_key(1, at(1))]);
}

on_every_database! {
    a_new_key_ends_the_publication_of_the_others,
    a_key_only_if_none_leaves_the_one_that_is_there,
}
