//! Every module of the `OpenID` Foundation's client plans has a test here, or a reason why not.

use std::path::Path;
use std::time::Duration;

use guardian_auth::adapters::http_client::HttpClient;
use guardian_auth::proto::Portal;
use reqwest::{Method, Url};

use super::bed::OidcBed;
use super::party::PASSWORD;
use crate::support::service::{Attempt, KOMMUN, http_get};

/// Modules by plan, without the prefix that all of a plan have.
const MODULES: [(&str, &[&str]); 4] = [
    (
        "oidcc-client-test",
        &[
            "",
            "-invalid-iss",
            "-missing-sub",
            "-invalid-aud",
            "-missing-iat",
            "-kid-absent-single-jwks",
            "-kid-absent-multiple-jwks",
            "-idtoken-sig-rs256",
            "-idtoken-sig-none",
            "-invalid-sig-rs256",
            "-userinfo-invalid-sub",
            "-nonce-invalid",
            "-scope-userinfo-claims",
            "-client-secret-basic",
            "-discovery-openid-config",
            "-discovery-jwks-uri-keys",
            "-discovery-issuer-mismatch",
            "-signing-key-rotation-just-before-signing",
            "-signing-key-rotation",
        ],
    ),
    (
        "oidcc-client-test",
        &[
            "-missing-aud",
            "-invalid-sig-es256",
            "-invalid-sig-hs256",
            "-invalid-athash",
            "-missing-athash",
            "-invalid-chash",
            "-missing-chash",
            "-nonce-unless-code-flow",
            "-refresh-token",
            "-refresh-token-invalid-issuer",
            "-refresh-token-invalid-sub",
            "-form-post-error",
            "-userinfo-signed",
            "-userinfo-bearer-header",
            "-userinfo-bearer-body",
            "-aggregated-claims",
            "-distributed-claims",
            "-mtls-endpoint-aliases",
            "-request-uri-signed-none",
            "-request-uri-signed-rs256",
            "-dynamic-registration",
            "-discovery-webfinger-acct",
            "-discovery-webfinger-url",
            "-3rd-party-init-login",
        ],
    ),
    (
        "oidcc-client-test-rp",
        &[
            "-backchannel-rpinitlogout",
            "-backchannel-rpinitlogout-alg-none",
            "-backchannel-rpinitlogout-no-event",
            "-backchannel-rpinitlogout-with-nonce",
            "-backchannel-rpinitlogout-wrong-alg",
            "-backchannel-rpinitlogout-wrong-aud",
            "-backchannel-rpinitlogout-wrong-event",
            "-backchannel-rpinitlogout-wrong-iss",
            "-init-logout",
            "-init-logout-other-state",
            "-init-logout-no-state",
            "-frontchannel-rpinitlogout",
            "-frontchannel-opinitlogout",
            "-session-management",
        ],
    ),
    (
        "fapi2-security-profile-final-client-test",
        &[
            "-invalid-authorization-response-iss",
            "-remove-authorization-response-iss",
            "-ensure-authorization-response-with-invalid-state-fails",
            "-ensure-authorization-response-with-missing-state-fails",
            "-invalid-null-alg",
            "-invalid-alternate-alg",
            "-invalid-secondary-aud",
            "-valid-aud-as-array",
            "-invalid-missing-exp",
            "-invalid-expired-exp",
            "-invalid-missing-iss",
            "-invalid-missing-nonce",
            "-discovery-issuer-mismatch",
        ],
    ),
];

/// Modules about what this party does not do, by the middle of their names, and why.
const NOT_DONE: [(&str, &str); 7] = [
    ("-refresh-token-invalid", "tokens of the provider are dropped after the login, its refresh tokens too"),
    ("-userinfo-bearer-body", "the access token goes in the header; the evil provider takes it nowhere else"),
    ("-request-uri-signed", "no request objects: what is to be hidden is pushed (RFC 9126)"),
    ("-dynamic-registration", "an operator registers the client and writes down what came of it"),
    ("-discovery-webfinger", "nobody types an address to find a provider by: providers are configured"),
    ("-3rd-party-init-login", "a login begins at the portal, in the browser that gets the binding secret"),
    ("-rp-", "our sessions are not the provider's: see a_logout_token_ends_nothing"),
];

fn identifier(module: &str) -> String {
    module.replace('-', "_")
}

#[test]
fn every_module_has_a_test_or_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/login_oidc");
    let sources: String = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let modules: Vec<String> = MODULES
        .iter()
        .flat_map(|(plan, modules)| modules.iter().map(move |module| format!("{plan}{module}")))
        .collect();
    for module in &modules {
        let has_test = sources.contains(&format!("async fn {}()", identifier(module)));
        let has_reason = NOT_DONE.iter().any(|(part, _)| module.contains(part));
        assert!(has_test != has_reason, "{module}: test {has_test}, reason {has_reason}");
    }
    for (part, reason) in NOT_DONE {
        assert!(modules.iter().any(|module| module.contains(part)), "{part} is no module: {reason}");
    }
}

/// `OpenID` Connect Back-Channel Logout: no token of it, forged or right, ends a session, as nothing takes it.
#[tokio::test]
async fn a_logout_token_ends_nothing() {
    let bed = OidcBed::start().await;
    let portal = &bed.party.portal;
    let session = portal.session(Attempt::new("alma", PASSWORD)).await;
    let grpc = bed.party.service.grpc();
    // The port does answer HTTP/1.1.
    assert_eq!(http_get(grpc, "/.well-known/jwks.json").await.0, 200);
    let client = HttpClient::new(None, Duration::from_secs(20)).unwrap();
    for path in ["/backchannel_logout", "/logout", "/frontchannel_logout?sid=1", "/.well-known/webfinger"] {
        let url = Url::parse(&format!("http://{grpc}{path}")).unwrap();
        let form = client.request(Method::POST, url).form(&[("logout_token", "eyJhbGciOiJub25lIn0.e30.")]);
        let answer = client.send(form).await.unwrap();
        let unknown = answer.headers.get("grpc-status").is_some_and(|status| status == "12");
        assert!(!answer.status.is_success() || unknown, "{path}: {}", answer.status);
    }
    portal.verify(&session.access_token, KOMMUN, Portal::Parent).await.unwrap();
    portal.refresh(&session.refresh_token).await.unwrap();
}
