//! Certificates that are renewed while the service runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::config::Tls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::eventually;
use crate::support::service::{Parts, Service};

const RELOADS: &str = "guardian_auth_certificate_reloads_total";
/// The files are looked at every 5 s.
const NOTICED: Duration = Duration::from_secs(30);

/// An authority, and the folder in which the service looks for its certificate.
struct Issuer {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Issuer {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { authority, folder: tempfile::tempdir().unwrap() }
    }

    /// Writes a new certificate and key, and gives the certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["guardian.example".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        // One after the other, as anybody may write them: in between they do not fit.
        self.write("tls.crt", &certificate.pem());
        self.write("tls.key", &key.serialize_pem());
        certificate.der().clone()
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::join(self.folder.path(), name)
    }

    /// A new connection: the certificate that the service shows.
    async fn shown(&self, service: &Service) -> CertificateDer<'static> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(service.grpc()).await.unwrap();
        let name = ServerName::try_from("guardian.example").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

#[tokio::test]
async fn b33_a_renewed_certificate_is_used_without_a_restart_and_a_bad_one_is_not() {
    let issuer = Issuer::new();
    let first = issuer.renew();
    let files =
        Tls { cert_file: issuer.path("tls.crt"), key_file: issuer.path("tls.key"), client_ca_file: None };
    let mut service = Service::start_with(Parts::Embedded, |config| config.listen.tls = Some(files)).await;
    assert_eq!(issuer.shown(&service).await, first);
    let told = service.metric("guardian_auth_certificate_end_time_seconds", "").await;
    assert!(told > 1.0, "{told}");

    let second = issuer.renew();
    // Every connection is made meanwhile, with one or the other.
    eventually(NOTICED, "the renewed certificate is shown", async || {
        let shown = issuer.shown(&service).await;
        assert!(shown == first || shown == second);
        shown == second
    })
    .await;
    assert!((service.metric(RELOADS, "\"taken\"").await - 1.0).abs() < 0.5);

    issuer.write("tls.crt", "no certificate");
    eventually(NOTICED, "the bad one is refused", async || {
        service.metric(RELOADS, "\"refused\"").await > 0.5
    })
    .await;
    assert_eq!(issuer.shown(&service).await, second, "the old one goes on");

    let third = issuer.renew();
    eventually(NOTICED, "the next good one is shown", async || issuer.shown(&service).await == third).await;
    service.stop().await;
}
