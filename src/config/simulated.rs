//! The eIDs of the `dev` command: BankID and `OpenID` providers that are simulated on this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::bankid::{BankIdPolicy, COLLECT_PAUSE, ReturnPage, RiskPolicy};
use crate::domain::oidc::{
    ClaimMapping, ClaimSource, IdentifierScheme, Provider, ProviderId, Requirement, Strength,
};
use crate::domain::organization::{Organization, OrganizationId, Portal};
use crate::domain::secret::Secret;

use super::Config;
use super::bankid::{BankIdAccess, BankIdEnvironment, BankIdIdentity};
use super::oidc::{OidcAccess, OidcClientAuth, OidcPushed};

/// The state is gone earlier.
const RETENTION: Duration = Duration::from_hours(24);

/// Everything answers on loopback.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the simulators are, and what they let us in with.
#[derive(Debug)]
pub struct SimulatedEids {
    /// The portals' pages, which logins come back to.
    pub pages: SocketAddr,
    /// BankID's API.
    pub bankid_url: String,
    /// Its root, PEM.
    pub bankid_ca_file: PathBuf,
    /// Our certificate there, PEM.
    pub bankid_certificate_file: PathBuf,
    /// Its key, PEM.
    pub bankid_key_file: PathBuf,
    /// The providers, each at a path of its own.
    pub providers: SocketAddr,
}

/// A provider of a sample organization, as its broker's documentation says how to read it.
struct Sample {
    organization: &'static str,
    /// Its short name, and its path at the simulator.
    provider: &'static str,
    display_name: &'static str,
    scopes: &'static [&'static str],
    acr: &'static str,
    source: ClaimSource,
    claims: &'static [&'static str],
    scheme: IdentifierScheme,
    strip_prefix: Option<&'static str>,
    require: &'static [(&'static str, &'static [&'static str])],
    /// Whether the `acr` must be the one that is asked for, and the authentication be of now.
    is_strict: bool,
}

/// Both organizations, one provider for each form that claims come in.
const SAMPLES: [Sample; 5] = [
    Sample {
        organization: "sample-kommun",
        provider: "idura",
        display_name: "BankID through Idura",
        scopes: &[],
        acr: "urn:grn:authn:se:bankid",
        source: ClaimSource::IdToken,
        claims: &["ssn"],
        scheme: IdentifierScheme::SePnr,
        strip_prefix: None,
        require: &[("identityscheme", &["sebankid"])],
        is_strict: false,
    },
    Sample {
        organization: "sample-kommun",
        provider: "signicat",
        display_name: "BankID through Signicat",
        scopes: &["nin"],
        acr: "idp:sbid",
        source: ClaimSource::Userinfo,
        claims: &["nin"],
        scheme: IdentifierScheme::SePnr,
        strip_prefix: None,
        require: &[("nin_type", &["PERSON"]), ("nin_issuing_country", &["SE"])],
        is_strict: false,
    },
    Sample {
        organization: "sample-kommun",
        provider: "freja",
        display_name: "Freja eID",
        scopes: &[],
        acr: "https://frejaeid.com/oidc/acr/loa3",
        source: ClaimSource::IdToken,
        claims: &["https://frejaeid.com/oidc/claims/personalIdentityNumber"],
        scheme: IdentifierScheme::SeAny,
        strip_prefix: None,
        // Numbers of other countries look alike, and the basic level is nobody's proof.
        require: &[
            ("https://frejaeid.com/oidc/claims/country", &["SE"]),
            ("https://frejaeid.com/oidc/claims/registrationLevel", &["EXTENDED", "PLUS"]),
        ],
        is_strict: false,
    },
    Sample {
        organization: "sample-kommun",
        provider: "swedenconnect",
        display_name: "Sweden Connect",
        scopes: &["https://id.oidc.se/scope/naturalPersonNumber"],
        acr: "http://id.elegnamnden.se/loa/1.0/loa3",
        source: ClaimSource::IdToken,
        claims: &[
            "https://id.oidc.se/claim/personalIdentityNumber",
            "https://id.oidc.se/claim/coordinationNumber",
        ],
        scheme: IdentifierScheme::SeAny,
        strip_prefix: None,
        require: &[],
        is_strict: true,
    },
    Sample {
        organization: "voorbeeld-opvang",
        provider: "digid",
        display_name: "DigiD through Signicat",
        scopes: &["nin"],
        acr: "idp:digid",
        source: ClaimSource::Userinfo,
        claims: &["idp_id"],
        scheme: IdentifierScheme::NlBsn,
        // The sector of BSN; another one numbers other people.
        strip_prefix: Some("s00000000:"),
        require: &[],
        is_strict: false,
    },
];

