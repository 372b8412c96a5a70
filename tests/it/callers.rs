//! Who may call what: the matrix of every rpc and every kind of caller, through the wire.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use guardian_auth::domain::caller::CallerKind;
use guardian_auth::grpc::access::{Access, RPCS};
use guardian_auth::grpc::tls;
use guardian_auth::proto;
use prost::Message as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::wire::frames::{Frames, GOAWAY, HEADERS, RST_STREAM};
use crate::wire::raw::{self, Client, bearer, framed};
use crate::wire::{ORGANIZATION, ORIGIN, Port, Setup};

/// `(path, kinds)` of every rpc as the comments of the proto files say.
fn documented() -> Vec<(String, BTreeSet<&'static str>)> {
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTOR_SET).unwrap();
    let mut rpcs = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == "guardian.auth.v1") {
        for (service_index, service) in file.service.iter().enumerate() {
            for (method_index, method) in service.method.iter().enumerate() {
                let place =
                    [6, i32::try_from(service_index).unwrap(), 2, i32::try_from(method_index).unwrap()];
                let locations = &file.source_code_info.as_ref().unwrap().location;
                let comment =
                    locations.iter().find(|location| location.path == place).unwrap().leading_comments();
                let line = comment.lines().find_map(|line| line.trim().strip_prefix("Caller:")).unwrap();
                let kinds = line.trim().trim_end_matches('.').split(", ");
                let kinds = kinds.map(|kind| {
                    CallerKind::NAMED.iter().find(|(name, _)| *name == kind).expect("a kind of caller").0
                });
                let path = format!("/guardian.auth.v1.{}/{}", service.name(), method.name());
                rpcs.push((path, kinds.collect()));
            }
        }
    }
    rpcs
}

#[test]
fn the_table_has_a_row_for_each_rpc_and_says_what_the_proto_files_say() {
    let documented = documented();
    assert!(!documented.is_empty());
    for (path, kinds) in &documented {
        let row = RPCS.iter().find(|rpc| rpc.path == path).unwrap_or_else(|| panic!("{path} has no row"));
        let admitted: BTreeSet<_> =
            CallerKind::NAMED.iter().filter(|(_, kind)| row.admits(*kind)).map(|(name, _)| *name).collect();
        assert_eq!(admitted, *kinds, "{path}");
    }
    for row in &RPCS {
        let ours = row.path.starts_with("/guardian.auth.v1.");
        assert_eq!(ours, row.access != Access::Anyone, "{}", row.path);
        assert!(!ours || documented.iter().any(|(path, _)| path == row.path), "{} is no rpc", row.path);
    }
}

#[tokio::test]
async fn b39_every_rpc_by_every_kind_is_answered_as_the_table_says() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    for (path, allowed) in documented() {
        for (name, kind) in CallerKind::NAMED {
            let token = bearer(kind);
            let answer = if kind == CallerKind::Web {
                let headers = [("content-type", "application/grpc-web+proto"), ("origin", ORIGIN)];
                client.post(&path, &headers, framed(&())).await.unwrap()
            } else {
                client.call(&path, &[("authorization", &token)], framed(&())).await.unwrap()
            };
            let refused =
                answer.headers.contains_key("grpc-status") && answer.reason() == "CALLER_NOT_ALLOWED";
            assert_eq!(refused, !allowed.contains(name), "{path} by {name}: {answer:?}");
            assert!(!answer.headers.contains_key("grpc-status") || answer.reason() != "CALLER_UNKNOWN");
        }
        let nobody = client.call(&path, &[], framed(&())).await.unwrap();
        assert_eq!((nobody.code(), nobody.reason().as_str()), (16, "CALLER_UNKNOWN"), "{path}");
    }
}

#[tokio::test]
async fn b39_a_path_that_only_looks_like_an_rpc_is_none() {
    let port = Port::usual().await;
    let token = bearer(CallerKind::Portal);
    for path in [
        "//guardian.auth.v1.LoginService/LoginWithPassword",
        "/guardian.auth.v1.LoginService//LoginWithPassword",
        "/guardian.auth.v1.LoginService/LoginWithPassword/",
        "/guardian.auth.v1.LoginService/LoginWithPassword?x=1",
        "/guardian.auth.v1.LoginService/LoginWithPassword?",
        "/guardian.auth.v1.LoginService/loginwithpassword",
        "/guardian.auth.v1.LoginService/LoginWithPasswor%64",
        "/guardian.auth.v1.LoginService/../LoginService/LoginWithPassword",
        "/guardian.auth.v1.LoginService/",
        "/guardian.auth.v1.DirectoryService/Import",
        "/",
        "*",
    ] {
        // One connection each: what is no path may end it.
        let client = Client::connect(port.address).await;
        match client.call(path, &[("authorization", &token)], framed(&raw::login("name"))).await {
            Ok(answer) if answer.status == 200 => {
                assert_eq!((answer.code(), answer.reason().as_str()), (12, "METHOD_UNKNOWN"), "{path}");
                let nobody = client.call(path, &[], framed(&raw::login("name"))).await.unwrap();
                assert_eq!(nobody.reason(), "CALLER_UNKNOWN", "{path}: the caller comes first");
            }
            Ok(answer) => assert!(answer.status.is_client_error(), "{path}: {answer:?}"),
            Err(error) => assert!(error.is_reset() || error.is_go_away(), "{path}: {error}"),
        }
    }
}

