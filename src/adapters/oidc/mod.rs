//! `OpenID` Connect providers as a relying party: authorization code flow with PKCE, and every check of what comes back.

mod algorithm;
mod authorization;
mod cache;
mod client_auth;
mod id_token;
mod json;
mod jwks;
mod jws;
mod metadata;
mod settings;
#[cfg(test)]
mod signer;
#[cfg(test)]
mod tests;
mod token;
mod userinfo;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use reqwest::Url;
use tokio::time::Instant;

use crate::adapters::http_client::{HttpClient, HttpSettings};
use crate::domain::eid_login::Assertion;
use crate::domain::oidc::{ClaimMapping, Claims, OidcFault, ProvenClaims, Strength};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::identity_provider::{
    AuthorizationRequest, AuthorizationResponse, IdentityProvider, ProviderError,
};

use algorithm::Algorithm;
use authorization::Requested;
use cache::Cache;
use client_auth::Client;
use id_token::Expected;
use json::Members;
use jwks::{Found, Keys};
use jws::{JwsFault, Unverified};
use metadata::Metadata;
pub use settings::{ClientAuth, OidcSettings, OidcSettingsError, Pushed};
use token::Tokens;
use userinfo::Userinfo;
use wire::{Wire, WireFault};

/// Connections that are kept: none. A code is good once, and on a connection that the provider is closing just then it
/// would be lost.
const KEPT_CONNECTIONS: usize = 0;

/// One provider, asked for one portal's redirect address.
pub struct OidcProvider {
    issuer: String,
    metadata_url: Url,
    rules: metadata::Rules,
    client: Client,
    requested: Requested,
    mapping: ClaimMapping,
    strength: Strength,
    wire: Wire,
    metadata: Cache<Metadata, WireFault>,
    keys: Cache<Keys, WireFault>,
}

impl OidcProvider {
    /// A provider of these settings. Nothing is asked of it before the first login.
    ///
    /// # Errors
    /// See [`OidcSettingsError`].
    pub fn new(settings: OidcSettings) -> Result<Self, OidcSettingsError> {
        settings.check()?;
        let http = HttpClient::with(HttpSettings {
            tls: settings.tls()?,
            timeout: settings.timeout,
            longest_answer_bytes: wire::LONGEST_ANSWER_BYTES,
            kept_connections: KEPT_CONNECTIONS,
        })?;
        Ok(Self {
            metadata_url: settings.metadata_url()?,
            rules: metadata::Rules::new(&settings),
            requested: Requested::new(&settings),
            client: Client::new(settings.client_id, settings.issuer.clone(), settings.client_auth)?,
            issuer: settings.issuer,
            mapping: settings.mapping,
            strength: settings.strength,
            wire: Wire::new(http, settings.timeout),
            metadata: Cache::new(metadata::LIFETIME),
            keys: Cache::new(jwks::LIFETIME),
        })
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let fetch = metadata::fetch(&self.wire, &self.metadata_url, &self.rules);
        let kept = self.metadata.get(fetch).await;
        kept.map(|kept| kept.value).map_err(|fault| unavailable("the metadata", fault))
    }

    /// What a signed text holds, and by which algorithm, if the provider signed it. `announced`: the algorithms that it
    /// says it uses for such texts. `refusal`: what a fault means here.
    async fn verified(
        &self,
        text: &str,
        jwks: &Url,
        announced: Option<&[String]>,
        refusal: fn(JwsFault) -> OidcFault,
    ) -> Result<(Members, Algorithm), ProviderError> {
        let refused = |fault| ProviderError::Refused(refusal(fault));
        let began = Instant::now();
        let unverified = Unverified::read(text, announced).map_err(refused)?;
        let fetch = || jwks::fetch(&self.wire, jwks);
        let keys = self.keys.get(fetch()).await.map_err(|fault| unavailable("the keys", fault))?;
        let members = match keys.value.find(unverified.kid.as_deref(), unverified.algorithm) {
            Found::Key(key) => unverified.verified(key),
            Found::Several => Err(JwsFault::Key),
            // It may be newer than the keys at hand.
            Found::None => match self.keys.newer(&keys, began, fetch()).await {
                None => Err(JwsFault::Key),
                Some(newer) => match newer.value.find(unverified.kid.as_deref(), unverified.algorithm) {
                    Found::Key(key) => unverified.verified(key),
                    Found::None | Found::Several => Err(JwsFault::Key),
                },
            },
        };
        Ok((members.map_err(refused)?, unverified.algorithm))
    }

