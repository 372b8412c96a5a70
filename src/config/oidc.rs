//! `organizations.oidc`: the `OpenID` providers of an organization.

mod identifier;

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::oidc::{ClaimMapping, IdentifierScheme, Provider, ProviderId, Strength};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::secret::Secret;

use super::form::{Choice, Each, Flag, Parsed, ReadableFile, Span, Text};
use super::organizations::PORTAL;
use super::reader::Reader;
use super::url;

/// How a provider is talked to.
#[derive(Debug)]
pub struct OidcAccess {
    /// Whose.
    pub organization: OrganizationId,
    /// Which provider.
    pub provider: ProviderId,
    /// The issuer, exactly as the provider writes it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// How we prove to be it.
    pub client_auth: OidcClientAuth,
    /// The certificate and the key that TLS connections show, PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Where the provider sends the browser back to.
    pub redirect_uri: String,
    /// Scopes besides `openid`.
    pub scopes: Vec<String>,
    /// `acr_values`.
    pub acr_values: Vec<String>,
    /// Further parameters, `name=value`.
    pub extra_params: Vec<(String, String)>,
    /// How its claims name a person.
    pub mapping: ClaimMapping,
    /// How strong and fresh the authentication must be.
    pub strength: Strength,
    /// Whether PKCE need not be announced.
    pub pkce_unannounced: bool,
    /// When the request is pushed.
    pub pushed: OidcPushed,
    /// The only authorities of its certificate, PEM; the public ones if `None`.
    pub ca_file: Option<PathBuf>,
    /// Longest time of a request.
    pub timeout: Duration,
}

/// How we prove to be the client.
#[derive(Debug)]
pub enum OidcClientAuth {
    /// A secret in the `Authorization` header.
    SecretBasic(Secret<String>),
    /// A secret in the form.
    SecretPost(Secret<String>),
    /// A signed assertion.
    PrivateKeyJwt {
        /// The key, PKCS#8 PEM.
        key_file: PathBuf,
        /// `kid`.
        key_id: Option<String>,
    },
    /// The certificate of the connection.
    Tls,
}

/// When the authorization request is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OidcPushed {
    /// Where the provider announces it.
    Announced,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Clone, Copy, PartialEq)]
enum Auth {
    Basic,
    Post,
    Jwt,
    Tls,
}

/// What one element of the list holds.
pub(super) struct ReadProvider {
    pub(super) provider: Provider,
    pub(super) access: OidcAccess,
}

const ID: Parsed<ProviderId> =
    Parsed { form: "a name of a-z, 0-9 and -, 1 to 40 characters", parse: ProviderId::parse };

const ISSUER: Parsed<String> =
    Parsed { form: "an https URL without query; http on this machine only", parse: parse_issuer };

const REDIRECT: Parsed<String> =
    Parsed { form: "an https URL; http on this machine only", parse: url::parse_page };

const PARAMETER: Parsed<(String, String)> =
    Parsed { form: "`name=value`, none of the parameters that are set anyway", parse: parse_parameter };

/// What is set by us, and must not be set twice.
const OUR_PARAMETERS: [&str; 18] = [
    "acr_values",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "login_hint",
    "max_age",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "ui_locales",
];

pub(super) fn read(
    organization: &mut Reader<'_>,
    id: Option<&OrganizationId>,
    portals: &[Portal],
) -> Vec<ReadProvider> {
    let mut taken: Vec<(ProviderId, String)> = Vec::new();
    let read = organization.optional_list("oidc", |reader| {
        let read = read_one(reader, id, portals);
        if let Some(ReadProvider { provider, access }) = &read {
            if taken.iter().any(|(id, _)| *id == provider.id) {
                reader.fault("id", "is that of an earlier provider", "give each provider an id of its own");
            }
            // By its address a portal tells whose answer came: two at one let one provider answer for the other.
            if taken.iter().any(|(_, address)| *address == access.redirect_uri) {
                let remedy = "give each provider an address of its own";
                reader.fault("redirect_uri", "is that of an earlier provider", remedy);
            }
            taken.push((provider.id.clone(), access.redirect_uri.clone()));
        }
        read
    });
    read.into_iter().flatten().collect()
}

