//! How the evil provider behaves: well, but for what a test changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::keys::Key;

/// A change to something that the provider is about to send.
pub type Edit<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// A change to header and claims of a token.
pub type EditToken = Arc<dyn Fn(&mut Value, &mut Value) + Send + Sync>;

/// How an endpoint answers.
#[derive(Clone, Debug, Default)]
pub enum Answer {
    /// As it should.
    #[default]
    Well,
    /// Never: the caller's patience ends first.
    Never,
    /// With the first half of what it should send.
    Half,
    /// With this status and a page for people.
    Status(u16),
    /// Sends the caller elsewhere.
    Redirect(String),
}

/// How ID tokens are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// With this key and its usual algorithm; a key may say the name of another.
    With(Key),
    /// PS256 with the first RSA key.
    Ps256,
    /// Not at all: `alg` is `none`.
    None,
    /// HS256 with these bytes.
    Hs256(Vec<u8>),
    /// With the first RSA key, and one bit turned over.
    BadSignature,
    /// Encrypted: five parts.
    Jwe,
    /// A signed token inside a signed token.
    Nested,
}

/// How userinfo is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserinfoForm {
    /// A JSON object.
    Json,
    /// A signed JWT with `iss` and `aud`.
    Signed,
    /// The same with a signature of a key that nobody published.
    SignedByStranger,
}

/// How we prove there to be the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProof {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt` with ES256: the public point.
    PrivateKeyJwt(Vec<u8>),
    /// The certificate of the connection, which this plaintext provider cannot see: no secret may be sent.
    Tls,
}

/// The knobs.
#[derive(Clone)]
pub struct Behaviour {
    /// How the discovery document is answered.
    pub discovery: Answer,
    /// Changes its fields.
    pub edit_metadata: Option<Edit<Value>>,
    /// How the key set is answered.
    pub jwks: Answer,
    /// The keys in it.
    pub published: Vec<Key>,
    /// Changes the key set.
    pub edit_jwks: Option<Edit<Value>>,
    /// Changes the parameters that go back with the browser.
    pub edit_response: Option<Edit<BTreeMap<String, String>>>,
    /// Whether the authorization endpoint takes pushed requests only.
    pub pushed_only: bool,
    /// How pushed requests are answered.
    pub par: Answer,
    /// How the client must prove to be it.
    pub proof: ClientProof,
    /// How codes are answered.
    pub token: Answer,
    /// Changes the token answer.
    pub edit_token: Option<Edit<Value>>,
    /// How ID tokens are signed.
    pub signing: Signing,
    /// Changes header and claims of ID tokens.
    pub edit_id_token: Option<EditToken>,
    /// Changes the text of the claims: what no JSON object can hold.
    pub edit_claims_text: Option<Edit<String>>,
    /// Claims of the person in ID tokens.
    pub person: Map<String, Value>,
    /// `sub`.
    pub subject: String,
    /// How userinfo is answered.
    pub userinfo: Answer,
    /// In which form.
    pub userinfo_form: UserinfoForm,
    /// Claims of the person in userinfo.
    pub userinfo_person: Map<String, Value>,
    /// Changes the claims of userinfo.
    pub edit_userinfo: Option<Edit<Value>>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            discovery: Answer::Well,
            edit_metadata: None,
            jwks: Answer::Well,
            published: vec![Key::Rsa, Key::Ec],
            edit_jwks: None,
            edit_response: None,
            pushed_only: false,
            par: Answer::Well,
            proof: ClientProof::Basic,
            token: Answer::Well,
            edit_token: None,
            signing: Signing::With(Key::Rsa),
            edit_id_token: None,
            edit_claims_text: None,
            person: Map::new(),
            subject: "{7f3c2a90-1f1e-4bb0-9b0c-000000000001}".to_owned(),
            userinfo: Answer::Well,
            userinfo_form: UserinfoForm::Json,
            userinfo_person: Map::new(),
            edit_userinfo: None,
        }
    }
}

impl Behaviour {
    /// Changes claims of ID tokens.
    pub fn claims(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.edit_id_token = Some(Arc::new(move |_, claims| change(claims)));
    }

    /// Gives a claim of ID tokens a value.
    pub fn claim(&mut self, name: &'static str, value: Value) {
        self.claims(move |claims| claims[name] = value.clone());
    }

    /// Leaves a claim out of ID tokens.
    pub fn without_claim(&mut self, name: &'static str) {
        self.claims(move |claims| {
            claims.as_object_mut().unwrap().remove(name);
        });
    }

    /// Changes the text of the claims of ID tokens.
    pub fn claims_text(&mut self, change: impl Fn(&mut String) + Send + Sync + 'static) {
        self.edit_claims_text = Some(Arc::new(change));
    }

    /// Changes the header of ID tokens.
    pub fn header(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.edit_id_token = Some(Arc::new(move |header, _| change(header)));
    }

    /// Changes fields of the discovery document.
    pub fn metadata(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.edit_metadata = Some(Arc::new(change));
    }

    /// Changes the parameters that go back with the browser.
    pub fn response(&mut self, change: impl Fn(&mut BTreeMap<String, String>) + Send + Sync + 'static) {
        self.edit_response = Some(Arc::new(change));
    }

    /// Changes the key set.
    pub fn key_set(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.edit_jwks = Some(Arc::new(change));
    }

    /// Changes the token answer.
    pub fn token_answer(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.edit_token = Some(Arc::new(change));
    }

    /// Changes the claims of userinfo.
    pub fn userinfo_claims(&mut self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.edit_userinfo = Some(Arc::new(change));
    }
}