impl Config {
    /// Lets the sample organizations use the simulated eIDs: the Swedish one BankID and four providers, the Dutch one
    /// `DigiD` through a broker. `secret_of` gives the client secret for each provider.
    pub fn use_simulated_eids(
        &mut self,
        simulated: &SimulatedEids,
        mut secret_of: impl FnMut(&str) -> Secret<String>,
    ) {
        for organization in &mut self.organizations {
            if organization.id.as_str() == "sample-kommun" {
                organization.bankid = Some(bankid_policy(organization, simulated.pages));
                self.bankid.push(bankid_access(&organization.id, simulated));
            }
            let here = |sample: &&Sample| sample.organization == organization.id.as_str();
            let samples: Vec<&Sample> = SAMPLES.iter().filter(here).collect();
            for sample in samples {
                let Some(id) = ProviderId::parse(sample.provider) else { continue };
                let secret = secret_of(sample.provider);
                let access = sample.access(&organization.id, &id, simulated, secret);
                let issuer = access.issuer.clone();
                self.oidc.push(access);
                let display_name = sample.display_name.to_owned();
                let portals = vec![Portal::Parent];
                organization.oidc.push(Provider { id, display_name, portals, issuer, login_hint: false });
            }
        }
    }
}

fn bankid_policy(organization: &Organization, pages: SocketAddr) -> BankIdPolicy {
    let id = organization.id.as_str();
    let page = |portal: Portal| {
        let url = format!(
            "http://{pages}/portal/{id}/{}/bankid/return?nonce={}",
            portal.as_str(),
            ReturnPage::PLACE
        );
        Some((portal, ReturnPage::parse(&url)?))
    };
    BankIdPolicy {
        portals: vec![Portal::Parent],
        risk: RiskPolicy::default(),
        return_pages: page(Portal::Parent).into_iter().collect::<BTreeMap<_, _>>(),
        referring_domain: format!("{id}.example"),
        intent: format!("Logga in hos {}", organization.display_name),
        evidence_retention: RETENTION,
        collect_pause: COLLECT_PAUSE,
    }
}

fn bankid_access(organization: &OrganizationId, simulated: &SimulatedEids) -> BankIdAccess {
    BankIdAccess {
        organization: organization.clone(),
        environment: BankIdEnvironment::Other(simulated.bankid_url.clone()),
        ca_file: simulated.bankid_ca_file.clone(),
        identity: BankIdIdentity::Pem {
            certificate_file: simulated.bankid_certificate_file.clone(),
            key_file: simulated.bankid_key_file.clone(),
        },
        timeout: TIMEOUT,
        connections: 8,
    }
}

impl Sample {
    fn access(
        &self,
        organization: &OrganizationId,
        provider: &ProviderId,
        simulated: &SimulatedEids,
        client_secret: Secret<String>,
    ) -> OidcAccess {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let requirement = |(claim, any_of): &(&str, &[&str])| Requirement {
            claim: (*claim).to_owned(),
            any_of: owned(any_of),
        };
        let strength = if self.is_strict {
            Strength { required_acr: owned(&[self.acr]), max_age: Some(Duration::from_mins(15)) }
        } else {
            Strength::default()
        };
        OidcAccess {
            organization: organization.clone(),
            provider: provider.clone(),
            issuer: format!("http://{}/{}", simulated.providers, self.provider),
            client_id: format!("{}-parent", self.organization),
            client_auth: OidcClientAuth::SecretBasic(client_secret),
            client_certificate: None,
            redirect_uri: format!(
                "http://{}/portal/{}/parent/oidc/{}/callback",
                simulated.pages, self.organization, self.provider
            ),
            scopes: owned(self.scopes),
            acr_values: owned(&[self.acr]),
            extra_params: Vec::new(),
            mapping: ClaimMapping {
                source: self.source,
                claims: owned(self.claims),
                scheme: self.scheme,
                strip_prefix: self.strip_prefix.map(str::to_owned),
                require: self.require.iter().map(requirement).collect(),
                previous_claim: None,
                staff_roles: None,
            },
            strength,
            pkce_unannounced: false,
            pushed: OidcPushed::Announced,
            ca_file: None,
            timeout: TIMEOUT,
        }
    }
}
