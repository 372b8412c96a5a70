//! Making and reading the tokens of a session.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::domain::id::SessionId;
use crate::domain::secret::Secret;
use crate::domain::session::{ACCESS_TOKEN_LIFETIME, RefreshDigest, Session};
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::{AccessTokens, Claims};
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose};

/// Marks refresh tokens, so that secret scanners and people know one when they see it.
const PREFIX: &str = "grt_";
const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 16;

/// The tokens of a session, as the portal gets them.
pub struct SessionTokens {
    /// The access token.
    pub access: Secret<String>,
    /// When it ends.
    pub access_expires: Timestamp,
    /// The refresh token.
    pub refresh: Secret<String>,
    /// The session that they belong to.
    pub session: Session,
}

/// A refresh token that was made by us for this session: its check value says so. Whether it is still good is the
/// store's to say. The check value keeps strangers who know a session's id from passing for thieves of old tokens.
pub struct RefreshToken {
    /// The session.
    pub session: SessionId,
    secret: [u8; SECRET_BYTES],
    check: [u8; CHECK_BYTES],
}

/// Makes and reads tokens.
#[derive(Clone)]
pub struct TokenMint {
    vault: Arc<dyn KeyVault>,
    access: Arc<dyn AccessTokens>,
    entropy: Arc<dyn Entropy>,
}

impl TokenMint {
    /// A mint over the key vault, the signer and a random source.
    pub fn new(vault: Arc<dyn KeyVault>, access: Arc<dyn AccessTokens>, entropy: Arc<dyn Entropy>) -> Self {
        Self { vault, access, entropy }
    }

    /// The first refresh token of a session: 256 random bits.
    pub fn first_refresh(&self, session: &SessionId) -> RefreshToken {
        self.checked(session, random_bytes(self.entropy.as_ref()))
    }

    /// The one successor of a refresh token under a salt: the same for everybody who presents the token again.
    pub fn successor(&self, token: &RefreshToken, salt: &[u8; 32]) -> RefreshToken {
        self.checked(
            &token.session,
            self.vault.digest(Purpose::RefreshSuccessor, &successor_parts(token, salt)),
        )
    }

    /// The same under every configured master key, the active one first: another replica, or this one before a change
    /// of master keys, may have rotated.
    pub fn successors(&self, token: &RefreshToken, salt: &[u8; 32]) -> Vec<RefreshToken> {
        let secrets = self.vault.digests(Purpose::RefreshSuccessor, &successor_parts(token, salt));
        let under_key = |(key, secret)| {
            let checks = self.vault.digests(Purpose::RefreshToken, &check_parts(&token.session, &secret));
            RefreshToken { session: token.session.clone(), secret, check: cut(&checks[key]) }
        };
        secrets.into_iter().enumerate().map(under_key).collect()
    }

    /// A token with its check value under the active key.
    fn checked(&self, session: &SessionId, secret: [u8; SECRET_BYTES]) -> RefreshToken {
        let check = cut(&self.vault.digest(Purpose::RefreshToken, &check_parts(session, &secret)));
        RefreshToken { session: session.clone(), secret, check }
    }

    /// A salt for the next rotation.
    pub fn salt(&self) -> [u8; 32] {
        random_bytes(self.entropy.as_ref())
    }

    /// What the store keeps of a refresh token.
    pub fn digest(&self, token: &RefreshToken) -> RefreshDigest {
        RefreshDigest(self.vault.digest(Purpose::RefreshToken, &digest_parts(token)))
    }

    /// The same under every configured master key, the active one first.
    pub fn digests(&self, token: &RefreshToken) -> Vec<RefreshDigest> {
        self.vault
            .digests(Purpose::RefreshToken, &digest_parts(token))
            .into_iter()
            .map(RefreshDigest)
            .collect()
    }

    /// The text that the portal gets.
    pub fn write(&self, token: &RefreshToken) -> Secret<String> {
        let mut bytes = token.secret.to_vec();
        bytes.extend_from_slice(&token.check);
        Secret::new(format!("{PREFIX}{}{}", token.session, URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads a refresh token; `None` if we never made it.
    pub fn read(&self, text: &str) -> Option<RefreshToken> {
        let (session, bytes) = text.strip_prefix(PREFIX)?.split_at_checked(26)?;
        let session = SessionId::parse(session)?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).ok()?;
        let (secret, check) = bytes.split_at_checked(SECRET_BYTES)?;
        let token = RefreshToken { session, secret: secret.try_into().ok()?, check: check.try_into().ok()? };
        let genuine = self
            .vault
            .digests(Purpose::RefreshToken, &check_parts(&token.session, &token.secret))
            .iter()
            .any(|expected| bool::from(cut(expected).ct_eq(&token.check)));
        genuine.then_some(token)
    }

    /// The tokens of a session: a new access token beside this refresh token.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] if no signing key is loaded.
    pub fn tokens(
        &self,
        session: Session,
        refresh: &RefreshToken,
        now: Timestamp,
    ) -> Result<SessionTokens, PortError> {
        // `exp` has whole seconds: what the portal is told must not be later.
        let access_expires = now.plus(ACCESS_TOKEN_LIFETIME).min(session.absolute_expires).whole_seconds();
        let claims = Claims {
            organization: session.organization.clone(),
            portal: session.portal,
            guardian: session.guardian.clone(),
            session: session.id.clone(),
            client: session.client.clone(),
            method: session.method,
            authenticated: session.authenticated,
            issued: now,
            expires: access_expires,
            token_id: URL_SAFE_NO_PAD.encode(random_bytes::<16>(self.entropy.as_ref())),
        };
        let access = Secret::new(self.access.sign(&claims)?);
        Ok(SessionTokens { access, access_expires, refresh: self.write(refresh), session })
    }
}

fn successor_parts<'a>(token: &'a RefreshToken, salt: &'a [u8; 32]) -> [&'a [u8]; 3] {
    [token.session.as_str().as_bytes(), &token.secret, salt]
}

fn digest_parts(token: &RefreshToken) -> [&[u8]; 3] {
    [b"digest", token.session.as_str().as_bytes(), &token.secret]
}

fn check_parts<'a>(session: &'a SessionId, secret: &'a [u8; SECRET_BYTES]) -> [&'a [u8]; 3] {
    [b"check", session.as_str().as_bytes(), secret]
}

fn cut(digest: &[u8; 32]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest[..CHECK_BYTES]);
    check
}