fn read_one(
    reader: &mut Reader<'_>,
    organization: Option<&OrganizationId>,
    portals: &[Portal],
) -> Option<ReadProvider> {
    let id = reader.required("id", "its short name for portals; never changed", &ID);
    let display_name = reader.required("display_name", "its name for people", &Text(1..=100));
    let guardians = || portals.iter().copied().filter(|portal| *portal != Portal::Staff).collect();
    let offered: Vec<Portal> = reader
        .optional("portals", "the portals that offer it", &Each(PORTAL), "all portals of guardians")
        .unwrap_or_else(guardians);
    if offered.iter().any(|portal| !portals.contains(portal)) {
        reader.fault("portals", "names one that the organization has not", "name its portals only");
    }
    let login_hint = reader.or(
        "login_hint",
        "whether a portal may say who will log in; puts a number into an address unless the request is pushed",
        &Flag,
        false,
    );
    let issuer = reader.required("issuer", "the issuer, exactly as the provider writes it", &ISSUER);
    let client_id = reader.required("client_id", "our name there", &Text(1..=255));
    let (client_auth, client_certificate) = read_auth(reader);
    let redirect_uri = reader.required(
        "redirect_uri",
        "the portal's page that the provider sends the browser back to, as registered there",
        &REDIRECT,
    );
    let scopes = reader.or("scopes", "scopes besides openid", &Each(Text(1..=200)), Vec::new());
    let acr_values =
        reader.or("acr_values", "what is asked for, most wanted first", &Each(Text(1..=200)), Vec::new());
    let extra_params = reader
        .optional("extra_params", "further parameters of the request", &Each(PARAMETER), "`[]`")
        .unwrap_or_default();
    let mapping = reader.section("identifier", identifier::read);
    let strength = Strength {
        required_acr: reader.or(
            "required_acr",
            "the authentication must be one of these; empty: any",
            &Each(Text(1..=200)),
            Vec::new(),
        ),
        max_age: reader.optional(
            "max_age",
            "the authentication must not be older",
            &Span(Duration::from_secs(1)..=Duration::from_hours(24)),
            "not asked",
        ),
    };
    let pkce_unannounced = reader.or(
        "pkce_unannounced",
        "whether a provider is used that does not announce PKCE with S256; it is sent all the same",
        &Flag,
        false,
    );
    let pushed = reader.or(
        "pushed",
        "whether the request is pushed (RFC 9126): where it is announced, always, or never",
        &Choice(&[
            ("announced", OidcPushed::Announced),
            ("always", OidcPushed::Always),
            ("never", OidcPushed::Never),
        ]),
        OidcPushed::Announced,
    );
    let ca_file = reader.optional(
        "ca_file",
        "the only authorities of its certificate, PEM",
        &ReadableFile,
        "the public authorities (Mozilla's list)",
    );
    let timeout = reader.or(
        "timeout",
        "longest time of a request to the provider",
        &Span(Duration::from_millis(500)..=Duration::from_secs(10)),
        Duration::from_secs(3),
    );
    check_asked(reader, &acr_values, &strength, mapping.as_ref());
    check_staff(reader, &offered, &strength, mapping.as_ref());
    let provider = Provider {
        id: id.clone()?,
        display_name: display_name?,
        portals: offered,
        issuer: issuer.clone()?,
        login_hint,
    };
    let access = OidcAccess {
        organization: organization?.clone(),
        provider: id?,
        issuer: issuer?,
        client_id: client_id?,
        client_auth: client_auth?,
        client_certificate,
        redirect_uri: redirect_uri?,
        scopes,
        acr_values,
        extra_params,
        mapping: mapping?,
        strength,
        pkce_unannounced,
        pushed,
        ca_file,
        timeout,
    };
    Some(ReadProvider { provider, access })
}