/// CVE-2026-33186: a table of paths that another part of the server reads differently.
#[tokio::test]
async fn b39_a_path_without_its_first_slash_reaches_nothing() {
    let port = Port::usual().await;
    let token = bearer(CallerKind::Portal);
    for path in [
        "guardian.auth.v1.LoginService/LoginWithPassword",
        "http://x/guardian.auth.v1.LoginService/LoginWithPassword",
        "",
    ] {
        let mut frames = Frames::connect(port.address).await;
        frames.headers(1, path, &[("content-type", "application/grpc"), ("authorization", &token)]).await;
        frames.data(1, &framed(&raw::login("name"))).await;
        let kind = frames.first_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
        assert!(kind == Some(RST_STREAM) || kind == Some(GOAWAY), "{path}: {kind:?}");
    }
}

#[tokio::test]
async fn a_wrong_or_doubtful_identity_is_nobody() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    let (portal, sync) = (bearer(CallerKind::Portal), bearer(CallerKind::Sync));
    let cases: [&[(&str, &str)]; 9] = [
        &[("authorization", "Bearer gat_wrong")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer")],
        &[("authorization", "Basic Z2F0X3BvcnRhbA==")],
        &[("authorization", "gat_portal")],
        &[("authorization", &portal), ("authorization", &sync)],
        &[("authorization", &portal), ("authorization", "Bearer gat_wrong")],
        // An origin counts for pages only.
        &[("origin", ORIGIN)],
        &[("x-forwarded-client-cert", "URI=spiffe://example.se/portal")],
    ];
    for headers in cases {
        let answer = client.call(raw::LOGIN, headers, framed(&raw::login("name"))).await.unwrap();
        assert_eq!((answer.code(), answer.reason().as_str()), (16, "CALLER_UNKNOWN"), "{headers:?}");
    }
    let page = ("content-type", "application/grpc-web+proto");
    let cases: [&[(&str, &str)]; 5] = [
        &[page, ("origin", "https://portal.example.se.evil.example")],
        &[page, ("origin", "null")],
        &[page, ("origin", ORIGIN), ("authorization", "Bearer gat_wrong")],
        &[page, ("origin", ORIGIN), ("authorization", &portal)],
        &[page, ("origin", "https://other.example"), ("authorization", &portal)],
    ];
    for headers in cases {
        let answer = client.post(raw::LOGIN, headers, framed(&raw::login("name"))).await.unwrap();
        assert_eq!((answer.code(), answer.reason().as_str()), (16, "CALLER_UNKNOWN"), "{headers:?}");
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let token = format!("{scheme} gat_portal");
        let answer = client.call(raw::LOGIN, &[("authorization", &token)], framed(&raw::login("name"))).await;
        assert_eq!(answer.unwrap().code(), 0, "{scheme}");
    }
}

#[tokio::test]
async fn an_organization_that_is_not_the_callers_is_answered_like_one_that_does_not_exist() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    let token = bearer(CallerKind::Portal);
    let mut answers = BTreeSet::new();
    for (organization, portal) in [
        ("other-kommun", proto::Portal::Parent),
        ("no-such-kommun", proto::Portal::Parent),
        // Exists elsewhere, not here.
        (ORGANIZATION, proto::Portal::Staff),
    ] {
        // Access before validation: the fields are wrong too, and nobody says so.
        let message = proto::LoginWithPasswordRequest {
            organization: organization.to_owned(),
            portal: portal.into(),
            ..proto::LoginWithPasswordRequest::default()
        };
        let answer = client.call(raw::LOGIN, &[("authorization", &token)], framed(&message)).await.unwrap();
        assert_eq!((answer.code(), answer.reason().as_str()), (7, "CALLER_NOT_ALLOWED"), "{organization}");
        let mut headers: Vec<_> =
            answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.retain(|header| !header.starts_with("date"));
        answers.insert(headers);
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn faults_of_a_request_are_gathered_and_never_show_its_values() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    let token = bearer(CallerKind::AdminPortal);
    let message = proto::LoginWithPasswordRequest {
        login_name: String::new(),
        client: Some(proto::ClientContext {
            ip: "198.51.100.77".to_owned(),
            user_agent: "canary".repeat(1000),
            device_token: "canary".repeat(1000),
        }),
        ..raw::login("")
    };
    let answer = client.call(raw::LOGIN, &[("authorization", &token)], framed(&message)).await.unwrap();
    assert_eq!((answer.code(), answer.reason().as_str()), (3, "INVALID_REQUEST"));
    assert_eq!(
        answer.violations(),
        [
            "login_name MISSING",
            "client.ip NOT_ALLOWED",
            "client.user_agent TOO_LONG",
            "client.device_token TOO_LONG"
        ]
    );
    let shown = format!("{:?}", answer.details());
    assert!(!shown.contains("canary") && !shown.contains("198.51"), "{shown}");
}