    /// The claims of userinfo about this `sub`.
    async fn userinfo(
        &self,
        metadata: &Metadata,
        access_token: &Secret<String>,
        subject: &str,
    ) -> Result<Claims, ProviderError> {
        let none = || ProviderError::Refused(OidcFault::Userinfo);
        let endpoint = metadata.userinfo.as_ref().ok_or_else(none)?;
        let members = match userinfo::fetch(&self.wire, endpoint, access_token).await? {
            Userinfo::Plain(members) => members,
            Userinfo::Signed(text) => {
                let announced = metadata.userinfo_algorithms.as_deref();
                let (members, _) =
                    self.verified(text.expose(), &metadata.jwks, announced, |_| OidcFault::Userinfo).await?;
                // Of another service or for another client, a signed answer is one that was carried here.
                let ours = members.text("iss") == Some(&self.issuer)
                    && id_token::is_for_us_alone(&members, self.client.id());
                if !ours {
                    return Err(none());
                }
                members
            }
        };
        if members.text("sub") == Some(subject) {
            Ok(members.claims())
        } else {
            Err(ProviderError::Refused(OidcFault::UserinfoSubject))
        }
    }

    async fn is_issuer(&self, iss: Option<&str>) -> Result<bool, ProviderError> {
        match iss {
            Some(iss) => Ok(iss == self.issuer),
            None => Ok(!self.metadata().await?.answers_with_issuer),
        }
    }
}

#[async_trait]
impl IdentityProvider for OidcProvider {
    async fn authorization_url(
        &self,
        request: &AuthorizationRequest<'_>,
    ) -> Result<Secret<String>, ProviderError> {
        let metadata = self.metadata().await?;
        let parameters = self.requested.parameters(self.client.id(), request);
        let Some(endpoint) = &metadata.pushed else {
            return Ok(authorization::address(&metadata.authorization, &parameters));
        };
        let name = authorization::push(&self.wire, endpoint, &self.client, parameters, request.now).await?;
        Ok(authorization::pushed_address(&metadata.authorization, self.client.id(), &name))
    }

    async fn identify(&self, response: &AuthorizationResponse<'_>) -> Result<Assertion, ProviderError> {
        // First: a code of another provider must not go to this one (RFC 9207 §2.4).
        if !self.is_issuer(response.iss).await? {
            return Err(ProviderError::Refused(OidcFault::ResponseIssuer));
        }
        let metadata = self.metadata().await?;
        let redirect_uri = self.requested.redirect_uri();
        let Tokens { id_token, access_token } =
            token::exchange(&self.wire, &metadata.token, &self.client, redirect_uri, response).await?;
        let announced = metadata.id_token_algorithms.as_deref();
        let (members, algorithm) =
            self.verified(id_token.expose(), &metadata.jwks, announced, id_token_fault).await?;
        let expected = Expected {
            issuer: &self.issuer,
            client_id: self.client.id(),
            nonce: response.nonce,
            code: response.code,
            access_token: &access_token,
            strength: &self.strength,
            now: response.now,
        };
        let subject = id_token::subject(&members, algorithm, &expected).map_err(ProviderError::Refused)?;
        let mut proven = ProvenClaims { id_token: members.claims(), userinfo: None };
        if self.mapping.needs_userinfo(&proven.id_token) {
            proven.userinfo = Some(self.userinfo(&metadata, &access_token, subject).await?);
        }
        self.mapping.assertion(&proven, &self.issuer, date(response.now)?).map_err(ProviderError::Refused)
    }

    async fn accepts_issuer(&self, iss: Option<&str>) -> Result<bool, ProviderError> {
        self.is_issuer(iss).await
    }
}

fn id_token_fault(fault: JwsFault) -> OidcFault {
    match fault {
        JwsFault::Malformed => OidcFault::IdTokenMalformed,
        JwsFault::Algorithm => OidcFault::IdTokenAlgorithm,
        JwsFault::Key => OidcFault::IdTokenKey,
        JwsFault::Signature => OidcFault::IdTokenSignature,
    }
}

/// The day in UTC. It matters to the century of a number whose owner is born today: no guardian is.
fn date(at: Timestamp) -> Result<Date, ProviderError> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis());
    at.map(|at| at.to_zoned(TimeZone::UTC).date())
        .map_err(|_| ProviderError::Unavailable("the clock's time is no date".to_owned()))
}

/// What could not be asked, and why: for the log, without content.
fn unavailable(what: &str, fault: WireFault) -> ProviderError {
    ProviderError::Unavailable(format!("{what}: {fault}"))
}
