//! The keys that sign access tokens: agreed on, sealed, rotated beside running replicas.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::access_tokens::JwtKeyring;
use guardian_auth::app::{self, App, Outside};
use guardian_auth::config::MasterKey;
use guardian_auth::domain::id::{GuardianId, SessionId};
use guardian_auth::domain::organization::{OrganizationId, Portal};
use guardian_auth::domain::secret::Secret;
use guardian_auth::domain::session::Method;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::flows::signing_keys::{PUBLISH_AHEAD, SigningKeyFlow};
use guardian_auth::ports::access_tokens::{AccessTokens as _, Claims, KeyRing as _, SigningKey};
use guardian_auth::ports::clock::Clock as _;
use guardian_auth::ports::key_vault::{Purpose, Sealed};
use guardian_auth::proto::SessionTokens;
use sqlx::AssertSqlSafe;

use crate::session::{
    MS, Pair, alma, is_valid, jwks, keys_of_document, keys_of_rpc, number, pair, sql, verified,
};
use crate::support::eventually;
use crate::support::service::{Calls, KOMMUN, Parts, Service};

/// Replicas look for keys every 10 s; the rest is a busy machine.
const LOADED_WITHIN: Duration = Duration::from_secs(20);

/// An Ed25519 private key as PKCS#8 (RFC 8410) begins with these bytes.
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The flow of the `keys` command, on the clock of the service.
async fn keys(service: &Service) -> SigningKeyFlow {
    let flow = app::signing_keys(&service.config()).await.unwrap();
    SigningKeyFlow { clock: Arc::clone(&service.clock) as _, ..flow }
}

/// The private keys in the store, opened.
async fn opened(service: &Service) -> Vec<SigningKey> {
    let flow = keys(service).await;
    let open = |key: guardian_auth::ports::store::SealedSigningKey| {
        let context: [&[u8]; 3] = [b"signing_key", key.kid.as_bytes(), b"sealed_private"];
        let sealed = Sealed { bytes: key.sealed_private.clone(), key_id: key.key_id.clone() };
        SigningKey {
            private: flow.vault.open(Purpose::SigningKeySeal, &context, &sealed).unwrap(),
            kid: key.kid,
            public: key.public,
            signs_from: key.signs_from,
            published_until: None,
        }
    };
    flow.list().await.unwrap().into_iter().map(open).collect()
}

/// A token that a thief of a private key makes: a year long.
fn forged(key: SigningKey, tokens: &SessionTokens, now: Timestamp) -> String {
    let ring = JwtKeyring::new("https://auth.example.se".to_owned());
    ring.load(vec![key]);
    let claims = Claims {
        organization: OrganizationId::parse(KOMMUN).unwrap(),
        portal: Portal::Parent,
        guardian: GuardianId::parse(&tokens.guardian_id).unwrap(),
        session: SessionId::parse(&tokens.session_id).unwrap(),
        client: "sample-kommun-portal".to_owned(),
        method: Method::Password,
        authenticated: now,
        issued: now,
        expires: now.plus(Duration::from_hours(365 * 24)),
        token_id: "x".to_owned(),
    };
    ring.sign(&claims).unwrap()
}