#[tokio::test]
async fn health_needs_no_caller_and_reflection_is_off() {
    let port = Port::usual().await;
    let client = Client::connect(port.address).await;
    for service in ["", "liveness", "readiness"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let answer = client.call("/grpc.health.v1.Health/Check", &[], framed(&request)).await.unwrap();
        let response: tonic_health::pb::HealthCheckResponse = answer.message();
        assert_eq!((answer.code(), response.status), (0, 1), "{service:?}");
    }
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let answer = client.call(path, &[], Bytes::new()).await.unwrap();
    assert_eq!(answer.code(), 12);

    let mut setup = Setup::usual().await;
    setup.parts.reflection = true;
    let client = Client::connect(setup.open().await.address).await;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            tonic_reflection::pb::v1::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let answer = client.call(path, &[], framed(&request)).await.unwrap();
    assert_eq!(answer.code(), 0);
    assert!(String::from_utf8_lossy(&answer.body).contains("guardian.auth.v1.LoginService"));
}

/// Our authority, and a client connection with a certificate that it signed for this name.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    fn sign(&self, names: Vec<rcgen::SanType>) -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = names;
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    async fn connect(&self, port: &Port, identity: Option<(rcgen::Certificate, rcgen::KeyPair)>) -> Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(port.address).await.unwrap();
        let name = ServerName::try_from("guardian.example").unwrap();
        Client::over(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap())
            .await
    }
}

/// Names in a certificate, a bearer token, and the reason of the answer.
type Shown<'t> = (Option<Vec<rcgen::SanType>>, Option<&'t str>, &'t str);

#[tokio::test]
async fn a_client_certificate_is_asked_for_and_not_required() {
    let authority = Authority::new();
    let dns = |name: &str| rcgen::SanType::DnsName(name.try_into().unwrap());
    let uri = |name: &str| rcgen::SanType::URI(name.try_into().unwrap());
    let (own, key) = authority.sign(vec![dns("guardian.example")]);
    let config = tls::server_config(
        own.pem().as_bytes(),
        key.serialize_pem().as_bytes(),
        Some(authority.certificate.pem().as_bytes()),
    );
    let mut setup = Setup::usual().await;
    let (_renew, newest) = watch::channel(Arc::new(config.unwrap()));
    setup.settings.tls = Some(newest);
    let port = setup.open().await;

    let (portal, sync) = (bearer(CallerKind::Portal), bearer(CallerKind::Sync));
    let spiffe = || vec![uri("spiffe://example.se/portal")];
    let both = || vec![uri("spiffe://example.se/portal"), dns("sync.example.se")];
    let cases: [Shown<'_>; 11] = [
        (Some(spiffe()), None, ""),
        (Some(spiffe()), Some(&portal), ""),
        (Some(spiffe()), Some(&sync), "CALLER_UNKNOWN"),
        (Some(spiffe()), Some("Bearer gat_wrong"), "CALLER_UNKNOWN"),
        (Some(vec![dns("SYNC.example.se")]), None, "CALLER_NOT_ALLOWED"),
        (Some(both()), None, "CALLER_UNKNOWN"),
        // A DNS name that looks like a URI is none.
        (Some(vec![dns("spiffe://example.se/portal")]), None, "CALLER_UNKNOWN"),
        (Some(vec![dns("mesh.example.se")]), None, "CALLER_UNKNOWN"),
        (Some(vec![dns("mesh.example.se")]), Some(&portal), ""),
        (None, Some(&portal), ""),
        (None, None, "CALLER_UNKNOWN"),
    ];
    for (names, token, reason) in cases {
        let shown = format!("{names:?} {token:?}");
        let client = authority.connect(&port, names.map(|names| authority.sign(names))).await;
        let headers: Vec<_> = token.map(|token| ("authorization", token)).into_iter().collect();
        let answer = client.call(raw::LOGIN, &headers, framed(&raw::login("name"))).await.unwrap();
        assert_eq!(answer.reason(), reason, "{shown}");
    }
}
