//! What else the provider says of the person (`OpenID` Connect Core §5.3), as JSON or signed.

use reqwest::{Method, StatusCode, Url};

use super::json::Members;
use super::unavailable;
use super::wire::{Wire, WireFault, is_of_type, is_passing};
use crate::domain::oidc::OidcFault;
use crate::domain::secret::Secret;
use crate::ports::identity_provider::ProviderError;

/// Where a failure is told.
const WHAT: &str = "userinfo";

/// An answer that has the form of one.
pub(super) enum Userinfo {
    /// Believed for the connection that it came on.
    Plain(Members),
    /// To be believed for its signature.
    Signed(Secret<String>),
}

/// Asks for what the access token is good for. The token stands in the header, where no log has it (RFC 6750 §2).
pub(super) async fn fetch(
    wire: &Wire,
    endpoint: &Url,
    access_token: &Secret<String>,
) -> Result<Userinfo, ProviderError> {
    let request = wire.request(Method::GET, endpoint).bearer_auth(access_token.expose());
    let answer = wire.send(request).await.map_err(|fault| unavailable(WHAT, fault))?;
    if is_passing(answer.status) {
        return Err(unavailable(WHAT, WireFault::Status(answer.status)));
    }
    let none = ProviderError::Refused(OidcFault::Userinfo);
    if answer.status != StatusCode::OK {
        return Err(none);
    }
    if is_of_type(&answer, "application/jwt") {
        return match String::from_utf8(answer.body) {
            Ok(text) => Ok(Userinfo::Signed(Secret::new(text))),
            Err(_) => Err(none),
        };
    }
    if !is_of_type(&answer, "application/json") {
        return Err(none);
    }
    Members::read(&answer.body).map(Userinfo::Plain).ok_or(none)
}
