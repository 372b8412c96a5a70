//! Who is on the line neither reads a mail nor answers for the server.

use std::net::Ipv4Addr;
use std::sync::Arc;

use guardian_auth::adapters::messenger::{Login, Security, SmtpSender, SmtpSettings};
use guardian_auth::domain::message::DeliveryFault;
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::messenger::{MailSender, SendError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{PATIENT, mail, settings};
use crate::support::smtp::{SmtpServer, Tls};

/// Sends a mail with a login; it must fail.
async fn refusal(settings: SmtpSettings) -> SendError {
    let mut settings = settings;
    settings.login =
        Some(Login { user: "mailer".to_owned(), password: Secret::new("correct horse".to_owned()) });
    let sender = SmtpSender::new(settings).expect("usable settings");
    let error = sender.send(&mail(1)).await.expect_err("it is not sent");
    assert_eq!(error.fault, DeliveryFault::Unreachable);
    assert_eq!(sender.probe().await.expect_err("it is not let in").detail, error.detail);
    error
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let other = SmtpServer::start(Tls::None).await;
    for (tls, security) in [(Tls::StartTls, Security::StartTls), (Tls::Implicit, Security::ImplicitTls)] {
        let server = SmtpServer::start(tls).await;
        for authorities in [Some(other.ca_pem().as_bytes().to_vec()), None] {
            let mut settings = settings(&server, security);
            settings.authorities_pem = authorities;
            let error = refusal(settings).await;
            assert_eq!(error.detail, "TLS: invalid peer certificate: UnknownIssuer");
        }
        assert_eq!((server.heard("AUTH"), server.heard("MAIL")), (0, 0), "{tls:?}");
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_neither_login_nor_mail() {
    let server = SmtpServer::start(Tls::None).await;
    let error = refusal(settings(&server, Security::StartTls)).await;
    assert_eq!(error.detail, "STARTTLS: not offered");
    assert_eq!(server.journal(), ["1 connected", "1 EHLO", "2 connected", "2 EHLO"]);
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing_over_implicit_tls() {
    let server = SmtpServer::start(Tls::None).await;
    let error = refusal(settings(&server, Security::ImplicitTls)).await;
    assert!(error.detail.starts_with("TLS: "), "{}", error.detail);
    assert_eq!(server.heard("EHLO"), 0);
}

/// Somebody on the line adds answers to the one to STARTTLS, in clear text, for the client to take them for those of
/// the server within TLS.
#[tokio::test]
async fn an_answer_from_before_tls_does_not_count_within() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("a bound port").port();
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("usable versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("a key"),
        )
        .expect("a usable certificate");
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let heard_within_tls = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.write_all(b"220 hello\r\n").await.expect("a greeting");
        stream.read_line(&mut line).await.expect("EHLO");
        stream.write_all(b"250-hello\r\n250 STARTTLS\r\n").await.expect("an answer");
        stream.read_line(&mut line).await.expect("STARTTLS");
        let injected = b"220 go\r\n250 hello\r\n250 sender\r\n250 recipient\r\n354 data\r\n250 taken\r\n";
        stream.write_all(injected).await.expect("an answer");
        let Ok(mut stream) = tls.accept(stream.into_inner()).await else { return String::new() };
        let mut heard = String::new();
        let _cut = stream.read_to_string(&mut heard).await;
        heard
    });

    let mut settings = SmtpSettings::new("localhost", port, Security::StartTls);
    settings.authorities_pem = Some(key.cert.pem().into_bytes());
    settings.timeout = PATIENT;
    let sender = SmtpSender::new(settings).expect("usable settings");
    let error = sender.send(&mail(1)).await.expect_err("nobody took it");
    assert_eq!(
        (error.fault, error.detail.as_str()),
        (DeliveryFault::Unreachable, "STARTTLS: no answer of SMTP")
    );
    assert_eq!(heard_within_tls.await.expect("no panic"), "");
}
