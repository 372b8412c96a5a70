//! The relying party: a service that sends browsers to providers, and says what came of those that come back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::config::{Config, OidcAccess, OidcClientAuth, OidcPushed};
use guardian_auth::domain::oidc::{
    ClaimMapping, ClaimSource, IdentifierScheme, OidcFault, Provider, ProviderId, Strength,
};
use guardian_auth::domain::organization::OrganizationId;
use guardian_auth::domain::secret::Secret;
use guardian_auth::proto;
use serde_json::json;
use tonic::Status;

use crate::support::evil_provider::{CLIENT_ID, CLIENT_SECRET, Parameters};
use crate::support::service::{
    Calls, KOMMUN, OPVANG, Parts, Service, TestClock, guardian, hash, metadata, reason, school_and_child,
};
use crate::support::sql::Sql;

/// Of Skatteverket's test numbers, which no person has.
pub(crate) const NUMBER: &str = "199908072391";
/// A BSN of the numbers for tests.
pub(crate) const BSN: &str = "999990019";
/// Where the provider sends the browser back to. Nobody listens there: the test is the browser.
pub(crate) const REDIRECT_URI: &str = "https://portal.example.se/eid/evil";
/// The password of every guardian here.
pub(crate) const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";

/// What came of a login.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A session.
    Session,
    /// None: the public reason, and the cause in the audit log.
    Refused(String, String),
}

impl Verdict {
    /// The provider's answer was not believed.
    pub fn failed(fault: OidcFault) -> Self {
        Self::Refused("EID_LOGIN_FAILED".to_owned(), fault.as_str().to_owned())
    }

    /// The attempt cannot be gone on with.
    pub fn invalid(fault: OidcFault) -> Self {
        Self::Refused("LOGIN_ATTEMPT_INVALID".to_owned(), fault.as_str().to_owned())
    }

    /// The provider could not be asked.
    pub fn unavailable() -> Self {
        Self::Refused("DEPENDENCY_UNAVAILABLE".to_owned(), String::new())
    }
}

/// A login that was begun.
pub(crate) struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// At which provider.
    pub provider: String,
    binding_secret: String,
}

/// A service with providers.
pub(crate) struct Party {
    pub service: Service,
    pub portal: Calls,
    organization: &'static str,
}

impl Party {
    /// With one guardian in each organization, and these providers in one.
    pub async fn start(
        parts: Parts,
        organization: &'static str,
        clock: Arc<TestClock>,
        providers: Vec<OidcAccess>,
    ) -> Self {
        let service = Service::start_on(clock, parts, |config| configure(config, providers)).await;
        let hash = hash(PASSWORD).await;
        for (organization, number) in [(KOMMUN, NUMBER), (OPVANG, BSN)] {
            let mut rows = school_and_child();
            let mut row = guardian("g-1", "alma", Some(&hash));
            row["national_id"] = json!(number);
            rows.push(row);
            service.import(organization, &rows).await;
        }
        let portal = service.portal(organization).await;
        Self { service, portal, organization }
    }