fn kid_of(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

async fn both_publish(pair: &Pair, count: usize) {
    eventually(LOADED_WITHIN, "both replicas have loaded the keys", async || {
        keys_of_document(&pair.first).await.len() == count
            && keys_of_document(&pair.second).await.len() == count
    })
    .await;
}

/// Two replicas that sign and verify while the clock runs, and a portal that keeps the JWKS for five minutes.
struct Traffic {
    session: SessionTokens,
    recent: VecDeque<String>,
    cached: jsonwebtoken::jwk::JwkSet,
    steps: u32,
}

impl Traffic {
    const STEP: Duration = Duration::from_secs(30);

    async fn step(&mut self, pair: &Pair) -> String {
        pair.first.clock.advance(Self::STEP);
        // A step before the end of its time: a cache may be that old.
        if self.steps.is_multiple_of(10) {
            self.cached = jwks(&pair.first).await;
        }
        self.steps += 1;
        let replicas: [&Calls; 2] = [&pair.here, &pair.there];
        for portal in replicas {
            self.session = portal.refresh(&self.session.refresh_token).await.unwrap();
            self.recent.push_back(self.session.access_token.clone());
        }
        // Tokens of the last 4 min 30 s: two a step.
        while self.recent.len() > 18 {
            self.recent.pop_front();
        }
        for token in &self.recent {
            assert!(is_valid(&pair.here, token).await, "step {}", self.steps);
            assert!(is_valid(&pair.there, token).await, "step {}", self.steps);
            assert!(verified(&self.cached, token).is_some(), "step {}: a portal knows the key", self.steps);
        }
        kid_of(&self.session.access_token)
    }

    /// The key that signed last.
    async fn run(&mut self, pair: &Pair, span: Duration) -> String {
        let steps = span.as_secs() / Self::STEP.as_secs();
        let mut kid = String::new();
        for _ in 0..steps {
            kid = self.step(pair).await;
        }
        kid
    }
}

async fn rotation_beside_traffic(parts: Parts) {
    let pair = pair(parts).await;
    let session = alma(&pair.here).await;
    let old = kid_of(&session.access_token);
    let cached = jwks(&pair.first).await;
    let mut traffic = Traffic { session, recent: VecDeque::new(), cached, steps: 0 };
    assert_eq!(traffic.run(&pair, Duration::from_mins(1)).await, old);

    let thief_key = opened(&pair.first).await.remove(0);
    let rotated_at = pair.first.clock.now();
    let (new, signs_from) = keys(&pair.first).await.rotate(PUBLISH_AHEAD).await.unwrap();
    assert_eq!(signs_from, rotated_at.plus(PUBLISH_AHEAD));
    both_publish(&pair, 2).await;
    let published = keys_of_document(&pair.first).await;
    assert_eq!(published.iter().map(|(kid, _)| kid).collect::<Vec<_>>(), [&old, &new], "{parts:?}");
    assert_eq!(keys_of_rpc(&pair.there).await, published);

    // Published and not used, until its time.
    assert_eq!(traffic.run(&pair, PUBLISH_AHEAD - Traffic::STEP).await, old, "{parts:?}");
    assert_eq!(traffic.step(&pair).await, new, "{parts:?}");
    let thief = forged(thief_key, &traffic.session, pair.first.clock.now());
    assert!(is_valid(&pair.here, &thief).await, "the old key still verifies");

    // 5 min for the last token, 1 min for clocks, 15 min for caches.
    let window = Duration::from_mins(21);
    traffic.run(&pair, window - Traffic::STEP).await;
    assert_eq!(keys_of_document(&pair.second).await.len(), 2, "{parts:?}");
    assert!(is_valid(&pair.here, &thief).await);
    pair.first.clock.advance(Traffic::STEP - MS);
    assert!(is_valid(&pair.here, &thief).await);
    pair.first.clock.advance(MS);
    for (replica, portal) in [(&pair.first, &pair.here), (&pair.second, &pair.there)] {
        // One replica remembers the token, the other has never seen it.
        assert!(!is_valid(portal, &thief).await, "{parts:?}: the old key is over");
        let left: Vec<String> = keys_of_document(replica).await.into_iter().map(|(kid, _)| kid).collect();
        assert_eq!(left, [new.clone()], "{parts:?}");
        assert!(verified(&jwks(replica).await, &thief).is_none());
    }
    traffic.recent.clear();
    assert_eq!(traffic.run(&pair, Duration::from_mins(2)).await, new);
}

#[tokio::test]
async fn b33_a_rotation_beside_running_replicas_fails_no_verification_on_sqlite() {
    Box::pin(rotation_beside_traffic(Parts::Embedded)).await;
}

#[tokio::test]
async fn b33_a_rotation_beside_running_replicas_fails_no_verification_on_postgres() {
    Box::pin(rotation_beside_traffic(Parts::Shared)).await;
}

#[tokio::test]
async fn replicas_that_start_together_on_an_empty_store_agree_on_one_key() {
    for parts in Parts::ALL {
        for round in 0..3 {
            let mut first = Service::start(parts).await;
            first.stop().await;
            match parts {
                Parts::Embedded => {
                    for end in ["", "-wal", "-shm"] {
                        let file = format!("{}{end}", first.store_location());
                        assert!(std::fs::remove_file(&file).is_ok() || !end.is_empty(), "{file}");
                    }
                }
                Parts::Shared => {
                    let wipe = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
                    sqlx::raw_sql(AssertSqlSafe(wipe)).execute(&mut sql(&first).await).await.unwrap();
                }
            }
            let replicas: [Service; 3] =
                tokio::join!(first.replica(), first.replica(), first.replica()).into();
            let expected = keys_of_document(&replicas[0]).await;
            assert_eq!(expected.len(), 1);
            for replica in &replicas {
                assert_eq!(keys_of_document(replica).await, expected, "{parts:?}, round {round}");
            }
            assert_eq!(number(&replicas[0], "SELECT count(*) FROM signing_key").await, 1);
        }
    }
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn private_keys_are_sealed_in_the_store() {
    for parts in Parts::ALL {
        let service = Service::start(parts).await;
        keys(&service).await.rotate(PUBLISH_AHEAD).await.unwrap();
        let private = opened(&service).await;
        assert_eq!(private.len(), 2);
        let mut connection = sql(&service).await;
        let stored: Vec<Vec<u8>> = sqlx::query_scalar("SELECT sealed_private FROM signing_key")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let mut bytes: Vec<u8> = stored.concat();
        if parts == Parts::Embedded {
            for end in ["", "-wal"] {
                bytes.extend(std::fs::read(format!("{}{end}", service.store_location())).unwrap_or_default());
            }
            let public = private[0].public;
            assert!(holds(&bytes, &public), "what is looked for would be found: the public key is");
        }
        for key in &private {
            let document = key.private.expose();
            assert!(holds(document, &PKCS8), "the form that is looked for is the right one");
            let seed = &document[PKCS8.len()..PKCS8.len() + 32];
            assert!(!holds(&bytes, seed), "{parts:?}");
        }
        assert!(!holds(&bytes, &PKCS8), "{parts:?}");
    }
}

#[tokio::test]
async fn a_wrong_master_key_keeps_the_service_from_starting_and_says_so() {
    for parts in Parts::ALL {
        let service = Service::start(parts).await;
        let kid = keys_of_document(&service).await.remove(0).0;
        for id in ["dev", "other"] {
            let mut config = service.config();
            config.keys.master = vec![MasterKey { id: id.to_owned(), key: Secret::new([7; 32]) }];
            let outside = Outside { clock: Arc::clone(&service.clock) as _, entropy: app::entropy() };
            let Err(error) = App::start(config, outside).await else {
                panic!("{parts:?}: it started with another key as {id}");
            };
            let text = format!("{error:#}");
            assert!(text.contains(&format!("signing key {kid} does not open with master key dev")), "{text}");
        }
        // The store was left as it was.
        let second = service.replica().await;
        assert_eq!(keys_of_document(&second).await.remove(0).0, kid);
    }
}

#[tokio::test]
async fn two_rotations_in_a_row_leave_every_token_valid() {
    for parts in Parts::ALL {
        let pair = pair(parts).await;
        let session = alma(&pair.here).await;
        let flow = keys(&pair.first).await;
        let (second, _) = flow.rotate(PUBLISH_AHEAD).await.unwrap();
        // In a hurry: the next one signs before the one that was made first.
        pair.first.clock.advance(Duration::from_mins(1));
        let (third, _) = flow.rotate(Duration::from_mins(1)).await.unwrap();
        both_publish(&pair, 3).await;
        let cached = jwks(&pair.first).await;
        let mut traffic = Traffic { session, recent: VecDeque::new(), cached, steps: 0 };
        let mut used = Vec::new();
        for _ in 0..60 {
            let kid = traffic.step(&pair).await;
            if used.last() != Some(&kid) {
                used.push(kid);
            }
        }
        assert_eq!(used.last(), Some(&third), "{parts:?}: {used:?}");
        assert!(!used.contains(&second), "{parts:?}: the newest key signs once it may: {used:?}");
    }
}
