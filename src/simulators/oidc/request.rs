//! An authorization request, in the address or pushed, after every check.

use super::RelyingParty;
use super::parameters::Parameters;
use super::person::Person;
use crate::domain::time::Timestamp;

/// `BASE64URL` of a SHA-256 (RFC 7636 §4.2).
const CHALLENGE_LENGTH: usize = 43;

/// A request that can be granted.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
    pub(super) scopes: Vec<String>,
}

/// A request that was granted, by whom and when.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) request: Request,
    pub(super) person: Person,
    pub(super) at: Timestamp,
}

/// What is wrong with a request.
pub(super) enum Wrong {
    /// Nobody may be sent anywhere: the client or its address is not known.
    Stranger(&'static str),
    /// The browser is sent back with this error and description.
    Asked { redirect_uri: String, state: Option<String>, error: &'static str, description: &'static str },
}

impl Request {
    /// Reads a request: code flow with S256, from a client and to an address that are registered.
    pub(super) fn read(parameters: &Parameters, clients: &[RelyingParty]) -> Result<Self, Wrong> {
        let id = parameters.get("client_id");
        let client = clients.iter().find(|client| Some(client.client_id.as_str()) == id);
        let client = client.ok_or(Wrong::Stranger("No client has this client_id here."))?;
        let redirect_uri = parameters.get("redirect_uri").unwrap_or_default().to_owned();
        if !client.redirect_uris.contains(&redirect_uri) {
            return Err(Wrong::Stranger("This redirect_uri is not registered for the client."));
        }
        let state = parameters.get("state").map(str::to_owned);
        let asked = |error, description| {
            let (redirect_uri, state) = (redirect_uri.clone(), state.clone());
            Err(Wrong::Asked { redirect_uri, state, error, description })
        };
        if parameters.get("response_type") != Some("code") {
            return asked("unsupported_response_type", "The response_type is code.");
        }
        let scopes: Vec<String> =
            parameters.get("scope").unwrap_or_default().split(' ').map(str::to_owned).collect();
        if !scopes.iter().any(|scope| scope == "openid") {
            return asked("invalid_scope", "The scope openid is missing.");
        }
        let challenge = parameters.get("code_challenge").unwrap_or_default().to_owned();
        let is_s256 = parameters.get("code_challenge_method") == Some("S256");
        if !is_s256 || challenge.len() != CHALLENGE_LENGTH {
            return asked("invalid_request", "PKCE with S256 is required.");
        }
        Ok(Self {
            client_id: client.client_id.clone(),
            nonce: parameters.get("nonce").map(str::to_owned),
            redirect_uri,
            state,
            challenge,
            scopes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::simulators::oidc::Broker;

    fn read(change: &[(&str, &str)]) -> Result<Request, Wrong> {
        let challenge = "x".repeat(CHALLENGE_LENGTH);
        let mut pairs: Vec<(&str, &str)> = vec![
            ("client_id", "c"),
            ("redirect_uri", "http://127.0.0.1/back"),
            ("response_type", "code"),
            ("scope", "openid nin"),
            ("state", "s"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        pairs.retain(|(name, _)| !change.iter().any(|(other, _)| other == name));
        pairs.extend_from_slice(change);
        let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let client = RelyingParty {
            broker: Broker::Signicat,
            client_id: "c".to_owned(),
            client_secret: Secret::new("secret".to_owned()),
            redirect_uris: vec!["http://127.0.0.1/back".to_owned()],
        };
        Request::read(&Parameters::new(pairs.collect()).unwrap(), &[client])
    }

    #[test]
    fn who_is_not_registered_is_sent_nowhere() {
        assert!(read(&[]).is_ok());
        for change in [("client_id", "other"), ("client_id", ""), ("redirect_uri", "http://127.0.0.1/back/")]
        {
            assert!(matches!(read(&[change]), Err(Wrong::Stranger(_))), "{change:?}");
        }
    }

    #[test]
    fn a_request_without_pkce_is_sent_back_with_its_state() {
        for change in [
            ("code_challenge_method", "plain"),
            ("code_challenge", "short"),
            ("response_type", "token"),
            ("scope", "profile"),
        ] {
            let Err(Wrong::Asked { state, .. }) = read(&[change]) else { panic!("{change:?}") };
            assert_eq!(state.as_deref(), Some("s"));
        }
    }

    #[test]
    fn a_parameter_twice_is_no_request() {
        let pair = || ("state".to_owned(), "a".to_owned());
        assert!(Parameters::new(vec![pair(), pair()]).is_none());
    }
}