    /// Begins a login at a provider.
    pub async fn begin(&self, provider: &str) -> Result<Begun, Verdict> {
        let request = proto::StartOidcLoginRequest {
            organization: self.organization.to_owned(),
            portal: proto::Portal::Parent.into(),
            provider: provider.to_owned(),
            client: client(),
            ..proto::StartOidcLoginRequest::default()
        };
        match self.portal.oidc.clone().start_oidc_login(request).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                Ok(Begun {
                    url: answer.authorization_url,
                    binding_secret: answer.binding_secret,
                    provider: provider.to_owned(),
                })
            }
            Err(status) => Err(self.refusal(&status).await),
        }
    }

    /// What the portal sends when these parameters come back.
    pub fn callback(&self, begun: &Begun, came: &Parameters) -> proto::CompleteOidcLoginRequest {
        let parameter = |name: &str| came.get(name).cloned().unwrap_or_default();
        proto::CompleteOidcLoginRequest {
            organization: self.organization.to_owned(),
            portal: proto::Portal::Parent.into(),
            provider: begun.provider.clone(),
            binding_secret: begun.binding_secret.clone(),
            state: parameter("state"),
            code: parameter("code"),
            iss: parameter("iss"),
            error: parameter("error"),
            client: client(),
        }
    }

    /// Completes a login.
    pub async fn complete(&self, callback: proto::CompleteOidcLoginRequest) -> Verdict {
        match self.portal.oidc.clone().complete_oidc_login(callback).await {
            Ok(answer) => {
                let session = answer.into_inner().session.unwrap().session_id;
                let query = format!(
                    "SELECT kind || ' ' || cause FROM audit_event WHERE session_id = '{session}' AND portal = 'parent'"
                );
                let events = Sql::open(&self.service).await.texts(&query).await;
                assert_eq!(events, ["logged_in_with_eid oidc"]);
                Verdict::Session
            }
            Err(status) => self.refusal(&status).await,
        }
    }

    /// The reason that the portal is told, and the cause that the audit log has under the same code.
    async fn refusal(&self, status: &Status) -> Verdict {
        let cause = match metadata(status, "reference_code") {
            None => String::new(),
            Some(code) => {
                let query = format!(
                    "SELECT cause FROM audit_event WHERE reference_code = '{code}' AND kind = 'eid_login_denied'"
                );
                let causes = Sql::open(&self.service).await.texts(&query).await;
                assert_eq!(causes.len(), 1, "{code}: {causes:?}");
                causes[0].clone()
            }
        };
        // The portal is not told what it was.
        assert!(cause.is_empty() || !format!("{status:?}").contains(&cause), "{status:?}");
        Verdict::Refused(reason(status), cause)
    }
}

fn client() -> Option<proto::ClientContext> {
    Some(proto::ClientContext { ip: "192.0.2.7".to_owned(), ..proto::ClientContext::default() })
}

fn configure(config: &mut Config, providers: Vec<OidcAccess>) {
    for access in providers {
        let organization = config.organizations.iter_mut().find(|it| it.id == access.organization).unwrap();
        organization.oidc.push(Provider {
            id: access.provider.clone(),
            display_name: "Evil".to_owned(),
            portals: organization.portals.clone(),
            issuer: access.issuer.clone(),
            login_hint: false,
        });
        config.oidc.push(access);
    }
}

/// A provider `evil` that is configured in the usual way, with the personnummer in `ssn` of the ID token.
pub(crate) fn usual(organization: &str, issuer: &str) -> OidcAccess {
    OidcAccess {
        organization: OrganizationId::parse(organization).unwrap(),
        provider: ProviderId::parse("evil").unwrap(),
        issuer: issuer.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_auth: OidcClientAuth::SecretBasic(Secret::new(CLIENT_SECRET.to_owned())),
        client_certificate: None,
        redirect_uri: REDIRECT_URI.to_owned(),
        scopes: Vec::new(),
        acr_values: Vec::new(),
        extra_params: Vec::new(),
        mapping: mapping(ClaimSource::IdToken, &["ssn"], IdentifierScheme::SeAny),
        strength: Strength::default(),
        pkce_unannounced: false,
        pushed: OidcPushed::Announced,
        ca_file: None,
        // A busy machine must not look like an outage.
        timeout: Duration::from_secs(10),
    }
}

/// A mapping without prefix and requirements.
pub(crate) fn mapping(source: ClaimSource, claims: &[&str], scheme: IdentifierScheme) -> ClaimMapping {
    ClaimMapping {
        source,
        claims: claims.iter().map(|&claim| claim.to_owned()).collect(),
        scheme,
        strip_prefix: None,
        require: Vec::new(),
        previous_claim: None,
        staff_roles: None,
    }
}

/// A file of the configuration.
pub(crate) fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