/// What is asked for stands in the address, where whoever sits at the browser can change it: the answer must be asked too.
fn check_asked(
    reader: &Reader<'_>,
    acr_values: &[String],
    strength: &Strength,
    mapping: Option<&ClaimMapping>,
) {
    let is_checked = !strength.required_acr.is_empty() || mapping.is_none_or(|it| !it.require.is_empty());
    if !acr_values.is_empty() && !is_checked {
        reader.fault(
            "acr_values",
            "asks for something that no answer is checked for",
            "write required_acr, or identifier.require with the claim that tells which eID it was",
        );
    }
}

/// A session of staff by eID may change what guardians log in with: the provider must say how strong the authentication
/// was, unless it names persons by a national number, as eIDs do.
fn check_staff(reader: &Reader<'_>, offered: &[Portal], strength: &Strength, mapping: Option<&ClaimMapping>) {
    let weak = strength.required_acr.is_empty()
        && mapping.is_some_and(|it| it.scheme == IdentifierScheme::Opaque && it.require.is_empty());
    if offered.contains(&Portal::Staff) && weak {
        reader.fault(
            "required_acr",
            "is required at the portal staff: nothing else says that more than a password was asked",
            "write the `acr` of an authentication of two factors, or identifier.require with the claim that tells it",
        );
    }
}

fn read_auth(reader: &mut Reader<'_>) -> (Option<OidcClientAuth>, Option<(PathBuf, PathBuf)>) {
    let kinds = Choice(&[
        ("client_secret_basic", Auth::Basic),
        ("client_secret_post", Auth::Post),
        ("private_key_jwt", Auth::Jwt),
        ("tls_client_auth", Auth::Tls),
    ]);
    let kind = reader.required("client_auth", "how we prove to be the client", &kinds);
    let secret =
        reader.optional_secret("client_secret", "the secret of the client_secret methods", &Text(1..=1000));
    let private_key_file =
        reader.optional("private_key_file", "the key of private_key_jwt, PKCS#8 PEM", &ReadableFile, "none");
    let private_key_id = reader.optional(
        "private_key_id",
        "the `kid` that the provider knows it by",
        &Text(1..=200),
        "not sent",
    );
    let certificate_file = reader.optional(
        "certificate_file",
        "the certificate that connections to the provider show, with its chain, PEM",
        &ReadableFile,
        "none",
    );
    let key_file = reader.optional("key_file", "its key, PEM", &ReadableFile, "none");
    let certificate_given = reader.is_given("certificate_file");
    if certificate_given != reader.is_given("key_file") {
        reader.fault("key_file", "and certificate_file come together", "give both or none");
    }
    let secret_given = reader.is_given("client_secret") || reader.is_given("client_secret_file");
    let needs = |reader: &mut Reader<'_>, key, given: bool| {
        if !given {
            reader.fault(key, "is required by this client_auth", "give it, or choose another client_auth");
        }
    };
    let auth = match kind {
        Some(Auth::Basic | Auth::Post) => {
            needs(reader, "client_secret", secret_given);
            let wrap = if kind == Some(Auth::Basic) {
                OidcClientAuth::SecretBasic
            } else {
                OidcClientAuth::SecretPost
            };
            secret.map(wrap)
        }
        Some(Auth::Jwt) => {
            let given = reader.is_given("private_key_file");
            needs(reader, "private_key_file", given);
            private_key_file
                .map(|key_file| OidcClientAuth::PrivateKeyJwt { key_file, key_id: private_key_id })
        }
        Some(Auth::Tls) => {
            needs(reader, "certificate_file", certificate_given);
            Some(OidcClientAuth::Tls)
        }
        None => None,
    };
    (auth, certificate_file.zip(key_file))
}

/// A closing slash belongs to it: some issuers have one.
fn parse_issuer(text: &str) -> Option<String> {
    url::parse_base(text.strip_suffix('/').unwrap_or(text)).map(|_| text.to_owned())
}

fn parse_parameter(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let formed = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !OUR_PARAMETERS.contains(&name)
        && (1..=500).contains(&value.len())
        && !value.chars().any(char::is_control);
    formed.then(|| (name.to_owned(), value.to_owned()))
}
